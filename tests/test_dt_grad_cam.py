"""DT-Grad-CAM: its steps worked out by hand, its noise, and what it says of an empty region."""

from __future__ import annotations

import numpy as np
import pytest
from networks import FRAMEWORKS, HAND_IMAGE, HAND_LOGITS, random_tiny_arrays, tiny_classifier

from core.classifiers import Classifier
from core.explain import grad_cam
from core.explain.dt_grad_cam import (
    NO_REGION,
    Steps,
    dt_grad_cam,
    falling_weights,
    noisy_copies,
)
from core.explain.heatmap import NO_EVIDENCE


@pytest.fixture(scope="module", params=FRAMEWORKS)
def by_hand(request: pytest.FixtureRequest) -> Classifier:
    return tiny_classifier(request.param)


def steps_of(explanation, index: int = 0) -> Steps:
    return Steps(*(explanation.steps[name][index] for name in Steps._fields))


# --- By hand -----------------------------------------------------------------------------------


def test_weights_fall_linearly_from_1_to_a_half():
    np.testing.assert_allclose(falling_weights(3), np.array([1, 0.75, 0.5]) / 2.25)
    np.testing.assert_allclose(falling_weights(2), [2 / 3, 1 / 3])
    np.testing.assert_array_equal(falling_weights(1), [1])
    assert falling_weights(16).sum() == pytest.approx(1)
    np.testing.assert_allclose(falling_weights(3, least=0), np.array([1, 0.5, 0]) / 1.5)
    np.testing.assert_allclose(falling_weights(4, least=1), [0.25] * 4)


def test_without_noise_it_is_grad_cam_above_the_threshold(by_hand: Classifier):
    # Grad-CAM is [[0, 1], [2, 4]] / 4, in levels of 255: 0, 64, 128, 255 (rounded to even).
    # Variance between classes, times 16: {0}: 3 (149)^2 = 66603; {0, 64}: 4 (159.5)^2 = 101761;
    # {0, 64, 128}: 3 (191)^2 = 109443. So the threshold is 128, and only the last place is left.
    explanation = dt_grad_cam(by_hand, HAND_IMAGE, 0, n=3, sigma=0, kernel=1)
    np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
    steps = steps_of(explanation)
    np.testing.assert_allclose(steps.noisy, [[[0, 0.25], [0.5, 1]]] * 3, atol=1e-6)
    np.testing.assert_allclose(steps.weights, np.array([4, 3, 2]) / 9)
    np.testing.assert_allclose(steps.mean, [[0, 0.25], [0.5, 1]], atol=1e-6)
    assert {level: n for level, n in enumerate(steps.histogram) if n} == {
        0: 1,
        64: 1,
        128: 1,
        255: 1,
    }
    assert steps.threshold == pytest.approx(128 / 255)
    np.testing.assert_array_equal(steps.mask, [[False, False], [False, True]])
    heatmap = explanation.heatmaps[0]
    assert heatmap.maximum == pytest.approx(1)
    np.testing.assert_allclose(heatmap.values, [[0, 0], [0, 1]], atol=1e-6)


def test_each_noisy_map_is_cut_at_0(by_hand: Classifier):
    # B0 / 4 - B1 / 2 is [[-4, -0.75], [-0.5, 1]], as in test_grad_cam.
    steps = steps_of(dt_grad_cam(by_hand, HAND_IMAGE, 2, n=2, sigma=0, kernel=1))
    np.testing.assert_allclose(steps.noisy, [[[0, 0], [0, 1]]] * 2, atol=1e-6)


def test_what_is_inside_the_region_keeps_its_value(by_hand: Classifier):
    # Red leads green by 0, 1, 8, 9: levels 0, 28, 227, 255, and the gap lies between 28 and 227.
    red = np.float32([[0, 1], [8, 9]])
    image = np.stack([red, 0 * red, 0 * red], axis=-1)[None]
    explanation = dt_grad_cam(by_hand, image, 0, n=1, sigma=0, kernel=1)
    np.testing.assert_allclose(explanation.heatmaps[0].values, [[0, 0], [8 / 9, 1]], atol=1e-6)
    assert 28 <= explanation.steps["threshold"][0] * 255 < 227


def test_mean_of_the_noisy_maps_is_weighted(by_hand: Classifier):
    batch = np.random.default_rng(1).uniform(0, 5, (2, 6, 6, 3)).astype(np.float32)
    explanation = dt_grad_cam(by_hand, batch, np.array([0, 1]), n=4, sigma=0.2, kernel=1, seed=7)
    for index in range(2):
        steps = steps_of(explanation, index)
        # Each copy's map is what grad_cam says of that copy.
        copies = noisy_copies(batch[index], 4, 0.2, 7)
        heatmaps = grad_cam(by_hand, copies, index).heatmaps
        for map_, heatmap in zip(steps.noisy, heatmaps, strict=True):
            np.testing.assert_allclose(map_, heatmap.values * heatmap.maximum, atol=1e-5)
        expected = sum(w * m for w, m in zip((6, 5, 4, 3), steps.noisy, strict=True)) / 18
        np.testing.assert_allclose(steps.mean, expected, atol=1e-5)
        inside = np.where(steps.mask, expected, 0)
        heatmap = explanation.heatmaps[index]
        np.testing.assert_allclose(heatmap.values, inside / inside.max(), atol=1e-5)
        above = np.rint(steps.mean / steps.mean.max() * 255) > steps.threshold * 255
        np.testing.assert_array_equal(steps.mask, above)


