"""Scores of an image with superpixels hidden: what LIME and Kernel SHAP share."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from core.classifiers.base import Classifier, Target, target_weights
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import NEGLIGIBLE, Progress, portion

BATCH = 16

# Of SLIC. On speckle its own defaults merge nearly all superpixels of a noisy image into one:
# smooth by a fifth of their width first, and let the shape count for more.
SMOOTHING, COMPACTNESS = 1 / 5, 20

Draw = Callable[[int], np.ndarray]
"""From the number of superpixels M to which of them each copy shows, 0 or 1: (copies, M)."""
Fit = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""From what is shown (copies, M) and its scores (copies,) to a value a superpixel (M,)."""


def from_superpixels(
    draw: Draw,
    fit: Fit,
    size: int,
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    progress: Progress | None,
) -> Explanation:
    """Maps with one value a superpixel, those above 0 kept; in logits, of the input's size.

    Superpixels are about ``size`` pixels wide (SLIC, Achanta et al., 2012). What is hidden becomes
    0 in the recipe's value range, mid-grey where it is centred. ``steps["attributions"]`` float64
    (N, H, W) is the map before the cut at 0, and ``steps["superpixels"]`` int (N, H, W) tells
    them apart. Raises ValueError if ``size`` is below 1.
    """
    if size < 1:
        raise ValueError("A superpixel must be at least 1 pixel wide.")
    logits = classifier.logits(batch)
    weights = target_weights(target, *logits.shape)
    numbers, signed = [], []
    for index, image in enumerate(batch):
        report = portion(progress, index, len(batch))
        if np.isfinite(logits[index]).all():
            segments = superpixels(image, int(size))
            shown = draw(int(segments.max()) + 1)  # 2**M would overflow as a NumPy integer
            scores = _logits(classifier, image, segments, shown, report) @ weights[index]
            values = _values(fit, shown, scores)[segments]
        else:
            segments = np.zeros(image.shape[:2], int)
            values = np.full(image.shape[:2], np.nan)
            report(1.0)
        numbers.append(segments)
        signed.append(values)
    steps = {"superpixels": np.stack(numbers), "attributions": np.stack(signed)}
    return Explanation(tuple(positive_part(one) for one in signed), logits, steps)


def superpixels(image: np.ndarray, size: int) -> np.ndarray:
    """The superpixel of each pixel of (H, W, 3), from 0 without gaps: int (H, W)."""
    from skimage.segmentation import slic

    unit = (image - image.min()) / max(np.ptp(image), np.finfo(np.float32).tiny)
    count = max(1, round(image.shape[0] * image.shape[1] / size**2))
    found = slic(unit, count, COMPACTNESS, sigma=SMOOTHING * size, start_label=0, channel_axis=-1)
    return np.unique(found, return_inverse=True)[1].reshape(found.shape)


def _logits(
    classifier: Classifier,
    image: np.ndarray,
    segments: np.ndarray,
    shown: np.ndarray,
    progress: Progress,
) -> np.ndarray:
    """Logits (copies, C), float64."""
    logits = []
    for start in range(0, len(shown), BATCH):
        visible = shown[start : start + BATCH][:, segments, None]
        logits.append(classifier.logits(image * visible.astype(np.float32)))
        progress(min(1.0, (start + BATCH) / len(shown)))
    return np.concatenate(logits).astype(np.float64)


def _values(fit: Fit, shown: np.ndarray, scores: np.ndarray) -> np.ndarray:
    if not np.isfinite(scores).all():
        return np.full(shown.shape[1], np.nan)
    if np.ptp(scores) <= NEGLIGIBLE * np.abs(scores).max():
        return np.zeros(shown.shape[1])
    return fit(shown, scores)
