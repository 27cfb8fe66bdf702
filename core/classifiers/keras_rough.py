"""A faster copy of a Keras network, for inference only; it may be less precise."""

from __future__ import annotations

from collections import Counter

import keras
import numpy as np
from keras import layers

from core.architectures.keras_staged import StagedNetwork, inputs_of

COLOURS = 3


def rough_copy(network: StagedNetwork, dtype: str) -> StagedNetwork:
    """The same function at the precision of ``dtype``, its batch norms folded into convolutions.

    Layers that see the image itself, and those that see no maps but vectors, stay float32:
    rounding the image to three digits is noise that the whole network would amplify.
    """
    model = network.model
    norm_of = _folded_norms(model)
    folded = {norm.name for norm in norm_of.values()}

    def clone(layer: keras.Layer) -> keras.Layer:
        config = layer.get_config()
        if isinstance(layer, layers.InputLayer):
            return type(layer).from_config(config)
        config["dtype"] = "float32" if _stays_exact(layer) else dtype
        if layer.name in folded:
            return layers.Activation("linear", name=layer.name, dtype=config["dtype"])
        if layer.name in norm_of:
            config["use_bias"] = True
        return type(layer).from_config(config)

    # Without this, masks that were recorded with the graph would be handed on.
    call = lambda layer, *inputs, **_: layer(*inputs)  # noqa: E731
    copy = keras.models.clone_model(model, clone_function=clone, call_function=call)
    for old in model.layers:
        if old.name in norm_of:
            copy.get_layer(old.name).set_weights(_fold(old, norm_of[old.name]))
        elif old.weights and old.name not in folded:
            copy.get_layer(old.name).set_weights(old.get_weights())
    return StagedNetwork(copy, network.stages)


def _folded_norms(model: keras.Model) -> dict[str, keras.Layer]:
    """Name of a convolution -> the batch norm that alone uses its result.

    Users outside the model do not count: parts of it that were cut out to explain an early layer
    share its layers.
    """
    users = Counter(one.name for layer in model.layers for one in inputs_of(layer))
    found = {}
    for norm in model.layers:
        if isinstance(norm, layers.BatchNormalization):
            (before,) = inputs_of(norm)
            linear = getattr(before, "activation", None) is keras.activations.linear
            alone = users[before.name] == 1
            if isinstance(before, layers.Conv2D | layers.DepthwiseConv2D) and linear and alone:
                found[before.name] = norm
    return found


def _stays_exact(layer: keras.Layer) -> bool:
    first = layer.input[0] if isinstance(layer.input, list) else layer.input
    return len(first.shape) < 4 or first.shape[-1] == COLOURS


def _fold(conv: keras.Layer, norm: keras.Layer) -> list[np.ndarray]:
    """Kernel and bias of the convolution and the batch norm as one."""
    kernel, *rest = conv.get_weights()
    bias = rest[0] if rest else 0
    mean, variance = norm.moving_mean.numpy(), norm.moving_variance.numpy()
    scale = (norm.gamma.numpy() if norm.scale else 1) / np.sqrt(variance + norm.epsilon)
    offset = norm.beta.numpy() if norm.center else 0
    # A depthwise kernel (h, w, K, 1) has its channels last but one.
    shaped = scale[:, None] if isinstance(conv, layers.DepthwiseConv2D) else scale
    return [kernel * shaped, offset + (bias - mean) * scale]
