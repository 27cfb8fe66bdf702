"""VGG19 + EfficientNet-B0: both branches are Keras' own, and freezing one part changes nothing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from networks import on_small_images
from scipy.special import expit, softmax

from core.architectures import backbones, build
from core.recipe import Phase
from core.recipes import load_recipe

SIZE = (64, 64)
FUSION = "us9016-vgg19-efficientnetb0"


def recipe(size: tuple[int, int] = SIZE):
    found = load_recipe(FUSION)
    preprocessing = found.preprocessing.model_copy(update={"size": size})
    return found.model_copy(update={"preprocessing": preprocessing})


def pixels(count: int = 2) -> np.ndarray:
    return np.random.default_rng(3).uniform(0, 255, (count, *SIZE, 3)).astype(np.float32)


def arrays_of(model, seed: int) -> dict[str, np.ndarray]:
    """Plausible random arrays under Keras' names: kernels of He's size, norms near the identity."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for variable in (v for v in model.variables if not v.path.startswith(("normal", "seed"))):
        shape = tuple(variable.shape)
        if len(shape) > 1:
            arrays[variable.path] = rng.normal(0, (2 / np.prod(shape[:-1])) ** 0.5, shape)
        else:
            arrays[variable.path] = rng.uniform(0.5, 1.5, shape)
    return {name: array.astype(np.float32) for name, array in arrays.items()}


@pytest.fixture(scope="module")
def keras_models():
    """keras.applications' own two backbones, EfficientNet-B0 with ImageNet's normalisation."""
    import keras

    vgg19 = keras.applications.VGG19(include_top=False, weights=None, input_shape=(*SIZE, 3))
    efficientnet = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(*SIZE, 3)
    )
    (normalization,) = (x for x in efficientnet.layers if isinstance(x, keras.layers.Normalization))
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign(np.square([0.229, 0.224, 0.225]))
    normalization.finalize_state()
    return vgg19, efficientnet


@pytest.fixture(scope="module")
def network(keras_models):
    """The fusion, started from the same arrays that the two models then hold."""
    from core.architectures import keras_arrays

    vgg19, efficientnet = keras_models
    arrays = {
        "vgg19_block1-block3.npz": arrays_of(vgg19, 1),
        "efficientnetb0.npz": arrays_of(efficientnet, 2),
    }
    for model, name in zip(keras_models, arrays, strict=True):
        keras_arrays.load_arrays(model, arrays[name])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backbones, "find_arrays", arrays.get)
        return build(recipe(), pretrained=True)


def test_the_branches_give_what_keras_own_networks_give(network, keras_models):
    import keras

    batch = pixels()
    ours = np.asarray(network.to_stage("concatenation")(batch, training=False))
    scaled = keras.applications.vgg19.preprocess_input(batch.copy())
    theirs = [
        np.asarray(model(x, training=False))
        for model, x in zip(keras_models, (scaled, batch), strict=True)
    ]
    assert ours.shape == (2, 2, 2, 512 + 1280)
    for part, whole in zip(np.split(ours, [512], axis=-1), theirs, strict=True):
        assert np.abs(part - whole).max() < 1e-3 * np.abs(whole).max()


@pytest.mark.parametrize(
    ("size", "grid"), [((150, 150), (5, 5)), ((299, 299), (10, 10)), ((64, 90), (2, 3))]
)
def test_both_grids_agree_where_32_does_not_divide_the_side(size, grid):
    network = build(recipe(size))
    assert network.model.get_layer("concatenation").output.shape == (None, *grid, 512 + 1280)
    padding = network.model.get_layer("vgg19_padding")
    assert padding.output.shape[1:3] == tuple(32 * cells for cells in grid)
    scaled = np.ones((1, *size, 3), np.float32)
    padded = np.asarray(padding(scaled))
    np.testing.assert_array_equal(padded[:, : size[0], : size[1]], scaled)
    assert padded.sum() == scaled.sum()


@pytest.mark.parametrize("side", [64, 224])
def test_nothing_is_padded_where_32_divides_the_side(side):
    names = [layer.name for layer in build(recipe((side, side))).model.layers]
    assert "vgg19_scaling" in names and "vgg19_padding" not in names


