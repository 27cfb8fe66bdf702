"""EfficientNet-B0 (Tan and Le, ICML 2019), timm's ``tf_efficientnet_b0``.

Input (N, 3, H, W) in the ImageNet range. The last stage gives (N, 1280, H/32, W/32).
"""

from __future__ import annotations

import numpy as np
from torch import nn

from core.architectures.torch_arrays import from_timm, load_arrays, start
from core.architectures.torch_staged import StagedNetwork

NAME = "tf_efficientnet_b0"
ARRAYS = "efficientnetb0.npz"

# Parts of a block: Keras layer suffix -> timm module, for blocks without and with expansion.
_SEPARABLE = {
    "dwconv": "conv_dw",
    "bn": "bn1",
    "se_reduce": "se.conv_reduce",
    "se_expand": "se.conv_expand",
    "project_conv": "conv_pw",
    "project_bn": "bn2",
}
_INVERTED = {
    "expand_conv": "conv_pw",
    "expand_bn": "bn1",
    "dwconv": "conv_dw",
    "bn": "bn2",
    "se_reduce": "se.conv_reduce",
    "se_expand": "se.conv_expand",
    "project_conv": "conv_pwl",
    "project_bn": "bn3",
}
_OUTER = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}


def keras_to_timm(block_lengths: tuple[int, ...]) -> dict[str, str]:
    """Keras layer name -> timm module name, for blocks of the given lengths."""
    names = dict(_OUTER)
    for stage, length in enumerate(block_lengths):
        parts = _SEPARABLE if stage == 0 else _INVERTED
        for index in range(length):
            keras_block = f"block{stage + 1}{chr(ord('a') + index)}"
            timm_block = f"blocks.{stage}.{index}"
            names |= {f"{keras_block}_{k}": f"{timm_block}.{t}" for k, t in parts.items()}
    return names


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dropout`` before the classifier (0 to 1)."""
    backbone = _backbone(pretrained)
    blocks = {f"block{i + 1}": block for i, block in enumerate(backbone.blocks)}
    return StagedNetwork(
        stages={
            "stem": nn.Sequential(backbone.conv_stem, backbone.bn1),
            **blocks,
            "top": nn.Sequential(backbone.conv_head, backbone.bn2),
        },
        head=nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(parameters.get("dropout", 0.0)),
            nn.Linear(backbone.num_features, classes),
        ),
    )


def _backbone(pretrained: bool) -> nn.Module:
    return start(from_timm(NAME, "in1k"), NAME, pretrained, ARRAYS, _load)


def _load(backbone: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    lengths = tuple(len(stage) for stage in backbone.blocks)
    load_arrays(backbone, arrays, keras_to_timm(lengths))
