"""A heatmap laid over its scan, as a plain picture."""

from __future__ import annotations

import cv2
import numpy as np

from core.explain.heatmap import Heatmap


def overlay(pixels: np.ndarray, heatmap: Heatmap, opacity: float = 0.5) -> np.ndarray:
    """Blend the map (Inferno, perceptually uniform) over the scan, uint8 (H, W, 3).

    Where there is no evidence the scan is untouched; the blend grows with the evidence up to
    ``opacity`` in [0, 1].
    """
    values = heatmap.resized(*pixels.shape[:2])
    colours = cv2.applyColorMap(np.rint(values * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)
    weight = opacity * values[..., None]
    return np.rint(pixels * (1 - weight) + colours[..., ::-1] * weight).astype(np.uint8)
