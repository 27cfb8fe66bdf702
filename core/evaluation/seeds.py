"""What several runs say together, each with its own split, order and random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.evaluation import evaluate

FEW = 2
"""Runs that say nothing of a spread: two that happen to agree would have none. Each is told."""


def over_seeds(test: pd.DataFrame, classes: Sequence[str]) -> dict | None:
    """Every figure over the seeds of one protocol; None for one seed.

    ``test`` holds the test images of all seeds, with the columns that ``evaluate`` takes and
    ``seed``. The result holds ``seeds``, and ``values``: metric -> ``mean`` and ``sd``, the sample
    standard deviation, or where the runs are too FEW, ``seed 0`` and so on; a figure that is not
    defined in every run is left out. The runs share images, so that ``sd / sqrt(n)`` is no standard
    error.
    """
    if test["seed"].nunique() == 1:
        return None
    runs = {int(n): evaluate(rows, classes, resamples=1) for n, rows in test.groupby("seed")}
    return spread({n: {k: v["value"] for k, v in run["values"].items()} for n, run in runs.items()})


def spread(runs: Mapping[int, Mapping[str, float | None]]) -> dict:
    """The result of ``over_seeds`` of the figures of each seed."""
    figures = pd.DataFrame(runs).T.astype(float).dropna(axis=1)
    return {
        "seeds": list(runs),
        "values": {name: _together(column) for name, column in figures.items()},
    }


def _together(runs: pd.Series) -> dict[str, float]:
    """What one figure, by seed, says of all runs."""
    if len(runs) <= FEW:
        return {f"seed {n}": float(value) for n, value in runs.items()}
    return {"mean": float(runs.mean()), "sd": float(runs.std(ddof=1))}
