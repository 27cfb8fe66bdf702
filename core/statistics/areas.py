"""Areas under the ROC and the precision-recall curve, of weighted images."""

from __future__ import annotations

import numpy as np

from core.statistics.bootstrap import RESAMPLES, interval, resample_weights
from core.statistics.ratio import ratio


def auc_interval(
    positive: np.ndarray, scores: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Bounds of the 95 % interval of the ROC-AUC of scores (N,), bootstrapped over groups (N,).

    ``positive``, bool (N,), says which scores should be the higher.
    """
    numbers = np.unique(groups, return_inverse=True)[1]
    resampled = [
        areas(weights, positive, scores)[0]
        for weights in resample_weights(numbers, RESAMPLES, seed=0)
    ]
    return interval(np.concatenate(resampled))


def areas(
    weights: np.ndarray, positive: np.ndarray, scores: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision (R,) of scores (N,) for weights (R, N)."""
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
