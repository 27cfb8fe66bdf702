"""Augmentation with known outcomes, and resampling that leaves the given images alone."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from core.augmentation import augment, augment_with_mask, resample
from core.recipe import Augmentation
from core.recipes import list_recipes
from core.refusal import Refusal


class Extreme:
    """A generator that always draws the largest (or smallest) amount and never flips."""

    def __init__(self, largest: bool = True):
        self._largest = largest

    def random(self) -> float:
        return 1.0

    def uniform(self, low: float, high: float, size: int | None = None):
        drawn = high if self._largest else low
        return drawn if size is None else np.full(size, drawn)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def photo(seed: int = 0, shape=(31, 40, 3)) -> np.ndarray:
    return rng(seed).integers(0, 256, shape).astype(np.uint8)


def grey(values) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=-1)


def disc(radius: float = 12, side: int = 81) -> np.ndarray:
    y, x = np.indices((side, side)) - (side - 1) / 2
    return grey(np.where(x**2 + y**2 <= radius**2, 255, 0))


def centroid(image: np.ndarray) -> np.ndarray:
    """Of the brightness, as (x, y) from the centre."""
    weight = image[..., 0].astype(float)
    y, x = np.indices(weight.shape)
    centre = (np.array(weight.shape[::-1]) - 1) / 2
    return np.array([(x * weight).sum(), (y * weight).sum()]) / weight.sum() - centre


def area(image: np.ndarray) -> float:
    return image[..., 0].sum() / 255


def test_no_amounts_change_no_bit():
    for seed in range(20):
        np.testing.assert_array_equal(augment(photo(seed), Augmentation(), rng(seed)), photo(seed))


@pytest.mark.parametrize("shape", [(31, 40, 3), (32, 33, 3)])
def test_certain_flip_is_the_mirror_image(shape):
    mirrored = augment(photo(shape=shape), Augmentation(horizontal_flip=1), rng())
    np.testing.assert_array_equal(mirrored, np.flip(photo(shape=shape), axis=1))


def test_flip_comes_as_often_as_asked():
    recipe = Augmentation(horizontal_flip=0.9)
    generator, image = rng(), photo(shape=(3, 4, 3))
    flips = sum((augment(image, recipe, generator) != image).any() for _ in range(1000))
    assert 870 < flips < 930  # 3 standard deviations of the binomial distribution


@pytest.mark.parametrize("recipe", [r.augmentation for r in list_recipes()])
def test_the_generator_decides_everything(recipe: Augmentation):
    image = photo()
    first = [augment(image, recipe, rng(seed)) for seed in range(8)]
    again = [augment(image, recipe, rng(seed)) for seed in range(8)]
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, photo())


def test_another_seed_gives_another_image():
    recipe = Augmentation(rotation=15, brightness=0.2)
    assert len({augment(photo(), recipe, rng(seed)).tobytes() for seed in range(8)}) == 8


def test_quarter_turn_of_a_square():
    image = photo(shape=(9, 9, 3))
    turned = augment(image, Augmentation(rotation=90), Extreme())
    np.testing.assert_array_equal(turned, np.rot90(image, k=-1))


def test_rotation_keeps_the_centre_and_the_area():
    for seed in range(10):
        turned = augment(disc(), Augmentation(rotation=180), rng(seed))
        assert np.abs(centroid(turned)).max() < 0.05
        assert area(turned) == pytest.approx(area(disc()), rel=0.01)


def test_shear_keeps_the_centre_and_the_area():
    sheared = augment(disc(), Augmentation(shear=30), Extreme())
    assert np.abs(centroid(sheared)).max() < 0.05
    assert area(sheared) == pytest.approx(area(disc()), rel=0.01)
    columns = np.flatnonzero(sheared[..., 0].any(axis=0))
    # A circle x^2 + y^2 = r^2 sheared by tan(30 degrees) is r * sqrt(1 + tan^2) wide.
    assert np.ptp(columns) == pytest.approx(24 / np.cos(np.deg2rad(30)), abs=1.5)


@pytest.mark.parametrize(("largest", "factor"), [(True, 1.25), (False, 0.75)])
def test_zoom_scales_the_area_by_the_square(largest: bool, factor: float):
    zoomed = augment(disc(), Augmentation(zoom=0.25), Extreme(largest))
    assert np.abs(centroid(zoomed)).max() < 0.05
    assert area(zoomed) == pytest.approx(factor**2 * area(disc()), rel=0.02)


@pytest.mark.parametrize(("largest", "sign"), [(True, 1), (False, -1)])
def test_shift_is_a_share_of_the_side(largest: bool, sign: int):
    shifted = augment(disc()[:, 10:], Augmentation(shift=0.1), Extreme(largest))
    # The disc lies 5 pixels left of the centre of an image 71 wide and 81 high.
    np.testing.assert_allclose(centroid(shifted), [-5 + sign * 7.1, sign * 8.1], atol=0.05)


def test_what_comes_into_view_is_a_reflection_not_black():
    bright = grey(np.full((20, 20), 90))
    for seed in range(5):
        moved = augment(bright, Augmentation(rotation=20, shift=0.1, shear=10), rng(seed))
        np.testing.assert_array_equal(moved, bright)


@pytest.mark.parametrize(("largest", "expected"), [(True, 120), (False, 80)])
def test_brightness_scales_by_the_drawn_factor(largest: bool, expected: int):
    constant = grey(np.full((6, 7), 100))
    scaled = augment(constant, Augmentation(brightness=0.2), Extreme(largest))
    np.testing.assert_array_equal(scaled, grey(np.full((6, 7), expected)))


def test_brightness_factors_fill_their_range():
    constant = grey(np.full((2, 2), 100))
    generator = rng()
    drawn = [augment(constant, Augmentation(brightness=0.2), generator) for _ in range(300)]
    assert all(np.ptp(image) == 0 for image in drawn)
    values = [int(image[0, 0, 0]) for image in drawn]
    assert (min(values), max(values)) == (80, 120)
    assert np.mean(values) == pytest.approx(100, abs=2)


def test_too_bright_stays_white():
    image = augment(grey([[250, 100]]), Augmentation(brightness=0.5), Extreme())
    np.testing.assert_array_equal(image, grey([[255, 150]]))


@pytest.mark.parametrize(("largest", "expected"), [(True, [90, 210]), (False, [110, 190])])
def test_contrast_spreads_about_the_mean(largest: bool, expected: list[int]):
    image = augment(grey([[100, 200]]), Augmentation(contrast=0.2), Extreme(largest))
    np.testing.assert_array_equal(image, grey([expected]))


@pytest.mark.parametrize(("largest", "low"), [(True, 80), (False, 120)])
def test_saturation_moves_the_smallest_channels(largest: bool, low: int):
    # HSV saturation (200 - 100) / 200 = 0.5 becomes 0.6 or 0.4; the value stays 200.
    image = np.array([[[200, 100, 100]]], np.uint8)
    changed = augment(image, Augmentation(saturation=0.2), Extreme(largest))
    np.testing.assert_array_equal(changed, [[[200, low, low]]])


@pytest.mark.parametrize(("largest", "expected"), [(True, [0, 240, 0]), (False, [0, 0, 240])])
def test_hue_turns_the_colour_circle(largest: bool, expected: list[int]):
    image = np.array([[[240, 0, 0]]], np.uint8)
    changed = augment(image, Augmentation(hue=1 / 3), Extreme(largest))
    np.testing.assert_allclose(changed, [[expected]], atol=1)


def test_grey_images_stay_grey():
    image = grey(photo()[..., 0])
    recipe = Augmentation(brightness=0.2, contrast=0.2, saturation=0.9, hue=0.5)
    for seed in range(20):
        changed = augment(image, recipe, rng(seed))
        assert (changed == changed[..., :1]).all()


def test_grey_images_ignore_hue_and_saturation():
    image = grey(photo()[..., 0])
    changed = augment(image, Augmentation(saturation=0.9, hue=0.5), rng(3))
    np.testing.assert_array_equal(changed, image)


def test_resampling_none_changes_nothing():
    images, labels = photo(shape=(5, 2, 2, 3)), np.array([0, 0, 0, 1, 2])
    same_images, same_labels = resample(images, labels, "none", 0)
    np.testing.assert_array_equal(same_images, images)
    np.testing.assert_array_equal(same_labels, labels)


@pytest.mark.parametrize("method", ["random", "smote"])
def test_resampling_evens_out_and_keeps_the_originals(method: str):
    labels = rng(1).permutation(np.repeat([0, 1, 2], [30, 12, 7]))
    images = photo(shape=(49, 3, 2, 3))
    more, more_labels = resample(images, labels, method, 0)
    assert more.dtype == np.uint8
    np.testing.assert_array_equal(np.bincount(more_labels), [30, 30, 30])
    np.testing.assert_array_equal(more[:49], images)
    np.testing.assert_array_equal(more_labels[:49], labels)


@pytest.mark.parametrize("method", ["random", "smote"])
def test_resampling_is_seeded(method: str):
    images, labels = photo(shape=(40, 2, 2, 3)), np.repeat([0, 1], [30, 10])
    first, again, other = (resample(images, labels, method, seed)[0] for seed in (4, 4, 5))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_random_resampling_repeats_images_of_the_class():
    labels = np.repeat([0, 1, 2], [20, 6, 9])
    images = photo(shape=(35, 3, 2, 3))
    more, more_labels = resample(images, labels, "random", 0)
    for copy, label in zip(more[35:], more_labels[35:], strict=True):
        assert any(np.array_equal(copy, one) for one in images[labels == label])


def test_smote_interpolates_between_two_images_of_the_class():
    # Images of two pixels are points of a plane: the new ones lie on the segments.
    labels = np.repeat([0, 1], [60, 6])
    images = photo(shape=(66, 1, 2, 1))
    more, more_labels = resample(images, labels, "smote", 0)
    assert (more_labels[66:] == 1).all()
    given = images[60:].reshape(6, 2).astype(float)
    new = more[66:].reshape(-1, 2).astype(float)
    assert len(new) == 54
    assert len(np.unique(new, axis=0)) > 40
    rounding = np.sqrt(0.5)
    for point in new:
        distances = [_distance(point, a, b) for a, b in combinations(given, 2)]
        assert min(distances) <= rounding + 1e-6


def test_smote_of_too_few_images_says_so():
    """It interpolates with one of five neighbours: six images are enough, five are not."""
    images = photo(shape=(15, 2, 2, 3))
    assert len(resample(images, np.repeat([0, 1], [9, 6]), "smote", 0)[0]) == 18
    with pytest.raises(Refusal, match="6 training images of each class, and of one there are 5"):
        resample(images, np.repeat([0, 1], [10, 5]), "smote", 0)


def _distance(point: np.ndarray, start: np.ndarray, end: np.ndarray) -> float:
    """From a point to a segment."""
    along = np.clip((point - start) @ (end - start) / ((end - start) @ (end - start)), 0, 1)
    return float(np.linalg.norm(point - start - along * (end - start)))


def test_smote_makes_305_and_305_of_305_and_147():
    labels = np.repeat([0, 1], [305, 147])
    images = photo(shape=(452, 4, 4, 3))
    more, more_labels = resample(images, labels, "smote", 0)
    np.testing.assert_array_equal(np.bincount(more_labels), [305, 305])
    minority = images[labels == 1]
    new = more[452:]
    assert (new >= minority.min(axis=0)).all()
    assert (new <= minority.max(axis=0)).all()


class TestMask:
    def test_it_moves_with_the_image(self):
        """An image that is its own mask still is after flip, turn, shift, shear and zoom."""
        mask = np.zeros((64, 64), bool)
        mask[20:40, 10:25] = True
        image = grey(mask * 255)
        moves = Augmentation(horizontal_flip=0.5, rotation=20, shift=0.1, zoom=0.2, shear=5)
        for seed in range(10):
            picture, moved = augment_with_mask(image, mask, moves, rng(seed))
            assert moved.any() and not np.array_equal(moved, mask)
            assert np.array_equal(picture[..., 0] > 127, moved)

    def test_colours_leave_it_alone(self):
        image, mask = photo(), rng(1).random((31, 40)) > 0.5
        colours = Augmentation(brightness=0.3, contrast=0.3)
        picture, same = augment_with_mask(image, mask, colours, rng(2))
        assert np.array_equal(same, mask)
        assert not np.array_equal(picture, image)

    @pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.id)
    def test_the_image_changes_as_without_it(self, recipe):
        image, mask = photo(), np.zeros((31, 40), bool)
        for seed in range(5):
            picture, _ = augment_with_mask(image, mask, recipe.augmentation, rng(seed))
            assert np.array_equal(picture, augment(image, recipe.augmentation, rng(seed)))
