"""Does the network use what a heatmap marks? Figures of one map on one image, without a mask.

The score is the calibrated probability of the explained class. What is hidden becomes 0 in the
recipe's value range, as in Score-CAM and occlusion: mid-grey where the range is centred.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.classifiers.base import Classifier, probabilities
from core.statistics.ratio import ratio

LEVELS = 16
"""Steps from the whole image to nothing of it."""
BATCH = 16
BLUR = 1 / 20
"""Standard deviation, as a share of the width, of the blur from which insertion starts."""


@dataclass(frozen=True)
class Faithfulness:
    """Figures in [0, 1]; all NaN for a map without evidence, which ranks nothing.

    ``deletion`` (lower is better) and ``insertion`` (higher): area under the score while the
    most important pixels are hidden, or put sharp into a blurred image, first (Petsiuk et al.,
    RISE, BMVC 2018). ``average_drop`` (lower): ``max(0, Y - O) / Y``, Y the score of the image
    and O that of the image times the map; ``increase`` (higher): 1 if O > Y, else 0
    (Chattopadhyay et al., Grad-CAM++, WACV 2018, section 4.1).
    """

    deletion: float
    insertion: float
    average_drop: float
    increase: float


def faithfulness(
    classifier: Classifier, image: np.ndarray, values: np.ndarray, target: int, levels: int = LEVELS
) -> Faithfulness:
    """Judge a map, float (H, W) in [0, 1], of ``image``, float32 (H, W, 3), for one class.

    Raises ValueError if their sizes differ.
    """
    if not values.max() > 0:
        return Faithfulness(*[float("nan")] * 4)
    place = ranks(values, image)
    whole, seen = scores(classifier, np.stack([image, image * _column(values)]), target)
    return Faithfulness(
        deletion=_area(deletion_curve(classifier, image, place, target, levels)),
        insertion=_area(insertion_curve(classifier, image, place, target, levels)),
        average_drop=float(ratio(max(0.0, whole - seen), whole)),
        increase=float(seen > whole),
    )


def deletion_curve(
    classifier: Classifier, image: np.ndarray, place: np.ndarray, target: int, levels: int = LEVELS
) -> np.ndarray:
    """Scores (levels + 1,) with the first 0, 1 / levels, ... 1 of the pixels hidden.

    ``place`` int (H, W): each pixel's place in the order of removal, as ``ranks`` gives it.
    """
    gone = _first(place, levels)
    return scores(classifier, np.where(gone, np.float32(0), image), target)


def insertion_curve(
    classifier: Classifier, image: np.ndarray, place: np.ndarray, target: int, levels: int = LEVELS
) -> np.ndarray:
    """Scores (levels + 1,) with the first 0, 1 / levels, ... 1 of the pixels sharp."""
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR * image.shape[1])
    return scores(classifier, np.where(_first(place, levels), image, blurred), target)


def ranks(values: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Each pixel's place, int (H, W), from 0 for the largest value.

    Equal values, such as the zeros of a map, are in a seeded random order: row by row, the top
    of the scan would count as more important than the rest. Raises ValueError if the sizes differ.
    """
    if values.shape != image.shape[:2]:
        raise ValueError(f"The map has shape {values.shape}, the image {image.shape[:2]}.")
    lots = np.random.default_rng(0).permutation(values.size)
    place = np.empty(values.size, np.int64)
    place[np.lexsort((lots, -values.ravel()))] = np.arange(values.size)
    return place.reshape(values.shape)


def scores(classifier: Classifier, images: np.ndarray, target: int) -> np.ndarray:
    """Calibrated probability of the class, float64 (N,), of images (N, H, W, 3)."""
    parts = (images[start : start + BATCH] for start in range(0, len(images), BATCH))
    logits = np.concatenate([classifier.logits(np.float32(part)) for part in parts])
    return probabilities(logits, classifier.temperature)[:, target]


def _first(place: np.ndarray, levels: int) -> np.ndarray:
    """Whether a pixel is among the first k / levels, k = 0 to levels: bool (levels + 1, H, W, 1)"""
    cuts = np.linspace(0, place.size, levels + 1)
    return place[None, :, :, None] < cuts[:, None, None, None]


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[..., None]


def _area(curve: np.ndarray) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