def test_two_logits_say_what_the_sigmoid_unit_says(network):
    import keras

    batch = pixels()
    unit = keras.Model(network.model.input, network.model.get_layer("head_sigmoid").output)
    # Random weights may give values of which float32 has no exponential.
    z = np.asarray(unit(batch, training=False), np.float64)[:, 0]
    logits = np.asarray(network.model(batch, training=False), np.float64)
    np.testing.assert_allclose(logits[:, 1] - logits[:, 0], z, rtol=1e-5)
    np.testing.assert_allclose(softmax(logits, axis=1)[:, 1], expit(z), rtol=1e-5, atol=1e-30)


def test_three_classes_have_a_logit_each():
    three = recipe().model_copy(update={"classes": ("normal", "benign", "malignant")})
    assert np.asarray(build(three).model(pixels(), training=False)).shape[1] == 3


def test_the_frozen_part_and_the_rest_are_the_whole(network):
    for layer in network.model.layers:
        layer.trainable = layer.name.startswith(("head", "block5_"))
    frozen, rest = network.split_at_frozen()
    assert {layer.name for layer in rest.layers if layer.weights} == {
        *(f"block5_conv{i}" for i in (1, 2, 3, 4)),
        "head_dense",
        "head_sigmoid",
    }
    batch = pixels()
    whole = np.asarray(network.model(batch, training=False))
    np.testing.assert_allclose(np.asarray(rest(frozen(batch))), whole, atol=1e-5)
    for layer in network.model.layers:
        layer.trainable = True
    assert network.split_at_frozen() is None


def test_dropout_behind_the_last_stage_is_never_frozen():
    """It comes right behind the pooling here, before anything that learns."""
    compared = load_recipe("us9016-vgg19-efficientnetb0+efficientnetv2b0")
    network = build(on_small_images(compared))
    for layer in network.model.layers:
        layer.trainable = layer.name.startswith("head")
    frozen, rest = network.split_at_frozen()
    assert {"head_dropout", "head_logits"} <= {layer.name for layer in rest.layers}
    assert "head_pool" in {layer.name for layer in frozen.layers}


@pytest.mark.parametrize(("keeps", "apart"), [(True, False), (False, True)])
def test_statistics_that_are_to_be_kept_are_not_in_the_part_that_learns(keeps, apart):
    network = replace(
        build(on_small_images(load_recipe("busi-mobilenetv2"))), keeps_statistics=keeps
    )
    for layer in network.model.layers:
        layer.trainable = layer.name.startswith(("head", "block_16"))
    assert (network.split_at_frozen() is not None) == apart


def test_features_of_the_frozen_part_are_computed_once_an_image():
    from core.training.frozen import FrozenFeatures

    asked = []

    def double(batch):
        asked.append(len(batch))
        return [2 * batch.mean(axis=(1, 2)), batch[:, 0, 0]]

    features, batch = FrozenFeatures(double), pixels(3)
    first = features(batch[:2])
    again = features(batch[[1, 2, 0]])
    assert asked == [2, 1]
    np.testing.assert_allclose(again[0], 2 * batch[[1, 2, 0]].mean(axis=(1, 2)), rtol=1e-3)
    np.testing.assert_array_equal(again[1][[2, 0]], first[1])


@pytest.mark.slow
def test_a_frozen_phase_moves_its_layers_alone_and_learns():
    from core.training.keras_learner import KerasLearner

    architecture = recipe().architecture.model_copy(update={"parameters": {"dropout": 0.0}})
    certain = recipe().model_copy(update={"architecture": architecture})
    learner = KerasLearner(certain, seed=0, pretrained=False)
    before = learner.network.to_arrays()
    phase = Phase(trainable=("head", "block5_"), epochs=1, learning_rate=1e-4)
    learner.start_phase(phase)
    batch, labels = pixels(4), np.array([0, 1, 0, 1])
    losses = [learner.step(batch, labels, 1e-4) for _ in range(6)]
    after = learner.network.to_arrays()
    moved = {name for name, array in after.items() if not np.array_equal(array, before[name])}
    assert moved and all(name.startswith(("head", "block5_")) for name in moved)
    assert min(losses[3:]) < losses[0]
    # What is trained in bfloat16 is used in float32.
    trained = np.asarray(learner.trained().model(batch, training=False))
    np.testing.assert_allclose(trained, learner.logits(batch), atol=0.05)
