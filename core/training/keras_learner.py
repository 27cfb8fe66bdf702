"""Training steps in Keras on TensorFlow.

Keras' mixed_bfloat16 policy was measured on three processors, in images a second of a training
step against float32. VGG19 with AMX: 6.0 against 1.3; on AMD's Zen 4, beside other work: 1.7
against 1.6. EfficientNetV2-B0 with AMX: 2.7 against 7.3; MobileNetV2 without: 34 against 43. So it
is used for the plain convolutions of VGG19 alone, and there only where the processor is fast in
bfloat16, or on a GPU.
"""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from core.architectures import build
from core.architectures.keras_staged import StagedNetwork
from core.processor import has_fast_bfloat16
from core.recipe import Phase, Recipe
from core.training.frozen import FrozenFeatures, sees_the_same_images
from core.training.learner import Learner

_OPTIMIZERS = {
    "adam": keras.optimizers.Adam,
    "nadam": keras.optimizers.Nadam,
    "adamw": keras.optimizers.AdamW,
    "sgd": keras.optimizers.SGD,
}
_FASTER_IN_BFLOAT16 = {"vgg19_efficientnetb0"}


class KerasLearner(Learner):
    """See ``Learner``. The training step is traced once a phase.

    Where images come unchanged, a phase that freezes the first layers computes their features
    once an image and learns from those.
    """

    def __init__(self, recipe: Recipe, seed: int, pretrained: bool):
        keras.utils.set_random_seed(seed)
        self._recipe = recipe
        self.network = _build(recipe, pretrained)

    def start_phase(self, phase: Phase) -> None:
        for layer in self.network.model.layers:
            layer.trainable = _learns(layer.name, phase)
        create = _OPTIMIZERS[self._recipe.training.optimizer]
        self._optimizer = create(learning_rate=phase.learning_rate)
        self._optimizer.build(self.network.model.trainable_variables)
        split = self.network.split_at_frozen() if sees_the_same_images(self._recipe) else None
        if split is None:
            model = self.network.model
            self._features = lambda batch: [batch]
            self._forward = _traced(lambda batch: model(batch, training=False), model.inputs)
            self._step = _traced_step(self.network.for_training(), model, self._optimizer)
        else:
            frozen, rest = split
            compute = _traced(lambda batch: _listed(frozen(batch, training=False)), frozen.inputs)
            self._features = FrozenFeatures(lambda batch: [a.numpy() for a in compute(batch)])
            self._forward = _traced(lambda *parts: rest([*parts], training=False), rest.inputs)
            forward = lambda *parts: rest([*parts], training=True)  # noqa: E731
            self._step = _traced_step(forward, rest, self._optimizer)

    def reseed(self, seed: int, epoch: int) -> None:
        found = (getattr(layer, "seed_generator", None) for layer in self.network.model.layers)
        generators = [one for one in found if one is not None]
        drawn = np.random.default_rng([seed, epoch]).integers(2**31, size=len(generators))
        for generator, start in zip(generators, drawn, strict=True):
            generator.state.assign([start, 0])

    def step(
        self, batch: np.ndarray, labels: np.ndarray, rate: float, masks: np.ndarray | None = None
    ) -> float:
        self._optimizer.learning_rate.assign(rate)
        return float(self._step(tf.constant(labels, tf.int64), *self._features(batch)))

    def logits(self, batch: np.ndarray) -> np.ndarray:
        return self._forward(*self._features(batch)).numpy()

    def trained(self) -> StagedNetwork:
        """The network in float32, as it will be used."""
        network = build(self._recipe)
        network.from_arrays(self.network.to_arrays())
        return network

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        # By position: Keras numbers the names of a process's optimisers.
        return {str(i): v.numpy() for i, v in enumerate(self._optimizer.variables)}

    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        for index, variable in enumerate(self._optimizer.variables):
            variable.assign(arrays[str(index)])


def _build(recipe: Recipe, pretrained: bool) -> StagedNetwork:
    faster = recipe.architecture.name in _FASTER_IN_BFLOAT16 and has_fast_bfloat16()
    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if faster else "float32")
    try:
        return build(recipe, pretrained)
    finally:
        keras.config.set_dtype_policy(usual)


def _learns(layer: str, phase: Phase) -> bool:
    if phase.trainable == "all":
        return True
    return layer.startswith("head" if phase.trainable == "head" else phase.trainable)


def _listed(outputs) -> list:
    return [tf.cast(one, tf.float32) for one in tf.nest.flatten(outputs)]


def _traced_step(forward: Callable, model: keras.Model, optimizer: keras.Optimizer):
    cross_entropy = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    variables = model.trainable_variables

    def step(labels, *inputs):
        with tf.GradientTape() as tape:
            loss = cross_entropy(labels, forward(*inputs))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    signature = [tf.TensorSpec([None], tf.int64), *_signature(model.inputs)]
    return tf.function(step, input_signature=signature)


def _traced(function: Callable, inputs: list):
    return tf.function(function, input_signature=_signature(inputs))


def _signature(inputs: list) -> list[tf.TensorSpec]:
    return [tf.TensorSpec([None, *tensor.shape[1:]], tf.float32) for tensor in inputs]
