"""Scores of an image seen through masks: what the Score-CAM family shares."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from core.classifiers.base import Classifier, Target, probabilities, target_weights
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import Progress, portion

BATCH = 6  # with more no network is much faster, and VGG19's features take more than 300 MB

# A channel that varies by a smaller share of its largest value is constant up to rounding.
NEGLIGIBLE = 1e-6

ChooseMasks = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From features (h, w, K) to masks (M, h, w) and the mask, 0 to M - 1, of each channel (K,)."""


def from_masks(
    choose: ChooseMasks,
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    layer: str | None,
    features: np.ndarray | None,
    progress: Progress | None,
) -> Explanation:
    """``ReLU(sum_k alpha_k A_k)``, alpha the softmax over channels of the masked images' scores.

    Arguments as in ``grad_cam``; ``batch`` is needed even if ``features`` are given.
    """
    if features is None:
        features = classifier.features(batch, layer)
    logits = classifier.logits_from(features, layer)
    weights = target_weights(target, *logits.shape)
    heatmaps = []
    for index, maps in enumerate(features[..., classifier.channels(layer)]):
        report = portion(progress, index, len(features))
        if np.isfinite(maps).all():
            _, mask_of, scores = scored_masks(
                choose, classifier, batch[index], maps, weights[index], report
            )
            raw = maps.astype(np.float64) @ probabilities(scores[mask_of])
        else:
            raw = np.full(maps.shape[:2], np.nan)
            report(1.0)
        heatmaps.append(positive_part(raw))
    return Explanation(tuple(heatmaps), logits)


def scored_masks(
    choose: ChooseMasks,
    classifier: Classifier,
    image: np.ndarray,
    maps: np.ndarray,
    weights: np.ndarray,
    progress: Progress,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Masks (M, h, w) of a layer's maps (h, w, K), the mask of each channel (K,), and the score of
    ``image`` (H, W, 3) through each mask (M,): its logits times ``weights`` (C,)."""
    masks, mask_of = choose(maps)
    return masks, mask_of, masked_logits(classifier, image, masks, progress) @ weights


def normalised(features: np.ndarray) -> np.ndarray:
    """Channels of (h, w, K) scaled to [0, 1] each, float32 (K, h, w); constant ones are 0."""
    maps = np.moveaxis(features, -1, 0)
    low, high = (end(maps, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
    varies = high - low > NEGLIGIBLE * np.maximum(abs(low), abs(high))
    return np.where(varies, (maps - low) / np.where(varies, high - low, 1), 0).astype(np.float32)


def masked_logits(
    classifier: Classifier, image: np.ndarray, masks: np.ndarray, progress: Progress
) -> np.ndarray:
    """Rough logits (M, C), float64, of ``image`` (H, W, 3) times each mask (M, h, w).

    The masks are enlarged bilinearly and scaled to [0, 1] again. They multiply the network's
    input, so hidden places become 0 in the recipe's value range: mid-grey where it is centred.
    """
    enlarge = _Enlarger(masks.shape[1:], image.shape[:2])
    buffer = np.empty((min(BATCH, len(masks)), *image.shape), np.float32)
    logits = []
    for start in range(0, len(masks), BATCH):
        some = enlarge(masks[start : start + BATCH])
        masked = np.multiply(image, some[..., None], out=buffer[: len(some)])
        logits.append(classifier.rough_logits(masked))
        progress(min(1.0, (start + BATCH) / len(masks)))
    return np.concatenate(logits).astype(np.float64)


class _Enlarger:
    """Bilinear resizing of many masks at once: two products with small matrices."""

    def __init__(self, small: tuple[int, int], large: tuple[int, int]):
        self._rows, self._columns = (
            cv2.resize(np.eye(old, dtype=np.float32), (old, new), interpolation=cv2.INTER_LINEAR)
            for old, new in zip(small, large, strict=True)
        )

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Masks (M, h, w) at the large size, each scaled to [0, 1]; constant ones are 0."""
        large = self._rows @ masks @ self._columns.T
        low, high = (end(large, axis=(1, 2), keepdims=True) for end in (np.min, np.max))
        large -= low
        large /= np.where(high > low, high - low, 1)
        return large
