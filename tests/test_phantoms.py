"""Phantoms: speckle against Rayleigh theory, physics by hand, lesions as the lexicon says."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.datasets.base import COLUMNS
from core.datasets.phantom_anatomy import draw_bend, draw_breast, draw_floors, sheets
from core.datasets.phantom_imaging import (
    Scanner,
    TissueMaps,
    beam_sigma_mm,
    echoes,
    envelope,
    log_compress,
    time_gain_db,
    two_way_loss_db,
)
from core.datasets.phantom_lesions import (
    MODELS,
    Lesion,
    draw_lesion,
    insert,
    mass_effect,
    rasterise,
)
from core.datasets.phantoms import PHANTOM_CLASSES, READER, phantom, phantom_table

SEEDS = range(40)
LESIONS = ("benign", "malignant")


@cache
def drawn(label: str) -> list[tuple[np.ndarray, np.ndarray]]:
    return [phantom(label, seed) for seed in SEEDS]


def digest(label: str, seed: int) -> str:
    pixels, mask = phantom(label, seed)
    return hashlib.sha256(pixels.tobytes() + mask.tobytes()).hexdigest()


def uniform_tissue(size=128, attenuation=0.5, echogenicity_db=0.0, pixel_mm=0.2) -> TissueMaps:
    level = np.full((size, size), echogenicity_db, np.float32)
    loss = np.full((size, size), attenuation, np.float32)
    return TissueMaps(level, np.zeros((size, size), np.float32), loss, pixel_mm)


def inserted(label: str) -> tuple[TissueMaps, TissueMaps, np.ndarray, Lesion]:
    """Uniform tissue, the same with a lesion, the mask of the lesion, and the lesion."""
    rng = np.random.default_rng(8)
    before = uniform_tissue(size=256, attenuation=0.7, pixel_mm=40 / 256)
    lesion = draw_lesion(rng, MODELS[label], 40.0, draw_floors(rng))
    mask = rasterise(lesion, 256, before.pixel_mm)
    return before, insert(rng, before, lesion, mask), mask, lesion


def extent(mask: np.ndarray) -> tuple[int, int]:
    """Width and height of the box around a mask."""
    rows, columns = np.nonzero(mask)
    return int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1


def outline_figures(mask: np.ndarray) -> tuple[float, float]:
    """Solidity (area over convex area) and compactness (4 pi area / perimeter squared)."""
    contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    largest = max(contours, key=cv2.contourArea)
    area = cv2.contourArea(largest)
    convex = cv2.contourArea(cv2.convexHull(largest))
    return area / convex, 4 * np.pi * area / cv2.arcLength(largest, True) ** 2


def posterior_contrast(pixels: np.ndarray, mask: np.ndarray) -> float:
    """Mean grey (0 to 1) of 4 mm below a lesion, less that of the same depth on both sides."""
    rows, columns = np.nonzero(mask)
    left, right, bottom = columns.min(), columns.max(), rows.max()
    width = right - left
    band = pixels[bottom + 6 : bottom + 32, :, 0] / 255
    behind = band[:, left + width // 5 : right - width // 5]
    beside = np.hstack([band[:, max(left - width, 0) : max(left - 8, 0)], band[:, right + 8 :]])
    return float(behind.mean() - beside[:, : 2 * width].mean())


@pytest.mark.parametrize("label", PHANTOM_CLASSES)
def test_the_same_seed_gives_the_same_image_and_another_seed_another(label):
    assert digest(label, 3) == digest(label, 3)
    assert digest(label, 3) != digest(label, 4)


def test_classes_with_the_same_seed_differ():
    assert len({digest(label, 3) for label in PHANTOM_CLASSES}) == 3


def test_numpy_global_state_is_neither_used_nor_changed():
    np.random.seed(1)
    first = digest("malignant", 5)
    np.random.seed(2)
    before = np.random.get_state()[1].copy()
    assert digest("malignant", 5) == first
    assert np.array_equal(np.random.get_state()[1], before)


def test_another_process_with_another_hash_seed_gives_the_same_image():
    code = "from tests.test_phantoms import digest; print(digest('benign', 11))"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[1],
        env={**os.environ, "PYTHONHASHSEED": "12345"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.strip() == digest("benign", 11)


@pytest.mark.parametrize("size", [64, 100, 256, 384])
def test_pixels_are_grey_uint8_and_the_mask_is_boolean(size):
    pixels, mask = phantom("benign", 1, size)
    assert pixels.shape == (size, size, 3)
    assert pixels.dtype == np.uint8
    assert mask.shape == (size, size)
    assert mask.dtype == bool
    assert np.array_equal(pixels[..., 0], pixels[..., 1])
    assert np.array_equal(pixels[..., 0], pixels[..., 2])


@pytest.mark.parametrize("label", PHANTOM_CLASSES)
def test_another_size_shows_the_same_breast(label):
    small, small_mask = phantom(label, 7, 128)
    large, large_mask = phantom(label, 7, 256)
    coarse = [
        cv2.resize(each[..., 0], (32, 32), interpolation=cv2.INTER_AREA) for each in (small, large)
    ]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.95
    assert abs(float(small.mean()) - float(large.mean())) < 4
    halved = large_mask[::2, ::2]
    assert (small_mask & halved).sum() >= 0.9 * (small_mask | halved).sum()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("cyst", 0, 256), "'cyst'.*benign, malignant, normal"),
        (("benign", -1, 256), "whole number from 0 up, not -1"),
        (("benign", 1.5, 256), "whole number from 0 up, not 1.5"),
        (("benign", 0, 63), "64 to 1024 pixels wide; 63"),
        (("benign", 0, 1025), "64 to 1024 pixels wide; 1025"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_a_sentence(arguments, words):
    with pytest.raises(ValueError, match=words):
        phantom(*arguments)


@pytest.mark.parametrize("pixel_mm", [0.1, 0.16])
def test_speckle_of_uniform_tissue_is_rayleigh(pixel_mm):
    ones = np.ones((256, 256), np.float32)
    field = echoes(ones, 0 * ones, pixel_mm, Scanner(), np.random.default_rng(0))
    level = np.abs(field)
    assert level.mean() / level.std() == pytest.approx(1.91, abs=0.06)
    assert np.mean(level**2) == pytest.approx(1, abs=0.04)
    # Rayleigh of mean square 1: P(level < x) = 1 - exp(-x^2).
    for x in (0.3, 0.8326, 1.5):
        assert np.mean(level < x) == pytest.approx(1 - np.exp(-(x**2)), abs=0.015)


def test_looks_are_independent_so_compounding_doubles_the_signal_to_noise_ratio():
    ones = np.ones((256, 256), np.float32)
    field = echoes(ones, 0 * ones, 0.16, Scanner(looks=4), np.random.default_rng(1))
    mean = np.abs(field).mean(axis=0)
    assert mean.mean() / mean.std() == pytest.approx(2 * 1.91, abs=0.15)


def test_a_reflector_makes_the_statistics_rician():
    ones = np.ones((256, 256), np.float32)
    field = echoes(ones, 2 * ones, 0.16, Scanner(), np.random.default_rng(2))
    assert field.mean().real == pytest.approx(2, abs=0.05)
    assert np.mean(np.abs(field) ** 2) == pytest.approx(1 + 2**2, abs=0.2)


@pytest.mark.parametrize("depth_mm", [15.0, 35.0])
def test_speckle_is_as_wide_as_the_beam_at_its_depth(depth_mm):
    scanner, pixel_mm = Scanner(focus=15, focal_zone=12, looks=12), 0.16
    ones = np.ones((256, 256), np.float32)
    field = echoes(ones, 0 * ones, pixel_mm, scanner, np.random.default_rng(3))
    row = int(depth_mm / pixel_mm)
    rows = field[:, row - 4 : row + 5]
    lag = 4
    product = np.mean(rows[..., lag:] * rows[..., :-lag].conj()).real / np.mean(np.abs(rows) ** 2)
    # A Gaussian of sigma correlates with itself as exp(-lag^2 / (4 sigma^2)).
    sigma = beam_sigma_mm(np.array(depth_mm), scanner)
    assert product == pytest.approx(np.exp(-((lag * pixel_mm) ** 2) / (4 * sigma**2)), abs=0.08)


def test_the_beam_is_narrowest_at_the_focus():
    scanner = Scanner(focus=15, focal_zone=12, beam_fwhm=0.65)
    focus, one_zone_deeper = beam_sigma_mm(np.array([15.0, 27.0]), scanner)
    assert focus == pytest.approx(0.65 / 2.3548, rel=1e-3)
    assert one_zone_deeper == pytest.approx(focus * np.sqrt(2))


def test_the_two_sides_of_an_image_do_not_leak_into_each_other():
    scatter = np.zeros((128, 128), np.float32)
    scatter[:, :20] = 1
    field = echoes(scatter, 0 * scatter, 0.3, Scanner(), np.random.default_rng(4))
    assert np.abs(field[..., -8:]).max() < 0.01
    assert np.abs(field[..., :8]).mean() > 0.5


def test_two_way_loss_of_a_slab_by_hand():
    # 0.5 dB/cm/MHz at 8 MHz, 2.56 cm there and back: 2 * 0.5 * 8 * 2.56 = 20.48 dB.
    loss = two_way_loss_db(uniform_tissue(), Scanner(frequency_mhz=8))
    assert loss[-1, 64] == pytest.approx(20.48, rel=1e-4)
    assert loss[63, 64] == pytest.approx(10.24, rel=1e-4)


def test_loss_behind_an_inclusion_is_its_thickness_times_its_difference():
    maps = uniform_tissue()
    maps.attenuation[40:65, 34:94] = 1.5  # 25 rows of 0.2 mm, 1 dB/cm/MHz above its surroundings
    loss = two_way_loss_db(maps, Scanner(frequency_mhz=8, aperture_blur=0.2))
    assert loss[100, 64] - loss[100, 5] == pytest.approx(2 * 1.0 * 8 * 0.5, rel=1e-3)
    assert loss[30, 64] == pytest.approx(loss[30, 5], abs=1e-4)


def test_gain_follows_the_assumed_loss_and_then_levels_off():
    scanner = Scanner(frequency_mhz=8, tgc_slope=0.5, tgc_highest=30)
    shallow, deep = time_gain_db(np.array([2.0, 200.0]), scanner)
    assert shallow == pytest.approx(2 * 0.5 * 8 * 0.2, rel=0.01)
    assert deep == pytest.approx(30, rel=1e-3)


def test_matched_gain_shows_uniform_tissue_uniform():
    scanner = Scanner(tgc_slope=0.5, tgc_highest=1000, noise_db=-200)
    level = envelope(uniform_tissue(), scanner, np.random.default_rng(5))
    top, bottom = level[8:48].mean(), level[-48:-8].mean()
    assert 20 * np.log10(bottom / top) == pytest.approx(0, abs=0.6)


def test_noise_alone_has_its_level_times_the_gain():
    scanner = Scanner(noise_db=-20, tgc_slope=0.0, tgc_highest=30, looks=1)
    silent = uniform_tissue(attenuation=0, echogenicity_db=-200)
    level = envelope(silent, scanner, np.random.default_rng(6))
    assert np.sqrt(np.mean(level**2)) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize(
    ("level", "grey"),
    [(1, 1), (2, 1), (10**-0.5, 5 / 6), (0.1, 2 / 3), (10**-1.5, 0.5), (1e-3, 0), (0, 0)],
)
def test_log_compression_by_hand(level, grey):
    assert log_compress(np.array([level]), 60)[0] == pytest.approx(grey, abs=1e-9)
    assert log_compress(np.array([level * 50.0]), 60, white=50)[0] == pytest.approx(grey, abs=1e-9)


def test_sheets_echo_where_the_field_is_zero_and_only_if_they_face_the_probe():
    ramp = (np.arange(64, dtype=np.float32) - 20) * 0.2  # mm: the sheet lies at index 20
    level = np.repeat(ramp[:, None], 64, axis=1)
    facing = sheets(level, 0.1, 0.2)
    assert facing[20, 32] == pytest.approx(1, abs=1e-3)
    assert facing[24, 32] < 1e-3
    assert sheets(np.ascontiguousarray(level.T), 0.1, 0.2)[32, 20] < 1e-3
    oblique = sheets(level + level.T, 0.1, 0.2)
    assert oblique[20, 20] == pytest.approx(0.5, abs=1e-2)  # 45 degrees: cos^2


def test_the_gland_is_brighter_than_fat_and_muscle():
    unbent = np.zeros((2, 256, 256), np.float32)
    levels = []
    for seed in range(6):
        rng = np.random.default_rng(seed)
        floors = draw_floors(rng)
        maps = draw_breast(rng, 40.0, floors, unbent)
        middles = ((floors[:-1] + np.r_[0, floors[:-2]]) / 2 / maps.pixel_mm).astype(int)
        levels.append([maps.echogenicity_db[row - 2 : row + 3].mean() for row in middles])
    skin, fat, gland, retromammary, muscle = np.mean(levels, axis=0)
    assert skin > gland > fat
    assert gland > max(retromammary, muscle)


def test_the_bend_leaves_the_skin_flat():
    bend = draw_bend(np.random.default_rng(0), 40.0)
    assert np.abs(bend[:, :9]).max() == 0  # 9 rows are 1.4 mm
    assert np.abs(bend[:, 100:]).max() > 0.5


def test_benign_lesions_are_parallel_and_malignant_ones_are_not():
    for label, holds in (("benign", np.greater), ("malignant", np.less)):
        ratios = [width / height for width, height in (extent(mask) for _, mask in drawn(label))]
        assert holds(ratios, 1).all(), label


def test_benign_outlines_are_smooth_and_malignant_ones_irregular():
    benign, malignant = (
        np.array([outline_figures(mask) for _, mask in drawn(label)]) for label in LESIONS
    )
    assert benign[:, 0].min() > 0.93 > malignant[:, 0].max()
    assert benign[:, 1].min() > 0.65 > malignant[:, 1].max()


def test_echo_is_enhanced_behind_benign_lesions_and_shadowed_behind_malignant_ones():
    benign, malignant = (
        np.array([posterior_contrast(*each) for each in drawn(label)]) for label in LESIONS
    )
    assert benign.mean() > 0.08
    assert malignant.mean() < -0.08
    assert np.mean(benign > 0) >= 0.9
    assert np.mean(malignant < 0) >= 0.9


@pytest.mark.parametrize("label", LESIONS)
def test_lesions_are_one_dark_piece_of_plausible_size_within_the_image(label):
    for pixels, mask in drawn(label):
        assert 0.01 < mask.mean() < 0.3
        assert cv2.connectedComponents(mask.astype(np.uint8))[0] == 2
        assert not mask[[0, -1]].any()
        assert not mask[:, [0, -1]].any()
        around = cv2.dilate(mask.astype(np.uint8), np.ones((15, 15))).astype(bool) & ~mask
        assert pixels[mask].mean() < pixels[around].mean() - 0.05 * 255


def test_only_malignant_lesions_are_heterogeneous_and_have_a_halo():
    spread, halo = {}, {}
    for label in LESIONS:
        before, after, mask, _ = inserted(label)
        outside_mm = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 5) * after.pixel_mm
        inside_mm = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * after.pixel_mm
        spread[label] = after.echogenicity_db[inside_mm > 2].std()
        gain = after.echogenicity_db - before.echogenicity_db
        halo[label] = gain[(outside_mm > 1.5) & (outside_mm < 2)].mean()
        assert np.abs(gain[outside_mm > 8]).max() < 0.01
    assert spread["benign"] < 2 < spread["malignant"]
    assert halo["benign"] == pytest.approx(0, abs=0.01)
    assert halo["malignant"] > 1


@pytest.mark.parametrize("label", LESIONS)
def test_a_lesion_changes_attenuation_in_itself_and_nothing_below(label):
    before, after, mask, lesion = inserted(label)
    inside_mm = cv2.distanceTransform(mask, cv2.DIST_L2, 5) * after.pixel_mm
    assert after.attenuation[inside_mm > 3] == pytest.approx(lesion.attenuation, abs=0.02)
    below = np.nonzero(mask)[0].max() + int(3 / after.pixel_mm)
    assert np.array_equal(after.attenuation[below:], before.attenuation[below:])
    assert np.array_equal(after.reflector[below:], before.reflector[below:])


def test_tissue_around_a_benign_mass_moves_outwards_and_keeps_its_area():
    rng = np.random.default_rng(0)
    lesion = draw_lesion(rng, MODELS["benign"], 40.0, draw_floors(rng))
    down, across = mass_effect(lesion, 40.0)
    pixel_mm = 40.0 / 256
    row, column = (int(c / pixel_mm) for c in lesion.centre[::-1])
    edge = column + int(lesion.width / 2 / pixel_mm) + 2
    assert across[row, edge] > 0 > across[row, 2 * column - edge]
    # A point at radius r > 1 (in lesion radii) came from sqrt(r^2 - 0.5).
    away = (edge + 0.5) * pixel_mm - lesion.centre[0]
    radius = 2 * away / lesion.width
    assert across[row, edge] == pytest.approx(away * (1 - np.sqrt(1 - 0.5 / radius**2)), rel=0.02)
    assert not down[:9].any()


def test_normal_breasts_have_no_lesion():
    assert not any(mask.any() for _, mask in drawn("normal"))


@pytest.mark.parametrize("label", PHANTOM_CLASSES)
def test_grey_values_are_distributed_as_in_busi(label):
    grey = np.stack([pixels[..., 0] for pixels, _ in drawn(label)]) / 255
    # BUSI at 256 x 256: mean 0.31 to 0.33, quartiles 0.13 to 0.17 and 0.45 to 0.47.
    assert grey.mean() == pytest.approx(0.32, abs=0.05)
    low, high = np.percentile(grey, [25, 75])
    assert low == pytest.approx(0.15, abs=0.06)
    assert high == pytest.approx(0.46, abs=0.05)
    profile = grey.mean(axis=(0, 2))
    assert profile[40:100].mean() > 2 * profile[-40:].mean()  # darker with depth


def test_the_table_names_each_phantom_once():
    table = phantom_table(n_per_class=3, seed=7)
    assert tuple(table.columns) == COLUMNS
    assert list(table["label"]) == [label for label in PHANTOM_CLASSES for _ in range(3)]
    assert list(table["image_id"])[:3] == [f"benign/phantom 000{seed}" for seed in (7, 8, 9)]
    assert table["path"].iloc[-1] == "phantom:normal/9"
    assert table["group"].is_unique
    assert set(table["masks"]) == {()}
    assert list(table.index) == list(range(9))


def test_the_reader_gives_the_table_of_sixty_a_class():
    table = READER.read(None)
    assert READER.classes == PHANTOM_CLASSES
    assert table.groupby("label").size().to_dict() == dict.fromkeys(PHANTOM_CLASSES, 60)
    assert table["image_id"].is_unique


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="at least 1 phantom"):
        phantom_table(n_per_class=0)
