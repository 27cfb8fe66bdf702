"""The faster copy of a network: the same function, to the precision that it promises."""

from __future__ import annotations

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    HAND_ARRAYS,
    HAND_FEATURES,
    HAND_IMAGE,
    HAND_LOGITS,
    noise_batch,
    random_tiny_arrays,
    recipe_cases,
    recipes_by_network,
    shipped_network,
    system_cases,
    tiny_classifier,
    trained_classifier,
)

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import wrap
from core.datasets.phantoms import phantom
from core.explain.dt_grad_cam import dt_grad_cam
from core.preprocessing import to_batch
from core.processor import has_fast_bfloat16
from core.recipe import Recipe


def rough(framework: str, network, dtype: str):
    """The copy of a network, whatever this processor would choose."""
    if framework == "keras":
        from core.classifiers.keras_rough import rough_copy

        return rough_copy(network, dtype)
    import torch

    from core.classifiers.torch_rough import can_fuse, rough_copy

    if not can_fuse():
        pytest.skip("this build of PyTorch has no oneDNN")
    return rough_copy(network, getattr(torch, dtype))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_by_hand(framework: str):
    classifier = tiny_classifier(framework)
    np.testing.assert_allclose(classifier.rough_logits(HAND_IMAGE), HAND_LOGITS, atol=1e-6)
    for layer, features in HAND_FEATURES.items():
        np.testing.assert_allclose(
            classifier.rough_features(HAND_IMAGE, layer), features, atol=1e-6
        )


@pytest.mark.parametrize("framework", FRAMEWORKS)
@pytest.mark.parametrize("arrays", [HAND_ARRAYS, random_tiny_arrays(3)])
def test_bfloat16_is_right_to_two_digits(framework: str, arrays: dict):
    if not has_fast_bfloat16():
        pytest.skip("this processor is not fast in bfloat16")
    exact = tiny_classifier(framework, arrays)
    batch = np.random.default_rng(0).normal(size=(3, 12, 12, 3)).astype(np.float32)
    low = wrap(exact.recipe, rough(framework, exact._network, "bfloat16"))
    expected = exact.logits(batch)
    np.testing.assert_allclose(low.logits(batch), expected, atol=0.02 * np.abs(expected).max())
    assert np.abs(low.logits(batch) - expected).max() > 0, "it is of less precision"


@pytest.mark.parametrize("recipe", recipe_cases(recipes_by_network()))
def test_batch_norms_are_folded_exactly(recipe: Recipe):
    framework = recipe.architecture.framework
    network = shipped_network(recipe.id)
    exact, folded = wrap(recipe, network), wrap(recipe, rough(framework, network, "float32"))
    batch = noise_batch(recipe, 2)
    for layer in (folded.layers[0], folded.layers[-1]):
        expected = exact.features(batch, layer)
        limit = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(folded.features(batch, layer), expected, atol=limit)
    np.testing.assert_allclose(folded.logits(batch), exact.logits(batch), rtol=1e-3, atol=1e-4)


class Exactly:
    """A classifier that is never rough."""

    def __init__(self, inner):
        self._inner = inner
        self.rough_features, self.rough_logits = inner.features, inner.logits

    def __getattr__(self, name: str):
        return getattr(self._inner, name)


@pytest.mark.parametrize("recipe_id", system_cases())
def test_dt_grad_cam_is_that_of_the_exact_network(recipe_id: str):
    classifier = trained_classifier(recipe_id)
    # Few copies, for the time; more of them only average errors out. Systems of other modalities
    # find little in a phantom, so that errors weigh more: they get as many as the method takes.
    copies = 4 if "ultrasound" in classifier.recipe.modality else 16
    found = []
    for number, label in enumerate(("benign", "malignant")):
        batch = to_batch([phantom(label, number)[0]], classifier.recipe.preprocessing)
        logits, _ = classifier.head(classifier.features(batch), 0)
        target = int(logits[0].argmax())
        both = (classifier, Exactly(classifier))
        ours, exact = (dt_grad_cam(one, batch, target, n=copies) for one in both)
        np.testing.assert_array_equal(ours.logits, exact.logits)
        maps = (one.steps["mean"].ravel() for one in (ours, exact))
        found.append(np.corrcoef(*maps)[0, 1])
    assert np.mean(found) >= 0.999, found
    assert min(found) >= 0.99, found


@pytest.mark.slow
@pytest.mark.parametrize("recipe_id", ["busi-mobilenetv2", "busi-efficientnet-b0"])
def test_it_is_the_same_whatever_was_explained_before(recipe_id: str):
    if recipe_id not in list_trained():
        pytest.skip("it is not shipped")
    fresh, used = (open_checkpoint(recipe_id).load() for _ in range(2))
    batch = to_batch([phantom("malignant", 0)[0]], fresh.recipe.preprocessing)
    for layer in used.layers[:3]:
        used.head(used.features(batch, layer), 0, layer)
    np.testing.assert_array_equal(used.rough_features(batch), fresh.rough_features(batch))


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_it_is_made_once_and_leaves_the_network_alone(framework: str):
    classifier = tiny_classifier(framework, random_tiny_arrays(3))
    before = {name: a.copy() for name, a in classifier._network.to_arrays().items()}
    batch = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    logits = classifier.logits(batch)
    first = classifier.rough_logits(batch)
    np.testing.assert_array_equal(classifier.rough_logits(batch), first)
    np.testing.assert_array_equal(classifier.logits(batch), logits)
    for name, array in classifier._network.to_arrays().items():
        np.testing.assert_array_equal(array, before[name])
