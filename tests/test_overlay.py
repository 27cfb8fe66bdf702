"""The heatmap over its scan, by hand. Colours are matplotlib's Inferno at 0, 128 and 255."""

from __future__ import annotations

import numpy as np
import pytest

from core.explain.heatmap import Heatmap, positive_part
from core.explain.overlay import overlay

MIDDLE = (188, 55, 84)
TOP = (252, 255, 164)


def scan(grey: int, shape=(2, 2)) -> np.ndarray:
    return np.full((*shape, 3), grey, np.uint8)


def heatmap(values) -> Heatmap:
    return Heatmap(np.array(values, np.float32), 1.0)


def test_no_evidence_leaves_the_scan_untouched():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    for opacity in (0.0, 0.5, 1.0):
        np.testing.assert_array_equal(overlay(pixels, heatmap(np.zeros((3, 3))), opacity), pixels)


def test_nothing_shows_through_full_opacity():
    shown = overlay(scan(77), heatmap(np.ones((2, 2))), opacity=1.0)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, np.broadcast_to(TOP, (2, 2, 3)))


def test_no_opacity_shows_only_the_scan():
    np.testing.assert_array_equal(overlay(scan(77), heatmap(np.ones((2, 2))), 0.0), scan(77))


def test_blend_grows_with_the_evidence():
    # Weights opacity * value = 0, 1/4, 1/2 on white, beside colours 0, 128 and 255 of the map.
    shown = overlay(scan(255, (1, 3)), heatmap([[0, 0.5, 1]]), opacity=0.5)
    quarter = [255 * 0.75 + colour * 0.25 for colour in MIDDLE]
    half = [255 * 0.5 + colour * 0.5 for colour in TOP]
    np.testing.assert_allclose(shown, [[[255] * 3, quarter, half]], atol=0.5)


def test_map_is_brought_to_the_size_of_the_scan():
    shown = overlay(scan(0, (4, 6)), heatmap([[1, 0]]), opacity=1.0)
    np.testing.assert_array_equal(shown[:, 0], np.broadcast_to(TOP, (4, 3)))
    np.testing.assert_array_equal(shown[:, -1], 0)
    assert (np.diff(shown[0].sum(axis=-1).astype(int)) <= 0).all()


def test_a_map_that_is_not_finite_leaves_the_scan_untouched():
    broken = positive_part(np.array([[np.nan, 1.0]]))
    np.testing.assert_array_equal(overlay(scan(9), broken), scan(9))


def test_scan_is_not_written_to():
    pixels = scan(40)
    pixels.setflags(write=False)
    overlay(pixels, heatmap(np.ones((2, 2))))
    np.testing.assert_array_equal(pixels, scan(40))


@pytest.mark.parametrize("opacity", [0.3, 0.5])
def test_default_and_given_opacity(opacity: float):
    shown = overlay(scan(0), heatmap(np.ones((2, 2))), opacity)
    np.testing.assert_allclose(shown[0, 0], np.multiply(TOP, opacity), atol=0.5)
    np.testing.assert_allclose(
        overlay(scan(0), heatmap(np.ones((2, 2))))[0, 0], np.multiply(TOP, 0.5), atol=0.5
    )
