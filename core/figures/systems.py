"""Plotly figures of trained systems beside each other.

Each says in itself which protocol and how many images it is of, so that an exported picture does
too. Systems differ in colour and in dashes, never in colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from plotly.colors import hex_to_rgb
from plotly.subplots import make_subplots

from core.evaluation.curves import Curve
from core.figures.style import TEXT_SIZE
from core.wording import in_percent

# Colour and dash of each system. Blue, orange, green and pink stay apart under every common colour
# blindness, and keep a contrast of 3:1 on white and on near-black.
SERIES = (("#0072b2", "solid"), ("#c8450a", "dash"), ("#009e73", "dot"), ("#b8609a", "dashdot"))
NEUTRAL = "#7f8c97"
BAND = 0.16
CELLS, ON_CELLS = ["#e9eff4", "#86aed3"], "#17232e"  # every cell light enough for dark text
LEGEND_LINE = 24

TRAINING_PANELS = {
    "val_accuracy": "Validation accuracy",
    "val_precision": "Validation precision",
    "val_recall": "Validation recall",
    "val_loss": "Validation loss",
}


@dataclass(frozen=True)
class Curves:
    """Two lines of the legend, and the two curves of one class that belong to them."""

    name: str
    about: str
    roc: Curve
    precision_recall: Curve
    share: float  # of the images that are of the class: the precision of guessing


@dataclass(frozen=True)
class Calibration:
    """Two lines of text, and reliability as ``core.evaluation.curves.reliability`` gives it."""

    name: str
    about: str
    before: pd.DataFrame
    after: pd.DataFrame


@dataclass(frozen=True)
class Matrix:
    """Two lines of text, counts (C, C), rows true, and a text a row, such as its sensitivity."""

    name: str
    about: str
    classes: Sequence[str]
    counts: np.ndarray
    row_notes: Sequence[str]


def curve_figure(systems: Sequence[Curves], label: str) -> go.Figure:
    """ROC and precision-recall curves of one class, up to four systems, with bands."""
    figure = make_subplots(
        cols=2,
        horizontal_spacing=0.1,
        subplot_titles=[f"ROC, {label} against the rest", f"Precision and recall, {label}"],
    )
    figure.add_trace(_reference([0, 1], [0, 1]), row=1, col=1)
    for system, (colour, dash) in zip(systems, SERIES, strict=False):
        line = {"color": colour, "dash": dash, "width": 2.5}
        figure.add_traces(_band(system.roc, colour), rows=1, cols=1)
        figure.add_traces(_band(system.precision_recall, colour), rows=1, cols=2)
        figure.add_trace(_reference([0, 1], [system.share] * 2, colour), row=1, col=2)
        name = f"{system.name}<br>{system.about}"
        roc = _line(name, system.roc, line, ("1 − specificity", "sensitivity"))
        figure.add_trace(roc, row=1, col=1)
        steps = line | {"shape": "vh"}
        precision = _line(name, system.precision_recall, steps, ("recall", "precision"))
        figure.add_trace(precision.update(showlegend=False), row=1, col=2)
    _share_axes(figure)
    for column, across, up in (
        (1, "1 − specificity", "Sensitivity"),
        (2, "Recall (sensitivity)", "Precision"),
    ):
        figure.update_xaxes(title=across, row=1, col=column)
        figure.update_yaxes(title=up, row=1, col=column)
    return _laid_out(figure, 380, legend_lines=2 * len(systems))


def reliability_figure(systems: Sequence[Calibration], score: str) -> go.Figure:
    """Predicted probability of ``score`` against how often it came true, a panel a system."""
    figure, places = _panels([_titled(one) for one in systems])
    for number, (system, place) in enumerate(zip(systems, places, strict=True)):
        figure.add_trace(_reference([0, 1], [0, 1]), **place)
        for table, name, colour, symbol in (
            (system.before, "as trained", NEUTRAL, "circle-open"),
            (system.after, "after temperature scaling", SERIES[0][0], "circle"),
        ):
            figure.add_trace(_bins(table, name, colour, symbol, number == 0), **place)
    _share_axes(figure)
    figure.update_xaxes(title=f"Probability of {score}")
    figure.update_yaxes(title="Came true", col=1)
    return _laid_out(figure, 380 * places[-1]["row"], legend_lines=1, horizontal=True, top=96)


def training_figure(histories: dict[str, pd.DataFrame]) -> go.Figure:
    """The four curves of the papers, by legend text: one row an epoch, as in ``history.csv``.

    Thin lines in the panel of the loss are the losses on the training images.
    """
    figure = make_subplots(
        2, 2, subplot_titles=list(TRAINING_PANELS.values()), vertical_spacing=0.16
    )
    for (name, history), (colour, dash) in zip(histories.items(), SERIES, strict=False):
        epochs = history["epoch"] + 1
        for number, column in enumerate(TRAINING_PANELS):
            figure.add_trace(
                go.Scatter(
                    x=epochs,
                    y=history[column],
                    name=name,
                    mode="lines+markers",
                    line={"color": colour, "dash": dash, "width": 2},
                    marker_size=4,
                    showlegend=number == 0,
                    hovertemplate="epoch %{x}: %{y:.3f}<extra></extra>",
                ),
                row=number // 2 + 1,
                col=number % 2 + 1,
            )
        training = go.Scatter(
            x=epochs,
            y=history["loss"],
            mode="lines",
            line={"color": colour, "width": 1},
            showlegend=False,
            hovertemplate="epoch %{x}, training: %{y:.3f}<extra></extra>",
        )
        figure.add_trace(training, row=2, col=2)
    figure.update_xaxes(title="Epoch", row=2)
    figure.update_yaxes(rangemode="tozero", row=2, col=2)
    return _laid_out(figure, 480, legend_lines=len(histories))


def confusion_figure(systems: Sequence[Matrix], shares: bool) -> go.Figure:
    """Confusion matrices, a panel a system; cells hold counts, or shares of their row."""
    figure, places = _panels([_titled(one) for one in systems], spacing=0.16)
    for system, place in zip(systems, places, strict=True):
        counts = np.asarray(system.counts)
        rows = counts.sum(axis=1, keepdims=True)
        share = np.divide(counts, rows, out=np.zeros(counts.shape), where=rows > 0)
        told = [[in_percent(one) for one in row] for row in share]
        figure.add_trace(
            go.Heatmap(
                z=share,
                x=list(system.classes),
                y=[f"{c}<br>{n}" for c, n in zip(system.classes, system.row_notes, strict=True)],
                text=told if shares else counts,
                hovertext=told,
                texttemplate="%{text}",
                textfont={"size": TEXT_SIZE + 2, "color": ON_CELLS},
                customdata=counts,
                hovertemplate="%{customdata} images, %{hovertext} of the row<extra></extra>",
                colorscale=CELLS,
                zmin=0,
                zmax=1,
                showscale=False,
                xgap=2,
                ygap=2,
            ),
            **place,
        )
    names = {"type": "category", "showgrid": False, "ticks": ""}  # also "10" and "2024-01"
    figure.update_xaxes(title="Predicted", **names)
    figure.update_yaxes(autorange="reversed", automargin=True, **names)
    figure.update_yaxes(title="True", col=1)
    tallest = max(len(one.classes) for one in systems)
    _laid_out(figure, (130 + 62 * tallest) * places[-1]["row"], top=80)
    return figure.update_yaxes(title_standoff=16)


def _panels(titles: list[str], spacing: float = 0.09) -> tuple[go.Figure, list[dict]]:
    """Up to three panels in a row, four in two rows, and the place of each."""
    columns = len(titles) if len(titles) < 4 else 2
    rows = -(-len(titles) // columns)
    figure = make_subplots(
        rows,
        columns,
        subplot_titles=titles,
        horizontal_spacing=spacing,
        vertical_spacing=0.3 / rows,
    )
    places = [{"row": n // columns + 1, "col": n % columns + 1} for n in range(len(titles))]
    return figure, places


def _titled(system: Calibration | Matrix) -> str:
    return f"<b>{system.name}</b><br>{system.about}"


def _bins(table: pd.DataFrame, name: str, colour: str, symbol: str, legend: bool) -> go.Scatter:
    return go.Scatter(
        x=table["probability"],
        y=table["observed"],
        mode="markers",
        name=name,
        legendgroup=name,
        showlegend=legend,
        marker={
            "symbol": symbol,
            "color": colour,
            "size": 5 + np.sqrt(table["n"]),
            "line": {"width": 1.5, "color": colour},
        },
        error_y={
            "array": table["high"] - table["observed"],
            "arrayminus": table["observed"] - table["low"],
            "width": 0,
            "thickness": 1,
        },
        text=table["observed"].map(in_percent),
        customdata=table[["n", "groups"]],
        hovertemplate="probability %{x:.2f}, came true %{text}<br>"
        "%{customdata[0]} images, %{customdata[1]} groups<extra></extra>",
    )


def _line(name: str, curve: Curve, line: dict, axes: tuple[str, str]) -> go.Scatter:
    """A curve that names its axes where the mouse is."""
    across, up = axes
    told = f"{across} %{{x:.2f}}<br>{up} %{{y:.2f}}<extra></extra>"
    return go.Scatter(x=curve.x, y=curve.y, name=name, line=line, hovertemplate=told)


def _band(curve: Curve, colour: str) -> list[go.Scatter]:
    edge = {"x": curve.grid, "mode": "lines", "line_width": 0, "showlegend": False}
    filled = f"rgba({', '.join(map(str, hex_to_rgb(colour)))}, {BAND})"
    return [
        go.Scatter(**edge, y=curve.low, hoverinfo="skip"),
        go.Scatter(**edge, y=curve.high, hoverinfo="skip", fill="tonexty", fillcolor=filled),
    ]


def _reference(x: list, y: list, colour: str = NEUTRAL) -> go.Scatter:
    """What guessing gives, or perfect calibration."""
    line = {"color": colour, "width": 1, "dash": "dot"}
    return go.Scatter(x=x, y=y, mode="lines", line=line, showlegend=False, hoverinfo="skip")


def _share_axes(figure: go.Figure) -> None:
    """Both axes from 0 to 1, with room for the line at the edge."""
    figure.update_xaxes(range=[-0.01, 1.01], tickvals=[0, 0.25, 0.5, 0.75, 1])
    figure.update_yaxes(range=[-0.01, 1.02], tickvals=[0, 0.25, 0.5, 0.75, 1])


def _laid_out(
    figure: go.Figure,
    height: int,
    legend_lines: int = 0,
    horizontal: bool = False,
    top: int = 56,
) -> go.Figure:
    """Panels of this height, and below them the legend, in lines."""
    bottom = 62 + LEGEND_LINE * legend_lines
    figure.update_annotations(font_size=TEXT_SIZE)
    figure.update_xaxes(title_font_size=TEXT_SIZE, tickfont_size=TEXT_SIZE - 1)
    figure.update_yaxes(title_font_size=TEXT_SIZE, tickfont_size=TEXT_SIZE - 1, title_standoff=8)
    figure.update_layout(
        height=height + top + bottom,
        margin={"l": 60, "r": 8, "t": top, "b": bottom},
        hovermode="closest",
        legend={
            "orientation": "h" if horizontal else "v",
            "traceorder": "normal",
            "x": 0,
            "xanchor": "left",
            "y": 0,
            "yref": "container",
            "yanchor": "bottom",
            "font": {"size": TEXT_SIZE},
        },
    )
    return figure
