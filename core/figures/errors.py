"""Plotly figures of mistakes: confusion matrix, rates by attribute, curves over thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb

from core.explain.heatmap import Heatmap
from core.explain.overlay import overlay
from core.figures.style import CLEAR, OTHER_SCALE, TEXT_SIZE
from core.png import png

COUNTS, OF_LABEL, OF_ANSWER = "Counts", "Of each label", "Of each answer"
NORMALISED = {COUNTS: None, OF_LABEL: 1, OF_ANSWER: 0}
"""How a confusion matrix is shown -> the axis over which its shares sum to 1."""
RIGHT, WRONG = OTHER_SCALE[-1], "#c8450a"
MARK = "#d99000"
THUMBNAIL = (240, 300)
FIGURE_CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "zoom2d", "pan2d", "autoScale2d"],
    "toImageButtonOptions": {"format": "svg", "filename": "lesionlens"},
}
"""Plotly configuration: the camera saves a vector picture."""

_CELL = 72
_EMPTY, _FAINTEST, _STRONGEST = 0.05, 0.12, 0.6  # opacity; text of both themes stays readable
_MOST_CELLS = 420


def shares_of(counts: np.ndarray, shown: str) -> np.ndarray:
    """Values of a confusion matrix, int (C, C), as shown: counts, or shares with NaN for 0 / 0."""
    axis = NORMALISED[shown]
    if axis is None:
        return counts.astype(float)
    with np.errstate(invalid="ignore"):
        return counts / counts.sum(axis=axis, keepdims=True)


def confusion_figure(
    counts: np.ndarray,
    classes: Sequence[str],
    shown: str = COUNTS,
    selected: tuple[str, str] | None = None,
) -> go.Figure:
    """A confusion matrix, int (C, C), rows true, columns predicted, whose cells can be clicked.

    Blue on the diagonal, orange off it, the stronger the larger the share of its row (for shares of
    each answer: of its column). Over the cells lies a layer of invisible points, since Streamlit
    reports clicks on points alone; their ``customdata`` are (label, predicted). ``selected`` names
    the cell with a frame around it.
    """
    size = len(classes)
    values = shares_of(counts, shown)
    places = list(np.ndindex(size, size))
    cells = [
        _cell(row, column, colour, selected == (classes[row], classes[column]))
        for (row, column), colour in zip(places, _cell_colours(counts, shown), strict=True)
    ]
    look = {"showarrow": False, "font": {"size": 18 if size <= 4 else 13}}
    texts = [
        {"x": column, "y": row, "text": _cell_text(values[row, column], shown), **look}
        for row, column in places
    ]
    figure = go.Figure(_clickable(places, classes))
    # All at once: one by one, each goes through Plotly's checks again with the next.
    figure.update_layout(shapes=cells, annotations=texts)
    span = [-0.5, size - 0.5]
    ticks = {"tickvals": list(range(size)), "ticktext": list(classes), "fixedrange": True}
    ticks |= {"showgrid": False, "zeroline": False, "ticks": "", "tickfont_size": TEXT_SIZE}
    figure.update_xaxes(title="the system's answer", side="top", range=span, **ticks)
    figure.update_yaxes(title="label", range=span[::-1], automargin=True, **ticks)
    return _plain(figure, 64 + min(_MOST_CELLS, _CELL * size)).update_layout(
        hovermode="closest", hoverdistance=-1, clickmode="event+select", showlegend=False
    )


def describe_confusion(counts: np.ndarray, classes: Sequence[str]) -> str:
    """Text alternative of ``confusion_figure``."""
    told = (
        f"{counts[r, c]} {true} called {answer}"
        for r, true in enumerate(classes)
        for c, answer in enumerate(classes)
        if counts[r, c]
    )
    return f"Confusion matrix: {', '.join(told)}."


def rate_figure(
    table: pd.DataFrame, names: Sequence[str], overall: float, top: float = 1.0
) -> go.Figure:
    """Share of wrong answers a bin, with its interval, beside the share among all images.

    ``table`` as of ``rates_by_bin``, ``names`` those of its rows; ``overall`` and ``top``, the
    largest share that the axis shows, in [0, 1].
    """
    rate = 100 * table["rate"]
    figure = go.Figure(
        go.Scatter(
            x=list(names),
            y=rate,
            mode="markers",
            marker={"size": 11, "color": WRONG},
            error_y={
                "type": "data",
                "symmetric": False,
                "array": 100 * table["rate_high"] - rate,
                "arrayminus": rate - 100 * table["rate_low"],
                "color": WRONG,
                "thickness": 2,
                "width": 6,
            },
            customdata=table[["errors", "n"]],
            hovertemplate="%{customdata[0]} of %{customdata[1]} wrong (%{y:.0f} %)<extra></extra>",
        )
    )
    figure.add_hline(y=100 * overall, line={"dash": "dot", "width": 1.5, "color": "#8296a8"})
    figure.update_yaxes(range=[0, 102 * top], ticksuffix=" %", fixedrange=True, nticks=6)
    figure.update_xaxes(type="category", fixedrange=True, showgrid=False, tickfont_size=12)
    return _plain(figure, 210).update_layout(showlegend=False)


def describe_rates(heading: str, table: pd.DataFrame, names: Sequence[str]) -> str:
    """Text alternative of ``rate_figure``."""
    told = (
        f"{name.replace('<br>', '')}: {row.errors} of {row.n} wrong"
        for name, row in zip(names, table.itertuples(), strict=True)
    )
    return f"Mistakes by {heading.lower()}. {'; '.join(told)}."


def threshold_figure(
    table: pd.DataFrame, threshold: float, operating: float | None = None
) -> go.Figure:
    """Sensitivity and specificity over the threshold, with their bands and the chosen threshold.

    ``table`` as of ``threshold_table``; ``operating`` is marked where there is one.
    """
    figure = go.Figure()
    for name, colour, dash in (("sensitivity", WRONG, "solid"), ("specificity", RIGHT, "dash")):
        if table[name].isna().all():
            continue
        x = np.r_[table["threshold"], table["threshold"][::-1]]
        band = np.r_[table[f"{name}_high"], table[f"{name}_low"][::-1]]
        figure.add_scatter(
            x=x,
            y=100 * band,
            fill="toself",
            fillcolor=_clear(colour, 0.18),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=table["threshold"],
            y=100 * table[name],
            name=name,
            line={"color": colour, "width": 2.5, "dash": dash},
            hovertemplate="%{y:.0f} %",
        )
    figure.add_vline(x=threshold, line={"color": MARK, "width": 2.5})
    if operating is not None:
        figure.add_vline(x=operating, line={"color": "#8296a8", "width": 1.5, "dash": "dot"})
    figure.update_xaxes(title="threshold of the probability", range=[0, 1], fixedrange=True)
    figure.update_yaxes(range=[0, 102], ticksuffix=" %", fixedrange=True)
    return _plain(figure, 330).update_layout(
        hovermode="x unified", legend={"orientation": "h", "y": 1.02, "yanchor": "bottom", "x": 0}
    )


def thumbnail(
    pixels: np.ndarray, heatmap: Heatmap | None = None, size: tuple[int, int] = THUMBNAIL
) -> bytes:
    """A small PNG of a scan, uint8 (H, W, 3), whole, on black, with the heatmap over it if given.

    ``size`` is the height and width, so that pictures of any shape line up.
    """
    if heatmap is not None:
        pixels = overlay(pixels, heatmap)
    shrink = min(side / length for side, length in zip(size, pixels.shape[:2], strict=True))
    height, width = (max(1, round(shrink * length)) for length in pixels.shape[:2])
    interpolation = cv2.INTER_AREA if shrink < 1 else cv2.INTER_LINEAR
    canvas = np.zeros((*size, 3), np.uint8)
    top, left = (size[0] - height) // 2, (size[1] - width) // 2
    canvas[top : top + height, left : left + width] = cv2.resize(
        pixels, (width, height), interpolation=interpolation
    )
    return png(canvas)


def _plain(figure: go.Figure, height: int) -> go.Figure:
    return figure.update_layout(
        height=height,
        margin={"l": 0, "r": 8, "t": 8, "b": 0},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        font_size=TEXT_SIZE,
        modebar={"bgcolor": CLEAR},
    )


def _clear(colour: str, opacity: float) -> str:
    """A hexadecimal colour that lets the page shine through."""
    red, green, blue = hex_to_rgb(colour)
    return f"rgba({red},{green},{blue},{opacity:.3f})"


def _clickable(places: list[tuple[int, int]], classes: Sequence[str]) -> go.Scatter:
    """The invisible points of a confusion matrix, one a cell, at (row, column)."""
    rows, columns = zip(*places, strict=True)
    return go.Scatter(
        x=columns,
        y=rows,
        mode="markers",
        marker={"size": 20, "opacity": 0},
        selected_marker_opacity=0,
        unselected_marker_opacity=0,
        customdata=[(classes[row], classes[column]) for row, column in places],
        hovertemplate="%{customdata[0]} called %{customdata[1]}<extra></extra>",
    )


def _cell(row: int, column: int, colour: str, is_selected: bool) -> dict:
    return {
        "type": "rect",
        "x0": column - 0.48,
        "x1": column + 0.48,
        "y0": row - 0.48,
        "y1": row + 0.48,
        "layer": "below",
        "fillcolor": colour,
        "line": {"width": 3 if is_selected else 0, "color": MARK},
    }


def _cell_colours(counts: np.ndarray, shown: str) -> list[str]:
    """Of the cells of a confusion matrix, row by row."""
    strength = np.nan_to_num(shares_of(counts, OF_LABEL if shown == COUNTS else shown))
    return [
        _clear(
            RIGHT if row == column else WRONG,
            _FAINTEST + (_STRONGEST - _FAINTEST) * strength[row, column] if count else _EMPTY,
        )
        for (row, column), count in np.ndenumerate(counts)
    ]


def _cell_text(value: float, shown: str) -> str:
    if np.isnan(value):
        return "–"
    return f"{value:.0f}" if shown == COUNTS else f"{100 * value:.0f} %"
