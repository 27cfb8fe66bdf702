"""How well a distance tells own scans from others."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from core.evaluation.calibration import operating_point
from core.statistics.bootstrap import RESAMPLES, interval, resample_weights
from core.statistics.wilson import wilson

DETECTED = 0.95


@dataclass(frozen=True)
class Figure:
    """A value and the bounds of its 95 % interval."""

    value: float
    low: float
    high: float


def separation(own: np.ndarray, others: np.ndarray) -> float:
    """Area under the ROC curve: the chance that another image lies further out than an own one,
    half for ties. Distances (N,) and (M,)."""
    return float(_wins(own, others).mean())


def area(
    own: np.ndarray, others: np.ndarray, own_groups: np.ndarray, other_groups: np.ndarray
) -> Figure:
    """``separation`` with its interval, bootstrapped over the groups of both, numbered from 0."""
    drawn, other_drawn = (
        _drawn(tuple(groups.tolist()), seed)
        for seed, groups in enumerate((own_groups, other_groups))
    )
    won = ((other_drawn @ _wins(own, others)) * drawn).sum(axis=1)
    resampled = won / (other_drawn.sum(axis=1) * drawn.sum(axis=1))
    return Figure(separation(own, others), *map(float, interval(resampled)))


def _wins(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each of the others lies further out than each own image, (M, N); 1/2 for ties."""
    return (others[:, None] > own) + (others[:, None] == own) / 2


@lru_cache(maxsize=8)
def _drawn(groups: tuple[int, ...], seed: int) -> np.ndarray:
    """``resample_weights`` (RESAMPLES, N): several figures are of the same images."""
    return np.concatenate(list(resample_weights(np.array(groups), RESAMPLES, seed)))


def false_alarms(own: np.ndarray, others: np.ndarray) -> Figure:
    """Share of own images (N,) at or beyond the distance that finds 95 % of the others (M,)."""
    positive = np.repeat([False, True], [len(own), len(others)])
    threshold = operating_point(np.concatenate([own, others]), positive, DETECTED)
    return share(own >= threshold)


def share(chosen: np.ndarray) -> Figure:
    """Share of images (N,) bool, with Wilson's interval."""
    low, high = wilson(np.array([chosen.sum()]), np.array([len(chosen)]))
    return Figure(float(chosen.mean()), float(low[0]), float(high[0]))
