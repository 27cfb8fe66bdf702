"""Networks that several test files share: a tiny one in both frameworks, and the shipped ones.

The tiny network is conv, batch norm, ReLU ("first"), conv, ReLU ("second"), mean, dropout,
dense. It takes arrays with Keras' names, so both frameworks can be given the same weights.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from functools import cache

import numpy as np
import pytest

from core.architectures import build
from core.checkpoints import Checkpoint, list_trained, open_checkpoint
from core.classifiers import Classifier, wrap
from core.recipe import Architecture, Recipe
from core.recipes import list_recipes, load_recipe

FRAMEWORKS = ("torch", "keras")
SIDE = 64  # pixels: what is tested on random weights does not depend on the size of the images
TINY_CLASSES = ("one", "two", "three")
EPSILON = 1e-3
LARGE = frozenset(
    ("dalaresnet50", "dinov2", "efficientnetv2b0", "vgg16", "vgg19", "vgg19_efficientnetb0", "vit")
)
"""Networks that take most of the time of a test that is made with every network."""
_load = Checkpoint.load  # as it is, whatever a test puts in its place

# first: A0 = relu(red), A1 = relu(green). second: B0 = relu(A0 - A1), B1 = relu(2 A1).
# logits: mean B0 + 1/2, mean B1, mean B0 - 2 mean B1 - 1. The batch norm is the identity.
HAND_ARRAYS = {
    "first/kernel": np.float32([[1, 0], [0, 1], [0, 0]]).reshape(1, 1, 3, 2),
    "first/bias": np.zeros(2, np.float32),
    "first_bn/gamma": np.ones(2, np.float32),
    "first_bn/beta": np.zeros(2, np.float32),
    "first_bn/moving_mean": np.zeros(2, np.float32),
    "first_bn/moving_variance": np.full(2, 1 - EPSILON, np.float32),
    "second/kernel": np.float32([[1, 0], [-1, 2]]).reshape(1, 1, 2, 2),
    "second/bias": np.zeros(2, np.float32),
    "logits/kernel": np.float32([[1, 0, 1], [0, 1, -2]]),
    "logits/bias": np.float32([0.5, 0, -1]),
}
RED = np.float32([[1, 2], [3, 4]])
GREEN = np.float32([[4, 1], [1, 0]])
HAND_IMAGE = np.stack([RED, GREEN, np.full((2, 2), 9, np.float32)], axis=-1)[None]
HAND_LOGITS = np.float32([[2.25, 3, -5.25]])
# Features that leave each stage, for HAND_IMAGE.
HAND_FEATURES = {
    "first": np.stack([RED, GREEN], axis=-1)[None],
    "second": np.float32([[[0, 8], [1, 2]], [[2, 2], [4, 0]]])[None],
}


def recipes_by_network() -> tuple[Recipe, ...]:
    """One recipe of each network that a recipe names: the first by id."""
    first: dict[str, Recipe] = {}
    for recipe in list_recipes():
        first.setdefault(recipe.architecture.name, recipe)
    return tuple(first.values())


def network_cases(networks: Iterable[str]) -> list:
    """A test's parameters, one a network; the large ones wait for ``make test-slow``."""
    return [pytest.param(one, id=one, marks=_waits(one)) for one in networks]


def recipe_cases(recipes: Iterable[Recipe]) -> list:
    """As ``network_cases``, one a recipe."""
    return [pytest.param(one, id=one.id, marks=_waits(one.architecture.name)) for one in recipes]


def system_cases() -> list:
    """As ``network_cases``, one an id of a trained system."""
    networks = {one: load_recipe(one).architecture.name for one in list_trained()}
    return [pytest.param(one, id=one, marks=_waits(name)) for one, name in networks.items()]


def _waits(network: str) -> tuple:
    return (pytest.mark.slow,) if network in LARGE else ()


def on_small_images(recipe: Recipe, side: int = SIDE) -> Recipe:
    """The recipe with images of ``side`` x ``side`` pixels."""
    preprocessing = recipe.preprocessing.model_copy(update={"size": (side, side)})
    return recipe.model_copy(update={"preprocessing": preprocessing})


def random_tiny_arrays(seed: int = 0) -> dict[str, np.ndarray]:
    """Weights of a tiny network with 3x3 convolutions of 6 and 5 channels."""
    shapes = {"first/kernel": (3, 3, 3, 6), "first/bias": (6,)}
    names = ("gamma", "beta", "moving_mean", "moving_variance")
    shapes |= {f"first_bn/{name}": (6,) for name in names}
    shapes |= {"second/kernel": (3, 3, 6, 5), "second/bias": (5,)}
    shapes |= {"logits/kernel": (5, 3), "logits/bias": (3,)}
    return random_arrays(shapes, seed)


