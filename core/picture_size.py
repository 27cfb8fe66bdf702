"""Pictures made smaller, and with pixels as high as wide."""

from __future__ import annotations

import cv2
import numpy as np

from core.scan_types import MAX_PIXELS


def size_within(height: float, width: float, largest: int) -> tuple[int, int]:
    """Height and width of a picture, made smaller alike until no side is above ``largest``."""
    shrink = min(1.0, largest / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def shrunk(pixels: np.ndarray, largest: int) -> np.ndarray:
    """A scan, uint8 (H, W, 3), made smaller until no side is above ``largest``."""
    size = size_within(*pixels.shape[:2], largest)
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)


def square(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """A scan, uint8 (H, W, 3), whose pixels are ``aspect`` times as high as wide, as it lies in the
    body: the side that is too short is made longer, or, where that were too large a picture, the
    other shorter."""
    if aspect == 1:
        return pixels
    height, width = pixels.shape[:2]
    grows = height * width * max(aspect, 1 / aspect) <= MAX_PIXELS
    bound = max if grows else min
    size = (round(width * bound(1, 1 / aspect)), round(height * bound(1, aspect)))
    return cv2.resize(pixels, np.maximum(size, 1), interpolation=cv2.INTER_LINEAR)
