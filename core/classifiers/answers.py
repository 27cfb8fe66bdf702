"""What a system answers on many images, and the features it answers from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from core.classifiers.base import Classifier, probabilities
from core.preprocessing import to_batch

_BATCH = 8

Picture = tuple[np.ndarray, np.ndarray | None]
"""Pixels uint8 (H, W, 3) and the lesion's mask bool (H, W), or None."""


def answers(
    classifier: Classifier,
    pictures: Sequence[Callable[[], Picture]],
    progress: Callable[[float], None] = lambda share: None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C), not calibrated, and features pooled over the picture (N, K), float32.

    The same numbers as in a checkpoint's predictions and guard. ``pictures`` are read a few at a
    time; ``progress`` gets the share done, 0 to 1.
    """
    shares, pooled = [], []
    for first in range(0, len(pictures), _BATCH):
        read = [picture() for picture in pictures[first : first + _BATCH]]
        images, masks = map(list, zip(*read, strict=True))
        features = classifier.features(to_batch(images, classifier.recipe.preprocessing, masks))
        shares.append(probabilities(classifier.logits_from(features)))
        pooled.append(features.mean(axis=(1, 2)))
        progress(min(1.0, (first + _BATCH) / len(pictures)))
    return np.concatenate(shares).astype(np.float32), np.concatenate(pooled)
