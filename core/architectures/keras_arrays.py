"""Copy Keras-named ImageNet arrays into Keras networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import keras
import numpy as np

from core.architectures import backbones


def start(
    create: Callable[[str | None], keras.Model], name: str, filename: str, pretrained: bool
) -> keras.Model:
    """A backbone, with its ImageNet weights if ``pretrained``, from arrays or Keras.

    ``create`` builds it with Keras' argument ``weights``. Raises WeightsError where there are none.
    """
    if not pretrained:
        return create(None)
    arrays = backbones.find_arrays(filename)
    if arrays is None:
        try:
            return create("imagenet")
        except Exception as error:  # the download raises many kinds of network error
            raise backbones.WeightsError(name) from error
    backbone = create(None)
    load_arrays(backbone, arrays)
    return backbone


def load_arrays(model: keras.Model, arrays: Mapping[str, np.ndarray]) -> None:
    """Copy arrays ``<layer>/<variable>`` into the layers of these names.

    Raises ValueError if a layer that the arrays name is not in the model, or if one of its
    variables gets none, so that a half-loaded backbone cannot go unnoticed.
    """
    layers = {name.partition("/")[0] for name in arrays} - {"normalization"}
    unknown = layers - {layer.name for layer in model.layers}
    if unknown:
        raise ValueError(f"The network has no layers {sorted(unknown)[:5]}.")
    for layer in (model.get_layer(name) for name in sorted(layers)):
        for variable in layer.variables:
            variable.assign(_array_for(layer, variable, arrays))


def absorb_statistics(model: keras.Model) -> None:
    """Move the stored mean and variance of each batch norm into its offset and scale.

    The function stays the same. What is left, mean 0 and variance 1 - epsilon, says nothing, so
    that training scales and offsets trains all that a batch norm with fixed statistics has.
    """
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = layer.get_weights()
            scale = gamma / np.sqrt(variance + layer.epsilon)
            rest = np.zeros_like(mean), np.full_like(variance, 1 - layer.epsilon)
            layer.set_weights([scale, beta - mean * scale, *rest])


def _array_for(layer: keras.Layer, variable, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    # The arrays call a depthwise kernel "depthwise_kernel"; Keras 3 calls it "kernel".
    names = (variable.name, f"depthwise_{variable.name}")
    for key in (f"{layer.name}/{name}" for name in names):
        if key in arrays:
            return arrays[key]
    raise ValueError(f"No array for {layer.name}/{variable.name}.")
