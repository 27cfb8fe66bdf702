"""The guard: distances against other libraries, levels by construction, shipped systems on what is
no scan of theirs."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from networks import trained_classifier
from scipy.stats import binom
from sklearn.covariance import LedoitWolf
from sklearn.neighbors import NearestNeighbors

from core.checkpoints import CheckpointError, list_trained, open_checkpoint
from core.datasets import DatasetError, load_table, read_pixels
from core.datasets.base import is_picture, read_frame
from core.datasets.phantoms import phantom
from core.evaluation.guard_images import blanks, noises, photographs
from core.guard import (
    FOREIGN,
    LEVELS,
    Guard,
    Views,
    _left_out,
    level_of,
    load_guard,
    looks,
    reference,
)
from core.guard.__main__ import main
from core.guard.making import KEPT, guard_arrays, held_out, images_of, remake
from core.guard.pictures import FLOORS, statistics
from core.preprocessing import to_batch
from core.recipes import load_recipe

ULTRASOUND = [name for name in list_trained() if "ultrasound" in load_recipe(name).modality]
RANDOM = np.random.default_rng(0)


def drawn(count: int, width: int = 8, seed: int = 0) -> Views:
    """Scans of one kind: features around a direction, statistics around their mean."""
    random = np.random.default_rng(seed)
    features = random.normal(size=(count, width)) + 3
    pictures = 0.3 * random.normal(size=(count, len(FLOORS))) + 0.5
    return Views(features.astype(np.float32), pictures.astype(np.float32))


def guard_of(training: Views, held: Views, groups: np.ndarray | None = None) -> Guard:
    arrays = {
        "features": training.features.astype(np.float16),
        "labels": np.zeros(len(training), int),
        "groups": np.arange(len(training)) if groups is None else groups,
        "pictures": training.pictures,
        "held_out_features": held.features.astype(np.float16),
        "held_out_pictures": held.pictures,
    }
    recipe = load_recipe("busi-mobilenetv2")
    return load_guard(SimpleNamespace(guard=lambda: arrays, recipe=recipe))


@lru_cache
def shipped(recipe_id: str) -> Guard:
    return load_guard(open_checkpoint(recipe_id))


def typical(recipe_id: str) -> np.ndarray:
    """Features (1, 1, K) that this system might give to a scan of its own kind."""
    held = open_checkpoint(recipe_id).guard()["held_out_features"].astype(np.float32)
    known = shipped(recipe_id).known
    nearest = np.argmax((held / np.linalg.norm(held, axis=1, keepdims=True)) @ known.units.mean(0))
    return held[nearest][None, None]


def test_both_distances_are_those_of_scikit_learn():
    training, queries = drawn(60), drawn(20, seed=1)
    found = reference(training).distances(queries)
    neighbours = NearestNeighbors(n_neighbors=5, metric="cosine").fit(training.features)
    np.testing.assert_allclose(
        found[:, 0], neighbours.kneighbors(queries.features)[0][:, 4], atol=1e-6
    )
    spread = np.maximum(training.pictures.std(axis=0), FLOORS)
    standard = training.pictures.mean(axis=0), spread
    fitted = LedoitWolf().fit((training.pictures - standard[0]) / standard[1])
    expected = fitted.mahalanobis((queries.pictures - standard[0]) / standard[1])
    np.testing.assert_allclose(found[:, 1], np.sqrt(expected), rtol=1e-4)


def test_statistics_of_one_grey_by_hand():
    found = statistics(np.full((200, 300, 3), 100, np.uint8))
    assert found.shape == FLOORS.shape
    np.testing.assert_allclose(found[:4], 0)
    np.testing.assert_allclose(found[4:20], np.eye(16)[100 // 16])
    np.testing.assert_allclose(found[20:32].reshape(4, 3), [[-2, -2, 0]] * 4)  # log2 of 1/4
    np.testing.assert_allclose(found[32:], 100 / 255, rtol=1e-6)


def test_statistics_of_colour_and_layout_by_hand():
    picture = np.zeros((128, 128, 3), np.uint8)
    picture[:32, :32, 0] = 255  # one of the sixteen parts is red
    found = statistics(picture)
    np.testing.assert_allclose(found[:4], [1 / 16, 1 / 16, 1 / 16, 0], atol=1e-6)
    # Red is 0.299 of grey: 76 of 255.
    np.testing.assert_allclose(found[32:], [76 / 255] + [0] * 15, atol=1e-6)
    # 32 of 128 x 127 steps across are 76 grey levels high, and as many down.
    step = np.log2(32 * 76 / (128 * 127) + 0.25)
    np.testing.assert_allclose(found[20:22], [step, step], atol=1e-5)


def test_statistics_hardly_depend_on_resolution():
    import cv2

    scan, _ = phantom("benign", 5)
    larger = cv2.resize(scan, (768, 768), interpolation=cv2.INTER_CUBIC)
    assert np.abs((statistics(scan) - statistics(larger)) / FLOORS).max() < 1.5


def test_ninety_five_of_a_hundred_unseen_scans_count_as_like():
    """Split conformal: whatever the kind, with a chance of at least 95 %, over new draws."""
    trials, inside = 300, 0
    for seed in range(trials):
        views = drawn(101, seed=seed)
        guard = guard_of(views[np.arange(40)], views[np.arange(40, 100)])
        inside += guard.verdict(guard.distances(views[np.array([100])])[0]).level == "like"
    assert inside >= binom.ppf(1e-3, trials, 0.95)
    assert inside < trials


def test_the_share_counts_unseen_scans_that_lie_as_far_out():
    guard = guard_of(drawn(60), drawn(99, seed=1))
    assert len(guard.unseen) == 99
    third = np.sort(guard.unseen)[-3]
    assert guard.verdict(np.array([third, 0])).share == pytest.approx(3 / 99)
    assert guard.verdict(np.array([0, 99.0])).share == 0
    # The limit is the ceil(100 * 0.95) = 95th of 99.
    assert np.sort(guard.unseen)[94] == pytest.approx(1)


def test_levels_follow_the_views():
    assert level_of(np.array([1.0, 1.0])) == "like"
    assert level_of(np.array([1.01, 0.2])) == "unusual"
    assert level_of(np.array([9.0, 0.2])) == "unusual"  # the picture is of the own kind
    assert level_of(np.array([0.2, FOREIGN])) == "unusual"
    assert level_of(np.array([0.2, FOREIGN + 0.01])) == "foreign"
    assert level_of(np.array([np.nan, 0.2])) == "foreign"
    assert level_of(np.array([np.inf, 0.2])) == "foreign"
    guard = guard_of(drawn(60), drawn(99, seed=1))
    sentences = {guard.verdict(d).sentence for d in np.array([[0.5, 0.5], [2, 0.5], [0.5, 2]])}
    assert len(sentences) == 3
    assert all("breast ultrasound" in sentence for sentence in sentences)


def test_few_validation_images_are_joined_by_training_images_without_their_group():
    training, held = drawn(30), drawn(6, seed=1)
    # Each image twice, in one group: with its copy trained on, it would lie at no distance.
    twice = training[np.repeat(np.arange(30), 2)]
    guard = guard_of(twice, held, np.repeat(np.arange(30), 2))
    assert len(guard.unseen) == 66
    assert guard.unseen[6:].min() > 0.3
    assert "Only" not in guard.verdict(np.zeros(2)).sentence
    assert "Only 30 images" in guard_of(training, held).verdict(np.zeros(2)).sentence


def test_a_training_image_is_judged_without_all_of_its_group():
    """Of six copies in one group the fifth nearest lies at no distance, unless left out."""
    groups = np.repeat(np.arange(20), 6)
    copies = drawn(20)[groups]
    np.testing.assert_allclose(reference(copies).distances(copies)[:, 0], 0, atol=1e-6)
    assert _left_out(copies, groups)[:, 0].min() > 1e-3


def test_where_few_images_are_unseen_the_features_that_the_network_fitted_do_not_alarm():
    def scans(count: int, spread: float, seed: int) -> Views:
        views, random = drawn(count, seed=seed), np.random.default_rng(seed)
        return Views(3 + spread * random.normal(size=(count, 8)), views.pictures)

    flagged = []
    for seed in range(30):
        fitted, held = scans(40, 0.1, seed), scans(6, 0.1, 100 + seed)
        guard = guard_of(fitted, held)
        new = guard.distances(scans(20, 1.0, 200 + seed))
        assert not new[:, 0].any()
        flagged += [level_of(one) != "like" for one in new]
        odd = Views(fitted.features[:1], np.full((1, len(FLOORS)), 9, np.float32))
        assert level_of(guard.distances(odd)[0]) == "foreign"
    # 44 of 46 are to be within the limit, whatever the features
    assert np.mean(flagged) < 0.1
    plenty = guard_of(fitted, scans(60, 0.1, 1))
    judged = plenty.distances(scans(20, 1.0, 2))
    assert sum(level_of(one) == "like" for one in judged) < 10


def test_kept_validation_images_are_of_as_many_groups_as_can_be():
    table = pd.DataFrame({"group": [f"g{i // 2}" for i in range(600)]})
    kept = held_out(table)
    assert kept.sum() == KEPT
    assert table[kept]["group"].nunique() == KEPT
    assert held_out(table.iloc[:20]).all()


def test_arrays_of_phantoms_are_those_of_their_pictures():
    table = load_table("phantoms").groupby("label").head(3)
    recipe = load_recipe("busi-mobilenetv2")
    features = RANDOM.normal(size=(9, 5)).astype(np.float32)
    arrays = guard_arrays(recipe, table, features, table.iloc[:2], features[:2])
    assert arrays["labels"].tolist() == [recipe.classes.index(label) for label in table["label"]]
    assert len(set(arrays["groups"])) == 9
    first = read_pixels(next(table.itertuples()))
    np.testing.assert_array_equal(arrays["held_out_pictures"][0], statistics(first))
    np.testing.assert_array_equal(arrays["pictures"][:2], arrays["held_out_pictures"])


def test_a_guard_is_not_made_of_other_data_than_the_system_was_trained_on():
    recipe = load_recipe("busi-mobilenetv2")
    phantoms = recipe.data.model_copy(update={"dataset": "phantoms"})
    other = SimpleNamespace(
        recipe=recipe.model_copy(update={"data": phantoms}),
        manifest={"data": {"fingerprint": "of other images"}},
    )
    with pytest.raises(DatasetError, match="not those that busi-mobilenetv2 was trained on"):
        images_of(other, None)


def test_a_negative_of_a_mammogram_looks_like_the_mammogram():
    breast = np.zeros((160, 120, 3), np.uint8)
    breast[30:130, :70] = RANDOM.integers(90, 220, (100, 70, 1))
    np.testing.assert_array_equal(looks(255 - breast, True), looks(breast, True))
    assert not np.allclose(looks(255 - breast, False), looks(breast, False))


def test_where_an_outline_is_needed_the_guard_asks_for_it():
    guard = guard_of(drawn(60), drawn(99, seed=1))
    for distances in (np.array([2, 0.5]), np.array([0.5, 2])):
        asked = replace(guard, outlined=True).verdict(distances).sentence
        assert "Outline the lesion" in asked
        assert asked.replace(" Outline the lesion, if that was not done.", "") == (
            guard.verdict(distances).sentence
        )


def test_a_checkpoint_without_a_guard_is_named():
    arrays = {"features": np.ones((3, 2), np.float16), "labels": np.zeros(3, int)}
    recipe = load_recipe("busi-mobilenetv2")
    with pytest.raises(CheckpointError, match=r"python -m core\.guard --recipe busi-mobilenetv2"):
        load_guard(SimpleNamespace(guard=lambda: arrays, recipe=recipe))


def test_features_of_another_system_are_refused():
    guard = guard_of(drawn(60), drawn(60, seed=1))
    with pytest.raises(ValueError, match=r"\(h, w, 8\)"):
        guard.judge(np.zeros((7, 7, 9), np.float32), np.zeros((9, 9, 3), np.uint8))


def test_the_command_says_what_is_wrong(tmp_path, capsys):
    assert main(["--recipe", "no-such", "--output", str(tmp_path)]) == 2
    assert "No trained system 'no-such'" in capsys.readouterr().err


@pytest.mark.parametrize("recipe_id", list_trained())
def test_shipped_guards_let_their_own_unseen_scans_pass(recipe_id):
    guard, arrays = shipped(recipe_id), open_checkpoint(recipe_id).guard()
    assert (guard.unseen <= 1 + 1e-9).mean() >= 0.95
    held = Views(arrays["held_out_features"].astype(np.float32), arrays["held_out_pictures"])
    passed = [level_of(d) == "like" for d in guard.distances(held)]
    assert np.mean(passed) >= 0.8
    assert sum(len(a.tobytes()) for n, a in arrays.items() if n != "features") < 2e6


@pytest.mark.parametrize("recipe_id", ULTRASOUND)
def test_no_photograph_blank_or_noise_is_like_an_ultrasound_even_if_the_network_is_fooled(
    recipe_id,
):
    guard, fooled = shipped(recipe_id), typical(recipe_id)
    for one in (*photographs(), *blanks(), *noises()):
        verdict = guard.judge(fooled, one.pixels)
        assert verdict.level != "like", f"{one.set} {one.image_id}: {verdict.distance:.2f}"
        assert verdict.share <= 0.06


@pytest.mark.parametrize(
    "folder", ["breast_cancer_patients_mri", "mammography_hayder17", "ucsb_histology"]
)
def test_no_other_modality_is_like_an_ultrasound_even_if_the_network_is_fooled(folder, data_folder):
    paths = sorted(filter(is_picture, (data_folder / folder).rglob("*")))
    assert len(paths) > 50
    pictures = [read_frame(path) for path in paths[:: len(paths) // 25]]
    for recipe_id in ULTRASOUND:
        guard, fooled = shipped(recipe_id), typical(recipe_id)
        assert "like" not in {guard.judge(fooled, picture).level for picture in pictures}


def test_a_shipped_system_judges_whole_scans_and_any_number_of_threads_alike():
    if "busi-mobilenetv2" not in list_trained():
        pytest.skip("busi-mobilenetv2 is not shipped")
    classifier, guard = trained_classifier("busi-mobilenetv2"), shipped("busi-mobilenetv2")
    scans = [phantom("benign", 1)[0], np.zeros((300, 200, 3), np.uint8)]
    features = classifier.features(to_batch(scans, classifier.recipe.preprocessing))
    first = [guard.judge(*one) for one in zip(features, scans, strict=True)]
    assert first[1].level == "foreign"
    assert {one.level for one in first} <= set(LEVELS)
    with ThreadPoolExecutor(8) as pool:
        again = list(pool.map(guard.judge, list(features) * 20, scans * 20))
    assert again == first * 20


def test_the_command_makes_the_shipped_guard_again(data_folder, tmp_path):
    recipe_id = "histology-dalaresnet50"
    if recipe_id not in list_trained():
        pytest.skip(f"{recipe_id} is not shipped")
    before = open_checkpoint(recipe_id)
    shutil.copytree(before.folder, tmp_path / recipe_id)
    copy = open_checkpoint(recipe_id, tmp_path)
    remake(copy, None)
    made, expected = open_checkpoint(recipe_id, tmp_path).guard(), before.guard()
    assert made.keys() == expected.keys()
    for name in ("features", "labels", "groups"):
        np.testing.assert_array_equal(made[name], expected[name])
    for name in ("pictures", "held_out_pictures"):
        np.testing.assert_allclose(made[name], expected[name], atol=1e-5)
    np.testing.assert_allclose(
        made["held_out_features"], expected["held_out_features"], atol=0.02, rtol=0.02
    )
