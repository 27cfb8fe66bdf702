"""Grad-CAM against maps worked out by hand, known right answers, and the grad-cam package."""

from __future__ import annotations

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    GREEN,
    HAND_FEATURES,
    HAND_IMAGE,
    HAND_LOGITS,
    RED,
    random_tiny_arrays,
    recipe_for,
    shipped_classifier,
    tiny_classifier,
    trained_classifier,
)

from core.checkpoints import list_trained
from core.classifiers import Classifier, wrap
from core.explain import grad_cam
from core.explain.heatmap import NO_EVIDENCE, NOT_FINITE, Heatmap, positive_part
from core.recipe import Recipe
from core.recipes import list_recipes

QUADRANTS = {"top left": (0, 0), "top right": (0, 1), "low left": (1, 0), "low right": (1, 1)}


@pytest.fixture(scope="module", params=FRAMEWORKS)
def by_hand(request: pytest.FixtureRequest) -> Classifier:
    """The tiny network whose every number can be worked out on paper."""
    return tiny_classifier(request.param)


def explain_by_hand(classifier: Classifier, target, layer: str | None = None) -> Heatmap:
    explanation = grad_cam(classifier, HAND_IMAGE, target, layer)
    np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
    return explanation.heatmaps[0]


# --- Maps worked out by hand -------------------------------------------------------------------
# With B0 = [[0, 1], [2, 4]], B1 = [[8, 2], [2, 0]] and mean gradients w:


@pytest.mark.parametrize(
    ("target", "maximum", "values"),
    [
        (0, 1.0, [[0, 0.25], [0.5, 1]]),  # w = (1/4, 0): the map is B0 / 4
        (1, 2.0, [[1, 0.25], [0.25, 0]]),  # w = (0, 1/4): B1 / 4
        (2, 1.0, [[0, 0], [0, 1]]),  # w = (1/4, -1/2): [[-4, -3/4], [-1/2, 1]], cut at 0
        (np.array([1.0, 1.0, 0.0]), 2.0, [[1, 0.375], [0.5, 0.5]]),  # (B0 + B1) / 4
        (np.array([1.0, -1.0, 0.0]), 1.0, [[0, 0], [0, 1]]),  # (B0 - B1) / 4
        (np.array([-1.0, 1.0, 0.0]), 2.0, [[1, 0.125], [0, 0]]),  # (B1 - B0) / 4
    ],
)
def test_last_layer_by_hand(by_hand: Classifier, target, maximum: float, values):
    heatmap = explain_by_hand(by_hand, target)
    assert heatmap.maximum == pytest.approx(maximum, abs=1e-6)
    assert heatmap.note is None
    assert heatmap.values.dtype == np.float32
    np.testing.assert_allclose(heatmap.values, values, atol=1e-6)


def test_layer_further_back_by_hand(by_hand: Classifier):
    # w = (3/16, -3/16), since one of four places is cut by the ReLU.
    heatmap = explain_by_hand(by_hand, 0, "first")
    assert heatmap.maximum == pytest.approx(3 / 16 * 4, abs=1e-6)
    np.testing.assert_allclose(heatmap.values, np.maximum(RED - GREEN, 0) / 4, atol=1e-6)


def test_every_image_of_a_batch_has_its_own_target_and_scale(by_hand: Classifier):
    batch = np.concatenate([HAND_IMAGE, 3 * HAND_IMAGE])
    first, second = grad_cam(by_hand, batch, np.array([1, 0])).heatmaps
    np.testing.assert_allclose(first.values, [[1, 0.25], [0.25, 0]], atol=1e-6)
    np.testing.assert_allclose(second.values, [[0, 0.25], [0.5, 1]], atol=1e-6)
    assert (first.maximum, second.maximum) == pytest.approx((2, 3), abs=1e-6)


def test_given_features_are_used_instead_of_the_backbone(by_hand: Classifier):
    for layer, features in HAND_FEATURES.items():
        given = grad_cam(by_hand, None, 0, layer, features)
        computed = grad_cam(by_hand, HAND_IMAGE, 0, layer)
        np.testing.assert_array_equal(given.heatmaps[0].values, computed.heatmaps[0].values)
        np.testing.assert_array_equal(given.logits, computed.logits)
    altered = grad_cam(by_hand, HAND_IMAGE, 1, features=HAND_FEATURES["second"][:, ::-1])
    np.testing.assert_allclose(altered.heatmaps[0].values, [[0.25, 0], [1, 0.25]], atol=1e-6)


