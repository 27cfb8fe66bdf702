"""Windows, rulers, areas and moving pictures, against values worked out by hand."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from core.scan_types import Grey, Scan, rgb
from core.viewing import (
    goes_with,
    measure,
    moving_picture,
    value_range,
    viewing_panels,
    windows_of,
)
from core.windowing import WHOLE_BYTE, Window, apply_window, window_between

RAMP = np.arange(4096, dtype=np.uint16).reshape(1, 64, 64)


def deep(windows: tuple[Window, ...], inverted: bool = False) -> Scan:
    return Scan(
        rgb(apply_window(RAMP, windows[0], inverted)), grey=Grey(RAMP, (windows,), inverted)
    )


def test_a_window_spreads_its_values_over_the_greys():
    values = np.array([0, 100, 150, 200, 300])
    # DICOM PS3.3 C.11.2.1.2: 101 values around 150.5 are those from 100 to 200
    assert apply_window(values, Window(150.5, 101)).tolist() == [0, 0, 128, 255, 255]
    assert apply_window(values, Window(150, 100, "LINEAR_EXACT")).tolist() == [0, 0, 128, 255, 255]
    assert apply_window(values, Window(150, 100, "SIGMOID")).tolist()[2] == 128
    assert apply_window(values, window_between(100, 200)).tolist() == [0, 0, 128, 255, 255]
    assert apply_window(values, window_between(100, 200), True).tolist() == [255, 255, 127, 0, 0]


def test_windows_narrower_than_one_value_spread_fractions():
    values = np.array([-1.0, 0.0, 0.001, 0.002, 1.0])
    # C.11.2.1.2.1 knows none of LINEAR; C.11.2.1.3.2, LINEAR_EXACT: (x - c) / w + 0.5
    assert apply_window(values, Window(0.001, 0.002)).tolist() == [0, 0, 128, 255, 255]


def test_all_values_of_fractions_are_a_window_without_the_width_of_a_whole_number():
    fractions = np.linspace(0, 1, 16, dtype=np.float32).reshape(1, 4, 4)
    whole = Window(0.5, 1, "LINEAR_EXACT")
    scan = Scan(rgb(apply_window(fractions, whole)), grey=Grey(fractions, ((whole,),)))
    assert windows_of(scan, 0) == {"All values": whole}
    assert scan.pixels[0, ..., 0].ravel().tolist() == list(range(0, 256, 17))


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32])
def test_the_type_of_the_values_makes_no_difference(kind):
    values = np.random.default_rng(0).integers(0, 120, (60, 70))
    expected = np.rint(np.clip((values - 20) * 255 / 60, 0, 255))
    assert np.array_equal(apply_window(values.astype(kind), window_between(20, 80)), expected)


def test_the_window_of_a_byte_changes_nothing():
    values = np.arange(256, dtype=np.uint8)
    assert np.array_equal(apply_window(values, WHOLE_BYTE), values)


def test_what_is_no_number_is_black():
    assert apply_window(np.array([np.nan, 1.0]), window_between(0, 1)).tolist() == [0, 255]


@pytest.mark.parametrize("inverted", [False, True])
def test_views_of_deep_and_of_plain_scans(inverted):
    scan = deep((Window(2000, 1000),), inverted)
    assert np.array_equal(scan.view(0, Window(2000, 1000)), scan.pixels[0])
    assert np.array_equal(scan.view(0, Window(2000, 1000), True), 255 - scan.pixels[0])
    plain = Scan(scan.pixels.copy())
    assert np.array_equal(plain.view(0, WHOLE_BYTE), plain.pixels[0])
    assert np.array_equal(plain.view(0, WHOLE_BYTE, True), 255 - plain.pixels[0])
    seen = scan.seen_through(0, Window(100, 50))
    assert np.array_equal(seen.pixels[0], scan.view(0, Window(100, 50)))


def test_windows_to_choose_from():
    assert list(windows_of(Scan(np.zeros((1, 2, 2, 3), np.uint8)), 0)) == ["As stored"]
    whole = window_between(0, 4095)
    assert windows_of(deep((whole,)), 0) == {"All values": whole}
    soft, second = Window(40, 400, name="SOFT"), Window(1, 2)
    names = windows_of(deep((soft, second)), 0)
    assert names == {"SOFT": soft, "Window 2 of the file": second, "All values": whole}
    assert next(iter(windows_of(deep((Window(1, 2),)), 0))) == "As in the file"
    assert value_range(deep((soft,))) == (0, 4095)


def test_the_window_of_the_frame_is_the_first_to_choose_from():
    whole, other = window_between(0, 4095), Window(1000, 500)
    assert list(windows_of(deep((whole, other)), 0).values()) == [whole, other]
    same = (Window(1000, 500, name="NORMAL"), Window(2000, 500, name="NORMAL"))
    assert list(windows_of(deep(same), 0).values()) == [*same, whole]


def two_frames() -> Scan:
    """Two frames of values from 0 to 4095, of which the file shows other parts."""
    values = np.concatenate([RAMP, RAMP])
    windows = ((Window(1000, 500),), (Window(3000, 500),))
    return Scan(rgb(np.zeros(values.shape, np.uint8)), grey=Grey(values, windows), frame_ms=40)


def test_a_window_of_the_file_goes_along_to_another_frame_and_that_of_a_user_stays():
    scan = two_frames()
    assert goes_with(scan, 0, Window(1000, 500), 1) == Window(3000, 500)
    assert goes_with(scan, 1, Window(3000, 500), 0) == Window(1000, 500)
    assert goes_with(scan, 0, Window(1000, 400), 1) == Window(1000, 400)
    everything = window_between(0, 4095)
    assert goes_with(scan, 0, everything, 1) == everything


@pytest.mark.parametrize(("frame", "window"), [(0, Window(1000, 500)), (1, Window(3000, 500))])
def test_a_moving_picture_shows_each_frame_through_its_own_window(frame, window):
    image = Image.open(io.BytesIO(moving_picture(two_frames(), window, False, frame)))
    # Of the values from 0 to 4095, three quarters are above the first window, one the second.
    for number, share in enumerate((0.756, 0.268)):
        image.seek(number)
        assert abs(np.asarray(image.convert("L")).mean() / 255 - share) < 0.02


def test_both_pictures_are_linked_and_drawn_to_scale():
    pixels = np.zeros((40, 80, 3), np.uint8)
    figure = viewing_panels(pixels, pixels, (0.5, 0.25), "Ruler")
    assert figure.layout.xaxis2.matches == "x"
    assert figure.layout.yaxis2.matches == "y"
    assert figure.layout.xaxis.range == (-0.125, 19.875)  # 80 pixels of 0.25 mm
    assert figure.layout.yaxis.range == (19.75, -0.25)  # 40 pixels of 0.5 mm
    assert figure.layout.yaxis.scaleanchor == "x"
    assert figure.layout.newshape.label.texttemplate == "%{length:.1f} mm"
    assert figure.layout.dragmode == "drawline"
    for picture in (figure.data[0], figure.data[2]):
        assert (picture.dx, picture.dy) == (0.25, 0.5)
    assert (figure.layout.yaxis.scaleratio, figure.layout.yaxis2.scaleratio) == (1, 1)
    unknown = viewing_panels(pixels, pixels, None, "Move", pixel_ratio=2)
    assert (unknown.layout.yaxis.scaleratio, unknown.layout.yaxis2.scaleratio) == (2, 2)
    assert "mm" not in unknown.layout.newshape.label.texttemplate


def test_drawings_lie_over_the_view_alone_and_a_box_over_both():
    pixels = np.zeros((40, 80, 3), np.uint8)
    drawing = np.zeros((40, 80), bool)
    drawing[1:3, 4:8] = True
    box = {"x": (1, 2), "y": (3, 4)}
    figure = viewing_panels(pixels, pixels, None, "Move", drawing, box)
    original, view = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(one.source.partition(",")[2]))))
        for one in (figure.data[0], figure.data[2])
    )
    assert not original.any()
    assert np.array_equal(view.any(axis=-1), drawing)
    assert [(one.xref, one.x0, one.x1, one.y0, one.y1) for one in figure.layout.shapes] == [
        ("x", 1, 2, 3, 4),
        ("x2", 1, 2, 3, 4),
    ]


def test_an_area_is_measured_in_millimetres():
    values = np.zeros((40, 80))
    values[10:21, 20:41] = 7
    # corners at the centres of pixels (20, 10) and (40, 20), of 0.25 x 0.5 mm
    x, y = [5, 10, 10, 5], [5, 5, 10, 10]
    found = measure(x, y, values, (0.5, 0.25))
    assert found.area == pytest.approx(25)
    assert (found.width, found.height) == (5, 5)
    assert (found.mean, found.deviation) == (7, 0)
    ramp = np.tile(np.arange(80.0), (40, 1))
    assert measure([0, 2, 2, 0], [0, 0, 1, 1], ramp, None).deviation == pytest.approx(
        (2 / 3) ** 0.5
    )
    assert measure([20, 40, 40], [10, 10, 20], values, None).area == 100
    assert measure([900, 901, 901], [10, 10, 20], values, None) is None
    values[15, 30] = np.nan
    assert measure(x, y, values, (0.5, 0.25)).mean == 7
    assert measure([0, 1, 1, 0], [0, 0, 1, 1], np.full((2, 2), np.inf), None) is None


def test_a_moving_picture_is_as_high_as_it_lies_in_the_body():
    pixels = np.zeros((2, 30, 40, 3), np.uint8)
    for scan in (Scan(pixels, spacing_mm=(0.2, 0.1)), Scan(pixels, pixel_ratio=2)):
        image = Image.open(io.BytesIO(moving_picture(scan, WHOLE_BYTE, False)))
        assert image.size == (40, 60)


def test_the_area_of_a_line_that_crosses_itself():
    """A bow tie is two triangles of 50 x 25 / 2."""
    bow = [0, 50, 50, 0], [0, 50, 0, 50]
    assert measure(*bow, np.ones((60, 60)), None).area == pytest.approx(1250, rel=0.01)
    in_mm = [[0.1 * one for one in ends] for ends in bow]
    assert measure(*in_mm, np.ones((60, 60)), (0.1, 0.1)).area == pytest.approx(12.5, rel=0.01)
    folded = measure([0, 50, 25, 25], [0, 0, 0, 10], np.ones((60, 60)), None)
    assert folded.area == pytest.approx(0 + 25 * 10 / 2), "it touches itself alone"


def test_a_moving_picture_holds_all_frames_in_their_rhythm():
    pixels = np.stack([np.full((30, 40, 3), level, np.uint8) for level in (0, 90, 255)])
    image = Image.open(io.BytesIO(moving_picture(Scan(pixels, frame_ms=40), WHOLE_BYTE, False)))
    assert image.n_frames == 3
    for number, level in enumerate((0, 90, 255)):
        image.seek(number)
        assert abs(np.asarray(image.convert("RGB")).mean() - level) < 4
        assert image.info["duration"] == 40
