"""Pictures made smaller, never larger."""

from __future__ import annotations

import cv2
import numpy as np


def size_within(height: float, width: float, largest: int) -> tuple[int, int]:
    """Height and width of a picture, made smaller alike until no side is above ``largest``."""
    shrink = min(1.0, largest / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def shrunk(pixels: np.ndarray, largest: int) -> np.ndarray:
    """A scan, uint8 (H, W, 3), made smaller until no side is above ``largest``."""
    size = size_within(*pixels.shape[:2], largest)
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
