"""The grid of maps, on the screen and as one picture: geometry, linking, words and pixels."""

from __future__ import annotations

import io
from dataclasses import replace

import cv2
import numpy as np
import pytest
from PIL import Image

from core.borders import OUTLINE
from core.card import INTENDED_USE
from core.figures import panel_png
from core.figures.panel_grid import Panel, PanelRow, describe_grid, panel_grid
from core.figures.panel_png import grid_png
from core.wording import percent

GREY = np.full((40, 60, 3), 100, np.uint8)


def row(title: str, *values, pixels=GREY, **words) -> PanelRow:
    maps = [Panel(f"M{at}", one, f"{at} ms", **words) for at, one in enumerate(values)]
    return PanelRow(title, pixels, tuple(maps))


def corner(height: int = 7, width: int = 7) -> np.ndarray:
    values = np.zeros((height, width), np.float32)
    values[0, 0] = 1
    return values


def box() -> np.ndarray:
    mask = np.zeros((40, 60), bool)
    mask[10:20, 30:50] = True
    return mask


def texts(figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def axes(figure, letter: str) -> list:
    layout = figure.to_dict()["layout"]
    return [figure.layout[name] for name in layout if name.startswith(f"{letter}axis")]


def lines(figure) -> list:
    return [trace for trace in figure.data if trace.type == "scatter" and trace.mode == "lines"]


@pytest.mark.parametrize(("maps", "systems", "panels"), [(1, 1, 2), (3, 2, 8), (6, 2, 16)])
def test_every_row_begins_with_the_scan_and_all_share_one_view(maps, systems, panels):
    rows = [row(f"S{number}", *[corner()] * maps) for number in range(systems)]
    figure = panel_grid(rows, "malignant")
    kinds = [trace.type for trace in figure.data]
    assert kinds.count("image") == panels
    assert kinds.count("heatmap") == maps * systems
    for letter in "xy":
        first, *others = axes(figure, letter)
        assert len(others) == panels - 1
        assert first.matches is None
        assert {axis.matches for axis in others} == {letter}
        assert {tuple(axis.range) for axis in others} == {tuple(first.range)}


def test_panels_lie_apart_from_each_other():
    figure = panel_grid([row("A", *[corner()] * 5), row("B", *[corner()] * 5)], "malignant")
    boxes = [
        (*x.domain, *y.domain) for x, y in zip(axes(figure, "x"), axes(figure, "y"), strict=True)
    ]
    assert all(0 <= edge <= 1 for one in boxes for edge in one)
    for at, (left, right, low, high) in enumerate(boxes):
        for other in boxes[at + 1 :]:
            beside = right <= other[0] or other[1] <= left
            assert beside or high <= other[2] or other[3] <= low


def test_rows_of_many_maps_are_continued_below_under_the_same_name():
    figure = panel_grid([row("A", *[corner()] * 6), row("B", *[corner()] * 6)], "malignant")
    titles = [text for text in texts(figure) if text.startswith("<b>")]
    assert titles == ["<b>A</b>", "<b>B</b>", "<b>A</b>", "<b>B</b>"]
    names = [text for text in texts(figure) if text[0] == "M"]
    assert names == [f"M{at}" for at in (0, 1, 2, 0, 1, 2, 3, 4, 5, 3, 4, 5)]


def test_the_slider_drives_every_overlay_and_nothing_else():
    rows = [row("A", corner(), None, corner()), row("B", corner(), corner(), corner())]
    figure = panel_grid(rows, "malignant", opacity=0.35, outline=box())
    (slider,) = figure.layout.sliders
    overlays = [at for at, trace in enumerate(figure.data) if trace.type == "heatmap"]
    assert len(overlays) == 5
    assert {tuple(step.args[1]) for step in slider.steps} == {tuple(overlays)}
    assert slider.steps[slider.active].args[0]["opacity"] == pytest.approx(0.35)
    assert {figure.data[at].opacity for at in overlays} == {0.35}


def test_the_outline_is_drawn_over_every_picture_where_the_lesion_is():
    figure = panel_grid([row("A", corner())], "malignant", outline=box())
    first, second = lines(figure)
    assert (first.xaxis, second.xaxis) == ("x", "x2")
    x, y = np.array(first.x, float), np.array(first.y, float)
    assert (np.nanmin(x), np.nanmax(x), np.nanmin(y), np.nanmax(y)) == (30, 49, 10, 19)
    assert np.isnan(x[-1])
    assert (x[0], y[0]) == (x[-2], y[-2]), "a closed line"
    order = [trace.type for trace in figure.data if trace.xaxis == "x2"]
    assert order == ["image", "heatmap", "scatter"]


@pytest.mark.parametrize("outline", [None, np.zeros((40, 60), bool)])
def test_without_a_lesion_no_outline_is_drawn(outline):
    figure = panel_grid([row("A", corner())], "malignant", outline=outline)
    assert not lines(figure)


def test_the_colour_key_does_not_fade_and_names_what_it_measures():
    figure = panel_grid([row("A", corner())], "malignant", "Viridis")
    key = figure.data[-1].marker
    assert key.colorbar.tickvals == (0, 1)
    assert "relative evidence for malignant" in texts(figure)
    assert not [colour for _, colour in key.colorscale if colour.startswith("rgba")]
    assert (key.cmin, key.cmax) == (0, 1)


def test_a_missing_or_empty_map_says_so_upon_the_picture_and_in_words():
    rows = [row("A", None, np.zeros((7, 7)), note="No positive evidence for this class")]
    figure = panel_grid(rows, "malignant")
    shown = [text.replace("<br>", " ") for text in texts(figure)]
    assert shown.count("No positive evidence for this class") == 2
    assert "M0 (No positive evidence for this class)" in describe_grid(rows, "malignant")


def test_the_text_alternative_tells_where_each_map_peaks():
    assert describe_grid([row("A", corner(), corner()[::-1])], "malignant") == (
        "Heatmaps for malignant, as linked pictures. "
        "A: M0 strongest in the upper left; M1 strongest in the lower left."
    )


def test_many_large_pictures_stay_small_together():
    large = np.random.default_rng(0).integers(0, 255, (1000, 1500, 3), np.uint8)
    figure = panel_grid([row("A", *[corner()] * 4, pixels=large)] * 3, "malignant")
    image = figure.data[0]
    assert image.dx > 2
    assert image.x0 - image.dx / 2 == pytest.approx(-0.5)


# ---------------------------------------------------------------- as one picture


def picture(rows, **options) -> np.ndarray:
    data = grid_png(rows, "Evidence", "malignant", **options)
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def cell(sheet: np.ndarray, column: int) -> np.ndarray:
    """The picture in a column of the first row."""
    left = panel_png._EDGE + column * (panel_png.CELL + panel_png._GAP)
    top = panel_png._EDGE + 4 * panel_png._LINE
    return sheet[top : top + panel_png.CELL * 40 // 60, left : left + panel_png.CELL]


def test_the_picture_holds_scan_and_overlay():
    sheet = picture([row("A", corner())], opacity=0.5)
    scan, overlay = cell(sheet, 0), cell(sheet, 1)
    assert (scan == 100).all()
    assert (overlay[-20:, -20:] == 100).all(), "no evidence, no colour"
    brightest = np.array([252, 255, 164])  # the end of Inferno
    assert np.abs(overlay[5, 5] - (100 + brightest) / 2).max() <= 2


def test_the_picture_shows_the_outline_where_the_lesion_is():
    sheet = picture([row("A", corner())], outline=box())
    colour = [int(OUTLINE[at : at + 2], 16) for at in (1, 3, 5)]
    found = np.argwhere((cell(sheet, 0) == colour).all(axis=-1)) * 60 / panel_png.CELL
    assert found.min(axis=0) == pytest.approx([10, 30], abs=0.7)
    assert found.max(axis=0) == pytest.approx([20, 50], abs=0.7)


def test_the_picture_has_words_above_below_and_upon():
    blank = PanelRow("", GREY, (Panel("", None),))
    told = PanelRow("A", GREY, (Panel("M0", None, percent(0.5), "No map"),))
    differs = (picture([blank]) != picture([told])).any(axis=(-1, 1))
    top = panel_png._EDGE + 2 * panel_png._LINE
    tall = panel_png.CELL * 40 // 60
    head, within, below = (
        differs[top : top + 2 * panel_png._LINE],
        differs[top + 2 * panel_png._LINE : top + 2 * panel_png._LINE + tall],
        differs[top + 2 * panel_png._LINE + tall :],
    )
    assert head.any()
    assert within.any()
    assert below.any()


def test_a_caption_of_two_lines_makes_room_for_both():
    one, two = ([PanelRow("A", GREY, (Panel("M0", corner(), text),))] for text in ("a", "a\nb"))
    figures = [panel_grid(rows, "benign") for rows in (one, two)]
    assert figures[1].layout.height > figures[0].layout.height
    assert "a<br>b" in [words.text for words in figures[1].layout.annotations]
    assert picture(two).shape[0] > picture(one).shape[0]


@pytest.mark.parametrize("maps", [1, 2, 4])
@pytest.mark.parametrize("explained", ["malignant", "malignant rather than a class of a long name"])
def test_no_word_of_the_picture_is_cut_or_lies_upon_another(maps, explained):
    rows = [row("A", *[corner()] * maps)]
    foot = f"LesionLens. {INTENDED_USE}"
    data = grid_png(rows, f"Evidence for {explained}", explained, foot=foot)
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("L"))
    edge = panel_png._EDGE
    assert (sheet[:, -edge + 4 :] == 255).all() and (sheet[:, : edge - 4] == 255).all()
    # Between the heading and the colour bar with its label some columns are blank.
    head = (sheet[edge : edge + 2 * panel_png._LINE] < 255).any(axis=0)
    ink = np.flatnonzero(head)
    assert np.diff(ink).max() >= panel_png._GAP


def test_the_picture_grows_with_systems_and_methods():
    one = picture([row("A", corner())])
    two = picture([row("A", corner()), row("B", corner())])
    three = picture([row("A", corner(), corner())])
    assert two.shape[0] > one.shape[0]
    assert three.shape[1] > one.shape[1]


def test_pixels_that_are_not_square_are_drawn_as_they_lie_in_the_body():
    wide = row("A", corner())
    high = replace(wide, aspect=1.5)
    axes = [panel_grid([one], "benign").layout.yaxis2.scaleratio for one in (wide, high)]
    assert axes == [1, 1.5]
    low, tall = (picture([one]).shape[0] for one in (wide, high))
    ratio = GREY.shape[0] / GREY.shape[1]
    assert tall - low == pytest.approx(0.5 * ratio * panel_png.CELL, abs=1)


def test_a_picture_is_enlarged_with_its_proportions():
    high = {}
    for height in (40, 60, 3000, 60000):
        data = grid_png([row("A", corner(), pixels=cv2.resize(GREY, (30, height)))], "", "benign")
        high[height] = Image.open(io.BytesIO(data)).height
    assert high[60] - high[40] == pytest.approx((60 - 40) / 30 * panel_png.CELL, abs=1)
    assert high[3000] == high[60000] == high[60], "one that is narrower takes no more paper"


def test_a_note_stands_upon_its_picture_however_narrow_that_is():
    narrow = row("A", None, pixels=np.full((3000, 30, 3), 255, np.uint8), note="no")
    sheet = np.asarray(Image.open(io.BytesIO(grid_png([narrow], "", "benign"))).convert("L"))
    place = panel_png._EDGE + panel_png.CELL + panel_png._GAP
    within = sheet[panel_png.TALLEST // 2 : panel_png.TALLEST, place : place + panel_png.CELL]
    dark = np.flatnonzero((within < 100).any(axis=0))
    assert abs(dark.mean() - panel_png.CELL / 2) < 20
