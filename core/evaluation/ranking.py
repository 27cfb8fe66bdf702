"""Figures from the order of the probabilities: each class against the rest, and their means."""

from __future__ import annotations

import numpy as np

from core.evaluation.bootstrap import RESAMPLES, interval, resample_weights
from core.evaluation.ratio import ratio
from core.evaluation.sample import Sample


def ranking_figures(weights: np.ndarray, sample: Sample) -> dict[str, np.ndarray]:
    """``auc_<class>``, ``pr_auc_<class>`` and their unweighted means ``macro_``, (R,) each.

    ``auc``: the chance that an image of the class scores higher than one of another class, half
    for ties (area under the ROC curve). ``pr_auc``: average precision, the sum of precision times
    gained recall over the thresholds, without interpolation. Both as scikit-learn defines them.
    """
    curves = [
        _areas(weights, sample.truth == index, sample.probabilities[:, index])
        for index in range(len(sample.classes))
    ]
    figures = {}
    for name, values in zip(("auc", "pr_auc"), zip(*curves, strict=True), strict=True):
        figures[f"macro_{name}"] = np.mean(values, axis=0)
        named = zip(sample.classes, values, strict=True)
        figures |= {f"{name}_{label}": value for label, value in named}
    return figures


def auc_interval(
    positive: np.ndarray, scores: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Bounds of the 95 % interval of the ROC-AUC of scores (N,), bootstrapped over groups (N,).

    ``positive``, bool (N,), says which scores should be the higher.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    areas = [
        _areas(weights, positive, scores)[0]
        for weights in resample_weights(numbers, RESAMPLES, seed=0)
    ]
    return interval(np.concatenate(areas))


def _areas(
    weights: np.ndarray, positive: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision (R,) for weights (R, N)."""
    order = np.argsort(scores, kind="stable")
    ranked, positive = scores[order], positive[order]
    steps = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    hits = np.add.reduceat(weights[:, order] * positive, steps, axis=1)
    alarms = np.add.reduceat(weights[:, order] * ~positive, steps, axis=1)
    all_hits, all_alarms = hits.sum(axis=1), alarms.sum(axis=1)

    below = np.cumsum(alarms, axis=1) - alarms / 2
    auc = ratio((hits * below).sum(axis=1), all_hits * all_alarms)

    hits_from, alarms_from = _from_here_up(hits), _from_here_up(alarms)
    precision = ratio(hits_from, hits_from + alarms_from, otherwise=0)
    return auc, ratio((hits * precision).sum(axis=1), all_hits)


def _from_here_up(counts: np.ndarray) -> np.ndarray:
    return np.cumsum(counts[:, ::-1], axis=1)[:, ::-1]
