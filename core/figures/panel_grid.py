"""Heatmaps of several methods (columns) and systems (rows) as one figure with one view."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from core.borders import border_trace
from core.figures.opinion import peak_place
from core.figures.panels import (
    MAX_PICTURE_SIDE,
    axis_suffix,
    bar_title,
    colour_bar,
    heatmap_trace,
    opacity_slider,
    over_panel,
    panel_axis,
    panel_title,
    picture_trace,
    text_above,
)
from core.figures.style import CLEAR, COLOUR_MAPS, TEXT_SIZE, fading_scale, opaque_scale

MAX_ACROSS = 4
"""Maps in a row; more are continued below, since narrower pictures cannot be read."""
WIDEST = 1000
"""Screen pixels across beyond which the pictures, whose height is fixed, would drift apart."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One map, float (h, w) in [0, 1], or None with a ``note`` that says why there is none.

    ``name`` stands above the picture, ``caption`` below it, in lines, ``note`` upon it.
    """

    name: str
    values: np.ndarray | None
    caption: str = ""
    note: str | None = None


@dataclass(frozen=True, eq=False)
class PanelRow:
    """The maps of one system over ``pixels``, uint8 (H, W, 3), as the system sees the scan, whose
    pixels are ``aspect`` times as high as wide."""

    title: str
    pixels: np.ndarray
    panels: tuple[Panel, ...]
    aspect: float = 1.0


def panel_grid(
    rows: Sequence[PanelRow],
    explained: str,
    colour_map: str = "Inferno",
    opacity: float = 0.6,
    outline: np.ndarray | None = None,
) -> go.Figure:
    """All maps over their scans, each row led by the scan alone, with one zoom and pan.

    All rows hold the same methods over pictures of one size. ``explained`` names what the maps
    speak for; ``outline`` is the lesion's mask, bool (H, W), whose border is drawn on every
    picture; ``opacity`` in [0, 1], a multiple of OPACITY_STEP, is that of the overlays and is
    changed in the browser.
    """
    height, width = rows[0].pixels.shape[:2]
    parts = bands(rows)
    plan = _Plan.of(parts, width, height, rows[0].aspect)
    look = _Look(COLOUR_MAPS[colour_map], opacity, border_trace(outline))
    pictures = {id(row.pixels): picture_trace(row.pixels, plan.largest) for row in rows}
    traces, annotations, axes = [], [_SLIDER_NAME, bar_title(explained, 0, "left", 36)], {}
    for row, band in enumerate(parts):
        annotations.append(_row_title(band.title, plan.number(row, 0)))
        for column, panel in enumerate((_SCAN, *band.panels)):
            number = plan.number(row, column)
            traces += _traces(panel, number, pictures[id(band.pixels)], plan, look)
            annotations += _words(panel, number)
            axes |= plan.axes(row, column)
    overlays = [at for at, trace in enumerate(traces) if trace["type"] == "heatmap"]
    layout = {
        **axes,
        "annotations": annotations,
        "height": plan.height,
        "margin": {"l": 0, "r": 0, "t": _TOP, "b": 0},
        "dragmode": "pan",
        "showlegend": False,
        "sliders": [opacity_slider(opacity, overlays, _SLIDER_AT) | {"pad": {"b": 10}}],
        "modebar": {"bgcolor": CLEAR, "orientation": "h"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
    }
    # One construction: each add_trace or add_annotation would check all the others again.
    return go.Figure({"data": [*traces, _colour_key(look.scale)], "layout": layout})


def wrapped(note: str) -> list[str]:
    """A note in lines that fit upon a narrow picture."""
    return textwrap.wrap(note, _NOTE_WIDTH)


def caption_lines(rows: Sequence[PanelRow]) -> int:
    """Lines of the longest caption."""
    return max(panel.caption.count("\n") + 1 for row in rows for panel in row.panels)


def describe_grid(rows: Sequence[PanelRow], explained: str) -> str:
    """Text alternative of ``panel_grid``: what is shown, and where each map peaks."""
    opening = f"Heatmaps for {explained}, as linked pictures."
    return " ".join([opening, *(_describe_row(row) for row in rows)])


def _describe_row(row: PanelRow) -> str:
    maps = (f"{one.name} {_describe(one)}" for one in row.panels)
    return f"{row.title}: {'; '.join(maps)}."


def _describe(panel: Panel) -> str:
    if panel.note or panel.values is None:
        return f"({panel.note or 'no map'})"
    return f"strongest {peak_place(panel.values)}"


def bands(rows: Sequence[PanelRow]) -> list[PanelRow]:
    """Rows cut into pieces of equal width, so that no picture gets too small."""
    count = max(1, len(rows[0].panels))
    across = -(-count // -(-count // MAX_ACROSS))
    return [
        replace(row, panels=row.panels[start : start + across])
        for start in range(0, count, across)
        for row in rows
    ]


# ---------------------------------------------------------------- geometry

_SCAN = Panel("Scan", None)
_TOP = 56  # colour key and opacity slider
_HEAD, _LINE, _BELOW, _GAP = 46, 16, 10, 0.008
_PAGE_WIDTH = 920  # the main column on a common screen
_LEAST_HEIGHT, _MOST_HEIGHT = 120, 330
_PIXELS_SENT = 4_000_000  # in all panels together: each holds its own copy of the picture
_SLIDER_AT = 0.7
_NOTE_WIDTH = 24  # characters


@dataclass(frozen=True)
class _Plan:
    """Where panels lie: every row is a head, a picture and a caption, in screen pixels."""

    rows: int
    columns: int
    size: tuple[int, int]
    aspect: float
    picture_height: int
    caption_lines: int

    @classmethod
    def of(cls, parts: Sequence[PanelRow], width: int, height: int, aspect: float) -> _Plan:
        columns = len(parts[0].panels) + 1
        fitting = int(_PAGE_WIDTH * ((1 + _GAP) / columns - _GAP) * aspect * height / width)
        shown = min(max(fitting, _LEAST_HEIGHT), _MOST_HEIGHT)
        return cls(len(parts), columns, (width, height), aspect, shown, caption_lines(parts))

    @property
    def row_height(self) -> int:
        return _HEAD + self.picture_height + _LINE * self.caption_lines + _BELOW

    @property
    def height(self) -> int:
        return _TOP + self.rows * self.row_height

    @property
    def largest(self) -> int:
        """The longest side of a picture that is sent once a panel."""
        return min(MAX_PICTURE_SIDE, round((_PIXELS_SENT / (self.rows * self.columns)) ** 0.5))

    def number(self, row: int, column: int) -> int:
        """Number of a panel, counted from 1."""
        return row * self.columns + column + 1

    def axes(self, row: int, column: int) -> dict:
        """The two axes of a panel; its place is given in shares of the plot, from the bottom."""
        number = self.number(row, column)
        across = (1 + _GAP) / self.columns
        left, right = column * across, min(1.0, (column + 1) * across - _GAP)
        plot = self.rows * self.row_height
        top = plot - row * self.row_height - _HEAD
        up = [(top - self.picture_height) / plot, top / plot]
        suffix = axis_suffix(number)
        return {
            f"xaxis{suffix}": panel_axis(self.size[0], [left, right], "left", number, "x"),
            f"yaxis{suffix}": panel_axis(self.size[1], up, "top", number, "y", self.aspect),
        }


@dataclass(frozen=True)
class _Look:
    """What all panels have in common: colours, opacity, and the lesion's border."""

    scale: str
    opacity: float
    border: dict | None


