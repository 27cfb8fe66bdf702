"""Maps of a lesson as plain pictures: over the scan, signed, as masks."""

from __future__ import annotations

import cv2
import numpy as np

from core.explain.heatmap import Heatmap
from core.explain.overlay import overlay

FOR, AGAINST = (217, 95, 2), (44, 108, 190)
"""RGB of evidence for and against: orange and blue survive every common colour blindness."""
_OPACITY = 0.75


def evidence(pixels: np.ndarray, values: np.ndarray) -> np.ndarray:
    """A map (h, w) in [0, 1] over the scan, uint8 (H, W, 3): the more, the brighter (Inferno)."""
    return overlay(pixels, Heatmap(values.astype(np.float32), 1.0), _OPACITY)


def signed(pixels: np.ndarray, values: np.ndarray, largest: float) -> np.ndarray:
    """A signed map (h, w) over the scan: orange for, blue against, strongest at +-``largest``."""
    share = _at_size(values / largest if largest > 0 else np.zeros_like(values), pixels)
    weight = _OPACITY * np.clip(np.abs(share), 0, 1)[..., None]
    colour = np.where(share[..., None] > 0, FOR, AGAINST)
    return np.rint(pixels * (1 - weight) + colour * weight).astype(np.uint8)


def through(pixels: np.ndarray, mask: np.ndarray, nothing: np.ndarray) -> np.ndarray:
    """The scan seen through a mask (h, w) in [0, 1]; where that is 0 it has the colour ``nothing``,
    uint8 (3,)."""
    share = np.clip(_at_size(mask, pixels), 0, 1)[..., None]
    return np.rint(pixels * share + nothing * (1 - share)).astype(np.uint8)


def _at_size(values: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    height, width = pixels.shape[:2]
    return cv2.resize(values.astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)
