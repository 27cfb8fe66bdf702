"""Which way round a mammogram is: dark air and bright tissue, or a negative."""

from __future__ import annotations

import numpy as np

_BORDER = 100  # the border is a hundredth of the shorter side wide


def is_inverted(pixels: np.ndarray) -> bool:
    """Whether a mammogram, uint8 (H, W, 3), is a negative: white air, dark tissue.

    The breast touches one side, rarely two, so that the median of the border is air. It is below
    110 or above 150 in all 3383 images of the set.
    """
    width = max(1, min(pixels.shape[:2]) // _BORDER)
    border = np.ones(pixels.shape[:2], bool)
    border[width:-width, width:-width] = False
    return bool(np.median(pixels[border]) > 127)


def normalise_polarity(pixels: np.ndarray) -> np.ndarray:
    """A mammogram, uint8 (H, W, 3), with dark air and bright tissue: inverted if it was not."""
    return 255 - pixels if is_inverted(pixels) else pixels
