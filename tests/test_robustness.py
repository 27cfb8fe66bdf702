"""Maps under noise and under random weights, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from networks import trained_classifier

from core.checkpoints import list_trained, open_checkpoint
from core.evaluation.randomisation import STAGES, last_layers, random_arrays, randomised
from core.evaluation.robustness import (
    max_sensitivity,
    rank_correlation,
    structural_similarity,
)
from core.explain import Heatmap

IMAGE = np.random.default_rng(0).random((6, 6, 3)).astype(np.float32)
RISING = Heatmap(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8), 1.0)
EMPTY = Heatmap(np.zeros((8, 8), np.float32), -1.0)


def test_a_map_that_ignores_the_image_is_not_sensitive():
    assert max_sensitivity(lambda batch: (RISING,) * len(batch), IMAGE) == 0


def test_the_largest_change_counts_and_is_relative():
    def maps(batch):
        assert batch.shape == (5, 6, 6, 3)
        assert np.abs(batch - IMAGE).max() <= 0.02 * np.ptp(IMAGE) + 1e-6
        return tuple(Heatmap(np.float32([[3 + d, 4]]), 1.0) for d in (0, 1, -2, 0.5, 0))

    assert max_sensitivity(maps, IMAGE) == pytest.approx(2 / 5)


def test_a_map_without_evidence_has_no_sensitivity():
    assert np.isnan(max_sensitivity(lambda batch: (EMPTY,) * len(batch), IMAGE))


def test_rank_correlation_sees_order_only():
    squared = Heatmap(RISING.values**2, 1.0)
    assert rank_correlation(RISING, squared) == pytest.approx(1)
    assert rank_correlation(RISING, Heatmap(1 - RISING.values, 1.0)) == pytest.approx(-1)
    # Spearman by hand: differences of rank 1, 1, 0, 0: 1 - 6 * 2 / (4 * 15).
    first, second = (Heatmap(np.float32([one]), 1.0) for one in ([0, 1, 2, 3], [1, 0, 2, 3]))
    assert rank_correlation(first, second) == pytest.approx(0.8)


def test_a_vanished_map_is_unlike_and_one_that_never_was_is_no_evidence():
    assert rank_correlation(RISING, EMPTY) == 0
    assert np.isnan(rank_correlation(EMPTY, RISING))
    assert np.isnan(structural_similarity(EMPTY, RISING, (32, 32)))


def test_structural_similarity_is_one_for_the_same_and_low_for_the_reverse():
    assert structural_similarity(RISING, RISING, (32, 32)) == pytest.approx(1)
    assert structural_similarity(RISING, Heatmap(1 - RISING.values, 1.0), (32, 32)) < 0.3


def test_the_cascade_comes_from_the_last_layer():
    names = ["a/kernel", "a/bias", "b/kernel", "c.d.weight", "logits/kernel", "logits/bias"]
    assert last_layers(names, 0) == ["logits/kernel", "logits/bias"]
    assert last_layers(names, 0.5) == ["c.d.weight", "logits/kernel", "logits/bias"]
    assert last_layers(names, 1) == names


def cosine(one: np.ndarray, other: np.ndarray) -> float:
    """Of independent directions of n numbers it is about 0, and 1 / sqrt(n) its spread."""
    return float((one * other).sum() / (np.linalg.norm(one) * np.linalg.norm(other)))


@pytest.mark.parametrize("recipe_id", ["busi-efficientnet-b0", "busi-mobilenetv2"])
def test_random_weights_replace_the_trained_from_the_end(recipe_id):
    if recipe_id not in list_trained():
        pytest.skip(f"{recipe_id} is not shipped")
    checkpoint = open_checkpoint(recipe_id)
    trained = checkpoint.arrays()
    changed = {}
    for stage in STAGES:
        arrays = random_arrays(checkpoint, stage)
        assert arrays.keys() == trained.keys()
        changed[stage] = {
            name for name in trained if not np.array_equal(arrays[name], trained[name])
        }
    kernels = {name for name, array in trained.items() if array.ndim > 1}
    assert len(changed["head"] & kernels) == 1  # the logits' kernel and bias
    assert changed["head"] < changed["half"] < changed["all"] >= kernels
    for name in kernels:
        likeness = cosine(arrays[name], trained[name])
        assert abs(likeness) < 6 / np.sqrt(trained[name].size), f"{name}: {likeness:.2f}"
    again = random_arrays(checkpoint, "all")
    assert all(np.array_equal(again[name], arrays[name]) for name in again)


def test_a_random_head_keeps_the_features_and_changes_the_answer():
    recipe_id = "busi-efficientnet-b0"
    if recipe_id not in list_trained():
        pytest.skip(f"{recipe_id} is not shipped")
    checkpoint = open_checkpoint(recipe_id)
    trained, head = trained_classifier(recipe_id), randomised(checkpoint, "head")
    assert head.temperature == trained.temperature
    batch = np.random.default_rng(0).normal(size=(1, 224, 224, 3)).astype(np.float32)
    np.testing.assert_allclose(head.features(batch), trained.features(batch), atol=1e-4)
    assert np.abs(head.logits(batch) - trained.logits(batch)).max() > 0.1
