"""Networks: the same arrays give the same features in both frameworks, and nothing is half-loaded.

Arrays are loaded into four independent implementations: our networks, timm's own models and
keras.applications.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    noise_batch,
    on_small_images,
    random_arrays,
    random_tiny_arrays,
    recipe_cases,
    recipes_by_network,
    shipped_network,
    whole,
)

from core import architectures
from core.architectures import (
    ArchitectureError,
    backbones,
    build,
    list_architectures,
)
from core.architectures.efficientnet_names import V1, V2, keras_to_timm
from core.networks import networks
from core.recipe import Recipe
from core.recipes import list_recipes

RECIPES = recipe_cases(on_small_images(one) for one in recipes_by_network())


def recipe_with(framework: str, name: str) -> Recipe:
    """A shipped recipe of this network, or one made up for it."""
    for recipe in list_recipes():
        if (recipe.architecture.framework, recipe.architecture.name) == (framework, name):
            return recipe
    architecture = {"framework": framework, "name": name, "parameters": {}}
    return list_recipes()[0].model_copy(
        update={"architecture": list_recipes()[0].architecture.model_copy(update=architecture)}
    )


def pixels(size: tuple[int, int], count: int = 2) -> np.ndarray:
    """Smooth random pictures in 0..255, float32 (count, h, w, 3)."""
    import cv2

    rng = np.random.default_rng(5)
    small = rng.uniform(0, 255, (count, 9, 9, 3)).astype(np.float32)
    return np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_LINEAR) for one in small])


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """Largest difference as a share of the largest value."""
    assert ours.shape == theirs.shape
    assert np.abs(theirs).max() > 1e-3, "nothing to compare"
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def torch_features(network, batch: np.ndarray) -> np.ndarray:
    """What leaves the last stage (or timm's ``forward_features``), channels last."""
    import torch

    network.eval()
    x = torch.from_numpy(batch).permute(0, 3, 1, 2)
    with torch.inference_mode():
        if hasattr(network, "forward_features"):
            y = network.forward_features(x)
        else:
            y = network.forward_to(x, network.stage_names[-1])
    return y.permute(0, 2, 3, 1).numpy()


def keras_arrays_of(model, seed: int = 0) -> dict[str, np.ndarray]:
    """Random arrays for a keras.applications model, named as the files of ImageNet arrays."""
    import keras

    skipped = keras.layers.Normalization, keras.layers.Dropout
    shapes = {}
    for layer in model.layers:
        if isinstance(layer, skipped):
            continue
        depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
        for variable in layer.variables:
            prefix = "depthwise_" if depthwise and variable.name == "kernel" else ""
            shapes[f"{layer.name}/{prefix}{variable.name}"] = tuple(variable.shape)
    return random_arrays(shapes, seed)


# --- EfficientNet-B0 ---------------------------------------------------------------------------


@pytest.fixture(scope="session")
def keras_efficientnet():
    """keras.applications' own EfficientNet-B0 and its input size; it takes pixels 0..255."""
    import keras

    size = (96, 96)
    model = keras.applications.EfficientNetB0(
        include_top=False, weights=None, input_shape=(*size, 3)
    )
    (normalization,) = (x for x in model.layers if isinstance(x, keras.layers.Normalization))
    normalization.adapt_mean.assign([0.485, 0.456, 0.406])
    normalization.adapt_variance.assign(np.square([0.229, 0.224, 0.225]))
    normalization.finalize_state()
    return model, size


def efficientnet_difference(arrays: dict[str, np.ndarray], network, keras_efficientnet) -> float:
    from core.architectures import keras_arrays
    from core.preprocessing import scale

    model, size = keras_efficientnet
    keras_arrays.load_arrays(model, arrays)
    images = pixels(size)
    theirs = np.asarray(model(images, training=False))
    prep = recipe_with("torch", "efficientnet_b0").preprocessing
    imagenet = prep.model_copy(update={"value_range": "imagenet"})
    return relative_difference(torch_features(network, scale(images, imagenet)), theirs)


@pytest.mark.slow
def test_efficientnet_mapping_gives_the_features_of_keras(
    keras_efficientnet, monkeypatch: pytest.MonkeyPatch
):
    arrays = keras_arrays_of(keras_efficientnet[0])
    names = keras_to_timm((1, 2, 2, 3, 3, 4, 1), V1)  # table 1 of the paper
    assert set(names) == {key.partition("/")[0] for key in arrays}
    monkeypatch.setattr(backbones, "find_arrays", lambda _: arrays)
    network = build(recipe_with("torch", "efficientnet_b0"), pretrained=True)
    assert efficientnet_difference(arrays, network, keras_efficientnet) < 1e-3


def test_efficientnet_imagenet_arrays_give_the_features_of_keras(
    keras_efficientnet, weights_folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(backbones.WEIGHTS_SETTING, str(weights_folder))
    arrays = backbones.find_arrays("efficientnetb0.npz")
    if arrays is None:
        pytest.skip("no arrays of EfficientNet-B0 here")
    np.testing.assert_allclose(arrays["normalization/mean"], [0.485, 0.456, 0.406], atol=1e-6)
    std = np.sqrt(arrays["normalization/variance"])
    np.testing.assert_allclose(std, [0.229, 0.224, 0.225], atol=1e-5)
    network = build(recipe_with("torch", "efficientnet_b0"), pretrained=True)
    assert efficientnet_difference(arrays, network, keras_efficientnet) < 1e-3


def test_efficientnet_has_the_known_number_of_parameters():
    """5,288,548 (Tan and Le) less the classifier's 1,281,000."""
    recipe = recipe_with("torch", "efficientnet_b0")
    stages = build(recipe).stages
    assert sum(parameter.numel() for parameter in stages.parameters()) == 4_007_548


# --- EfficientNetV2-B0 -------------------------------------------------------------------------


def efficientnetv2_difference(arrays: dict[str, np.ndarray], network) -> float:
    from core.architectures.torch_arrays import load_arrays
    from core.preprocessing import scale
    from core.torch_compat import import_timm

    model = import_timm().create_model("tf_efficientnetv2_b0", num_classes=0)
    names = keras_to_timm((1, 2, 2, 3, 5, 8), V2)  # table 4 of the paper, scaled to B0
    assert set(names) == {key.partition("/")[0] for key in arrays} - {"normalization"}
    load_arrays(model, arrays, names)
    recipe = recipe_with("keras", "efficientnetv2b0")
    images = pixels(recipe.preprocessing.size, 1)
    ours = np.asarray(network.to_stage(network.stage_names[-1])(images, training=False))
    imagenet = recipe.preprocessing.model_copy(update={"value_range": "imagenet"})
    return relative_difference(ours, torch_features(model, scale(images, imagenet)))


@pytest.mark.slow
def test_efficientnetv2_loads_arrays_as_timm_does():
    from core.architectures import keras_arrays

    network = build(recipe_with("keras", "efficientnetv2b0"))
    arrays = keras_arrays_of(network.to_stage(network.stage_names[-1]))
    keras_arrays.load_arrays(network.model, arrays)
    assert efficientnetv2_difference(arrays, network) < 1e-3


@pytest.mark.slow
def test_efficientnetv2_imagenet_arrays_give_the_features_of_timm(
    weights_folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(backbones.WEIGHTS_SETTING, str(weights_folder))
    arrays = backbones.find_arrays("efficientnetv2-b0.npz")
    if arrays is None:
        pytest.skip("no arrays of EfficientNetV2-B0 here")
    network = build(recipe_with("keras", "efficientnetv2b0"), pretrained=True)
    assert efficientnetv2_difference(arrays, network) < 1e-3


@pytest.mark.slow
def test_efficientnetv2_has_the_known_number_of_parameters():
    """7,200,312 (Keras' table of applications) less the classifier's 1,281,000."""
    network = build(recipe_with("keras", "efficientnetv2b0"))
    backbone = network.to_stage(network.stage_names[-1])
    assert backbone.count_params() == 5_919_312


# --- MobileNetV2 -------------------------------------------------------------------------------

_FIRST = {
    "depthwise": "conv_dw",
    "depthwise_BN": "bn1",
    "project": "conv_pw",
    "project_BN": "bn2",
}
_OTHERS = {
    "expand": "conv_pw",
    "expand_BN": "bn1",
    "depthwise": "conv_dw",
    "depthwise_BN": "bn2",
    "project": "conv_pwl",
    "project_BN": "bn3",
}


def mobilenet_keras_to_timm() -> dict[str, str]:
    """Keras numbers the blocks through; timm numbers them within the seven rows of table 2."""
    names = {"Conv1": "conv_stem", "bn_Conv1": "bn1", "Conv_1": "conv_head", "Conv_1_bn": "bn2"}
    names |= {f"expanded_conv_{k}": f"blocks.0.0.{t}" for k, t in _FIRST.items()}
    rows = [(row, i) for row, repeats in enumerate((2, 3, 4, 3, 3, 1), 1) for i in range(repeats)]
    for number, (row, i) in enumerate(rows, 1):
        names |= {f"block_{number}_{k}": f"blocks.{row}.{i}.{t}" for k, t in _OTHERS.items()}
    return names


@pytest.fixture(scope="session")
def timm_mobilenet():
    """timm's MobileNetV2 with the padding and the epsilon of Keras."""
    from core.torch_compat import import_timm

    return import_timm().create_model(
        "mobilenetv2_100", pad_type="same", bn_eps=1e-3, num_classes=0
    )


def mobilenet_difference(arrays: dict[str, np.ndarray], network, timm_mobilenet) -> float:
    from core.architectures.torch_arrays import load_arrays

    names = mobilenet_keras_to_timm()
    assert set(names) == {key.partition("/")[0] for key in arrays}
    load_arrays(timm_mobilenet, arrays, names)
    size = tuple(network.model.input.shape[1:3])
    batch = pixels(size) / 127.5 - 1
    ours = np.asarray(network.to_stage(network.stage_names[-1])(batch, training=False))
    return relative_difference(ours, torch_features(timm_mobilenet, batch))


@pytest.mark.slow
def test_mobilenet_loads_arrays_as_timm_does(timm_mobilenet):
    from core.architectures import keras_arrays

    network = build(recipe_with("keras", "mobilenetv2"))
    arrays = keras_arrays_of(network.to_stage(network.stage_names[-1]))
    keras_arrays.load_arrays(network.model, arrays)
    assert mobilenet_difference(arrays, network, timm_mobilenet) < 1e-3


@pytest.mark.slow
def test_mobilenet_imagenet_arrays_give_the_features_of_timm(
    timm_mobilenet, weights_folder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv(backbones.WEIGHTS_SETTING, str(weights_folder))
    arrays = backbones.find_arrays("mobilenetv2_1.00.npz")
    if arrays is None:
        pytest.skip("no arrays of MobileNetV2 here")
    network = build(recipe_with("keras", "mobilenetv2"), pretrained=True)
    assert mobilenet_difference(arrays, network, timm_mobilenet) < 1e-3


def test_mobilenet_has_the_known_number_of_parameters():
    """3,538,984 (Keras' table of applications) less the classifier's 1,281,000."""
    network = build(recipe_with("keras", "mobilenetv2"))
    backbone = network.to_stage(network.stage_names[-1])
    assert backbone.count_params() == 2_257_984


# --- Arrays that do not fit --------------------------------------------------------------------


def load_tiny(framework: str, arrays: dict[str, np.ndarray]) -> None:
    """Copy arrays into a fresh tiny network by the framework's ``load_arrays``."""
    from networks import tiny_classifier

    tiny_classifier(framework, arrays)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_array_of_another_shape_is_refused(framework: str):
    arrays = random_tiny_arrays()
    arrays["second/bias"] = np.zeros(4, np.float32)
    with pytest.raises(ValueError, match=r"\(4,\)"):
        load_tiny(framework, arrays)


def test_torch_refuses_an_array_without_a_place():
    import torch

    from core.architectures.torch_arrays import load_arrays

    arrays = {"conv/bias": np.zeros(2, np.float32)}
    with pytest.raises(KeyError, match="bias"):
        load_arrays(torch.nn.Conv2d(3, 2, 1, bias=False), arrays, {"conv": ""})


def test_torch_leaves_layers_alone_that_are_not_mapped():
    import torch

    from core.architectures.torch_arrays import load_arrays

    module = torch.nn.ModuleDict({"inner": torch.nn.Conv2d(1, 1, 1)})
    arrays = {"conv/bias": np.float32([7]), "other/bias": np.float32([8])}
    load_arrays(module, arrays, {"conv": "inner"})
    assert module["inner"].bias.item() == 7


def tiny_keras_model():
    import keras

    inputs = keras.Input((None, None, 3))
    return keras.Model(inputs, keras.layers.Conv2D(2, 1, name="conv")(inputs))


@pytest.mark.parametrize(
    ("names", "message"),
    [(["conv/kernel"], "No array for conv/bias"), (["conv/bias", "other/bias"], "'other'")],
)
def test_keras_refuses_half_a_backbone(names: list[str], message: str):
    from core.architectures.keras_arrays import load_arrays

    shapes = {"conv/kernel": (1, 1, 3, 2), "conv/bias": (2,), "other/bias": (2,)}
    arrays = random_arrays({name: shapes[name] for name in names})
    with pytest.raises(ValueError, match=message):
        load_arrays(tiny_keras_model(), arrays)


# --- Staged networks ---------------------------------------------------------------------------


def in_two_parts(network, batch: np.ndarray, stage: str) -> np.ndarray:
    if hasattr(network, "model"):
        features = network.to_stage(stage)(batch, training=False)
        return np.asarray(network.from_stage(stage)(features, training=False))
    import torch

    with torch.inference_mode():
        features = network.forward_to(torch.from_numpy(batch).permute(0, 3, 1, 2), stage)
        return network.forward_from(features, stage).numpy()


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_stage_cuts_the_network_in_two(recipe: Recipe):
    network = shipped_network(recipe.id)
    batch = noise_batch(recipe)
    expected = whole(network, batch)
    assert expected.shape == (1, len(recipe.classes))
    assert np.ptp(expected) > 1e-3
    for stage in network.stage_names:
        parts = in_two_parts(network, batch, stage)
        np.testing.assert_allclose(parts, expected, atol=1e-5, rtol=1e-5, err_msg=stage)


def gradients(network, batch: np.ndarray, label: int) -> dict[str, np.ndarray]:
    """What the cross-entropy of images of one class says to each trainable array."""
    if hasattr(network, "model"):
        import tensorflow as tf

        variables = network.model.trainable_variables
        with tf.GradientTape() as tape:
            loss = -tf.reduce_mean(tf.nn.log_softmax(network.for_training()(batch))[:, label])
        found = tape.gradient(loss, variables, unconnected_gradients="zero")
        return {one.path: g.numpy() for one, g in zip(variables, found, strict=True)}
    import torch

    logits = network.train()(torch.from_numpy(batch).permute(0, 3, 1, 2))
    (-logits.log_softmax(dim=1)[:, label].mean()).backward()
    named = network.named_parameters()
    return {name: np.zeros(1) if p.grad is None else p.grad.numpy() for name, p in named}


@pytest.mark.parametrize("recipe", RECIPES)
def test_the_loss_reaches_every_weight(recipe: Recipe):
    network = build(recipe)
    # A fresh ResNet's residual branches end in batch norms of 0, which stop the loss.
    network.from_arrays(shipped_network(recipe.id).to_arrays())
    found = gradients(network, noise_batch(recipe, 4), len(recipe.classes) - 1)
    assert len(found) > 50
    assert [name for name, gradient in found.items() if not np.abs(gradient).max() > 0] == []


@pytest.mark.parametrize("recipe", RECIPES)
def test_arrays_carry_the_whole_network(recipe: Recipe):
    source, copy = shipped_network(recipe.id), build(recipe)
    if hasattr(copy, "eval"):
        copy.eval()
    batch = noise_batch(recipe)
    arrays = source.to_arrays()
    assert all(array.dtype == np.float32 for array in arrays.values())
    assert not np.allclose(whole(copy, batch), whole(source, batch))
    copy.from_arrays(arrays)
    np.testing.assert_array_equal(whole(copy, batch), whole(source, batch))
    copied = copy.to_arrays()
    assert copied.keys() == arrays.keys()
    assert all(np.array_equal(copied[name], array) for name, array in arrays.items())


@pytest.mark.parametrize("recipe", RECIPES)
def test_arrays_are_copies(recipe: Recipe):
    network = build(recipe)
    arrays = network.to_arrays()
    name, before = next((name, array.copy()) for name, array in arrays.items())
    arrays[name] += 1
    np.testing.assert_array_equal(network.to_arrays()[name], before)
    network.from_arrays(arrays)
    arrays[name] += 1
    np.testing.assert_array_equal(network.to_arrays()[name], before + 1)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("mistake", ["missing", "extra", "misfit", "empty"])
def test_arrays_that_do_not_fit_are_refused(recipe: Recipe, mistake: str):
    network = shipped_network(recipe.id)  # whatever is taken over is what it has already
    arrays = network.to_arrays()
    name = list(arrays)[3]
    if mistake == "missing":
        del arrays[name]
    elif mistake == "extra":
        arrays["another"] = np.zeros(3, np.float32)
    elif mistake == "misfit":
        arrays[name] = np.zeros((*arrays[name].shape, 2), np.float32)
    else:
        arrays = {}
    with pytest.raises(ValueError):  # noqa: PT011  (the frameworks word it differently)
        network.from_arrays(arrays)


# --- Building ----------------------------------------------------------------------------------


def test_every_network_has_a_builder_and_every_builder_a_network():
    folder = Path(architectures.__file__).parent
    helpers = {f"{framework}_{part}" for framework in FRAMEWORKS for part in ("staged", "arrays")}
    found = {path.stem for framework in FRAMEWORKS for path in folder.glob(f"{framework}_*.py")}
    assert {f"{one.framework}_{one.builder}" for one in networks().values()} == found - helpers


def test_every_recipe_names_a_network_of_its_framework():
    for recipe in list_recipes():
        architecture = recipe.architecture
        assert architecture.name in list_architectures(architecture.framework)


def test_unknown_network_lists_the_known_ones():
    recipe = recipe_with("torch", "no_such_network")
    with pytest.raises(ArchitectureError) as caught:
        build(recipe)
    assert all(name in str(caught.value) for name in list_architectures("torch"))
    assert "mobilenetv2" not in str(caught.value)


@pytest.mark.parametrize("recipe", RECIPES)
def test_without_weights_and_network_nothing_is_built(
    recipe: Recipe, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(backbones.WEIGHTS_SETTING, raising=False)
    _cut_the_network(recipe.architecture.framework, monkeypatch)
    told = f"No ImageNet weights of .* below {backbones.WEIGHTS_SETTING}.*--from-scratch"
    with pytest.raises(backbones.WeightsError, match=told):
        build(recipe, pretrained=True)


def _cut_the_network(framework: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let whatever would download weights fail as it does without a connection."""
    if framework == "torch":
        from core.torch_compat import import_timm

        module, name, asks = import_timm(), "create_model", ("pretrained", True)
        originals = {name: module.create_model}
    else:
        import keras

        module, asks = keras.applications, ("weights", "imagenet")
        originals = {name: getattr(module, name) for name in dir(module) if name[0].isupper()}

    def offline(original):
        def create(*arguments, **settings):
            if settings.get(asks[0]) == asks[1]:
                raise OSError("no such host")
            return original(*arguments, **settings)

        return create

    for name, original in originals.items():
        monkeypatch.setattr(module, name, offline(original))


def test_a_folder_without_the_backbone_is_no_error(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(backbones.WEIGHTS_SETTING, str(tmp_path))
    assert backbones.find_arrays("efficientnetb0.npz") is None


def test_found_arrays_are_float32(tmp_path, monkeypatch: pytest.MonkeyPatch):
    np.savez(tmp_path / "small.npz", **{"conv/kernel": np.float16([[0.5]])})
    monkeypatch.setenv(backbones.WEIGHTS_SETTING, str(tmp_path))
    (array,) = backbones.find_arrays("small.npz").values()
    assert array.dtype == np.float32
    assert array.tolist() == [[0.5]]


def test_absorbed_statistics_leave_the_function_as_it_was():
    from keras import Input, Model, layers

    from core.architectures.keras_arrays import absorb_statistics

    inputs = Input((4, 4, 3))
    norm = layers.BatchNormalization(epsilon=1e-3)
    model = Model(inputs, norm(inputs))
    rng = np.random.default_rng(0)
    gamma, beta, mean = rng.normal(size=(3, 3))
    variance = np.array([0.01, 1.0, 400.0])
    norm.set_weights([gamma, beta, mean, variance])
    batch = rng.normal(size=(2, 4, 4, 3)).astype(np.float32)
    by_hand = gamma * (batch - mean) / np.sqrt(variance + 1e-3) + beta
    absorb_statistics(model)
    np.testing.assert_allclose(model(batch, training=False), by_hand, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(norm.moving_mean, 0)
