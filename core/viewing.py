"""Looking at a scan: two linked pictures with a ruler, areas, and a moving picture of a cine."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace

import cv2
import numpy as np
import plotly.graph_objects as go

from core.borders import surrounded
from core.drawn_region import Shape
from core.figures.panels import axis_suffix, panel_axis, panel_title, picture_trace
from core.figures.style import CLEAR
from core.picture_size import size_within
from core.scan_types import Scan
from core.windowing import WHOLE_BYTE, Window, linear_shape, window_between

PANEL_WIDTH = 420
LARGEST_CINE_SIDE = 640
DEFAULT_FRAME_MS = 60.0
ALL_VALUES = "All values"
_PANELS = ((0.0, 0.496, "right"), (0.504, 1.0, "left"))
_MARGIN = {"l": 0, "r": 0, "t": 30, "b": 4}
_CELLS = 1000
_LINE = {"color": "#ffd21f", "width": 2}

TOOLS = {"Move": "pan", "Ruler": "drawline", "Box": "select", "Lasso": "lasso"}
"""Name of a tool -> Plotly's drag mode."""
VIEWING_CONFIG = {
    "scrollZoom": True,
    "displaylogo": False,
    "modeBarButtons": [["zoomIn2d", "zoomOut2d", "resetScale2d", "eraseshape"]],
}


@dataclass(frozen=True)
class Measured:
    """A marked area: its size in mm² (pixels where the spacing is unknown), its extent across and
    down in mm (pixels), and the mean and the standard deviation of the values in it."""

    area: float
    width: float
    height: float
    mean: float
    deviation: float


def windows_of(scan: Scan, frame: int) -> dict[str, Window]:
    """Windows to choose from by name: the file's own, first that of the frame; all values, last
    unless that is the frame's."""
    if scan.grey is None:
        return {"As stored": WHOLE_BYTE}
    proposed = scan.grey.windows_of(frame)
    low, high = value_range(scan)
    whole = window_between(low, high, linear_shape(scan.grey.values.dtype))
    named: dict[str, Window] = {}
    for number, one in enumerate(proposed, start=1):
        name = one.name or (ALL_VALUES if one == whole else _name_of(number))
        named[f"{name} ({number})" if name in named else name] = one
    return named | {ALL_VALUES: whole}


def _name_of(number: int) -> str:
    return "As in the file" if number == 1 else f"Window {number} of the file"


def goes_with(scan: Scan, frame: int, window: Window, other: int) -> Window:
    """The window of another frame that a window of this one stands for.

    That is the other frame's own of the same name, or the same window if it is the user's.
    """
    known = windows_of(scan, frame).items()
    name = next((name for name, one in known if _same(one, window)), None)
    return windows_of(scan, other).get(name, window)


def _same(one: Window, other: Window) -> bool:
    """Whether two windows are alike, whatever they are called."""
    return replace(one, name="") == replace(other, name="")


def value_range(scan: Scan) -> tuple[float, float]:
    """Smallest and largest value that a window may be set to."""
    return (0.0, 255.0) if scan.grey is None else scan.grey.value_range


