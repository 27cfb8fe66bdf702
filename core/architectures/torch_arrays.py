"""Copy Keras-named ImageNet arrays into PyTorch networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch

from core.architectures import backbones
from core.torch_compat import import_timm

# Keras variable -> (torch parameter, axes that turn Keras' layout into torch's)
_VARIABLES = {
    "kernel": ("weight", (3, 2, 0, 1)),  # HWIO -> OIHW
    "depthwise_kernel": ("weight", (2, 3, 0, 1)),  # HWC1 -> C1HW
    "bias": ("bias", (0,)),
    "gamma": ("weight", (0,)),
    "beta": ("bias", (0,)),
    "moving_mean": ("running_mean", (0,)),
    "moving_variance": ("running_var", (0,)),
}


def from_timm(name: str, tag: str, **settings) -> Callable[[bool], torch.nn.Module]:
    """A function that makes timm's backbone ``name``, with its hub's weights ``tag`` if asked."""

    def create(pretrained: bool) -> torch.nn.Module:
        model = f"{name}.{tag}" if pretrained else name
        create_model = import_timm().create_model
        return create_model(model, pretrained=pretrained, num_classes=0, **settings)

    return create


def start(
    create: Callable[[bool], torch.nn.Module],
    name: str,
    pretrained: bool,
    filename: str | None = None,
    load: Callable[[torch.nn.Module, dict[str, np.ndarray]], None] | None = None,
) -> torch.nn.Module:
    """A backbone, with its ImageNet weights if ``pretrained``.

    They come from the arrays in ``filename``, which ``load`` copies in, else from the hub, which
    ``create(True)`` asks. Raises WeightsError where there are none.
    """
    if not pretrained:
        return create(False)
    arrays = backbones.find_arrays(filename) if filename else None
    if arrays is None:
        try:
            return create(True)
        except Exception as error:  # the hubs' clients raise many kinds of network error
            raise backbones.WeightsError(name) from error
    backbone = create(False)
    load(backbone, arrays)
    return backbone


def load_arrays(
    module: torch.nn.Module, arrays: Mapping[str, np.ndarray], layers: Mapping[str, str]
) -> None:
    """Copy arrays into a module. ``layers`` maps Keras layer names to module names.

    Raises KeyError if an array of a mapped layer has no place in the module and ValueError if
    its shape does not fit, so that a half-loaded backbone cannot go unnoticed.
    """
    targets = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    with torch.no_grad():
        for key, array in arrays.items():
            layer, _, variable = key.partition("/")
            if layer not in layers:
                continue
            parameter, axes = _VARIABLES[variable]
            target = targets[f"{layers[layer]}.{parameter}"]
            values = np.ascontiguousarray(array.transpose(axes))
            if values.shape != tuple(target.shape):
                raise ValueError(f"{key} has shape {values.shape}, not {tuple(target.shape)}.")
            target.copy_(torch.from_numpy(values))
