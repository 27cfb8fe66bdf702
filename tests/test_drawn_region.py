"""A drawn region as a mask, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.borders import border_trace, draw_border
from core.drawn_region import Shapes, drawing_figure, drawn_mask, is_sound


def test_a_box_holds_the_pixels_whose_centres_it_holds():
    mask = drawn_mask(Shapes([{"x": [2.6, 0.9], "y": [1.5, 3.0]}], []), 5, 4)
    expected = np.zeros((5, 4), bool)
    expected[2:4, 1:3] = True
    np.testing.assert_array_equal(mask, expected)


def test_a_lasso_holds_what_it_surrounds():
    # A right triangle with legs of 4 pixels: 5 + 4 + 3 + 2 + 1 centres, its border included.
    mask = drawn_mask(Shapes([], [{"x": [0, 4, 0], "y": [0, 0, 4]}]), 6, 6)
    np.testing.assert_array_equal(mask[:5, :5], np.add.outer(range(5), range(5)) <= 4)
    assert mask.sum() == 15


def test_what_a_lasso_goes_around_twice_is_inside():
    turns = np.linspace(0, 4 * np.pi, 80)
    radius = np.linspace(12, 9, 80)
    line = {"x": 15 + radius * np.cos(turns), "y": 15 + radius * np.sin(turns)}
    mask = drawn_mask(Shapes([], [line]), 31, 31)
    assert mask[15, 15]
    down, across = np.mgrid[:31, :31] - 15
    assert mask[np.hypot(down, across) <= 9].all()


def test_the_border_of_a_region_is_that_of_its_holes_too():
    mask = np.zeros((30, 30), bool)
    mask[4:26, 4:26] = True
    whole = border_trace(mask)
    mask[10:20, 10:20] = False
    x, y = (np.asarray(border_trace(mask)[axis]) for axis in "xy")
    assert np.isnan(x).sum() == 2 == 2 * np.isnan(whole["x"]).sum()
    inner = (x > 5) & (x < 24) & (y > 5) & (y < 24)
    assert inner.any() and (np.abs(x[inner] - 14.5) <= 6).all()
    picture = np.zeros((30, 30, 3), np.uint8)
    draw_border(picture, mask, 1)
    assert picture[14, 9:11].any() and not picture[14, 14].any()


def test_corners_of_a_lasso_are_at_the_nearest_pixels():
    square = {"x": [1.6, 4.4, 4.4, 1.6], "y": [2.4, 2.4, 4.6, 4.6]}
    found = np.argwhere(drawn_mask(Shapes([], [square]), 8, 8))
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == ([2, 2], [5, 4])


def test_several_shapes_are_one_region():
    box, lasso = {"x": [0, 1], "y": [0, 1]}, {"x": [3, 5, 5, 3], "y": [3, 3, 5, 5]}
    mask = drawn_mask(Shapes([box], [lasso]), 6, 6)
    assert mask.sum() == 4 + 9


@pytest.mark.parametrize(
    ("boxes", "lassos"),
    [([], []), ([], [{"x": [1, 2], "y": [1, 2]}]), ([{"x": [9, 12], "y": [0, 3]}], [])],
)
def test_nothing_drawn_is_an_empty_mask(boxes, lassos):
    assert not drawn_mask(Shapes(boxes, lassos), 6, 6).any()


def test_what_lies_outside_is_cut_off():
    assert drawn_mask(Shapes([{"x": [-5, 99], "y": [-5, 99]}], []), 6, 7).all()


def test_the_figure_is_drawn_on_in_pixels_of_the_scan():
    figure = drawing_figure(np.zeros((40, 60, 3), np.uint8))
    assert figure.layout.dragmode == "lasso"
    assert list(figure.layout.xaxis.range) == [-0.5, 59.5]
    assert list(figure.layout.yaxis.range) == [39.5, -0.5]
    assert any(trace.type == "scatter" for trace in figure.data), "what Plotly can select"


@pytest.mark.parametrize("x", [[1], [1, None], [1, float("nan")]])
def test_shapes_without_points_or_with_places_that_are_none_are_not_sound(x):
    assert not is_sound({"x": x, "y": [2] * len(x)})
    assert is_sound({"x": [1, 2], "y": [0, 4]})


def test_what_was_drawn_before_is_there_again():
    box, lasso = {"x": [1, 4], "y": [2, 6]}, {"x": [0.5, 3, 2], "y": [1, 1, 4]}
    rectangle, path = drawing_figure(
        np.zeros((9, 9, 3), np.uint8), drawn=Shapes([box], [lasso])
    ).layout.selections
    assert (rectangle.x0, rectangle.x1, rectangle.y0, rectangle.y1) == (1, 4, 2, 6)
    assert path.path == "M0.5,1L3,1L2,4Z"