def viewing_panels(
    original: np.ndarray,
    view: np.ndarray,
    spacing_mm: tuple[float, float] | None,
    tool: str,
    drawing: np.ndarray | None = None,
    box: Shape | None = None,
    pixel_ratio: float = 1.0,
) -> go.Figure:
    """The picture that the file asks for beside another view of it, with one zoom and pan.

    Both pictures uint8 (H, W, 3); axes in millimetres, or in pixels where the spacing is not
    known. ``tool`` is one of TOOLS; lines carry their length. ``drawing`` bool (H, W) is laid
    over the view, ``box``, in the units of the axes, over both. ``pixel_ratio`` as in ``Scan``.
    """
    ratio = 1.0 if spacing_mm else pixel_ratio
    height, width = original.shape[:2]
    down, across = spacing_mm or (1.0, 1.0)
    if drawing is not None:
        view = np.where(drawing[..., None], np.uint8([255, 210, 31]), view)
    traces, axes_of, boxes = [], {}, []
    for number, pixels in enumerate((original, view), start=1):
        axes = {"xaxis": f"x{axis_suffix(number)}", "yaxis": f"y{axis_suffix(number)}"}
        traces.append(go.Image(**_scaled(picture_trace(pixels), down, across), **axes))
        # Plotly tells of a marked area only where there is something that could be in it.
        middle = {"x": [width / 2 * across], "y": [height / 2 * down]}
        traces.append(go.Scatter(**middle, **axes, mode="markers", opacity=0, hoverinfo="skip"))
        left, right, toward = _PANELS[number - 1]
        x = panel_axis(width, [left, right], toward, number, "x")
        y = panel_axis(height, [0, 1], "top", number, "y", ratio)
        suffix = axis_suffix(number)
        axes_of[f"xaxis{suffix}"] = _scaled_axis(x, across)
        axes_of[f"yaxis{suffix}"] = _scaled_axis(y, down)
        if box:
            boxes.append(_frame_of(box) | {"xref": axes["xaxis"], "yref": axes["yaxis"]})
    unit = "mm" if spacing_mm else "px"
    label = {"texttemplate": f"%{{length:.1f}} {unit}", "font": {"size": 16, "color": "#ffd21f"}}
    layout = {
        **axes_of,
        "height": _panel_height(width * across, height * down * ratio)
        + _MARGIN["t"]
        + _MARGIN["b"],
        "margin": _MARGIN,
        "annotations": [panel_title("Original", 1), panel_title("Your view", 2)],
        "shapes": boxes,
        "dragmode": TOOLS[tool],
        "newshape": {"line": _LINE, "label": label},
        "newselection": {"line": _LINE},
        "showlegend": False,
        "uirevision": f"{width} {height} {spacing_mm}",
        "modebar": {"bgcolor": CLEAR, "orientation": "h"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
    }
    # One construction: each update would check all the rest again.
    return go.Figure(traces, layout)


def in_millimetres(box: Shape, spacing_mm: tuple[float, float] | None) -> Shape:
    """A box of pixels in the units of ``viewing_panels``.

    >>> in_millimetres({"x": (2, 4), "y": (0, 10)}, (0.1, 0.5))
    {'x': [1.0, 2.0], 'y': [0.0, 1.0]}
    """
    down, across = spacing_mm or (1.0, 1.0)
    return {"x": [end * across for end in box["x"]], "y": [end * down for end in box["y"]]}


def corners(box: Shape) -> Shape:
    """The corners of a box, in their order around it.

    >>> corners({"x": (1, 2), "y": (3, 4)})
    {'x': [1, 2, 2, 1], 'y': [3, 3, 4, 4]}
    """
    (x0, x1), (y0, y1) = box["x"], box["y"]
    return {"x": [x0, x1, x1, x0], "y": [y0, y0, y1, y1]}


def measure(
    x: list[float], y: list[float], values: np.ndarray, spacing_mm: tuple[float, float] | None
) -> Measured | None:
    """The area within a polygon, its corners in the units of ``viewing_panels``.

    ``values`` (H, W) or (H, W, 3); nan and infinity do not count. What a line that crosses itself
    goes around twice is inside. None if no pixel's centre is in it that has a value.
    """
    down, across = spacing_mm or (1.0, 1.0)
    corners = np.stack([np.array(x) / across, np.array(y) / down], axis=1)
    mask = surrounded(np.rint(corners), *values.shape[:2])
    inside = values[mask.astype(bool)].astype(float)
    inside = inside[np.isfinite(inside)]
    if not inside.size:
        return None
    extent = float(np.ptp(x)), float(np.ptp(y))
    points = np.stack([x, y], axis=1)
    area = (_filled_area if _crosses_itself(points) else _polygon_area)(points)
    return Measured(float(area), *extent, float(inside.mean()), float(inside.std()))


def _polygon_area(points: np.ndarray) -> float:
    """Area of a polygon (N, 2) whose line does not cross itself, by the shoelace formula."""
    (x, y), (x_next, y_next) = points.T, np.roll(points, -1, axis=0).T
    return abs(x @ y_next - y @ x_next) / 2


def _filled_area(points: np.ndarray) -> float:
    """Area of any polygon (N, 2), to about 1 %: of its cells on a fine grid."""
    low, side = points.min(axis=0), np.ptp(points, axis=0).max()
    cells = np.rint((points - low) * (_CELLS / side)).astype(np.int32)
    return surrounded(cells, _CELLS + 1, _CELLS + 1).sum() * (side / _CELLS) ** 2


def _crosses_itself(points: np.ndarray) -> bool:
    """Whether two sides of a polygon (N, 2) cross, in more than an end."""
    ends = np.roll(points, -1, axis=0)
    sides = ends - points

    def turns(to: np.ndarray) -> np.ndarray:
        """On which side of each line (rows) each point (columns) lies: -1, 0 or 1."""
        apart = to[None] - points[:, None]
        return np.sign(sides[:, None, 0] * apart[..., 1] - sides[:, None, 1] * apart[..., 0])

    parted = turns(points) * turns(ends) < 0
    return bool((parted & parted.T).any())


def moving_picture(scan: Scan, window: Window, inverted: bool, frame: int = 0) -> bytes:
    """All frames of a scan as an animated WebP that repeats, in the cine's own rhythm.

    ``window`` is that of ``frame``; the others have the one that goes with it.
    """
    from PIL import Image

    windows = [goes_with(scan, frame, window, other) for other in range(len(scan.pixels))]
    height, width = scan.pixels.shape[1:3]
    size = size_within(height * scan.aspect, width, LARGEST_CINE_SIDE)[::-1]
    frames = [
        Image.fromarray(cv2.resize(scan.view(number, one, inverted), size, interpolation=3))
        for number, one in enumerate(windows)
    ]
    file = io.BytesIO()
    frames[0].save(
        file,
        "WEBP",
        save_all=True,
        append_images=frames[1:],
        duration=round(scan.frame_ms or DEFAULT_FRAME_MS),
        loop=0,
        quality=80,
        method=0,
    )
    return file.getvalue()


def _frame_of(box: Shape) -> dict:
    (x0, x1), (y0, y1) = box["x"], box["y"]
    return {"type": "rect", "x0": x0, "x1": x1, "y0": y0, "y1": y1, "line": _LINE}


def _panel_height(width: float, height: float) -> int:
    return int(np.clip(PANEL_WIDTH * height / width, 200, 520))


def _scaled(trace: dict, down: float, across: float) -> dict:
    """An image trace in millimetres; like the axes it begins half a pixel before the first."""
    factors = {"x0": across, "dx": across, "y0": down, "dy": down}
    return trace | {name: trace[name] * factor for name, factor in factors.items()}


def _scaled_axis(axis: dict, factor: float) -> dict:
    limits = {name: axis[name] * factor for name in ("minallowed", "maxallowed")}
    return axis | limits | {"range": [one * factor for one in axis["range"]]}
