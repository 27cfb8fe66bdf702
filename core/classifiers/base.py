"""The one interface that everything else is written against."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np

from core.recipe import Recipe

Target = int | np.ndarray

INPUT = "input"
"""In ``Classifier.head`` the layer before all others: its features are the batch itself."""


class Classifier(ABC):
    """A trained system that can show its work.

    All methods are pure functions of their arguments: any number of threads may share one
    classifier. Batches are float32 (N, H, W, 3) in the recipe's value range.
    """

    recipe: Recipe
    layers: tuple[str, ...]
    """What can be explained, from input to output: stages, and branches that a stage joins."""
    temperature: float = 1.0
    """Divides the logits before the softmax, so that probabilities are calibrated."""

    @abstractmethod
    def features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        """Features that leave ``layer`` (default: the last), float32 (N, h, w, K)."""

    def channels(self, layer: str | None = None) -> slice:
        """Which channels of ``features`` are the layer's own, and make its map: all of a stage's.

        The features of a branch are those of the stage that joins it with others, since the head
        needs them all.
        """
        return slice(None)

    @abstractmethod
    def head(
        self, features: np.ndarray, target: Target, layer: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Logits (N, C) from features, and d target logit / d features (N, h, w, K).

        ``target`` is what ``target_weights`` takes: a class, a class an image, or weights.
        With ``INPUT`` as the layer the features are a batch. Both results are float32.
        """

    def logits_from(self, features: np.ndarray, layer: str | None = None) -> np.ndarray:
        """The logits that ``head`` gives, float32 (N, C), without the price of a gradient."""
        return self.head(features, 0, layer)[0]

    def logits(self, batch: np.ndarray) -> np.ndarray:
        """Class logits, float32 (N, C)."""
        return self.logits_from(self.features(batch))

    def rough_features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        """``features`` from a faster copy of the network, whose precision may be bfloat16's.

        For means over many images that differ at random, never for what a user is told of one.
        The same batch gives the same features. See ``core.classifiers.precision``.
        """
        return self.features(batch, layer)

    def rough_logits(self, batch: np.ndarray) -> np.ndarray:
        """``logits`` in the same way; what follows the last layer is exact."""
        return self.logits_from(self.rough_features(batch))

    def _layer(self, layer: str | None, *others: str) -> str:
        layer = layer or self.layers[-1]
        if layer not in (*self.layers, *others):
            raise ValueError(f"'{layer}' is no layer of it. Choose one of {list(self.layers)}.")
        return layer


def target_weights(target: Target, count: int, classes: int) -> np.ndarray:
    """What is explained, as weights of the logits, float32 (N, C).

    ``target`` is one class index for all images, an int array (N,) of one class an image, or
    float weights (C,) or (N, C), such as +1 and -1 for the difference of two classes.
    Raises ValueError for a class that does not exist or a shape that does not fit.
    """
    target = np.asarray(target)
    if np.issubdtype(target.dtype, np.integer):
        if target.size and not (target.min() >= 0 and target.max() < classes):
            raise ValueError(f"Classes run from 0 to {classes - 1}; {target.tolist()} was asked.")
        target = np.eye(classes, dtype=np.float32)[target]
    if target.ndim == 0 or target.shape[-1] != classes:
        raise ValueError(f"The target has shape {target.shape}, not ({classes},).")
    return np.broadcast_to(target.astype(np.float32), (count, classes))


def probabilities(logits: np.ndarray, temperature: float = 1.0) -> np.ndarray:
    """Softmax of ``logits / temperature`` over the last axis, float64, rows summing to 1."""
    shifted = np.asarray(logits, np.float64) / temperature
    shifted = np.exp(shifted - shifted.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)
