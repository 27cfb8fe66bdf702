"""What linked panels of pictures are made of, as Plotly takes it."""

from __future__ import annotations

import base64

import cv2
import numpy as np

from core.figures.style import CLEAR, TEXT_SIZE
from core.picture_size import size_within
from core.png import png

MAX_PICTURE_SIDE = 1400
MAX_HEATMAP_SIDE = 224
OPACITY_STEP = 0.05


def picture_trace(pixels: np.ndarray, largest: int = MAX_PICTURE_SIDE) -> dict:
    """A scan, uint8 (H, W, 3), as an image trace in its own pixel coordinates.

    One with a side above ``largest`` is thinned out.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > largest:
        size = size_within(height, width, largest)
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    source = "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")
    return {"source": source, "hoverinfo": "skip", **_spacing(pixels.shape, width, height)}


def heatmap_trace(heatmap: np.ndarray, width: int, height: int) -> dict:
    """A heatmap, float (h, w) in [0, 1], over a scan of this size, without its colours."""
    grid = _coarse(heatmap)
    return {
        "z": grid,
        "zmin": 0,
        "zmax": 1,
        "zsmooth": "fast",
        "hovertemplate": "relative evidence %{z:.2f}<extra></extra>",
        **_spacing(grid.shape, width, height),
    }


def axis_suffix(number: int) -> str:
    """What Plotly writes after "x" and "y" for panel ``number``, counted from 1."""
    return "" if number == 1 else str(number)


def panel_axis(
    length: int, domain: list, toward: str, number: int, letter: str, aspect: float = 1.0
) -> dict:
    """One axis of panel ``number`` over ``length`` pixels; all zoom and pan with the first. A pixel
    is ``aspect`` times as high as wide."""
    first, last = -0.5, length - 0.5
    anchor = ("y" if letter == "x" else "x") + axis_suffix(number)
    axis = {
        "domain": domain,
        "anchor": anchor,
        "visible": False,
        "range": [first, last] if letter == "x" else [last, first],
        "minallowed": first,
        "maxallowed": last,
        "constrain": "domain",
        "constraintoward": toward,
    }
    if number > 1:
        axis["matches"] = letter
    if letter == "y":
        axis |= {"scaleanchor": anchor, "scaleratio": aspect}
    return axis


def colour_bar() -> dict:
    """A colour bar above a heatmap, below its ``bar_title``: it stays there on every width of
    screen."""
    return {
        "orientation": "h",
        "x": 0.5,
        "xanchor": "center",
        "xpad": 0,
        "y": 1,
        "yanchor": "bottom",
        "ypad": 3,
        "lenmode": "fraction",
        "len": 0.3,
        "thickness": 8,
        "outlinewidth": 0,
        "tickvals": [0, 1],
        "tickfont": {"size": TEXT_SIZE},
        "ticks": "",
    }


def bar_title(explained: str, x: float, xanchor: str, up: int) -> dict:
    """What a colour bar measures; the place as in ``text_above``."""
    return text_above(f"relative evidence for {explained}", x, xanchor, up)


def text_above(text: str, x: float, xanchor: str, up: int) -> dict:
    """Text at ``x``, a share of the figure's width, ``up`` pixels above all panels."""
    return {
        "text": text,
        "xref": "paper",
        "x": x,
        "xanchor": xanchor,
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "yshift": up,
        "showarrow": False,
        "font": {"size": TEXT_SIZE},
    }


def opacity_slider(opacity: float, traces: list[int], x: float) -> dict:
    """A slider above the panels, from ``x``, a share of their width, to their right edge; it
    restyles overlays without the server."""
    count = round(1 / OPACITY_STEP)
    steps = [
        {
            "label": "",
            "method": "restyle",
            "args": [{"opacity": number / count}, traces],
        }
        for number in range(count + 1)
    ]
    return {
        "active": round(opacity * count),
        "steps": steps,
        "x": x,
        "lenmode": "fraction",
        "len": 0.99 - x,
        "y": 1,
        "yanchor": "bottom",
        "pad": {"l": 0, "r": 0, "t": 0, "b": 0},
        "currentvalue": {"visible": False},
        "font": {"size": 1, "color": CLEAR},
        "ticklen": 0,
        "minorticklen": 0,
        "bgcolor": "#7f8c97",
        "borderwidth": 0,
    }


def panel_title(text: str, number: int) -> dict:
    """Text above panel ``number``, at its left edge."""
    return {
        "text": text,
        "xref": f"x{axis_suffix(number)} domain",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "yshift": 2,
        "showarrow": False,
        "font": {"size": TEXT_SIZE},
    }


def over_panel(text: str, number: int) -> dict:
    """Text over the middle of panel ``number``."""
    return {
        "text": text,
        "xref": f"x{axis_suffix(number)} domain",
        "x": 0.5,
        "yref": f"y{axis_suffix(number)} domain",
        "y": 0.5,
        "showarrow": False,
        "font": {"size": 13, "color": "#f5f5f5"},
        "bgcolor": "rgba(20,20,20,0.75)",
        "borderpad": 6,
    }


def _coarse(heatmap: np.ndarray) -> np.ndarray:
    """The heatmap at no more than MAX_HEATMAP_SIDE a side, with the same largest value; the browser
    smooths it when drawing."""
    size = size_within(*heatmap.shape, MAX_HEATMAP_SIDE)
    coarse = cv2.resize(heatmap.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    peak = coarse.max()  # lower than before where neighbours differ
    return coarse * (heatmap.max() / peak) if peak > 0 else coarse


def _spacing(shape: tuple[int, ...], width: int, height: int) -> dict:
    """Cell centres of a grid over the scan, whose pixel i covers [i - 0.5, i + 0.5]."""
    dy, dx = height / shape[0], width / shape[1]
    return {"x0": dx / 2 - 0.5, "dx": dx, "y0": dy / 2 - 0.5, "dy": dy}
