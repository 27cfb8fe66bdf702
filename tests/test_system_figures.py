"""Figures of systems: what they hold, whose colours they take, and that four classes fit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from plotly.colors import hex_to_rgb
from test_figures import COLOUR_BLINDNESS, DARK, LIGHT, contrast, linear

from core.evaluation.curves import Curve
from core.figures import systems as figures

FOUR = ("Normal", "Benign", "InSitu", "Invasive")


def a_curve(height: float) -> Curve:
    grid = np.array([0.0, 0.5, 1.0])
    return Curve(grid, grid * height, grid, grid * height / 2, grid)


def some_bins() -> pd.DataFrame:
    numbers = {"probability": 0.9, "observed": 0.8, "n": 12, "groups": 9, "low": 0.5, "high": 0.95}
    return pd.DataFrame([numbers])


def a_history(epochs: int) -> pd.DataFrame:
    columns = ["loss", *figures.TRAINING_PANELS]
    return pd.DataFrame({"epoch": range(epochs)} | {name: range(epochs) for name in columns})


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_every_system_has_a_legend_its_colour_and_two_bands(number):
    systems = [
        figures.Curves(f"System {n}", "grouped split, n = 9", a_curve(1), a_curve(0.5), 0.25)
        for n in range(number)
    ]
    figure = figures.curve_figure(systems, "malignant")
    named = [trace for trace in figure.data if trace.name]
    legend = [trace.name for trace in named if trace.showlegend is None]
    assert legend == [f"System {n}<br>grouped split, n = 9" for n in range(number)]
    assert len({trace.line.color for trace in named}) == number
    assert len({trace.line.dash for trace in named}) == number
    assert sum(trace.fill == "tonexty" for trace in figure.data) == 2 * number
    guessing = [trace for trace in figure.data if list(trace.y) == [0.25, 0.25]]
    assert len(guessing) == number


def test_precision_is_drawn_in_steps_that_hold_up_to_their_recall():
    system = figures.Curves("A", "n", a_curve(1), a_curve(0.5), 0.25)
    figure = figures.curve_figure([system], "malignant")
    (steps,) = [t for t in figure.data if t.name and t.xaxis == "x2"]
    assert steps.line.shape == "vh"


@pytest.mark.parametrize(("number", "grid"), [(1, (1, 1)), (2, (1, 2)), (3, (1, 3)), (4, (2, 2))])
def test_panels_stand_side_by_side_and_say_of_what_they_are(number, grid):
    systems = [
        figures.Calibration(f"System {n}", "grouped split, 9 images", some_bins(), some_bins())
        for n in range(number)
    ]
    figure = figures.reliability_figure(systems, "malignant")
    rows, columns = grid
    domains = {tuple(axis.domain) for axis in figure.select_xaxes()}
    assert len(domains) == columns
    assert len({tuple(axis.domain) for axis in figure.select_yaxes()}) == rows
    texts = [one.text for one in figure.layout.annotations]
    assert texts == [f"<b>System {n}</b><br>grouped split, 9 images" for n in range(number)]
    assert sum(bool(trace.showlegend) for trace in figure.data if trace.name) == 2


def test_bars_of_a_bin_are_its_interval():
    system = figures.Calibration("A", "n", some_bins(), some_bins())
    bins = [
        t for t in figures.reliability_figure([system], "x").data if t.error_y.array is not None
    ]
    assert len(bins) == 2
    assert bins[0].error_y.array[0] == pytest.approx(0.15)
    assert bins[0].error_y.arrayminus[0] == pytest.approx(0.3)


def test_the_four_curves_of_the_papers_start_at_epoch_one():
    figure = figures.training_figure({"A, n = 5": a_history(3), "B, n = 6": a_history(2)})
    assert len(figure.data) == 2 * (4 + 1)  # and the training loss
    assert figure.data[0].x.tolist() == [1, 2, 3]
    assert [one.text for one in figure.layout.annotations] == [*figures.TRAINING_PANELS.values()]
    assert [t.name for t in figure.data if t.showlegend] == ["A, n = 5", "B, n = 6"]


@pytest.mark.parametrize("shares", [False, True])
def test_a_matrix_of_four_classes_with_one_that_has_no_images(shares):
    counts = np.diag([5, 2, 0, 1]) + np.eye(4, k=1, dtype=int)
    counts[2] = 0
    matrix = figures.Matrix("A", "grouped split", FOUR, counts, [f"s{n}" for n in range(4)])
    (cells,) = figures.confusion_figure([matrix], shares).data
    assert cells.z[0].tolist() == pytest.approx([5 / 6, 1 / 6, 0, 0])
    assert cells.z[2].tolist() == [0, 0, 0, 0]
    first = list(cells.text[0])
    assert first == (["83 %", "17 %", "0 %", "0 %"] if shares else [5, 1, 0, 0])
    assert list(cells.y) == [f"{name}<br>s{n}" for n, name in enumerate(FOUR)]


@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_lines_stand_out_from_both_backgrounds(background):
    for colour, _ in figures.SERIES:
        assert contrast(hex_to_rgb(colour), background) >= 3


def test_text_on_cells_is_readable():
    for cell in figures.CELLS:
        assert contrast(hex_to_rgb(cell), hex_to_rgb(figures.ON_CELLS)) >= 4.5


@pytest.mark.parametrize("kind", COLOUR_BLINDNESS)
def test_lines_differ_for_the_colour_blind_and_by_their_dash(kind):
    seen = [np.array(COLOUR_BLINDNESS[kind]) @ linear(hex_to_rgb(c)) for c, _ in figures.SERIES]
    gaps = [np.abs(a - b).max() for n, a in enumerate(seen) for b in seen[:n]]
    assert min(gaps) > 0.1
    assert len({dash for _, dash in figures.SERIES}) == len(figures.SERIES)
