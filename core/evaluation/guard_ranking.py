"""How well a distance tells own scans from others."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.evaluation.calibration import operating_point
from core.statistics.bootstrap import all_weights, interval
from core.statistics.shares import share_intervals

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
        all_weights(groups, seed) for seed, groups in enumerate((own_groups, other_groups))
    )
    won = ((other_drawn @ _wins(own, others)) * drawn).sum(axis=1)
    resampled = won / (other_drawn.sum(axis=1) * drawn.sum(axis=1))
    return Figure(separation(own, others), *map(float, interval(resampled)))


def _wins(own: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether each of the others lies further out than each own image, (M, N); 1/2 for ties."""
    return (others[:, None] > own) + (others[:, None] == own) / 2


def false_alarms(own: np.ndarray, others: np.ndarray, own_groups: np.ndarray) -> Figure:
    """Share of own images (N,) at or beyond the distance that finds 95 % of the others (M,); its
    interval takes that distance as given."""
    positive = np.repeat([False, True], [len(own), len(others)])
    threshold = operating_point(np.concatenate([own, others]), positive, DETECTED)
    return share(own >= threshold, own_groups)


def share(chosen: np.ndarray, groups: np.ndarray) -> Figure:
    """Share of images (N,) bool of these groups (N,), with its interval (``share_intervals``)."""
    low, high = share_intervals(chosen[None], np.ones(len(chosen), bool), groups)
    return Figure(float(chosen.mean()), float(low[0]), float(high[0]))
