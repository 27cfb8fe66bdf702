"""Looking closer at a scan: window and level, cine, ruler and area, beside the original."""

from __future__ import annotations

import streamlit as st

from core.drawn_region import Shape
from core.findings import Look
from core.scans import Scan
from core.viewing import (
    ALL_VALUES,
    TOOLS,
    VIEWING_CONFIG,
    corners,
    goes_with,
    in_millimetres,
    measure,
    moving_picture,
    value_range,
    viewing_panels,
    windows_of,
)
from core.windowing import WHOLE_BYTE, Window
from pages._drawing import choose_box
from pages._frame import fragment, quiet, themed
from pages._keeping import KEPT
from pages._looked_at import look_key
from pages._scans import Item, scan_of

TITLE = "Look closer: window, cine, measure"
FOR_LOOKING = "This view is for looking: the opinion above is not on it, unless you ask for that."
CURVED = (
    "The file asks for its values to be shown through a curve (VOI LUT), as the original is and as "
    "it was examined; windows are straight lines."
)
HOW_TO_MEASURE = {
    "Move": "Turn the wheel to zoom, drag to move; both pictures go together.",
    "Ruler": "Drag a line. Lines stay until you change the tool or the view.",
    "Box": "Drag a box over a region.",
    "Lasso": "Draw around a region.",
}
NO_SPACING = "The file does not tell how large a pixel is, so lengths are in pixels."
BY_HAND = "By hand"
"""In the list of windows by name, while none of them is shown."""
SLIDER = 200
"""Pixels, of every tool that could be longer."""
_STEPS = 200


@fragment
def show_viewer(item: Item, frame: int) -> None:
    """The tools and the two pictures, in a fold that costs nothing while it is closed."""
    if st.session_state.pop("view asked", False):
        st.rerun()  # the whole page: the opinion stands outside this fragment
    fold = st.expander(
        TITLE, icon=":material/center_focus_strong:", key="viewer", on_change="rerun"
    )
    if fold.open:
        with fold:
            _show_tools(item, frame)


def _show_tools(item: Item, frame: int) -> None:
    scan = scan_of(item.digest, item.read)
    with _row():
        look = _choose_look(item, scan, frame)
        drawn, playing = _choose_extras(item, scan)
    if playing:
        alt = f"Moving picture of {len(scan.pixels)} frames"
        st.image(_cine(item.digest, look, frame, item.read), width="stretch", alt=alt)
    else:
        with _row():
            tool = _choose_tool()
            box = choose_box(f"view {item.digest}", *scan.pixels.shape[2:0:-1])
        _show_panels(item, scan, frame, look, drawn, tool, box)
    curved = scan.grey is not None and scan.grey.is_curved(frame)
    if curved:
        quiet(CURVED)
    opened = None if curved else _first_look(scan, frame)
    if look != (st.session_state.get(look_key(item.digest)) or opened):
        quiet(FOR_LOOKING)
        st.button(
            "Examine this view",
            key="examine view",
            icon=":material/frame_inspect:",
            on_click=_examine,
            # The file's own picture is no view of the user's.
            args=(item.digest, None if look == opened else look),
        )


def _row():
    """Tools side by side, as many as there is room for."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="small")


def _choose_tool() -> str:
    return st.segmented_control(
        "Tool",
        list(TOOLS),
        default="Move",
        required=True,
        key="tool",
        label_visibility="collapsed",
    )


def _choose_look(item: Item, scan: Scan, frame: int) -> Look:
    """Window by name, then level and width by hand; swapped black and white."""
    windows = windows_of(scan, frame)
    keys = {name: f"{name} {item.digest}" for name in ("preset", "level", "width")}
    _follow(item.digest, scan, frame, keys)
    if len(windows) > 1:
        _choose_preset(windows, keys)
    _choose_level(scan, windows, keys)
    inverted = st.toggle("Invert", key=f"invert {item.digest}")
    return Look(_window_at(windows, keys), inverted)


def _choose_preset(windows: dict[str, Window], keys: dict[str, str]) -> None:
    """The name of the window that is shown, so that each of the others can be chosen, also the one
    that was chosen last."""
    shown = st.session_state[keys["preset"]] = _name_at(windows, keys) or BY_HAND
    st.selectbox(
        "Window",
        [*windows, *([BY_HAND] if shown == BY_HAND else [])],
        key=keys["preset"],
        on_change=_use_preset,
        args=(keys, windows),
        width=SLIDER,
    )


def _follow(digest: str, scan: Scan, frame: int, keys: dict[str, str]) -> None:
    """Begin with the frame's own window, and go along to that of another frame."""
    state, last_frame = st.session_state, f"frame of {digest}"
    if keys["level"] not in state or keys["width"] not in state:
        _set_level(keys, _first_look(scan, frame).window)
    elif state[last_frame] != frame:
        windows = windows_of(scan, state[last_frame])
        shown = _window_at(windows, keys)
        _set_level(keys, goes_with(scan, state[last_frame], shown, frame))
    state[last_frame] = frame


