"""Intervals of shares of images that were counted, over groups."""

from __future__ import annotations

import numpy as np

from core.statistics.bootstrap import all_weights, interval
from core.statistics.ratio import ratio
from core.statistics.wilson import wilson


def share_intervals(
    parts: np.ndarray, whole: np.ndarray, groups: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Bounds (K,) of the 95 % intervals of K shares of images, bootstrapped over groups.

    ``parts`` bool (K, N) are the images counted, of those in ``whole`` bool (N,); ``groups`` (N,)
    are of any kind. Where every sample gives the same share, as where all images count or none, a
    bootstrap tells nothing: there it is Wilson's interval with the groups as trials, as if the
    images of one said all the same. NaN where ``whole`` is empty.
    """
    parts, numbers = parts & whole, np.unique(groups, return_inverse=True)[1]
    drawn = all_weights(numbers)
    resampled = ratio(drawn @ parts.T, (drawn @ whole)[:, None])
    low, high = np.transpose([interval(shares) for shares in resampled.T])
    trials = np.full(len(parts), len(np.unique(numbers[whole])))
    careful = wilson(ratio(parts.sum(axis=1), whole.sum()) * trials, trials)
    flat = low == high
    return np.where(flat, careful[0], low), np.where(flat, careful[1], high)
