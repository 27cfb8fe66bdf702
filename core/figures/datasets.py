"""Plotly figures of what is in a data set. Colours tell classes apart under every common colour
blindness, and every class is also named beside its colour."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from core.borders import border_trace
from core.datasets.intensity import box_numbers
from core.figures.panels import panel_axis, picture_trace
from core.figures.style import CLEAR, TEXT_SIZE
from core.wording import in_percent

CLASS_COLOURS = (
    "#2f7fc1",
    "#c8450a",
    "#009e73",
    "#b8609a",
    "#a07a1f",
    "#6a7f92",
    "#5b6bd6",
    "#7a5c48",
)
DASHES = ("solid", "dash", "dot", "dashdot")
SPLIT_ORDER = ("train", "validation", "test")
_GRID = "rgba(127,140,151,0.25)"
_HEIGHT = 300
_STEPS = 40  # of a histogram
_MOST_BLACK = 3  # times the share of any other grey
_MOST_POINTS = 4000  # drawn in a scatter plot, evenly chosen


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Class -> colour, in the order given; from the ninth class on they repeat."""
    return {label: CLASS_COLOURS[i % len(CLASS_COLOURS)] for i, label in enumerate(labels)}


def class_bars(counts: pd.Series) -> go.Figure:
    """Images a class: `counts` by label."""
    bars = go.Bar(
        x=list(counts.index),
        y=counts.to_numpy(),
        text=[f"{n:,}" for n in counts],
        textposition="outside",
        cliponaxis=False,
        marker_color=list(colours(counts.index).values()),
        hovertemplate="%{x}: %{y} images<extra></extra>",
    )
    return _by_class(_plain(go.Figure(bars), y="Images", legend=False))


def class_pie(counts: pd.Series) -> go.Figure:
    """Share of the images a class, as a ring."""
    ring = go.Pie(
        labels=list(counts.index),
        values=counts.to_numpy(),
        hole=0.55,
        sort=False,
        direction="clockwise",
        text=[in_percent(n / counts.sum(), 1) for n in counts],
        texttemplate="%{label}<br>%{text}",
        textposition="outside",
        automargin=True,
        marker_colors=list(colours(counts.index).values()),
        hovertemplate="%{label}: %{value} images, %{text}<extra></extra>",
    )
    return _plain(go.Figure(ring), legend=False)


def split_bars(counts: pd.DataFrame, labels: Sequence[str]) -> go.Figure:
    """Images a split and class: `counts` has a row a split and a column a class. Those that are not
    among its columns have no bars; all `labels` of the set have the colours of other figures."""
    bars = [
        go.Bar(
            name=label,
            x=list(counts.index),
            y=counts[label].to_numpy(),
            text=[f"{n:,}" for n in counts[label]],
            textposition="outside",
            textangle=0,
            cliponaxis=False,
            marker_color=colour,
            hovertemplate=f"%{{x}}, {label}: %{{y}} images<extra></extra>",
        )
        for label, colour in colours(labels).items()
        if label in counts
    ]
    return _plain(go.Figure(bars, {"barmode": "group"}), y="Images")


