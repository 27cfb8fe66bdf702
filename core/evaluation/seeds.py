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
    judged = {int(n): evaluate(rows, classes, resamples=1) for n, rows in test.groupby("seed")}
    runs = {n: {k: v["value"] for k, v in one["values"].items()} for n, one in judged.items()}
    return {"seeds": list(runs), "values": _each(runs) if len(runs) <= FEW else spread(runs)}


def spread(runs: Mapping[int, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation of each figure over the runs, by seed, where all define it."""
    return {
        name: {"mean": float(column.mean()), "sd": float(column.std(ddof=1))}
        for name, column in _figures(runs).items()
    }


def _each(runs: Mapping[int, Mapping[str, float | None]]) -> dict[str, dict[str, float]]:
    return {
        name: {f"seed {n}": float(value) for n, value in column.items()}
        for name, column in _figures(runs).items()
    }


def _figures(runs: Mapping[int, Mapping[str, float | None]]) -> pd.DataFrame:
    """A row a run and a column a figure that all runs define."""
    return pd.DataFrame(runs).T.astype(float).dropna(axis=1)
