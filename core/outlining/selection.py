"""Choose the rule of the outline, on validation images alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from core.outlining.outline import VIEWS, Parts, Rule, kept, parts_of

THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
_SMALLEST = (0.0, 0.001, 0.002, 0.004, 0.006)
_PEAKS = (0.0, 0.7, 0.8, 0.9, 0.95)


@dataclass(frozen=True)
class Choice:
    """A rule and its mean score on ``n`` validation images."""

    rule: Rule
    score: float
    n: int


@dataclass(frozen=True, eq=False)
class _Overlaps:
    """The parts of one map, and how many pixels of each lie on the lesion, (n,)."""

    parts: Parts
    shared: np.ndarray
    lesion: int

    def score(self, rule: Rule) -> float:
        """Dice coefficient of the outline with the lesion; 1 if both are empty."""
        keep = kept(self.parts, rule)
        marked = np.rint(self.parts.areas[keep].sum() * self.parts.labels.size)
        if not marked + self.lesion:
            return 1.0
        return float(2 * self.shared[keep].sum() / (marked + self.lesion))


def choose(maps: Iterable[tuple[Mapping[str, np.ndarray], np.ndarray]]) -> Choice:
    """The rule with the highest mean Dice coefficient over all images.

    ``maps`` gives of each image its map float32 (H, W) by the name of the views, and its mask,
    bool (H, W), empty where there is no lesion: there nothing proposed scores 1 and anything
    else 0. Of equal rules the first is taken, which changes less.
    """
    overlaps: dict[tuple[str, float], list[_Overlaps]] = {
        key: [] for key in product(VIEWS, THRESHOLDS)
    }
    for by_views, mask in maps:
        for (views, threshold), found in overlaps.items():
            found.append(_overlaps(by_views[views], threshold, mask))
    return _best(overlaps)


def _best(overlaps: dict[tuple[str, float], list[_Overlaps]]) -> Choice:
    choices = [
        _judged(Rule(threshold, smallest, peak, largest_only, views), found)
        for (views, threshold), found in overlaps.items()
        for smallest, peak, largest_only in product(_SMALLEST, _PEAKS, (False, True))
    ]
    return max(choices, key=lambda choice: choice.score)


def _judged(rule: Rule, overlaps: Sequence[_Overlaps]) -> Choice:
    return Choice(rule, float(np.mean([one.score(rule) for one in overlaps])), len(overlaps))


def _overlaps(probability: np.ndarray, threshold: float, mask: np.ndarray) -> _Overlaps:
    parts = parts_of(probability, threshold)
    shared = np.bincount(parts.labels[mask], minlength=len(parts.areas) + 1)[1:]
    return _Overlaps(parts, shared, int(mask.sum()))
