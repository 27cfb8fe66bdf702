"""Does a heatmap stay the same when it should, and change when it should?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.stats import spearmanr

from core.explain.heatmap import Heatmap

SAMPLES = 4
RADIUS = 0.02
"""Largest change of a value, as a share of the image's value range."""
SURVIVES = 0.5
"""A rank correlation from which a map counts as unchanged by other weights."""

Maps = Callable[[np.ndarray], tuple[Heatmap, ...]]
"""The heatmaps of a batch (N, H, W, 3)."""


def max_sensitivity(maps: Maps, image: np.ndarray, samples: int = SAMPLES) -> float:
    """``max_d ||L(x + d) - L(x)|| / ||L(x)||`` over random d with every value within ``RADIUS``.

    Yeh et al., NeurIPS 2019, definition 2, by seeded sampling as they do, and divided by the norm
    of the map. ``image`` float32 (H, W, 3); 0 is best; NaN if the image has no evidence. A
    lower bound: more samples can only raise it.
    """
    reach = RADIUS * np.ptp(image)
    changes = np.random.default_rng(0).uniform(-reach, reach, (samples, *image.shape))
    before, *after = maps(np.concatenate([image[None], image + changes.astype(np.float32)]))
    norm = np.linalg.norm(before.values)
    if norm == 0:
        return float("nan")
    return float(max(np.linalg.norm(one.values - before.values) for one in after) / norm)


def rank_correlation(first: Heatmap, second: Heatmap) -> float:
    """Spearman's correlation of two maps of one size, -1 to 1.

    NaN if ``first`` is the same everywhere, and 0 if only ``second`` is: nothing of it is left.
    """
    if np.ptp(first.values) == 0:
        return float("nan")
    if np.ptp(second.values) == 0:
        return 0.0
    return float(spearmanr(first.values, second.values, axis=None).statistic)


def structural_similarity(first: Heatmap, second: Heatmap, size: tuple[int, int]) -> float:
    """SSIM (Wang et al., 2004) of two maps as they are drawn at (H, W), -1 to 1.

    NaN if ``first`` is the same everywhere.
    """
    from skimage.metrics import structural_similarity as ssim

    if np.ptp(first.values) == 0:
        return float("nan")
    return float(ssim(first.resized(*size), second.resized(*size), data_range=1.0))
