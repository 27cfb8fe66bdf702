"""DALAResNet50 (Liu et al.): ResNet50 and a dual-activated lightweight attention after it.

Input (N, 3, H, W) in the range -1..1. The last stage gives the attended features
(N, 2048, H/32, W/32).

The ImageNet arrays hold of the last stage one 1 x 1 convolution. They are of ResNet50 v1, which
strides in the first 1 x 1 convolution of a stage; here the 3 x 3 one does. On scans the features of
the first three stages correlate with Keras' ResNet50 at 0.999, 0.91 and 0.82. The hub's weights are
whole, and of this network.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from core.architectures.torch_arrays import from_timm, load_arrays, start
from core.architectures.torch_staged import StagedNetwork

NAME = "resnet50"
ARRAYS = "resnet50_conv1-conv4.npz"

# The arrays are He's Caffe weights: BGR, 0..255, minus this mean.
_CAFFE_MEAN_RGB = np.array([123.68, 116.779, 103.939], np.float32)
_BLOCKS = (3, 4, 6, 3)


class DualActivatedAttention(nn.Module):
    """Weigh each channel by what its mean says of all: pool, linear K to K/r, LeakyReLU(0.01),
    linear K/r to K, ReLU, multiply."""

    def __init__(self, channels: int, reduction: int):
        super().__init__()
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, channels // reduction),
            nn.LeakyReLU(0.01),
            nn.Linear(channels // reduction, channels),
            nn.ReLU(),
        )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, K, h, w), each channel times its weight."""
        return features * self.weigh(features)[..., None, None]


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``reduction`` r of the attention, ``dropout``."""
    resnet = backbone(pretrained)
    channels = resnet.num_features
    return StagedNetwork(
        stages=stages(resnet)
        | {
            "attention": DualActivatedAttention(channels, parameters.get("reduction", 16)),
        },
        head=nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(parameters.get("dropout", 0.25)),
            nn.Linear(channels, classes),
        ),
    )


def stages(resnet: nn.Module) -> dict[str, nn.Module]:
    """The stem and the four stages of timm's ResNet50 or one of its kind."""
    stem = nn.Sequential(resnet.conv1, resnet.bn1, resnet.act1, resnet.maxpool)
    layers = {f"layer{i}": getattr(resnet, f"layer{i}") for i in (1, 2, 3, 4)}
    return {"stem": stem} | layers


def backbone(pretrained: bool) -> nn.Module:
    """timm's ResNet50 without classifier, for input in the range -1..1."""
    return start(from_timm(NAME, "tv_in1k"), NAME, pretrained, ARRAYS, _load)


def _load(resnet: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    load_arrays(resnet, _with_kernels(_for_signed_rgb(arrays)), keras_to_timm())


def _with_kernels(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays but for batch norms whose convolution has none: its features will be others, on
    which those statistics do harm."""
    convolutions = {key.removesuffix("_conv/kernel") for key in arrays}
    return {
        k: a for k, a in arrays.items() if k.partition("/")[0].rpartition("_")[0] in convolutions
    }


def keras_to_timm() -> dict[str, str]:
    """Keras layer name -> timm module name."""
    names = {"conv1_conv": "conv1", "conv1_bn": "bn1"}
    parts = {"0_conv": "downsample.0", "0_bn": "downsample.1"}
    for number in (1, 2, 3):
        parts |= {f"{number}_conv": f"conv{number}", f"{number}_bn": f"bn{number}"}
    for stage, length in enumerate(_BLOCKS, start=1):
        for index in range(length):
            keras_block, timm_block = f"conv{stage + 1}_block{index + 1}", f"layer{stage}.{index}"
            names |= {f"{keras_block}_{k}": f"{timm_block}.{t}" for k, t in parts.items()}
    return names


def _for_signed_rgb(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Arrays for a network whose input is RGB in -1..1 and whose convolutions have no bias.

    With x = (p - 127.5) / 127.5, W (p - mean) = 127.5 W x + W (127.5 - mean). That constant and
    the biases move into the means of the batch norms that follow (exact but at zero-padded
    borders).
    """
    arrays = dict(arrays)
    kernel = arrays["conv1_conv/kernel"][:, :, ::-1]
    arrays["conv1_conv/kernel"] = 127.5 * kernel
    shift = np.einsum("hwio,i->o", kernel, 127.5 - _CAFFE_MEAN_RGB)
    arrays["conv1_conv/bias"] = arrays["conv1_conv/bias"] + shift
    for name in [name for name in arrays if name.endswith("_conv/bias")]:
        mean = name.replace("_conv/bias", "_bn/moving_mean")
        arrays[mean] = arrays[mean] - arrays.pop(name)
    return arrays
