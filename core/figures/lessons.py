"""Plotly figures of lessons: bars, and the curves of a trial."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from core.figures.style import CLEAR, MALIGNANT_SCALE, OTHER_SCALE, TEXT_SIZE
from core.lessons import Bars, Trial
from core.lessons.drawing import AGAINST, FOR
from core.wording import in_percent

CONFIG = {"displayModeBar": False}
_HEIGHT = 260


def bars_figure(bars: Bars) -> go.Figure:
    """One bar a place: those above 0 in the colour of what speaks for, the others against."""
    colours = np.where(np.asarray(bars.heights) >= 0, _rgb(FOR), _rgb(AGAINST))
    figure = go.Figure(
        go.Bar(x=bars.places, y=bars.heights, marker_color=colours, marker_line_width=0)
    )
    if isinstance(bars.places, tuple):
        figure.update_xaxes(type="category")
    else:
        figure.update_layout(bargap=0)
    if bars.at is not None:
        figure.add_vline(
            bars.at, line_dash="dash", line_color="#808a94", annotation_text=bars.at_name
        )
    return _framed(figure, bars.across, bars.up)


def describe_bars(bars: Bars) -> str:
    """Text alternative of ``bars_figure``: its largest and smallest bar."""
    heights = np.asarray(bars.heights)
    high, low = int(heights.argmax()), int(heights.argmin())
    line = f" {bars.at_name} at {bars.at:.2f}." if bars.at is not None else ""
    return (
        f"Bars of {bars.up} by {bars.across}: largest {heights[high]:.3g} at {bars.places[high]}, "
        f"smallest {heights[low]:.3g} at {bars.places[low]}.{line}"
    )


def trial_figure(trial: Trial, explained: str) -> go.Figure:
    """Probability of the class over the share of the scan hidden, by the map and its mirrors."""
    lines = {"the map": (trial.marked, MALIGNANT_SCALE[-1], "solid")}
    lines["the map mirrored"] = (trial.mirrored, OTHER_SCALE[-1], "dash")
    figure = go.Figure(
        [
            go.Scatter(
                x=100 * trial.hidden,
                y=100 * values,
                name=name,
                mode="lines+markers",
                line={"color": colour, "dash": dash},
                hovertemplate="%{x:.0f} % hidden: %{y:.0f} %<extra></extra>",
            )
            for name, (values, colour, dash) in lines.items()
        ]
    )
    figure.update_yaxes(range=[-3, 103])
    figure.update_layout(legend={"orientation": "h", "y": 1, "yanchor": "bottom"})
    return _framed(figure, "% hidden", f"probability of {explained}, %")


def describe_trial(trial: Trial, explained: str) -> str:
    """Text alternative of ``trial_figure``."""
    half = len(trial.hidden) // 2
    return (
        f"Probability of {explained} while the scan is hidden: {in_percent(trial.marked[0])} at "
        f"first; with half of it hidden {in_percent(trial.marked[half])} where the map decides and "
        f"{in_percent(trial.mirrored[half])} where the map mirrored does. {trial.sentence}"
    )


def _rgb(colour: tuple[int, int, int]) -> str:
    return f"rgb{colour}"


def _framed(figure: go.Figure, across: str, up: str) -> go.Figure:
    figure.update_xaxes(title=across, fixedrange=True, showgrid=False, automargin=True)
    figure.update_yaxes(title=up, fixedrange=True, automargin=True)
    figure.update_layout(
        height=_HEIGHT,
        margin={"l": 0, "r": 8, "t": 28, "b": 0},
        font_size=TEXT_SIZE,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
    )
    return figure