def test_nothing_speaks_for_the_class(by_hand: Classifier):
    heatmap = explain_by_hand(by_hand, np.array([-1.0, -1.0, 0.0]))
    # -(B0 + B1) / 4 is largest, -3/4, at the top right.
    assert heatmap.maximum == pytest.approx(-0.75, abs=1e-6)
    assert heatmap.note == NO_EVIDENCE
    assert not heatmap.values.any()


def test_a_black_scan_is_no_evidence_either(by_hand: Classifier):
    heatmap = grad_cam(by_hand, np.zeros_like(HAND_IMAGE), 0).heatmaps[0]
    assert heatmap.maximum == 0
    assert heatmap.note == NO_EVIDENCE
    assert not heatmap.values.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_overflow_is_told_and_harms_no_other_image(by_hand: Classifier, bad: float):
    features = np.concatenate([HAND_FEATURES["second"]] * 2)
    features[0, 1, 0, 0] = bad
    broken, whole = grad_cam(by_hand, None, 0, features=features).heatmaps
    assert broken.note == NOT_FINITE
    assert np.isnan(broken.maximum)
    assert not broken.values.any()
    np.testing.assert_allclose(whole.values, [[0, 0.25], [0.5, 1]], atol=1e-6)


# --- Properties --------------------------------------------------------------------------------


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_map_and_map_of_the_negated_logit_make_the_signed_map(framework: str):
    classifier = tiny_classifier(framework, random_tiny_arrays(3))
    batch = np.random.default_rng(2).normal(size=(3, 8, 8, 3)).astype(np.float32)
    features = classifier.features(batch)
    for target in range(3):
        weights = np.eye(3)[target]
        positive = grad_cam(classifier, batch, weights).heatmaps
        negative = grad_cam(classifier, batch, -weights).heatmaps
        mean = classifier.head(features, target)[1].mean(axis=(1, 2))
        signed = (features * mean[:, None, None]).sum(axis=-1)
        for index in range(3):
            up, down = positive[index], negative[index]
            assert not (up.values * down.values).any()
            rebuilt = up.values * max(up.maximum, 0) - down.values * max(down.maximum, 0)
            np.testing.assert_allclose(rebuilt, signed[index], atol=1e-5)


def test_positive_part_keeps_the_sign_and_the_scale():
    heatmap = positive_part(np.array([[-8.0, 2.0], [0.0, 4.0]]))
    np.testing.assert_array_equal(heatmap.values, np.float32([[0, 0.5], [0, 1]]))
    assert (heatmap.maximum, heatmap.note) == (4, None)


def test_even_evidence_is_a_full_map_not_an_empty_one():
    heatmap = positive_part(np.full((2, 2), 1e-30))
    np.testing.assert_array_equal(heatmap.values, np.ones((2, 2)))
    assert heatmap.note is None


def test_resized_map_interpolates_and_stays_in_range():
    heatmap = Heatmap(np.float32([[0, 1]]), 1.0)
    # Half-pixel centres: -1/4, 1/4, 3/4, 5/4 of the old pixels.
    np.testing.assert_allclose(heatmap.resized(1, 4), [[0, 0.25, 0.75, 1]], atol=1e-6)
    full = Heatmap(np.ones((7, 7), np.float32), 1.0)
    for height, width in ((224, 224), (333, 501), (5, 5), (1, 1)):
        resized = full.resized(height, width)
        assert resized.shape == (height, width)
        np.testing.assert_array_equal(resized, 1)


# --- Classifiers whose right explanation is known ----------------------------------------------


def torch_that_sees(row: int, column: int) -> Classifier:
    """Brightness of one quadrant of 8x8 pixels; what lies outside it does not reach the logits."""
    import torch
    from torch import nn

    from core.architectures.torch_staged import StagedNetwork

    # left, right, top, bottom; a negative padding crops.
    outside = (4 * column, 4 - 4 * column, 4 * row, 4 - 4 * row)
    crop = nn.ZeroPad2d(tuple(-side for side in outside))
    colour = nn.Conv2d(3, 2, 1, bias=False)
    head = nn.Linear(2, 2, bias=False)
    with torch.no_grad():
        colour.weight.copy_(torch.tensor([[1.0, 1, 1], [2, 0, 1]])[..., None, None])
        head.weight.copy_(torch.tensor([[1.0, 0], [0, -1]]))
    stages = {"look": nn.Sequential(crop, nn.ZeroPad2d(outside), colour)}
    network = StagedNetwork(stages, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), head))
    return wrap(recipe_for("torch", ("bright", "dark")), network)