def sizes(facts: pd.DataFrame) -> go.Figure:
    """Width and height of the images, in pixels, a class; larger marks where many are alike."""
    together = facts.groupby(["label", "width", "height"], sort=False).size().reset_index(name="n")
    together = together.iloc[:: max(1, len(together) // _MOST_POINTS)]
    points = [
        go.Scatter(
            name=label,
            x=part["width"],
            y=part["height"],
            mode="markers",
            marker={"color": colour, "opacity": 0.6, "size": 5 + 3 * part["n"] ** 0.3},
            customdata=part["n"],
            hovertemplate=f"{label}: %{{customdata}} images of %{{x}} x %{{y}}<extra></extra>",
        )
        for label, colour in colours(facts["label"].unique()).items()
        for part in [together[together["label"] == label]]
    ]
    figure = go.Figure(points)
    figure.update_xaxes(rangemode="tozero")
    figure.update_layout(legend_itemsizing="constant")
    return _plain(figure, x="Width (pixels)", y="Height (pixels)", from_zero=True)


def boxes(facts: pd.DataFrame, column: str, title: str) -> go.Figure:
    """A box a class of a column of facts, with the very numbers of `box_numbers`."""
    figure = go.Figure()
    for label, colour in colours(facts["label"].unique()).items():
        values = facts.loc[facts["label"] == label, column].dropna()
        if values.empty:
            continue
        box = box_numbers(values.to_numpy())
        beyond = values[(values < box.lower_whisker) | (values > box.upper_whisker)]
        figure.add_box(
            name=label,
            x=[label],
            q1=[box.first_quartile],
            median=[box.median],
            q3=[box.third_quartile],
            lowerfence=[box.lower_whisker],
            upperfence=[box.upper_whisker],
            marker_color=colour,
            fillcolor="rgba({},{},{},0.25)".format(*bytes.fromhex(colour[1:])),
        )
        figure.add_scatter(
            x=[label] * len(beyond),
            y=beyond,
            mode="markers",
            marker={"color": colour, "size": 4, "opacity": 0.7},
            hovertemplate=f"{label}: %{{y:.3f}}<extra>outlier</extra>",
        )
    return _by_class(_plain(figure, y=title, legend=False, from_zero=True))


def mean_histogram(facts: pd.DataFrame, column: str, title: str) -> go.Figure:
    """How the images of each class spread over a column of facts in [0, 1], a stepped line each."""
    figure = go.Figure()
    edges = np.linspace(0, 1, _STEPS + 1)
    for number, (label, colour) in enumerate(colours(facts["label"].unique()).items()):
        values = facts.loc[facts["label"] == label, column].dropna()
        counts, _ = np.histogram(values, edges)
        figure.add_scatter(
            name=label,
            x=(edges[:-1] + edges[1:]) / 2,
            y=100 * counts / max(counts.sum(), 1),
            line={"shape": "hvh", "color": colour, "width": 2, "dash": DASHES[number % 4]},
            hovertemplate=f"{label}, about %{{x:.2f}}: %{{y:.1f}} % of its images<extra></extra>",
        )
    told = facts[column].dropna()
    margin = 2 / _STEPS
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero")
    figure.update_xaxes(range=[max(0, told.min() - margin), min(1, told.max() + margin)])
    return _plain(figure, x=title, y="Share of the images")


def pixel_histogram(histogram: pd.DataFrame) -> go.Figure:
    """`core.datasets.intensity.pooled_histogram`, a line a class.

    Where black alone, the ground of a picture, would flatten all the rest, it leaves the figure at
    its top, and its shares are told in words.
    """
    lines = [
        go.Scatter(
            name=label,
            x=part["intensity"],
            y=100 * part["share"],
            mode="lines",
            line={"color": colour, "width": 2, "dash": DASHES[number % 4]},
            hovertemplate=f"{label}, %{{x:.2f}}: %{{y:.1f}} % of its pixels<extra></extra>",
        )
        for number, (label, colour) in enumerate(colours(histogram["label"].unique()).items())
        for part in [histogram[histogram["label"] == label]]
    ]
    figure = go.Figure(lines)
    figure.update_yaxes(ticksuffix=" %", rangemode="tozero")
    is_black = histogram["intensity"] == histogram["intensity"].min()
    black, top = histogram[is_black], histogram.loc[~is_black, "share"].max()
    if black["share"].max() > _MOST_BLACK * top:
        figure.update_yaxes(range=[0, 110 * top])
        shares = ", ".join(f"{one.label} {in_percent(one.share)}" for one in black.itertuples())
        figure.add_annotation(
            text=f"black: {shares}",
            xref="paper",
            x=0.03,
            yref="paper",
            y=1,
            xanchor="left",
            yanchor="top",
            showarrow=False,
        )
    return _plain(figure, x="Intensity of a pixel", y="Share of the pixels")


def _plain(
    figure: go.Figure, x: str = "", y: str = "", legend: bool = True, from_zero: bool = False
) -> go.Figure:
    figure.update_xaxes(title=x, showgrid=False, zeroline=False, automargin=True)
    figure.update_yaxes(title=y, gridcolor=_GRID, zeroline=False, automargin=True)
    if from_zero:
        figure.update_yaxes(rangemode="tozero")
    return figure.update_layout(
        height=_HEIGHT,
        margin={"l": 4, "r": 8, "t": 30, "b": 4},
        font_size=TEXT_SIZE - 1,
        showlegend=legend,
        legend={"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
    )


def _by_class(figure: go.Figure) -> go.Figure:
    """Classes along the axis as they are called, also if that looks like a number or a date."""
    return figure.update_xaxes(type="category")


def enlarged(pixels: np.ndarray, mask: np.ndarray | None) -> go.Figure:
    """A scan, uint8 (H, W, 3), to zoom and pan, with the outline of its lesion, bool (H, W)."""
    height, width = pixels.shape[:2]
    figure = go.Figure(go.Image(**picture_trace(pixels)))
    if border := border_trace(mask, width=2):
        figure.add_trace(border)
    figure.update_layout(
        xaxis=panel_axis(width, [0, 1], "center", 1, "x"),
        yaxis=panel_axis(height, [0, 1], "top", 1, "y"),
        height=520,
        margin={"l": 0, "r": 0, "t": 28, "b": 0},
        dragmode="pan",
        showlegend=False,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        modebar={"bgcolor": CLEAR},
    )
    return figure
