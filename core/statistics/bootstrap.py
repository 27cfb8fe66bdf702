"""The cluster bootstrap: whole groups are drawn, not images.

Images of one patient, or near-duplicates, say nearly the same thing twice; drawing images one by
one would pretend that they are independent and make the interval too narrow (Davison and Hinkley,
Bootstrap Methods and their Application, 1997, section 3.8).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from core.statistics.ratio import ratio

LEVEL = 0.95
RESAMPLES = 1000
_CHUNK = 2_000_000  # weights held at once: 16 MB


def resample_weights(groups: np.ndarray, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """How often each image is in each bootstrap sample: float64 (r, N), r summing to resamples.

    ``groups`` (N,) are group numbers 0..G-1; each sample draws G groups with replacement.
    """
    count = int(groups.max()) + 1
    random = np.random.default_rng(seed)
    rows = max(1, _CHUNK // len(groups))
    for first in range(0, resamples, rows):
        drawn = [_draw(count, random) for _ in range(first, min(first + rows, resamples))]
        yield np.array(drawn, dtype=np.float64)[:, groups]


def _draw(count: int, random: np.random.Generator) -> np.ndarray:
    """How often each of ``count`` groups is drawn in ``count`` draws."""
    return np.bincount(random.integers(count, size=count), minlength=count)


def interval(resampled: np.ndarray) -> tuple[float, float]:
    """Bounds of the percentile interval of the values (R,) that are defined; NaN if none is.

    Where not one error was seen, every sample is free of errors too, and the interval has no
    width: it then says nothing about how rare an error is.
    """
    defined = resampled[~np.isnan(resampled)]
    if not defined.size:
        return np.nan, np.nan
    tail = (1 - LEVEL) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return low, high


def mean_interval(values: np.ndarray, groups: np.ndarray) -> tuple[float, float]:
    """Bounds of the interval of the mean of values (N,), whose groups (N,) are numbered from 0."""
    drawn = all_weights(groups)
    return interval(ratio(drawn @ np.asarray(values, np.float64), drawn.sum(axis=1)))


def all_weights(groups: np.ndarray, seed: int = 0) -> np.ndarray:
    """``resample_weights`` of RESAMPLES samples at once, (RESAMPLES, N)."""
    return _drawn(tuple(groups.tolist()), seed)


@lru_cache(maxsize=16)
def _drawn(groups: tuple[int, ...], seed: int) -> np.ndarray:
    """Kept, since many figures are of the same images."""
    return np.concatenate(list(resample_weights(np.array(groups), RESAMPLES, seed)))