def keras_that_sees(row: int, column: int) -> Classifier:
    """The same in Keras."""
    import keras
    from keras import layers

    from core.architectures.keras_staged import StagedNetwork

    outside = ((4 * row, 4 - 4 * row), (4 * column, 4 - 4 * column))
    inputs = keras.Input((8, 8, 3))
    x = layers.ZeroPadding2D(outside)(layers.Cropping2D(outside)(inputs))
    x = layers.Conv2D(2, 1, use_bias=False, name="look")(x)
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, layers.Dense(2, use_bias=False, name="logits")(x))
    model.get_layer("look").set_weights([np.float32([[1, 2], [1, 0], [1, 1]])[None, None]])
    model.get_layer("logits").set_weights([np.float32([[1, 0], [0, -1]])])
    return wrap(recipe_for("keras", ("bright", "dark")), StagedNetwork(model, {"look": "look"}))


@pytest.mark.parametrize("build", [torch_that_sees, keras_that_sees])
@pytest.mark.parametrize("quadrant", QUADRANTS)
def test_a_classifier_of_one_quadrant_is_explained_by_it(build, quadrant: str):
    row, column = QUADRANTS[quadrant]
    image = np.random.default_rng(4).uniform(0.2, 1, (1, 8, 8, 3)).astype(np.float32)
    bright, dark = grad_cam(
        build(row, column), np.repeat(image, 2, axis=0), np.array([0, 1])
    ).heatmaps
    inside = np.zeros((8, 8), bool)
    inside[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    assert (bright.values[inside] > 0).all()
    assert not bright.values[~inside].any()
    brightness = image[0].sum(axis=-1) * inside
    np.testing.assert_allclose(bright.values, brightness / brightness.max(), atol=1e-6)
    # Nothing that it sees speaks for "dark".
    assert dark.note == NO_EVIDENCE


# --- The grad-cam package ----------------------------------------------------------------------

TORCH_RECIPES = [
    pytest.param(recipe, id=recipe.id)
    for recipe in list_recipes()
    if (recipe.architecture.framework, recipe.architecture.name) == ("torch", "efficientnet_b0")
]


def classifier_of(recipe: Recipe) -> Classifier:
    """The trained system if it is here, else its network with random weights."""
    if recipe.id in list_trained():
        return trained_classifier(recipe.id)
    return shipped_classifier(recipe.id)


def timm_model_with_weights_of(network):
    """timm's own, unstaged EfficientNet-B0 that computes what a staged network does."""
    import torch

    from core.torch_compat import import_timm

    state = network.state_dict()
    classes = len(list(state.values())[-1])
    model = import_timm().create_model("tf_efficientnet_b0", num_classes=classes)
    names = model.state_dict().keys()
    assert len(names) == len(state)
    model.load_state_dict(dict(zip(names, map(torch.clone, state.values()), strict=True)))
    return model.eval()


def scan_like(recipe: Recipe, count: int) -> np.ndarray:
    """Network inputs made of phantoms of all classes."""
    from core.datasets.phantoms import PHANTOM_CLASSES, phantom
    from core.preprocessing import to_batch

    labels = [PHANTOM_CLASSES[i % len(PHANTOM_CLASSES)] for i in range(count)]
    return to_batch([phantom(name, i)[0] for i, name in enumerate(labels)], recipe.preprocessing)


def spread(values: np.ndarray) -> np.ndarray:
    """From 0 to 1, as the package scales its maps."""
    values = values - values.min()
    return values / (1e-7 + values.max())


@pytest.mark.parametrize("recipe", TORCH_RECIPES)
def test_equal_to_the_grad_cam_package(recipe: Recipe):
    import torch

    from core.torch_compat import import_timm

    import_timm()
    package = pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    classifier = classifier_of(recipe)
    model = timm_model_with_weights_of(classifier._network)
    batch = scan_like(recipe, 4)
    inputs = torch.from_numpy(batch).permute(0, 3, 1, 2)
    with torch.no_grad():
        np.testing.assert_allclose(
            classifier.logits(batch), model(inputs).numpy(), atol=1e-4, rtol=1e-4
        )
    compared = 0
    for target in range(len(recipe.classes)):
        with package.GradCAM(model=model, target_layers=[model.bn2]) as reference:
            theirs = reference(inputs, [ClassifierOutputTarget(target)] * len(batch))
        ours = grad_cam(classifier, batch, target).heatmaps
        for heatmap, their_map in zip(ours, theirs, strict=True):
            if heatmap.note:
                assert not their_map.any()
                continue
            resized = heatmap.resized(*their_map.shape)
            compared += 1
            assert np.corrcoef(resized.ravel(), their_map.ravel())[0, 1] >= 0.9999
            np.testing.assert_allclose(spread(resized), spread(their_map), atol=1e-4)
    assert compared >= 4
