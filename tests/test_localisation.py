"""Maps against masks, with every figure worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from core.evaluation.localisation import localisation, otsu_threshold, pixel_precision
from core.explain import Heatmap

MASK = np.array(
    [[0, 0, 0, 0],
     [0, 1, 1, 0],
     [0, 1, 1, 0],
     [0, 0, 0, 0]], bool)  # fmt: skip
VALUES = np.array(
    [[0.0, 0.0, 0.0, 0.0],
     [0.0, 0.4, 0.5, 0.6],
     [0.0, 0.5, 1.0, 0.5],
     [0.0, 0.0, 0.0, 0.0]], np.float32)  # fmt: skip


def test_figures_worked_out_by_hand():
    # At least 0.5: five pixels, three of them among the four of the lesion.
    found = localisation(VALUES, MASK)
    assert found.iou == pytest.approx(3 / 6)
    assert found.dice == pytest.approx(6 / 9)
    assert found.precision == pytest.approx(3 / 5)
    assert found.recall == pytest.approx(3 / 4)
    assert found.f1 == pytest.approx(2 * 0.6 * 0.75 / 1.35)
    assert found.energy_inside == pytest.approx(2.4 / 3.5)
    assert found.pointing == 1


def test_the_threshold_can_be_another():
    found = localisation(VALUES, MASK, threshold=0.4)
    assert (found.recall, found.precision) == (1, pytest.approx(4 / 6))


def test_a_map_that_is_the_mask_is_perfect():
    found = localisation(MASK.astype(np.float32), MASK)
    assert set(asdict(found).values()) == {1}


def test_a_map_beside_the_mask_finds_nothing():
    found = localisation((~MASK).astype(np.float32), MASK)
    assert set(asdict(found).values()) == {0}


def test_several_peaks_share_the_point():
    values = np.zeros((4, 4), np.float32)
    values[1, 1] = values[0, 0] = values[3, 3] = values[2, 2] = 1
    assert localisation(values, MASK).pointing == pytest.approx(0.5)


def test_without_evidence_overlap_is_nothing_and_shares_are_undefined():
    found = localisation(np.zeros((4, 4), np.float32), MASK)
    assert (found.iou, found.dice, found.recall, found.f1) == (0, 0, 0, 0)
    assert np.isnan([found.precision, found.energy_inside, found.pointing]).all()


def test_without_a_lesion_nothing_is_defined():
    found = localisation(VALUES, np.zeros((4, 4), bool))
    assert np.isnan(list(asdict(found).values())).all()


def test_a_coarse_map_is_judged_as_it_is_drawn():
    # Two cells over a row of eight pixels: bilinear values fall from 1 to 0 in the middle half.
    heatmap = Heatmap(np.array([[1, 0]], np.float32), 3.0)
    drawn = [1, 1, 0.875, 0.625, 0.375, 0.125, 0, 0]
    mask = np.array([[1, 1, 0, 0, 0, 0, 0, 0]], bool)
    assert heatmap.resized(1, 8)[0] == pytest.approx(drawn)
    found = localisation(heatmap, mask)
    assert found.iou == pytest.approx(2 / 4)
    assert found.energy_inside == pytest.approx(2 / 4)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"shape \(7, 7\)"):
        localisation(np.zeros((7, 7)), MASK)


def test_otsu_splits_two_levels_and_agrees_with_scikit_image():
    from skimage.filters import threshold_otsu

    two = np.where(MASK, 0.8, 0.2)
    assert ((two >= otsu_threshold(two)) == MASK).all()
    rng = np.random.default_rng(0)
    values = np.clip(np.r_[rng.normal(0.2, 0.05, 600), rng.normal(0.7, 0.1, 200)], 0, 1)
    values = np.rint(values.reshape(20, 40) * 255) / 255
    theirs = threshold_otsu(np.rint(values * 255).astype(np.uint8))
    assert otsu_threshold(values) == pytest.approx((theirs + 0.5) / 255)


def test_pixel_precision_by_hand():
    values = np.array([[0.9, 0.8, 0.7, 0.1]])
    mask = np.array([[True, False, True, False]])
    # Half of the mask at precision 1, the other half at 2/3.
    assert pixel_precision(values, mask) == pytest.approx((1 + 2 / 3) / 2)
    assert pixel_precision(np.ones((4, 4)), MASK) == pytest.approx(4 / 16)


def test_pixel_precision_needs_a_lesion_and_evidence():
    assert np.isnan(pixel_precision(VALUES, np.zeros((4, 4), bool)))
    assert np.isnan(pixel_precision(np.zeros((4, 4)), MASK))
