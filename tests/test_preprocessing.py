"""Pixels to network input, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.preprocessing import fit, fit_mask, overlay_mask, scale, to_batch
from core.recipe import Preprocessing


def settings(size=(2, 2), value_range="byte", **others) -> Preprocessing:
    return Preprocessing(size=size, value_range=value_range, **others)


def grey(values) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=-1)


@pytest.mark.parametrize(
    ("value_range", "black", "colour", "white"),
    [
        ("byte", (0, 0, 0), (51, 102, 204), (255, 255, 255)),
        ("unit", (0, 0, 0), (0.2, 0.4, 0.8), (1, 1, 1)),
        ("signed", (-1, -1, -1), (-0.6, -0.2, 0.6), (1, 1, 1)),
        (
            "imagenet",
            (-0.485 / 0.229, -0.456 / 0.224, -0.406 / 0.225),
            ((0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225),
            (0.515 / 0.229, 0.544 / 0.224, 0.594 / 0.225),
        ),
    ],
)
def test_value_ranges(value_range: str, black, colour, white):
    pixels = np.array([[[[0, 0, 0], [51, 102, 204], [255, 255, 255]]]], np.uint8)
    scaled = scale(pixels, settings(value_range=value_range))
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled, [[[black, colour, white]]], atol=2e-6)


def test_shrinking_averages_blocks():
    # Means of the four 2x2 blocks: 25, 100, 8, 255.
    pixels = grey([[10, 20, 0, 100], [30, 40, 200, 100], [8, 8, 255, 255], [0, 16, 255, 255]])
    np.testing.assert_array_equal(fit(pixels, settings()), grey([[25, 100], [8, 255]]))


def test_shrinking_stretches_to_the_network_size():
    pixels = grey([[10, 30, 50, 70, 100, 200]])
    np.testing.assert_array_equal(fit(pixels, settings(size=(1, 3))), grey([[20, 60, 150]]))


def test_image_of_the_right_size_is_unchanged():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 4, 3)).astype(np.uint8)
    np.testing.assert_array_equal(fit(pixels, settings(size=(5, 4))), pixels)


def test_enlarging_interpolates_linearly():
    # Half-pixel centres: the new pixels lie at -1/4, 1/4, 3/4, 5/4 of the old ones.
    enlarged = fit(grey([[0, 100]]), settings(size=(1, 4)))
    np.testing.assert_array_equal(enlarged, grey([[0, 25, 75, 100]]))


def test_region_of_interest_is_cut_out_before_shrinking():
    pixels = grey(np.full((4, 4), 200))
    mask = np.zeros((4, 4), bool)
    mask[:2, :2] = True
    mask[2, 2] = True
    cut = fit(pixels, settings(region="mask"), mask)
    np.testing.assert_array_equal(cut, grey([[200, 0], [0, 50]]))


def test_region_needs_both_the_rule_and_a_mask():
    pixels = grey(np.full((4, 4), 200))
    empty = np.zeros((4, 4), bool)
    whole = grey(np.full((2, 2), 200))
    np.testing.assert_array_equal(fit(pixels, settings(region="none"), empty), whole)
    np.testing.assert_array_equal(fit(pixels, settings(region="mask"), None), whole)


@pytest.mark.parametrize("size", [(320, 320), (97, 211), (500, 640)])
def test_a_mask_lies_on_its_picture_in_every_size(size):
    """The middle of a disc, whose picture is brought to the size by averages."""
    rows, columns = np.ogrid[:471, :562]
    disc = (rows - 260) ** 2 + (columns - 310) ** 2 < 110**2
    picture = np.repeat(255 * disc[..., None].astype(np.uint8), 3, axis=-1)
    seen = fit(picture, settings(size=size))[..., 0] > 127
    middles = [np.argwhere(one).mean(axis=0) for one in (seen, fit_mask(disc, settings(size=size)))]
    np.testing.assert_allclose(*middles, atol=0.1)


def test_fit_mask_stays_a_mask():
    mask = np.zeros((4, 6), bool)
    mask[:2, 3:] = True
    fitted = fit_mask(mask, settings(size=(2, 2)))
    assert fitted.dtype == bool
    np.testing.assert_array_equal(fitted, [[False, True], [False, False]])


def test_batch_is_fit_then_scale_for_images_of_any_size():
    prep = settings(value_range="unit")
    images = [grey(np.full((4, 8), 51)), grey(np.full((2, 2), 255)), grey(np.full((1, 1), 102))]
    batch = to_batch(images, prep)
    assert batch.dtype == np.float32
    expected = np.broadcast_to(np.float32([0.2, 1, 0.4])[:, None, None, None], (3, 2, 2, 3))
    np.testing.assert_allclose(batch, expected, atol=1e-6)


def test_batch_uses_the_masks_of_its_images():
    prep = settings(region="mask")
    images = [grey(np.full((2, 2), 9))] * 2
    batch = to_batch(images, prep, [np.eye(2, dtype=bool), None])
    np.testing.assert_array_equal(batch[0, ..., 0], [[9, 0], [0, 9]])
    np.testing.assert_array_equal(batch[1, ..., 0], [[9, 9], [9, 9]])


def test_batch_refuses_another_number_of_masks():
    with pytest.raises(ValueError, match="shorter"):
        to_batch([grey([[1]]), grey([[1]])], settings(), [None])


def test_read_only_pixels_of_a_scan_are_taken_and_left():
    pixels = grey(np.arange(16).reshape(4, 4))
    pixels.setflags(write=False)
    before = pixels.copy()
    to_batch([pixels], settings())
    np.testing.assert_array_equal(pixels, before)


@pytest.mark.parametrize(
    ("dimming", "outside"), [(0.0, (40, 201)), (0.5, (20, 100)), (0.75, (10, 50)), (1.0, (0, 0))]
)
def test_overlay_dims_what_lies_outside_the_lesion(dimming: float, outside: tuple[int, int]):
    image = grey([[100, 40], [201, 255]])
    mask = np.array([[True, False], [False, True]])
    shown = overlay_mask(image, mask, dimming)
    assert shown.dtype == np.uint8
    np.testing.assert_array_equal(shown, grey([[100, outside[0]], [outside[1], 255]]))


def test_overlay_dims_colours_alike():
    image = np.array([[[10, 20, 30], [100, 120, 140]]], np.uint8)
    shown = overlay_mask(image, np.array([[True, False]]), 0.5)
    np.testing.assert_array_equal(shown, [[[10, 20, 30], [50, 60, 70]]])


def test_image_without_lesion_is_not_dimmed():
    image = grey([[100, 40], [200, 255]])
    np.testing.assert_array_equal(overlay_mask(image, np.zeros((2, 2), bool), 0.5), image)
