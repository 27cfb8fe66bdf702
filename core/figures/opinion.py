"""Plotly figures and their text alternatives, from arrays and tables alone.

Backgrounds are transparent and text colours are left to the page, so that every figure fits the
light and the dark theme.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import plotly.graph_objects as go

from core.borders import border_trace
from core.figures.panels import (
    axis_suffix,
    bar_title,
    colour_bar,
    heatmap_trace,
    opacity_slider,
    over_panel,
    panel_axis,
    panel_title,
    picture_trace,
)
from core.figures.style import (
    CLEAR,
    COLOUR_MAPS,
    TEXT_SIZE,
    fading_scale,
    likelihood_colour,
    opaque_scale,
)
from core.wording import MALIGNANT_SIGN, percent, signed

BAR_HEIGHT = 34
PANEL_WIDTH = 380
EVIDENCE_WIDTH = 1160
"""Screen pixels of ``evidence_panels`` across, at most: three pictures of PANEL_WIDTH. On more, the
pictures, whose height is fixed, would drift from their titles."""
OVERLAY_TRACE = 3


def malignant_legend(
    classes: Sequence[str], probabilities: np.ndarray, malignant: Collection[str]
) -> str:
    """What the sign beside a class means; with several malignant classes, also their sum."""
    marked = np.isin(classes, list(malignant))
    together = percent(float(probabilities[marked].sum()))
    total = f", together {together}" if marked.sum() > 1 else ""
    return f"{MALIGNANT_SIGN} counts as malignant{total}."


def probability_bars(
    classes: Sequence[str], probabilities: np.ndarray, malignant_classes: Sequence[str]
) -> go.Figure:
    """One horizontal bar a class, in percent, in the order given; the likeliest name is bold.

    ``probabilities`` has shape (C,) and range [0, 1]. Malignant classes carry ``MALIGNANT_SIGN``
    beside their warm colour, so that colour is never the only cue.
    """
    top = int(np.argmax(probabilities))
    malignant = [name in malignant_classes for name in classes]
    names = list(map(signed, classes, malignant))
    names[top] = f"<b>{names[top]}</b>"
    colours = map(likelihood_colour, probabilities, malignant)
    bars = go.Bar(
        x=np.asarray(probabilities, dtype=float) * 100,
        y=names,
        orientation="h",
        text=[percent(p) for p in probabilities],
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
        marker={"color": list(colours), "line": {"width": 0}},
        width=0.62,
    )
    layout = {
        "xaxis": {"range": [0, 100], "visible": False, "fixedrange": True},
        "yaxis": {
            "type": "category",  # also where a class is called like a number or a date
            "autorange": "reversed",
            "fixedrange": True,
            "showgrid": False,
            "ticks": "",
            "tickfont": {"size": TEXT_SIZE},
            "automargin": True,
        },
        "height": BAR_HEIGHT * len(classes) + 8,
        "margin": {"l": 0, "r": 56, "t": 4, "b": 4},
        "font": {"size": TEXT_SIZE},
        "showlegend": False,
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
    }
    return go.Figure(bars, layout)


def evidence_panels(
    pixels: np.ndarray,
    heatmap: np.ndarray,
    explained: str,
    colour_map: str = "Inferno",
    opacity: float = 0.6,
    empty: str | None = None,
    outline: np.ndarray | None = None,
    aspect: float = 1.0,
) -> go.Figure:
    """The scan, its heatmap and both together, side by side with one zoom and pan.

    ``pixels`` is uint8 (H, W, 3); ``heatmap`` is float (h, w) in [0, 1] over the same field of
    view, of any resolution; ``explained`` the class it speaks for; ``opacity`` in [0, 1], a
    multiple of OPACITY_STEP, that of the overlay where the evidence is strongest: it fades with
    the evidence. A slider changes it in the browser, so that zoom and pan stay. ``empty`` is
    written over a heatmap that holds no evidence. The border of ``outline``, bool (H, W), is drawn
    on the first and the last picture. ``aspect`` as in ``Scan``.
    """
    height, width = pixels.shape[:2]
    picture = picture_trace(pixels)
    only, over = _maps(heatmap_trace(heatmap, width, height), COLOUR_MAPS[colour_map])
    border, axes = border_trace(outline), {}
    for number, (left, right, toward) in enumerate(_PANELS, start=1):
        suffix = axis_suffix(number)
        axes[f"xaxis{suffix}"] = panel_axis(width, [left, right], toward, number, "x")
        axes[f"yaxis{suffix}"] = panel_axis(height, [0, 1], "top", number, "y", aspect)
    traces = [
        go.Image(**picture, **_on(1)),
        go.Heatmap(**only, **_on(2), colorbar=colour_bar()),
        go.Image(**picture, **_on(3)),
        go.Heatmap(**over, **_on(3), opacity=opacity),
        *([border | _on(1), border | _on(3)] if border else []),
    ]
    layout = {
        **axes,
        "height": _panel_height(width, height * aspect) + _MARGIN["t"] + _MARGIN["b"],
        "margin": _MARGIN,
        "annotations": [
            panel_title("Scan", 1),
            bar_title(explained, 0.5, "center", 30),
            panel_title("Overlay", 3),
            *([over_panel(empty, 2)] if empty else []),
        ],
        "dragmode": "pan",
        "sliders": [opacity_slider(opacity, [OVERLAY_TRACE], _PANELS[2][0] + 0.12)],
        "modebar": {"bgcolor": CLEAR, "orientation": "h"},
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
    }
    # One construction: each update would check all the rest again.
    return go.Figure(traces, layout)


EVIDENCE_CONFIG = {
    "scrollZoom": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"],
}
"""Plotly configuration of ``evidence_panels``: the wheel zooms, dragging pans, a double click
shows everything again."""


def describe_probabilities(classes: Sequence[str], probabilities: np.ndarray) -> str:
    """Text alternative of ``probability_bars``."""
    parts = (f"{name} {percent(p)}" for name, p in zip(classes, probabilities, strict=True))
    return f"Bars of the estimated probabilities: {', '.join(parts)}."


def describe_evidence(name: str, heatmap: np.ndarray, explained: str, empty: str | None) -> str:
    """Text alternative of ``evidence_panels``: what is shown and where the evidence peaks."""
    opening = f"{name} as three linked pictures: the scan, its heatmap for {explained}, and both."
    if empty:
        return f"{opening} {empty}"
    return f"{opening} The evidence is strongest {peak_place(heatmap)} of the picture."


def peak_place(heatmap: np.ndarray) -> str:
    """Where a heatmap (h, w) is largest, in words: "in the upper left", "in the centre", ..."""
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    down, across = (row + 0.5) / heatmap.shape[0], (column + 0.5) / heatmap.shape[1]
    vertical = ("upper", "", "lower")[int(3 * down)]
    horizontal = ("left", "", "right")[int(3 * across)]
    words = f"{vertical} {horizontal}".strip()
    single = {"": "centre", "upper": "upper middle", "lower": "lower middle"}
    return f"in the {single.get(words, words)}"


# Panel edges as shares of the figure's width. The outer panels lean inwards, so that on a wide
# screen all three stay together; the pull is where each keeps its picture.
_PANELS = ((0.0, 0.328, "right"), (0.336, 0.664, "center"), (0.672, 1.0, "left"))
_MARGIN = {"l": 0, "r": 0, "t": 66, "b": 4}


def _panel_height(width: float, height: float) -> int:
    return int(np.clip(PANEL_WIDTH * height / width, 220, 480))


def _maps(grid: dict, scale: str) -> tuple[dict, dict]:
    """The heatmap alone, and as it lies over the scan."""
    alone = grid | {"colorscale": opaque_scale(scale)}
    return alone, grid | {"colorscale": fading_scale(scale), "showscale": False}


def _on(number: int) -> dict[str, str]:
    """The axes of a panel, counted from 1."""
    suffix = axis_suffix(number)
    return {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
