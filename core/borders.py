"""The border of a lesion, as closed lines that any figure of a scan can carry."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import ImageColor

OUTLINE = "#35e0f2"


def border_trace(mask: np.ndarray | None, width: float = 1.4) -> dict | None:
    """The border of a mask, bool (H, W), that of its holes too, as a Plotly trace in pixels; None
    without any.

    Parts that do not touch are told apart by a gap (NaN) in the line.
    """
    if mask is None or not mask.any():
        return None
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_TC89_L1)
    breaks = np.full((1, 2), np.nan)
    points = np.concatenate([np.concatenate([one[:, 0], one[0], breaks]) for one in found])
    return {
        "type": "scatter",
        "x": points[:, 0],
        "y": points[:, 1],
        "mode": "lines",
        "line": {"color": OUTLINE, "width": width},
        "hoverinfo": "skip",
        "showlegend": False,
    }


def draw_border(picture: np.ndarray, mask: np.ndarray, width: int) -> None:
    """Draw the border of a mask, bool of any size, into a picture uint8 (H, W, 3) of its scan; that
    of its holes too."""
    size = picture.shape[1::-1]
    fitted = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    found, _ = cv2.findContours(fitted.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, ImageColor.getrgb(OUTLINE), width, cv2.LINE_AA)


def without_holes(mask: np.ndarray) -> np.ndarray:
    """The marked pixels of a mask (H, W) and the holes in them, uint8 of 0 and 1."""
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros(mask.shape, np.uint8), found, -1, 1, cv2.FILLED)


def surrounded(points: np.ndarray, height: int, width: int) -> np.ndarray:
    """All that a closed line surrounds, uint8 (height, width) of 0 and 1: also what it goes around
    more than once. ``points`` int (N, 2) are its corners, x and y in pixels."""
    once = cv2.fillPoly(np.zeros((height, width), np.uint8), [points.astype(np.int32)], 1)
    return without_holes(once)
