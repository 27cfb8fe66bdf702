"""What all methods share that read features and gradients of one pass."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import Progress, portion

RawMaps = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From features and gradients, both float64 (N, h, w, K), to signed maps (N, h, w)."""


def from_gradients(raw_maps: RawMaps) -> Callable[..., Explanation]:
    """Make a method of a formula over features and gradients.

    The method takes ``batch`` float32 (N, H, W, 3); ``target``, a class, a class an image or
    weights of the logits; ``layer``, the explained stage (default: the last). Give ``features``
    (N, h, w, K) of that layer if they are known already: the backbone is then not run again.
    """

    def method(
        classifier: Classifier,
        batch: np.ndarray | None,
        target: Target,
        layer: str | None = None,
        features: np.ndarray | None = None,
        progress: Progress | None = None,
    ) -> Explanation:
        if features is None:
            features = classifier.features(batch, layer)
        logits, gradients = classifier.head(features, target, layer)
        # Overflow ends up in the heatmap's note.
        with np.errstate(over="ignore", invalid="ignore"):
            raw = raw_maps(*own_channels(classifier, layer, features, gradients))
        explanation = Explanation(tuple(positive_part(one) for one in raw), logits)
        portion(progress, 0, 1)(1.0)
        return explanation

    method.__name__ = method.__qualname__ = raw_maps.__name__
    method.__module__, method.__doc__ = raw_maps.__module__, raw_maps.__doc__
    return method


def own_channels(
    classifier: Classifier, layer: str | None, *maps: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Those channels of each (N, h, w, K) that are the layer's own, float64."""
    return tuple(one[..., classifier.channels(layer)].astype(np.float64) for one in maps)


def weighted_sum(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """``sum_k w_k A_k`` of features (N, h, w, K) and channel weights (N, K): (N, h, w)."""
    return np.einsum("nhwk,nk->nhw", features, weights)
