"""A region drawn by hand on a scan: the picture to draw on, and the mask that comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import plotly.graph_objects as go

from core.borders import OUTLINE, border_trace, surrounded
from core.figures.panels import panel_axis, picture_trace

HEIGHT = 380
LINE = {"color": OUTLINE, "width": 2, "dash": "solid"}
HOW_TO_DRAW = (
    "Drag around the lesion. Box and lasso are chosen above the scan. What is drawn takes the "
    "place of what was there; with Shift it is added."
)

Shape = Mapping[str, Sequence[float]]
"""Corners of a box, or points of a closed line, in pixels: the lists "x" and "y"."""


class Shapes(NamedTuple):
    """What was drawn: boxes, and closed lines."""

    box: Sequence[Shape]
    lasso: Sequence[Shape]


NOTHING = Shapes([], [])


def is_sound(shape: Shape) -> bool:
    """Whether a shape has at least two points, all of them numbers."""
    points = np.array([shape["x"], shape["y"]], float)
    return points.shape[1] > 1 and bool(np.isfinite(points).all())


DRAWING_CONFIG = {
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtonsToRemove": ["toImage", "autoScale2d", "resetScale2d", "zoomIn2d", "zoomOut2d"],
}
"""Plotly configuration of ``drawing_figure``: a box or a lasso is drawn, the wheel does nothing."""


def drawing_figure(
    pixels: np.ndarray,
    outline: np.ndarray | None = None,
    aspect: float = 1.0,
    drawn: Shapes = NOTHING,
) -> go.Figure:
    """The scan, uint8 (H, W, 3), on which dragging draws a lasso, with what was ``drawn`` before,
    and the border of ``outline``, bool (H, W), if there is one. ``aspect`` as in ``Scan``."""
    height, width = pixels.shape[:2]
    # Plotly selects points; of two that nobody sees, in opposite corners, it tells the region.
    corners = {"x": [0, width - 1], "y": [0, height - 1], "hoverinfo": "skip"}
    unseen = {"type": "scatter", "mode": "markers", "marker": {"opacity": 0}, **corners}
    layout = {
        "xaxis": panel_axis(width, [0, 1], "left", 1, "x"),
        "yaxis": panel_axis(height, [0, 1], "top", 1, "y", aspect),
        "height": HEIGHT,
        "margin": {"l": 0, "r": 0, "t": 32, "b": 0},
        "dragmode": "lasso",
        "newselection": {"line": LINE},
        "selections": [*map(_box, drawn.box), *map(_line, drawn.lasso)],
        "showlegend": False,
    }
    picture = {"type": "image", **picture_trace(pixels)}
    border = border_trace(outline)
    return go.Figure({"data": [picture, unseen, *([border] if border else [])], "layout": layout})


def drawn_mask(drawn: Shapes, height: int, width: int) -> np.ndarray:
    """All that lies in one of the boxes or inside one of the closed lines, bool (H, W); inside is
    also what a line goes around twice.

    A pixel's centre has whole coordinates. What lies outside the picture is cut off.
    """
    mask = np.zeros((height, width), np.uint8)
    for box in drawn.box:
        rows, columns = _within(height, box["y"]), _within(width, box["x"])
        mask[np.ix_(rows, columns)] = 1
    for line in drawn.lasso:
        points = np.rint(np.column_stack([line["x"], line["y"]])).astype(np.int32)
        if len(points) > 2:
            mask |= surrounded(points, height, width)
    return mask.astype(bool)


def _box(shape: Shape) -> dict:
    (left, right), (top, bottom) = shape["x"], shape["y"]
    return {"type": "rect", "x0": left, "x1": right, "y0": top, "y1": bottom, "line": LINE}


def _line(shape: Shape) -> dict:
    points = "L".join(f"{x},{y}" for x, y in zip(shape["x"], shape["y"], strict=True))
    return {"type": "path", "path": f"M{points}Z", "line": LINE}


def _within(length: int, ends: Sequence[float]) -> np.ndarray:
    """Which of the places 0 to length - 1 lie between the two ends, bool (length,)."""
    places = np.arange(length)
    return (min(ends) <= places) & (places <= max(ends))
