"""Pictures as PNG."""

from __future__ import annotations

import cv2
import numpy as np


def png(pixels: np.ndarray) -> bytes:
    """Lossless PNG of a uint8 picture (H, W, 3); one channel where all three are the same."""
    grey = pixels[..., 0]
    same = np.array_equal(grey, pixels[..., 1]) and np.array_equal(grey, pixels[..., 2])
    picture = grey if same else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes()
