"""The classifier interface over a staged, flat Keras network."""

from __future__ import annotations

from functools import cached_property, partial
from threading import Lock

import numpy as np
import tensorflow as tf

from core.architectures.keras_staged import StagedNetwork
from core.classifiers.base import INPUT, Classifier, Target, target_weights
from core.classifiers.keras_rough import rough_copy
from core.classifiers.precision import rough_precision
from core.recipe import Recipe


class KerasClassifier(Classifier):
    """See ``Classifier``. Each function is traced once, for batches of any length."""

    def __init__(self, recipe: Recipe, network: StagedNetwork):
        self.recipe = recipe
        self.layers = (*network.branches, *network.stage_names)
        self._network = network
        self._functions: dict[tuple[str, str], tf.types.experimental.ConcreteFunction] = {}
        self._lock = Lock()

    def features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        run = self._function("to", self._layer(layer))
        return run(tf.constant(batch, tf.float32)).numpy()

    def channels(self, layer: str | None = None) -> slice:
        branch = self._network.branches.get(super()._layer(layer))
        return branch.channels if branch else super().channels(layer)

    def head(
        self, features: np.ndarray, target: Target, layer: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        weights = target_weights(target, len(features), len(self.recipe.classes))
        run = self._function("gradient from", self._layer(layer, INPUT))
        logits, gradients = run(tf.constant(features, tf.float32), tf.constant(weights))
        return logits.numpy(), gradients.numpy()

    def logits_from(self, features: np.ndarray, layer: str | None = None) -> np.ndarray:
        run = self._function("from", self._layer(layer))
        return run(tf.constant(features, tf.float32)).numpy()

    def rough_features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        run = self._function("roughly to", self._layer(layer))
        return run(tf.constant(batch, tf.float32)).numpy()

    def _layer(self, layer: str | None, *others: str) -> str:
        """The stage that is, or holds, the layer."""
        name = super()._layer(layer, *others)
        branch = self._network.branches.get(name)
        return branch.stage if branch else name

    def _function(self, kind: str, layer: str):
        """The traced function; tracing is not thread safe, running it is."""
        with self._lock:
            if (kind, layer) not in self._functions:
                build = {
                    "to": lambda: _trace(self._network.to_stage(layer)),
                    "from": lambda: _trace(self._network.from_stage(layer)),
                    "gradient from": lambda: self._trace_gradient(layer),
                    "roughly to": lambda: _trace(self._rough_network.to_stage(layer)),
                }
                self._functions[kind, layer] = build[kind]()
        return self._functions[kind, layer]

    @cached_property
    def _rough_network(self) -> StagedNetwork:
        """The faster copy."""
        body = self._network.to_stage(self.layers[-1])
        return rough_copy(self._network, rough_precision(body.count_params()))

    def _trace_gradient(self, layer: str):
        network = self._network
        part = network.model if layer == INPUT else network.from_stage(layer)
        return _concrete(partial(_run_with_gradient, part), part.inputs + part.outputs)


def _trace(model):
    return _concrete(partial(_run, model), model.inputs)


def _run(model, batch):
    return tf.cast(model(batch, training=False), tf.float32)


def _run_with_gradient(head, features, weights):
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(features)
        logits = tf.cast(head(features, training=False), tf.float32)
        explained = tf.reduce_sum(logits * weights)
    return logits, tape.gradient(explained, features)


def _concrete(function, tensors):
    """Trace for float32 inputs of these shapes, the batch length left open."""
    signature = [tf.TensorSpec([None, *tensor.shape[1:]], tf.float32) for tensor in tensors]
    # No autograph: nothing here branches on a tensor, and it would write a file for each function.
    traced = tf.function(function, input_signature=signature, autograph=False)
    return traced.get_concrete_function()
