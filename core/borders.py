"""The border of a lesion, as closed lines that any figure of a scan can carry."""

from __future__ import annotations

import cv2
import numpy as np
from PIL import ImageColor

OUTLINE = "#35e0f2"


def border_trace(mask: np.ndarray | None, width: float = 1.4) -> dict | None:
    """The border of a mask, bool (H, W), as a Plotly trace in pixels; None without any.

    Parts that do not touch are told apart by a gap (NaN) in the line.
    """
    if mask is None or not mask.any():
        return None
    found, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_TC89_L1)
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
    """Draw the border of a mask, bool of any size, into a picture uint8 (H, W, 3) of its scan."""
    size = picture.shape[1::-1]
    fitted = cv2.resize(mask.astype(np.float32), size, interpolation=cv2.INTER_LINEAR) >= 0.5
    found, _ = cv2.findContours(fitted.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(picture, found, -1, ImageColor.getrgb(OUTLINE), width, cv2.LINE_AA)
