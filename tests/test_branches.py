"""One branch of a network that joins two: the map is made of its own channels alone."""

from __future__ import annotations

import numpy as np
import pytest
from networks import GREEN, HAND_IMAGE, RED, noise_batch, recipe_for, shipped_classifier

from core.classifiers import wrap
from core.explain import METHODS

FUSION = "us9016-vgg19-efficientnetb0"
OF_LAYERS = (
    "grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "xgrad-cam", "ablation-cam",
    "score-cam", "fast-score-cam",
)  # fmt: skip


@pytest.fixture(scope="module")
def classifier():
    """Branches that see red and green; logits: mean red + mean green, and its negative."""
    import keras
    from keras import layers

    from core.architectures.keras_staged import Branch, StagedNetwork

    image = keras.Input((2, 2, 3))
    parts = [layers.Conv2D(1, 1, use_bias=False, name=name)(image) for name in ("red", "green")]
    joined = layers.Concatenate(name="joined")(parts)
    pooled = layers.GlobalAveragePooling2D()(joined)
    model = keras.Model(image, layers.Dense(2, use_bias=False, name="logits")(pooled))
    for channel, name in enumerate(("red", "green")):
        kernel = np.eye(3, dtype=np.float32)[channel].reshape(1, 1, 3, 1)
        model.get_layer(name).set_weights([kernel])
    model.get_layer("logits").set_weights([np.float32([[1, -1], [1, -1]])])
    branches = {
        "red": Branch("joined", slice(0, 1)),
        "green": Branch("joined", slice(1, 2)),
    }
    network = StagedNetwork(model, {"joined": "joined"}, branches=branches)
    return wrap(recipe_for("keras", ("bright", "dark")), network)


@pytest.mark.parametrize("name", OF_LAYERS)
@pytest.mark.parametrize(("branch", "channel"), [("red", RED), ("green", GREEN)])
def test_the_map_of_a_single_positive_channel_is_the_channel(classifier, name, branch, channel):
    found = METHODS[name].run(classifier, HAND_IMAGE, 0, branch)
    np.testing.assert_allclose(found.heatmaps[0].values, channel / channel.max(), atol=1e-6)
    np.testing.assert_allclose(found.logits, [[4, -4]], atol=1e-6)


def test_eigen_cam_and_dt_grad_cam_see_the_branch_alone(classifier):
    eigen = METHODS["eigen-cam"].run(classifier, HAND_IMAGE, 0, "red").heatmaps[0]
    np.testing.assert_allclose(eigen.values, np.float32([[0, 0], [1 / 3, 1]]), atol=1e-6)
    steps = METHODS["dt-grad-cam"].run(classifier, HAND_IMAGE, 0, "green", sigma=0).steps
    np.testing.assert_allclose(steps["mean"][0], GREEN / 4, atol=1e-6)


def test_the_whole_is_the_sum_of_its_branches(classifier):
    raw = [
        one.values * one.maximum
        for layer in ("red", "green", "joined")
        for one in METHODS["grad-cam"].run(classifier, HAND_IMAGE, 0, layer).heatmaps
    ]
    np.testing.assert_allclose(raw[0] + raw[1], raw[2], atol=1e-6)


@pytest.mark.slow
def test_the_fusions_branches_are_its_two_networks():
    import keras

    fusion = shipped_classifier(FUSION)
    assert fusion.layers == ("vgg19", "efficientnetb0", "concatenation")
    batch = noise_batch(fusion.recipe)
    for branch, output in (("vgg19", "block5_pool"), ("efficientnetb0", "top_activation")):
        model = fusion._network.model
        alone = keras.Model(model.input, model.get_layer(output).output)
        expected = np.asarray(alone(batch, training=False))
        found = fusion.features(batch, branch)[..., fusion.channels(branch)]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())
