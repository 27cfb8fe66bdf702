"""Pictures made smaller, and with pixels as high as wide."""

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


def square(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """A scan, uint8 (H, W, 3), whose pixels are ``aspect`` times as high as wide, as it lies in the
    body: the side that is too short is made longer."""
    height, width = pixels.shape[:2]
    size = (round(width * max(1, 1 / aspect)), round(height * max(1, aspect)))
    return pixels if aspect == 1 else cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