# ---------------------------------------------------------------- parts of the figure


def _traces(panel: Panel, number: int, picture: dict, plan: _Plan, look: _Look) -> list[dict]:
    """The picture, the map over it, and the border over both."""
    suffix = axis_suffix(number)
    axes = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
    traces = [{"type": "image", **picture, **axes}]
    if panel.values is not None:
        colours = {"colorscale": fading_scale(look.scale), "opacity": look.opacity}
        grid = heatmap_trace(panel.values, *plan.size)
        traces.append({"type": "heatmap", **grid, **axes, **colours, "showscale": False})
    if look.border:
        traces.append(look.border | axes)
    return traces


def _words(panel: Panel, number: int) -> list[dict]:
    """Name above, caption below, note upon the picture."""
    words = [panel_title(panel.name, number) | {"yref": f"y{axis_suffix(number)} domain"}]
    if panel.caption:
        words.append(_caption(panel.caption, number))
    if panel.note:
        words.append(over_panel("<br>".join(wrapped(panel.note)), number))
    return words


def _colour_key(scale: str) -> dict:
    """A trace without points that carries the colour bar, whose colours do not fade."""
    bar = colour_bar() | {"x": 0, "xanchor": "left", "xpad": 8, "ypad": 10}
    marker = {
        "color": [0],
        "colorscale": opaque_scale(scale),
        "cmin": 0,
        "cmax": 1,
        "showscale": True,
        "colorbar": bar,
    }
    nothing = {"x": [None], "y": [None], "hoverinfo": "skip"}
    return {"type": "scatter", "mode": "markers", "marker": marker, **nothing}


_SLIDER_NAME = text_above("Opacity", _SLIDER_AT, "right", 14) | {"xshift": -10}


def _row_title(text: str, number: int) -> dict:
    """The system's name, above the names of the methods."""
    suffix = axis_suffix(number)
    title = panel_title(f"<b>{text}</b>", number)
    return title | {"yref": f"y{suffix} domain", "yshift": 22}


def _caption(text: str, number: int) -> dict:
    suffix = axis_suffix(number)
    below = {"yref": f"y{suffix} domain", "y": 0, "yanchor": "top", "yshift": -1}
    look = {"font": {"size": TEXT_SIZE - 2}, "align": "left"}
    return panel_title(text.replace("\n", "<br>"), number) | below | look