def test_threshold_parts_the_histogram_where_the_classes_differ_most(by_hand: Classifier):
    batch = np.random.default_rng(2).uniform(0, 5, (1, 16, 16, 3)).astype(np.float32)
    steps = steps_of(dt_grad_cam(by_hand, batch, 0, n=4))
    levels = np.repeat(np.arange(256), steps.histogram)
    assert len(levels) == 16 * 16

    def between(threshold: int) -> float:
        low, high = levels[levels <= threshold], levels[levels > threshold]
        if not (len(low) and len(high)):
            return 0.0
        return len(low) * len(high) * (high.mean() - low.mean()) ** 2

    best = max(between(threshold) for threshold in range(256))
    assert between(round(steps.threshold * 255)) == pytest.approx(best)


# --- Clean-up ----------------------------------------------------------------------------------


def picture(*bright: tuple[slice, slice]) -> np.ndarray:
    """Red squares of a black image of 16 x 16."""
    image = np.zeros((1, 16, 16, 3), np.float32)
    for rows, columns in bright:
        image[0, rows, columns, 0] = 1
    return image


def test_opening_removes_specks_and_closing_fills_holes(by_hand: Classifier):
    square, speck = np.s_[1:11, 1:11], np.s_[13, 13]
    image = picture(square, speck)
    image[0, 5, 5] = 0
    plain = dt_grad_cam(by_hand, image, 0, n=1, sigma=0, kernel=1)
    np.testing.assert_array_equal(plain.steps["mask"][0], image[0, ..., 0] > 0)
    cleaned = dt_grad_cam(by_hand, image, 0, n=1, sigma=0, kernel=3)
    expected = np.zeros((16, 16), bool)
    expected[square] = True
    # An ellipse of 3 x 3 is a cross, which does not reach into the corners of the square.
    expected[[1, 1, 10, 10], [1, 10, 1, 10]] = False
    np.testing.assert_array_equal(cleaned.steps["mask"][0], expected)
    # The value inside the region stays the mean, also in the filled hole.
    assert cleaned.heatmaps[0].values[5, 5] == 0
    np.testing.assert_array_equal(cleaned.heatmaps[0].values, expected * image[0, ..., 0])


def test_a_region_lost_in_the_clean_up_is_told(by_hand: Classifier):
    explanation = dt_grad_cam(by_hand, picture(np.s_[5:7, 5:7]), 0, n=1, sigma=0, kernel=5)
    heatmap = explanation.heatmaps[0]
    assert heatmap.note == NO_REGION
    assert not heatmap.values.any()


def test_even_evidence_is_a_full_region(by_hand: Classifier):
    explanation = dt_grad_cam(by_hand, picture(np.s_[:, :]), 0, n=2, sigma=0)
    assert explanation.steps["mask"].all()
    np.testing.assert_array_equal(explanation.heatmaps[0].values, np.ones((16, 16)))


def test_no_evidence(by_hand: Classifier):
    explanation = dt_grad_cam(by_hand, picture(np.s_[2:9, 2:9]), np.array([-1.0, 0, 0]))
    assert explanation.heatmaps[0].note == NO_EVIDENCE
    assert not explanation.steps["mask"].any()
    assert np.isnan(explanation.steps["threshold"][0])


# --- Noise -------------------------------------------------------------------------------------


def test_noise_is_seeded_and_scales_with_the_value_range():
    image = np.random.default_rng(0).uniform(-2, 3, (40, 40, 3)).astype(np.float32)
    noise = noisy_copies(image, 5, 0.1, 0) - image
    np.testing.assert_allclose(noise.std(), 0.1 * np.ptp(image), rtol=0.02)
    assert abs(noise.mean()) < 0.01
    np.testing.assert_array_equal(noisy_copies(image, 5, 0.1, 0), noise + image)
    np.testing.assert_allclose(noisy_copies(255 * image, 5, 0.1, 0), 255 * (noise + image), atol=1)
    assert (noisy_copies(image, 5, 0.1, 1) != noise + image).mean() > 0.99
    # More copies begin with the same ones.
    np.testing.assert_array_equal(noisy_copies(image, 7, 0.1, 0)[:5], noise + image)
    np.testing.assert_array_equal(noisy_copies(image, 2, 0, 0), [image, image])


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_scan_gives_the_same_map_and_another_seed_another(framework: str):
    classifier = tiny_classifier(framework, random_tiny_arrays(3))
    scan = np.random.default_rng(0).normal(size=(1, 12, 12, 3)).astype(np.float32)
    maps = [dt_grad_cam(classifier, scan, 1, seed=seed).steps["noisy"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(maps[0], maps[1])
    assert not np.allclose(maps[0], maps[2])


@pytest.mark.parametrize("wrong", [{"n": 0}, {"kernel": 0}, {"sigma": -0.1}])
def test_parameters_out_of_range_are_refused(by_hand: Classifier, wrong: dict):
    with pytest.raises(ValueError, match="at least 1"):
        dt_grad_cam(by_hand, HAND_IMAGE, 0, **wrong)
