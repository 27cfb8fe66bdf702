"""One interface over both frameworks: numbers known by hand, and no state at all."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    HAND_FEATURES,
    HAND_IMAGE,
    HAND_LOGITS,
    noise_batch,
    random_tiny_arrays,
    recipe_cases,
    recipes_by_network,
    shipped_classifier,
    shipped_network,
    tiny_classifier,
    whole,
)

from core.classifiers import Classifier, probabilities
from core.classifiers.base import target_weights
from core.explain import grad_cam
from core.recipe import Recipe

RECIPES = recipe_cases(recipes_by_network())
TORCH_RECIPES = [case for case in RECIPES if case.values[0].architecture.framework == "torch"]
LAYERS = tuple(HAND_FEATURES)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def by_hand(request: pytest.FixtureRequest) -> Classifier:
    """The tiny network whose every number can be worked out on paper."""
    return tiny_classifier(request.param)


@pytest.fixture(scope="module")
def same_weights() -> list[Classifier]:
    """One set of random weights in both frameworks."""
    return [tiny_classifier(framework, random_tiny_arrays()) for framework in FRAMEWORKS]


def tiny_batch(count: int = 4, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 9, 12, 3)).astype(np.float32)


# --- Numbers worked out by hand ----------------------------------------------------------------


def test_layers_run_from_input_to_output(by_hand: Classifier):
    assert by_hand.layers == LAYERS


def test_logits_by_hand(by_hand: Classifier):
    np.testing.assert_allclose(by_hand.logits(HAND_IMAGE), HAND_LOGITS, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_features_by_hand(by_hand: Classifier, layer: str):
    features = by_hand.features(HAND_IMAGE, layer)
    np.testing.assert_allclose(features, HAND_FEATURES[layer], atol=1e-6)


def test_default_layer_is_the_last(by_hand: Classifier):
    np.testing.assert_array_equal(
        by_hand.features(HAND_IMAGE), by_hand.features(HAND_IMAGE, LAYERS[-1])
    )


@pytest.mark.parametrize(
    ("target", "expected"),
    [(0, (0.25, 0)), (1, (0, 0.25)), (2, (0.25, -0.5))],
)
def test_gradients_at_the_last_layer_by_hand(by_hand: Classifier, target: int, expected):
    # Each feature enters a mean over 2x2 places with the weight of the dense layer.
    logits, gradients = by_hand.head(HAND_FEATURES["second"], target)
    np.testing.assert_allclose(logits, HAND_LOGITS, atol=1e-6)
    np.testing.assert_allclose(gradients, np.broadcast_to(expected, (1, 2, 2, 2)), atol=1e-6)


def test_gradients_further_back_by_hand(by_hand: Classifier):
    # d logit 0 / dA0 = 1/4 where A0 - A1 > 0, and the opposite for A1.
    logits, gradients = by_hand.head(HAND_FEATURES["first"], 0, "first")
    through = np.float32([[0, 0.25], [0.25, 0.25]])
    np.testing.assert_allclose(logits, HAND_LOGITS, atol=1e-6)
    np.testing.assert_allclose(gradients[0, ..., 0], through, atol=1e-6)
    np.testing.assert_allclose(gradients[0, ..., 1], -through, atol=1e-6)


@pytest.mark.parametrize("layer", ["first", "second"])
def test_logits_from_features_by_hand(by_hand: Classifier, layer: str):
    logits = by_hand.logits_from(HAND_FEATURES[layer], layer)
    np.testing.assert_allclose(logits, HAND_LOGITS, atol=1e-6)


def test_results_are_float32_and_contiguous(by_hand: Classifier):
    features = by_hand.features(HAND_IMAGE)
    alone = (by_hand.logits(HAND_IMAGE), by_hand.logits_from(features), features)
    for array in (*alone, *by_hand.head(HAND_FEATURES["second"], 0)):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous


def test_every_image_of_a_batch_is_taken_alone(by_hand: Classifier):
    batch = np.concatenate([HAND_IMAGE, 2 * HAND_IMAGE, np.zeros_like(HAND_IMAGE)])
    bias = np.float32([0.5, 0, -1])
    expected = np.concatenate([HAND_LOGITS, 2 * (HAND_LOGITS - bias) + bias, bias[None]])
    np.testing.assert_allclose(by_hand.logits(batch), expected, atol=1e-6)
    _, gradients = by_hand.head(by_hand.features(batch), np.array([0, 1, 2]))
    weights = np.float32([[0.25, 0], [0, 0.25], [0.25, -0.5]])
    # Where a feature is 0 the gradient still is that of the head, which is linear.
    np.testing.assert_allclose(
        gradients, np.broadcast_to(weights[:, None, None], gradients.shape), atol=1e-6
    )


def test_double_precision_strided_and_read_only_input_is_taken(by_hand: Classifier):
    wide = np.repeat(HAND_IMAGE.astype(np.float64), 2, axis=2)[:, :, ::2]
    mirrored = HAND_IMAGE[:, :, ::-1]
    locked = HAND_IMAGE.copy()
    locked.setflags(write=False)
    for batch in (wide, mirrored, locked):
        np.testing.assert_allclose(by_hand.logits(batch), HAND_LOGITS, atol=1e-6)
    _, gradients = by_hand.head(HAND_FEATURES["first"][:, :, ::-1], 0, "first")
    np.testing.assert_allclose(gradients[0, ..., 0], [[0.25, 0], [0.25, 0.25]], atol=1e-6)


# --- Targets -----------------------------------------------------------------------------------


def test_target_weights_of_a_class():
    np.testing.assert_array_equal(target_weights(1, 2, 3), [[0, 1, 0], [0, 1, 0]])
    assert target_weights(1, 2, 3).dtype == np.float32


def test_target_weights_of_a_class_an_image():
    weights = target_weights(np.array([2, 0]), 2, 3)
    np.testing.assert_array_equal(weights, [[0, 0, 1], [1, 0, 0]])


def test_target_weights_given_as_weights():
    one = target_weights(np.array([1.0, -1.0, 0.0]), 2, 3)
    np.testing.assert_array_equal(one, [[1, -1, 0], [1, -1, 0]])
    each = np.array([[1.0, 0, -1], [0.5, 0.5, 0]])
    np.testing.assert_array_equal(target_weights(each, 2, 3), each)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (3, "Classes run from 0 to 2"),
        (-1, "Classes run from 0 to 2"),
        (np.array([0, 7]), "Classes run from 0 to 2"),
        (1.0, "shape"),
        (True, "shape"),
        (np.array([1.0, -1.0]), "shape"),
        (np.zeros((2, 4)), "shape"),
    ],
)
def test_impossible_targets_are_refused(target, message: str):
    with pytest.raises(ValueError, match=message):
        target_weights(target, 2, 3)


@pytest.mark.parametrize("target", [np.array([0, 1, 2]), np.zeros((3, 3)), np.zeros((1, 2, 3))])
def test_targets_for_another_number_of_images_are_refused(target: np.ndarray):
    with pytest.raises(ValueError, match="broadcast|dimensions"):
        target_weights(target, 2, 3)


@pytest.mark.parametrize("target", [3, -1, 0.5, np.array([1.0, 2.0])])
def test_classifier_refuses_impossible_targets(by_hand: Classifier, target):
    with pytest.raises(ValueError, match="Classes run|shape"):
        by_hand.head(HAND_FEATURES["second"], target)


@pytest.mark.parametrize("layer", ["third", "head"])
def test_unknown_layer_lists_the_known_ones(by_hand: Classifier, layer: str):
    with pytest.raises(ValueError, match=r"\['first', 'second'\]"):
        by_hand.features(HAND_IMAGE, layer)
    with pytest.raises(ValueError, match=r"\['first', 'second'\]"):
        by_hand.head(HAND_FEATURES["second"], 0, layer)


@pytest.mark.parametrize("layer", LAYERS)
def test_difference_of_classes_is_difference_of_gradients(
    same_weights: list[Classifier], layer: str
):
    for classifier in same_weights:
        features = classifier.features(tiny_batch(), layer)
        gradients = [classifier.head(features, c, layer)[1] for c in range(3)]
        _, difference = classifier.head(features, np.array([1.0, -1.0, 0.0]), layer)
        np.testing.assert_allclose(difference, gradients[0] - gradients[1], atol=1e-6)
        _, halves = classifier.head(features, np.array([0.0, 0.5, 0.5]), layer)
        np.testing.assert_allclose(halves, (gradients[1] + gradients[2]) / 2, atol=1e-6)


@pytest.mark.parametrize("layer", LAYERS)
def test_gradients_are_those_of_finite_differences(same_weights: list[Classifier], layer: str):
    rng = np.random.default_rng(1)
    for classifier in same_weights:
        features = np.abs(classifier.features(tiny_batch(1), layer)) + 0.1
        direction = rng.normal(size=features.shape).astype(np.float32)
        step = np.float32(1e-3)
        above, below = (
            classifier.head(features + s * direction, 2, layer)[0][0, 2] for s in (step, -step)
        )
        _, gradients = classifier.head(features, 2, layer)
        slope = float((gradients * direction).sum())
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=0.02, abs=2e-3)


def test_probabilities_are_a_softmax_that_cannot_overflow():
    logits = np.float32([[0, np.log(2), np.log(5)], [1000, 1000, -1000]])
    expected = [[1 / 8, 2 / 8, 5 / 8], [0.5, 0.5, 0]]
    np.testing.assert_allclose(probabilities(logits), expected, atol=1e-7)


# --- Both frameworks ---------------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS)
def test_same_weights_give_the_same_in_both_frameworks(same_weights, layer: str):
    batch, target = tiny_batch(), np.array([0, 1, 2, 1])
    found = []
    for classifier in same_weights:
        features = classifier.features(batch, layer)
        logits, gradients = classifier.head(features, target, layer)
        maps = grad_cam(classifier, batch, target, layer).heatmaps
        values = np.stack([one.values for one in maps])
        assert np.ptp(values) > 0.5
        found.append((classifier.logits(batch), features, logits, gradients, values))
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


@pytest.mark.parametrize("recipe", RECIPES)
def test_logits_are_those_of_features_and_head(recipe: Recipe):
    classifier = shipped_classifier(recipe.id)
    batch = noise_batch(recipe, 2)
    expected = whole(shipped_network(recipe.id), batch)
    np.testing.assert_allclose(classifier.logits(batch), expected, atol=1e-5, rtol=1e-5)
    for layer in (classifier.layers[0], classifier.layers[-1]):
        features = classifier.features(batch, layer)
        for logits in (
            classifier.head(features, 0, layer)[0],
            classifier.logits_from(features, layer),
        ):
            np.testing.assert_allclose(logits, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("recipe", TORCH_RECIPES)
def test_no_torch_stage_works_in_place_on_what_it_is_given(recipe: Recipe):
    """Such a stage could not be explained: autograd refuses to change its starting point."""
    classifier = shipped_classifier(recipe.id)
    for layer in classifier.layers:
        features = classifier.features(noise_batch(recipe), layer)
        _, gradients = classifier.head(features, 0, layer)
        assert np.ptp(gradients) > 0


# --- Nothing is changed, nothing is shared -----------------------------------------------------


def state_of(recipe: Recipe) -> dict:
    """All that a method could have changed on a network."""
    network = shipped_network(recipe.id)
    state = {"arrays": {name: a.tobytes() for name, a in network.to_arrays().items()}}
    if recipe.architecture.framework == "keras":
        layers = network.model.layers
        return state | {
            "trainable": [layer.trainable for layer in layers],
            "variables": [variable.trainable for variable in network.model.variables],
            "losses": len(network.model.losses),
        }
    modules = list(network.modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return state | {
        "training": [module.training for module in modules],
        "requires_grad": [parameter.requires_grad for parameter in network.parameters()],
        "grad": [parameter.grad is None for parameter in network.parameters()],
        "hooks": [len(getattr(module, hook)) for module in modules for hook in hooks],
        "attributes": [sorted(vars(module)) for module in modules],
    }


@pytest.mark.parametrize("recipe", TORCH_RECIPES)
def test_a_torch_network_is_in_evaluation_mode(recipe: Recipe):
    shipped_classifier(recipe.id)
    state = state_of(recipe)
    assert not any(state["training"])
    assert not any(state["requires_grad"])
    assert all(state["grad"])


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_changes_on_the_network(recipe: Recipe):
    classifier = shipped_classifier(recipe.id)
    batch = noise_batch(recipe)
    before, given = state_of(recipe), batch.copy()
    features = classifier.features(batch)
    kept = features.copy()
    classifier.head(features, 0)
    classifier.logits_from(features)
    classifier.logits(batch)
    grad_cam(classifier, batch, 1, classifier.layers[0])
    assert state_of(recipe) == before
    np.testing.assert_array_equal(batch, given)
    np.testing.assert_array_equal(features, kept)


@pytest.mark.parametrize("recipe", RECIPES)
def test_nothing_changes_after_an_exception(recipe: Recipe):
    classifier = shipped_classifier(recipe.id)
    batch = noise_batch(recipe)
    features = classifier.features(batch)
    before, expected = state_of(recipe), classifier.logits(batch)
    for misfit in (features[..., :5], features[0, 0]):
        with pytest.raises(Exception):  # noqa: B017, PT011  (whatever the framework raises)
            classifier.head(misfit, 0)
    with pytest.raises(ValueError, match="Classes run"):
        classifier.head(features, 99)
    with pytest.raises(Exception):  # noqa: B017, PT011
        classifier.features(batch[..., :2])
    assert state_of(recipe) == before
    np.testing.assert_array_equal(classifier.logits(batch), expected)


def test_a_caller_without_gradients_still_gets_them():
    import torch

    classifier = tiny_classifier("torch")
    for mode in (torch.no_grad, torch.inference_mode):
        with mode():
            _, gradients = classifier.head(HAND_FEATURES["second"], 0)
            assert mode is torch.inference_mode or not torch.is_grad_enabled()
        np.testing.assert_allclose(gradients[..., 0], np.full((1, 2, 2), 0.25), atol=1e-6)
    assert torch.is_grad_enabled()
    assert not torch.is_inference_mode_enabled()


def test_dropout_and_batch_norm_stand_still(same_weights: list[Classifier]):
    batch = tiny_batch()
    for classifier in same_weights:
        together = classifier.logits(batch)
        alone = np.concatenate([classifier.logits(one[None]) for one in batch])
        np.testing.assert_allclose(alone, together, atol=1e-6)
        np.testing.assert_array_equal(classifier.logits(batch), together)


def explain(classifier: Classifier, batch: np.ndarray) -> tuple[np.ndarray, ...]:
    """All that one scan gives, to the last bit."""
    features = classifier.features(batch)
    target = int(classifier.logits(batch)[0].argmax())
    explanation = grad_cam(classifier, None, target, features=features)
    (heatmap,) = explanation.heatmaps
    return features, explanation.logits, heatmap.values, np.array(heatmap.maximum)


@pytest.mark.parametrize("recipe", RECIPES)
def test_four_threads_get_what_one_gets(recipe: Recipe):
    """48 explanations at once on one shared classifier equal those one after another."""
    classifier = shipped_classifier(recipe.id)
    batches = [noise_batch(recipe, seed=seed) for seed in range(12)]
    expected = [explain(classifier, batch) for batch in batches]
    barrier = Barrier(4)

    def work(turn: int) -> list[tuple[int, tuple[np.ndarray, ...]]]:
        barrier.wait()
        order = np.roll(range(len(batches)), 3 * turn)  # no two threads on one scan at a time
        return [(i, explain(classifier, batches[i])) for i in order]

    with ThreadPoolExecutor(4) as pool:
        found = [one for part in pool.map(work, range(4)) for one in part]
    assert len(found) == 48
    for index, parts in found:
        for ours, theirs in zip(parts, expected[index], strict=True):
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_threads_may_be_the_first_to_use_a_classifier(framework: str):
    classifier = tiny_classifier(framework, random_tiny_arrays())
    barrier = Barrier(8)

    def work(seed: int) -> np.ndarray:
        barrier.wait()
        return explain(classifier, tiny_batch(1, seed))[2]

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(work, range(8)))
    for seed, values in enumerate(found):
        np.testing.assert_array_equal(values, explain(classifier, tiny_batch(1, seed))[2])
