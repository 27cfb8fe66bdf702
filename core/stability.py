"""How much an answer moves when a scan changes in ways that leave its meaning alone.

Test-time augmentation (Ayhan and Berens, MIDL 2018): the same breast, mirrored, a little shifted
or turned, a little brighter or flatter. Where that changes the answer, the answer is not to be
relied on, however sure it sounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.augmentation import augment
from core.classifiers.base import Classifier, probabilities
from core.preprocessing import fit, scale
from core.recipe import Augmentation

COPIES = 8

_MOVES = Augmentation(horizontal_flip=0.5, rotation=5.0, shift=0.04)
CHANGES = _MOVES.model_copy(update={"brightness": 0.1, "contrast": 0.1})
"""The changes, at most: what ``Stability.changes`` says in words."""


@dataclass(frozen=True, eq=False)
class Stability:
    """Calibrated probabilities (C,) over the scan as it is and ``copies`` changed copies of it:
    the lowest and the highest of each class. ``changes`` says what was changed."""

    low: np.ndarray
    high: np.ndarray
    copies: int
    changes: str = (
        f"mirrored (half of the copies), turned by up to {CHANGES.rotation:g} degrees, shifted by "
        f"up to {100 * CHANGES.shift:.0f} % of width and height, brightness and contrast changed "
        f"by up to {100 * CHANGES.brightness:.0f} % and {100 * CHANGES.contrast:.0f} %"
    )


def stability(
    classifier: Classifier,
    pixels: np.ndarray,
    mask: np.ndarray | None = None,
    copies: int = COPIES,
    seed: int = 0,
) -> Stability:
    """The spread of a system's answer to one frame, uint8 (H, W, 3), in one batch.

    ``mask`` bool (H, W) is the region, for systems that use one. The same arguments give the same
    answer. Raises ValueError for fewer than 1 copy.
    """
    if copies < 1:
        raise ValueError(f"A spread needs at least 1 changed copy, not {copies}.")
    preprocessing = classifier.recipe.preprocessing
    image = fit(pixels, preprocessing, mask)
    outlined = preprocessing.outlined and mask is not None
    changed = [_changed(image, outlined, [seed, number]) for number in range(copies)]
    logits = classifier.logits(scale(np.stack([image, *changed]), preprocessing))
    shares = probabilities(logits, classifier.temperature)
    return Stability(shares.min(axis=0), shares.max(axis=0), copies)


def _changed(image: np.ndarray, outlined: bool, seed: list[int]) -> np.ndarray:
    """One changed copy. What is black because it lies outside the outline stays black."""
    copy = augment(image, CHANGES, np.random.default_rng(seed))
    if not outlined:
        return copy
    inside = np.where(image.any(axis=-1, keepdims=True), np.uint8(255), np.uint8(0))
    # The same seed, and the moves are drawn first: the outline moves as the image did.
    moved = augment(np.repeat(inside, 3, axis=2), _MOVES, np.random.default_rng(seed))
    return np.where(moved > 0, copy, np.uint8(0))