def random_arrays(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that neither fade nor explode: He et al. (2015), batch norms near the identity."""
    rng = np.random.default_rng(seed)
    return {name: _draw(name, shape, rng) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if len(shape) == 1:
        middle = float(any(part in name for part in ("var", "gamma", "weight")))
        return (middle + rng.uniform(-0.1, 0.1, shape)).astype(np.float32)
    if len(shape) == 2:
        return (rng.normal(size=shape) / np.sqrt(max(shape))).astype(np.float32)
    torch_layout = name.endswith("weight")
    window = shape[2] * shape[3] if torch_layout else shape[0] * shape[1]
    depthwise = shape[-1 if not torch_layout else 1] == 1
    channels = 1 if depthwise else shape[1 if torch_layout else 2]
    return (rng.normal(size=shape) * np.sqrt(2 / (window * channels))).astype(np.float32)


def recipe_for(framework: str, classes: tuple[str, ...] = TINY_CLASSES) -> Recipe:
    """A recipe of a network that no file describes."""
    architecture = Architecture(framework=framework, name="tiny")
    changes = {"classes": classes, "malignant_classes": (), "architecture": architecture}
    return list_recipes()[0].model_copy(update=changes)


def tiny_classifier(framework: str, arrays: dict[str, np.ndarray] | None = None) -> Classifier:
    """The tiny network with these weights (default: HAND_ARRAYS) behind the interface."""
    build_tiny = {"torch": _torch_network, "keras": _keras_network}[framework]
    return wrap(recipe_for(framework), build_tiny(arrays or HAND_ARRAYS))


def _torch_network(arrays: dict[str, np.ndarray]):
    import torch
    from torch import nn

    from core.architectures.torch_arrays import load_arrays
    from core.architectures.torch_staged import StagedNetwork

    size, _, colours, channels = arrays["first/kernel"].shape
    features, classes = arrays["logits/kernel"].shape
    first = OrderedDict(
        conv=nn.Conv2d(colours, channels, size, padding="same"),
        norm=nn.BatchNorm2d(channels, eps=EPSILON),
        relu=nn.ReLU(),
    )
    second = OrderedDict(conv=nn.Conv2d(channels, features, size, padding="same"), relu=nn.ReLU())
    network = StagedNetwork(
        stages={"first": nn.Sequential(first), "second": nn.Sequential(second)},
        head=nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.Linear(features, classes)
        ),
    )
    names = {"first": "first.conv", "first_bn": "first.norm", "second": "second.conv"}
    load_arrays(network.stages, arrays, names)
    with torch.no_grad():
        network.head[-1].weight.copy_(torch.from_numpy(arrays["logits/kernel"].T.copy()))
        network.head[-1].bias.copy_(torch.from_numpy(arrays["logits/bias"]))
    return network


def _keras_network(arrays: dict[str, np.ndarray]):
    import keras
    from keras import layers

    from core.architectures.keras_arrays import load_arrays
    from core.architectures.keras_staged import StagedNetwork

    size, _, colours, channels = arrays["first/kernel"].shape
    features, classes = arrays["logits/kernel"].shape
    inputs = keras.Input((None, None, colours))
    x = layers.Conv2D(channels, size, padding="same", name="first")(inputs)
    x = layers.BatchNormalization(epsilon=EPSILON, name="first_bn")(x)
    x = layers.ReLU(name="first_relu")(x)
    x = layers.Conv2D(features, size, padding="same", activation="relu", name="second")(x)
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.5, name="dropout")(x)
    model = keras.Model(inputs, layers.Dense(classes, name="logits")(x))
    load_arrays(model, arrays)
    return StagedNetwork(model, {"first": "first_relu", "second": "second"})


@cache
def trained_classifier(recipe_id: str) -> Classifier:
    """A shipped system, opened and traced once a process: not to be changed."""
    return _load(open_checkpoint(recipe_id))


@cache
def shipped_network(recipe_id: str):
    """The network of a recipe, for small images, with plausible random weights."""
    recipe = on_small_images(load_recipe(recipe_id))
    network = build(recipe, pretrained=False)
    shapes = {name: array.shape for name, array in network.to_arrays().items()}
    network.from_arrays(random_arrays(shapes))
    if recipe.architecture.framework == "torch":
        network.eval()
    return network


@cache
def shipped_classifier(recipe_id: str) -> Classifier:
    """``shipped_network`` behind the interface."""
    return wrap(on_small_images(load_recipe(recipe_id)), shipped_network(recipe_id))


def whole(network, batch: np.ndarray) -> np.ndarray:
    """Logits of a network that was not taken apart, float32 (N, C)."""
    if hasattr(network, "model"):
        return np.asarray(network.model(batch, training=False))
    import torch

    with torch.inference_mode():
        return network(torch.from_numpy(batch).permute(0, 3, 1, 2)).numpy()


def noise_batch(recipe: Recipe, count: int = 1, seed: int = 0) -> np.ndarray:
    """Inputs of ``shipped_network``, standard normal, float32 (count, h, w, 3)."""
    shape = (count, *on_small_images(recipe).preprocessing.size, 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)
