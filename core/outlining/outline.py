"""From a map of probabilities to an outline: which of its parts are proposed as the lesion."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.borders import without_holes

VIEWS: dict[str, tuple[tuple[float, bool], ...]] = {
    "plain": ((1.0, False),),
    "mirrored": ((1.0, False), (1.0, True)),
    "enlarged": ((1.0, False), (1.0, True), (1.2, False), (1.2, True)),
}
"""What the network is shown of a scan: sizes as multiples of its own, and whether mirrored."""


@dataclass(frozen=True)
class Rule:
    """How an outline is made of a map; chosen on validation images.

    Pixels whose probability is at least ``threshold`` are marked and their holes filled. A
    connected part (of 8 neighbours) is kept if its area is at least ``smallest``, a share of the
    scan, and its highest probability at least ``peak``; with ``largest_only`` the largest of
    these alone. The map is the mean of those of the ``VIEWS`` of this name.
    """

    threshold: float = 0.5
    smallest: float = 0.0
    peak: float = 0.0
    largest_only: bool = False
    views: str = "plain"


@dataclass(frozen=True, eq=False)
class Parts:
    """Connected parts of a map from one threshold on.

    ``labels`` int32 (H, W): 0 outside, else 1 + the part's number. ``areas`` (n,): shares of the
    scan; ``peaks`` (n,): highest probabilities.
    """

    labels: np.ndarray
    areas: np.ndarray
    peaks: np.ndarray


def outline_of(probability: np.ndarray, rule: Rule) -> np.ndarray:
    """The proposed outline, bool (H, W), of a map in [0, 1] (H, W); all False if there is none."""
    parts = parts_of(probability, rule.threshold)
    return np.concatenate([[False], kept(parts, rule)])[parts.labels]


def parts_of(probability: np.ndarray, threshold: float) -> Parts:
    """The connected parts of a map (H, W) from this threshold on, without holes."""
    marked = without_holes(probability >= threshold)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(marked, connectivity=8)
    peaks = np.zeros(count, np.float64)
    np.maximum.at(peaks, labels[marked > 0], probability[marked > 0])
    return Parts(labels, stats[1:, cv2.CC_STAT_AREA] / marked.size, peaks[1:])


def kept(parts: Parts, rule: Rule) -> np.ndarray:
    """Which parts the rule keeps, bool (n,)."""
    keep = (parts.areas >= rule.smallest) & (parts.peaks >= rule.peak)
    if rule.largest_only and keep.any():
        largest = np.where(keep, parts.areas, -1).argmax()
        keep = np.arange(len(keep)) == largest
    return keep
