"""Drawing a region on a scan, with the mouse or with the keyboard."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import streamlit as st

from core.drawn_region import (
    DRAWING_CONFIG,
    HOW_TO_DRAW,
    NOTHING,
    Shape,
    Shapes,
    drawing_figure,
    drawn_mask,
    is_sound,
)
from core.scans import Scan
from pages._frame import quiet, themed
from pages._scans import Item

BY_KEYBOARD = (
    "Tab goes from one of its edges to the next, the arrow keys move an edge, Page Up and Page "
    "Down move it in leaps."
)


def drawing_of(item: Item, frame: int) -> str:
    """The key under which a frame of a scan is drawn on, the same on all pages."""
    return f"drawn on {item.digest} {frame}"


def is_drawn_on(item: Item) -> bool:
    """Whether anything is drawn on a frame of a scan, with the mouse or by keyboard."""
    begins = tuple(f"{what} drawn on {item.digest} " for what in ("shapes", "keyboard"))
    kept = (one for key, one in st.session_state.items() if str(key).startswith(begins))
    return any(one not in (False, NOTHING) for one in kept)


def draw(
    scan: Scan,
    frame: int,
    key: str,
    join: Callable[[np.ndarray], np.ndarray] = lambda drawn: drawn,
) -> np.ndarray:
    """The region, bool (H, W), that ``join`` makes of what is drawn on a frame of a scan.

    What is drawn under a ``key`` is kept with the session: Streamlit would forget it whenever the
    picture changes, or is not there for a while.
    """
    pixels, drawn = scan.pixels[frame], _drawn(key)
    height, width = pixels.shape[:2]
    left, right = st.columns([1.2, 1], gap="large")
    with right:
        quiet(HOW_TO_DRAW)
        box = choose_box(key, width, height)
        if any(drawn):
            st.button("Take away what is drawn", on_click=_forget, args=(key,))
    boxed = drawn_mask(Shapes([box] if box else [], []), height, width)
    region = join(boxed | drawn_mask(drawn, height, width))
    with left:
        st.plotly_chart(
            themed(drawing_figure(pixels, region, scan.aspect, drawn)),
            key=key,
            on_select=partial(_keep, key),
            selection_mode=("box", "lasso"),
            config=DRAWING_CONFIG,
            alt="The scan, on which the lesion can be drawn",
        )
    return region


def _drawn(key: str) -> Shapes:
    return st.session_state.get(f"shapes {key}", NOTHING)


def _forget(key: str) -> None:
    st.session_state.pop(f"shapes {key}", None)


def _keep(key: str) -> None:
    """All that is drawn now. Of a double-click, which hides it, Streamlit does not tell: there is
    a button, and the border of the region stands until it is pressed."""
    found = st.session_state[key]["selection"]
    sound = (list(map(dict, filter(is_sound, found[way]))) for way in Shapes._fields)
    st.session_state[f"shapes {key}"] = Shapes(*sound)


def choose_box(key: str, width: int, height: int) -> Shape | None:
    """A box in pixels, for those who use no mouse; None if that is not wanted."""
    wanted = st.toggle(
        "Box by keyboard", key=f"keyboard {key}", help=BY_KEYBOARD, persist_state="session"
    )
    if not wanted:
        return None
    return {
        "x": _choose_edges("Left and right edge", width, key),
        "y": _choose_edges("Top and bottom edge", height, key),
    }


def _choose_edges(label: str, length: int, key: str) -> tuple[int, int]:
    middle = length // 4, 3 * length // 4
    return st.slider(
        label, 0, max(1, length - 1), middle, key=f"{label} {key}", persist_state="session"
    )
