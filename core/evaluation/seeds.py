"""What several runs say together, each with its own split, order and random weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from core.evaluation import evaluate

FEW = 2
"""Runs that say nothing of a spread: two that happen to agree would have none."""


def over_seeds(test: pd.DataFrame, classes: Sequence[str]) -> dict | None:
    """Mean and spread of every figure over the seeds of one protocol; None for too FEW of them.

    ``test`` holds the test images of all seeds, with the columns that ``evaluate`` takes and
    ``seed``. The result holds ``seeds``, and ``values``: metric -> ``mean`` and ``sd``, the sample
    standard deviation; a figure that is not defined in every run is left out. The runs share
    images, so that ``sd / sqrt(n)`` is no standard error.
    """
    if test["seed"].nunique() <= FEW:
        return None
    runs = {seed: evaluate(rows, classes, resamples=1) for seed, rows in test.groupby("seed")}
    return spread(
        {seed: {k: v["value"] for k, v in r["values"].items()} for seed, r in runs.items()}
    )


def spread(runs: Mapping[int, Mapping[str, float | None]]) -> dict:
    """The result of ``over_seeds`` of the figures of each seed."""
    figures = pd.DataFrame(list(runs.values())).astype(float).dropna(axis=1)
    found = zip(figures.columns, figures.mean(), figures.std(ddof=1), strict=True)
    return {
        "seeds": [int(seed) for seed in runs],
        "values": {name: {"mean": float(mean), "sd": float(sd)} for name, mean, sd in found},
    }
