"""Does the network use what a heatmap marks? Figures of one map on one image, without a mask.

The score is the calibrated probability of the explained class. What is hidden becomes 0 in the
recipe's value range, as in Score-CAM and occlusion: mid-grey where the range is centred.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.classifiers.base import Classifier, probabilities
from core.explain.method import Progress
from core.statistics.ratio import ratio

LEVELS = 16
"""Steps from the whole image to nothing of it."""
BATCH = 8
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
    classifier: Classifier,
    image: np.ndarray,
    values: np.ndarray,
    target: int,
    levels: int = LEVELS,
    progress: Progress = lambda share: None,
) -> Faithfulness:
    """Judge a map, float (H, W) in [0, 1], of ``image``, float32 (H, W, 3), for one class.

    ``progress`` gets the share of the work done, 0 to 1; what it raises stops the work. Raises
    ValueError if the sizes differ.
    """
    if not values.max() > 0:
        return Faithfulness(*[float("nan")] * 4)
    place = ranks(values, image)
    images = [
        np.stack([image, image * _column(values)]),
        deleted(image, place, levels),
        inserted(image, place, levels),
    ]
    found = scores(classifier, np.concatenate(images), target, progress)
    (whole, seen), deletion, insertion = np.split(found, [2, 3 + levels])
    return Faithfulness(
        deletion=_area(deletion),
        insertion=_area(insertion),
        average_drop=float(ratio(max(0.0, whole - seen), whole)),
        increase=float(seen > whole),
    )


def deleted(image: np.ndarray, place: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """The image with the first 0, 1 / levels, ... 1 of its pixels hidden: float32
    (levels + 1, H, W, 3).

    ``place`` int (H, W): each pixel's place in the order of removal, as ``ranks`` gives it.
    """
    return np.where(_first(place, levels), np.float32(0), image)


def inserted(image: np.ndarray, place: np.ndarray, levels: int = LEVELS) -> np.ndarray:
    """The same with the first of them sharp and the others blurred."""
    blurred = cv2.GaussianBlur(image, (0, 0), BLUR * image.shape[1])
    return np.where(_first(place, levels), image, blurred)


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


def scores(
    classifier: Classifier,
    images: np.ndarray,
    target: int,
    progress: Progress = lambda share: None,
) -> np.ndarray:
    """Calibrated probability of the class, float64 (N,), of images (N, H, W, 3)."""
    logits = []
    for start in range(0, len(images), BATCH):
        progress(start / len(images))
        logits.append(classifier.logits(np.float32(images[start : start + BATCH])))
    return probabilities(np.concatenate(logits), classifier.temperature)[:, target]


def _first(place: np.ndarray, levels: int) -> np.ndarray:
    """Whether a pixel is among the first k / levels, k = 0 to levels: bool (levels + 1, H, W, 1)"""
    cuts = np.linspace(0, place.size, levels + 1)
    return place[None, :, :, None] < cuts[:, None, None, None]


def _column(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32)[..., None]


def _area(curve: np.ndarray) -> float:
    return float(np.trapezoid(curve, dx=1 / (len(curve) - 1)))
