"""The border of a lesion, as closed lines that any figure of a scan can carry."""

from __future__ import annotations

import cv2
import numpy as np

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
