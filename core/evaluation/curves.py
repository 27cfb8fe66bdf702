"""Curves of a system's probabilities, each with what chance may have done to it.

ROC and precision-recall curves carry pointwise 95 % bands, bootstrapped over groups; reliability
diagrams carry a 95 % interval a bin.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluation.errors import BINS
from core.evaluation.sample import EvaluationError, Sample
from core.statistics.bootstrap import LEVEL, resample_weights
from core.statistics.ratio import ratio
from core.statistics.wilson import wilson

_GRID = np.linspace(0, 1, 101)
_TAILS = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve (K,) from ``x`` 0 to 1, and the bounds ``low`` and ``high`` (G,) over ``grid``.

    The band is pointwise: at each ``grid`` it holds the middle 95 % of the bootstrapped curves,
    which is less than holding 95 % of whole curves.
    """

    x: np.ndarray
    y: np.ndarray
    grid: np.ndarray
    low: np.ndarray
    high: np.ndarray


def roc_curve(sample: Sample, label: str, resamples: int = 1000, seed: int = 0) -> Curve:
    """Sensitivity over 1 - specificity of ``label`` against the rest, thresholds falling.

    Images of equal score are passed at once, so that the area is ``auc_<label>`` of ``evaluate``.
    The band is that of sensitivity at a given specificity (Fawcett 2006, section 8.2). Raises
    EvaluationError if there is no image of the class, or none of another.
    """
    return _curve(sample, label, _roc, _sensitivity_at, resamples, seed)


def precision_recall_curve(
    sample: Sample, label: str, resamples: int = 1000, seed: int = 0
) -> Curve:
    """Precision over recall of ``label`` against the rest, thresholds falling.

    To be drawn as steps whose height holds from the recall before up to its own: a straight line
    between two points would promise what no threshold gives (Davis and Goadrich, ICML 2006). The
    area below the steps is ``pr_auc_<label>`` of ``evaluate``. Raises as ``roc_curve``.
    """
    return _curve(sample, label, _precision_recall, _precision_at, resamples, seed)


def reliability(sample: Sample, label: str | None = None, bins: int = BINS) -> pd.DataFrame:
    """How often probabilities of about p came true: one row a bin that holds an image.

    ``probability``: mean in the bin of the probability of ``label``, or of the likeliest class if
    None; ``observed``: share of its images that are of that class; ``n`` images in ``groups``
    groups; ``low`` and ``high``: Wilson's 95 % interval with the groups as the number of trials,
    as if images of one group said all the same. It has a width also where all came true, which a
    bootstrap has not. Bins of equal width, the m-th of M is (m / M, (m + 1) / M]; with the default
    15 the gaps |observed - probability|, weighted by n, add up to ``ece`` of ``evaluate``.
    """
    if label is None:
        scores, true = sample.probabilities.max(axis=1), sample.predicted == sample.truth
    else:
        scores, true = _against_rest(sample, label)
    table = pd.DataFrame({"score": scores, "true": true, "group": sample.groups})
    grouped = table.groupby(np.clip(np.ceil(scores * bins) - 1, 0, None).astype(int))
    found = grouped.agg(
        probability=("score", "mean"),
        observed=("true", "mean"),
        n=("true", "size"),
        groups=("group", "nunique"),
    )
    low, high = wilson(found["observed"] * found["groups"], found["groups"])
    return found.assign(low=low, high=high).reset_index(drop=True)


def _curve(
    sample: Sample, label: str, rates: Callable, at: Callable, resamples: int, seed: int
) -> Curve:
    scores, positive = _against_rest(sample, label)
    if positive.all() or not positive.any():
        which = "another class" if positive.all() else f"class '{label}'"
        raise EvaluationError(f"There is no curve of '{label}': no test image is of {which}.")
    order = np.argsort(-scores, kind="stable")
    ranked, positive = scores[order], positive[order]
    ends = np.flatnonzero(np.r_[ranked[1:] != ranked[:-1], True])

    def curves(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        weights = weights[:, order]
        hits = np.cumsum(weights * positive, axis=1)[:, ends]
        alarms = np.cumsum(weights * ~positive, axis=1)[:, ends]
        return rates(hits, alarms)

    x, y = curves(np.ones((1, sample.n)))
    undefined = np.full(len(_GRID), np.nan)  # of a sample without images of the class, or of others
    rows = [
        at(*row) if np.isfinite(row).all() else undefined
        for weights in resample_weights(sample.groups, resamples, seed)
        for row in zip(*curves(weights), strict=True)
    ]
    low, high = np.nanquantile(rows, _TAILS, axis=0)
    return Curve(x[0], y[0], _GRID, low, high)


def _against_rest(sample: Sample, label: str) -> tuple[np.ndarray, np.ndarray]:
    """Probability of a class (N,), and which images are of it, bool (N,)."""
    index = sample.classes.index(label)
    return sample.probabilities[:, index], sample.truth == index


def _roc(hits: np.ndarray, alarms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    start = np.zeros((len(hits), 1))
    x, y = ratio(alarms, alarms[:, -1:]), ratio(hits, hits[:, -1:])
    return np.hstack([start, x]), np.hstack([start, y])


def _sensitivity_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """On the grid; where the curve rises, its upper end."""
    return np.interp(_GRID, x, y)


def _precision_recall(hits: np.ndarray, alarms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From recall 0, where the precision is that of the first threshold that finds something."""
    x, y = ratio(hits, hits[:, -1:]), ratio(hits, hits + alarms, otherwise=0)
    first = np.take_along_axis(y, (hits > 0).argmax(axis=1)[:, None], axis=1)
    return np.hstack([np.zeros((len(x), 1)), x]), np.hstack([first, y])


def _precision_at(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """On the grid: at the highest threshold with at least that recall, and some recall."""
    wanted = np.maximum(_GRID - 1e-9, np.finfo(float).tiny)  # 3 of 10 is not quite 0.3
    return y[np.searchsorted(x, wanted)]
