"""Features of the frozen part of a network, computed once an image."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import numpy as np

from core.recipe import Augmentation, Recipe


def sees_the_same_images(recipe: Recipe) -> bool:
    """Whether an image enters the network unchanged in every epoch."""
    return recipe.augmentation == Augmentation() and not recipe.preprocessing.training_overlay


class FrozenFeatures:
    """What a frozen part makes of images, remembered by their content as float16.

    ``compute`` maps a batch, float32 (N, H, W, 3), to a list of arrays (N, ...).
    """

    def __init__(self, compute: Callable[[np.ndarray], list[np.ndarray]]):
        self._compute = compute
        self._known: dict[bytes, list[np.ndarray]] = {}

    def __call__(self, batch: np.ndarray) -> list[np.ndarray]:
        """The features of a batch, float32."""
        keys = [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in batch]
        new = [i for i, key in enumerate(keys) if key not in self._known]
        if new:
            rows = zip(*self._compute(batch[new]), strict=True)
            for index, row in zip(new, rows, strict=True):
                self._known[keys[index]] = [array.astype(np.float16) for array in row]
        columns = zip(*(self._known[key] for key in keys), strict=True)
        return [np.stack(column).astype(np.float32) for column in columns]
