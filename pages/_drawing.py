"""Drawing a region on a scan, with the mouse or with the keyboard."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.drawn_region import DRAWING_CONFIG, HOW_TO_DRAW, Shape, drawing_figure, drawn_mask
from core.scans import Scan
from pages._frame import quiet, themed

BY_KEYBOARD = (
    "Tab goes from one of its edges to the next, the arrow keys move an edge, Page Up and Page "
    "Down move it in leaps."
)


def draw(
    scan: Scan,
    frame: int,
    key: str,
    join: Callable[[np.ndarray], np.ndarray] = lambda drawn: drawn,
) -> np.ndarray:
    """The region, bool (H, W), that ``join`` makes of what is drawn on a frame of a scan."""
    pixels = scan.pixels[frame]
    height, width = pixels.shape[:2]
    left, right = st.columns([1.2, 1], gap="large")
    with right:
        quiet(HOW_TO_DRAW)
        box = choose_box(key, width, height)
    boxed = drawn_mask([box] if box else [], [], height, width)
    with left:
        drawn = st.plotly_chart(
            themed(drawing_figure(pixels, join(boxed), scan.aspect)),
            key=key,
            on_select="rerun",
            selection_mode=("box", "lasso"),
            config=DRAWING_CONFIG,
            alt="The scan, on which the lesion can be drawn",
        ).selection
    return join(boxed | drawn_mask(drawn.box, drawn.lasso, height, width))


def choose_box(key: str, width: int, height: int) -> Shape | None:
    """A box in pixels, for those who use no mouse; None if that is not wanted."""
    if not st.toggle("Box by keyboard", key=f"keyboard {key}", help=BY_KEYBOARD):
        return None
    return {
        "x": _choose_edges("Left and right edge", width, key),
        "y": _choose_edges("Top and bottom edge", height, key),
    }


def _choose_edges(label: str, length: int, key: str) -> tuple[int, int]:
    middle = length // 4, 3 * length // 4
    return st.slider(label, 0, max(1, length - 1), middle, key=f"{label} {key}")