def _choose_level(scan: Scan, windows: dict[str, Window], keys: dict[str, str]) -> None:
    """Level and width by sliders that reach over all values and all windows of the file."""
    of_frames = [one for frame in scan.grey.windows for one in frame] if scan.grey else []
    reached = [*windows.values(), *of_frames]
    low, high = value_range(scan)
    whole = scan.grey is None or scan.grey.values.dtype.kind != "f"
    step = 1.0 if whole else max((high - low) / _STEPS, 1e-6)
    centers = [low, high + step, *(one.center for one in reached)]
    # A scan of one value alone has one width; the slider wants two.
    widths = [step, max(high - low, step) + step, *(one.width for one in reached)]
    form = "%.0f" if whole else "%.4g"
    st.slider(
        "Level",
        *(min(centers), max(centers)),
        key=keys["level"],
        step=step / 2,
        format=form,
        width=SLIDER,
    )
    st.slider(
        "Width",
        *(min(widths), max(widths)),
        key=keys["width"],
        step=step,
        format=form,
        width=SLIDER,
    )


def _window_at(windows: dict[str, Window], keys: dict[str, str]) -> Window:
    """The window that the sliders stand for: of a named one also its shape, else that of all
    values."""
    level, width = _set_to(keys)
    named = windows.get(_name_at(windows, keys) or ALL_VALUES, WHOLE_BYTE)
    return Window(level, width, named.shape)


def _name_at(windows: dict[str, Window], keys: dict[str, str]) -> str | None:
    """The name of the window that the sliders stand for: of several that differ in shape alone the
    one that was chosen."""
    alike = [name for name, one in windows.items() if (one.center, one.width) == _set_to(keys)]
    chosen = st.session_state.get(keys["preset"])
    return chosen if chosen in alike else next(iter(alike), None)


def _set_to(keys: dict[str, str]) -> tuple[float, float]:
    """Level and width."""
    return st.session_state[keys["level"]], st.session_state[keys["width"]]


def _first_look(scan: Scan, frame: int) -> Look:
    """The view that opens: the picture that the file asks for, unless it asks for a curve."""
    window = next(iter(windows_of(scan, frame).values()))
    return Look(Window(window.center, window.width, window.shape))


def _use_preset(keys: dict[str, str], windows: dict[str, Window]) -> None:
    if chosen := windows.get(st.session_state[keys["preset"]]):
        _set_level(keys, chosen)


def _set_level(keys: dict[str, str], window: Window) -> None:
    st.session_state[keys["level"]] = window.center
    st.session_state[keys["width"]] = window.width


def _choose_extras(item: Item, scan: Scan) -> tuple[bool, bool]:
    """Whether to lay the file's drawings over the view, and to play the cine."""
    drawn = scan.overlay is not None and st.toggle(
        "Drawings of the file", key=f"drawn {item.digest}"
    )
    playing = len(scan.pixels) > 1 and st.toggle("Play", key=f"play {item.digest}")
    return drawn, playing


@st.cache_data(
    max_entries=4,
    max_size="128MiB",
    ttl=KEPT,
    scope="session",
    show_spinner="Preparing the cine …",
)
def _cine(digest: str, look: Look, frame: int, _read) -> bytes:
    return moving_picture(scan_of(digest, _read), look.window, look.inverted, frame)


def _show_panels(
    item: Item, scan: Scan, frame: int, look: Look, drawn: bool, tool: str, box: Shape | None
) -> None:
    box = in_millimetres(box, scan.spacing_mm) if box else None
    view = scan.view(frame, look.window, look.inverted)
    drawing = scan.overlay[frame % len(scan.overlay)] if drawn else None
    figure = viewing_panels(
        scan.pixels[frame], view, scan.spacing_mm, tool, drawing, box, scan.pixel_ratio
    )
    chart = st.plotly_chart(
        themed(figure),
        config=VIEWING_CONFIG,
        key=f"view {item.digest}",
        on_select="rerun",
        selection_mode=("box", "lasso"),
        alt="The original picture, and beside it your view of it",
    )
    values = scan.pixels[frame] if scan.grey is None else scan.grey.values[frame]
    unit = scan.grey.unit if scan.grey else ""
    boxes = [*chart.selection.get("box", []), *([box] if box else [])]
    marked = [
        measure(one["x"], one["y"], values, scan.spacing_mm)
        for one in (*map(corners, boxes), *chart.selection.get("lasso", []))
    ]
    told = [_area_text(one, scan, unit) for one in marked if one]
    parts = [*told, HOW_TO_MEASURE[tool], "" if scan.spacing_mm else NO_SPACING]
    quiet(" ".join(filter(None, parts)))


def _area_text(found, scan: Scan, unit: str) -> str:
    unit_of_length, digits = ("mm", 1) if scan.spacing_mm else ("px", 0)
    sides = f"{found.width:.{digits}f} × {found.height:.{digits}f} {unit_of_length}"
    size = f"{found.area:.1f} mm²" if scan.spacing_mm else f"{found.area:.0f} pixels"
    values = f"mean {_number(found.mean)}, SD {_number(found.deviation)}"
    return f"**{sides}, area {size}**, {values}{f' {unit}' if unit else ''}."


def _number(value: float) -> str:
    """One digit behind the point, or of fractions the first three that tell."""
    return f"{value:.1f}" if abs(value) >= 1 else f"{value:.3g}"


def _examine(digest: str, look: Look | None) -> None:
    st.session_state[look_key(digest)] = look
    st.session_state["view asked"] = True
