"""EfficientNetV2-B0 (Tan and Le, ICML 2021), timm's, without its last stage.

Input (N, 3, H, W) in the ImageNet range. The stage that is left out holds two thirds of the
backbone's weights and halves the resolution once more; a layer of ``width`` channels takes its
place, so that the last stage gives (N, width, H/16, W/16).
"""

from __future__ import annotations

import numpy as np
from torch import nn

from core.architectures.efficientnet_names import V2, keras_to_timm
from core.architectures.torch_arrays import from_timm, load_arrays, start
from core.architectures.torch_staged import StagedNetwork

NAME = "tf_efficientnetv2_b0"
ARRAYS = "efficientnetv2-b0.npz"
BLOCKS = 5  # stages of blocks that are left, the last at 1/16 of the input's resolution


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dropout`` before the classifier (0 to 1), ``width``."""
    backbone = whole_backbone(pretrained)
    blocks = backbone.blocks[:BLOCKS]
    width = parameters["width"]
    top = nn.Conv2d(_channels(blocks[-1]), width, 1, bias=False)
    return StagedNetwork(
        stages={
            "stem": nn.Sequential(backbone.conv_stem, backbone.bn1),
            **{f"block{i + 1}": block for i, block in enumerate(blocks)},
            "top": nn.Sequential(top, nn.BatchNorm2d(width), nn.SiLU()),
        },
        head=nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Dropout(parameters.get("dropout", 0.0)),
            nn.Linear(width, classes),
        ),
    )


def whole_backbone(pretrained: bool) -> nn.Module:
    """timm's backbone with its last stage."""
    return start(from_timm(NAME, "in1k"), NAME, pretrained, ARRAYS, _load)


def _channels(stage: nn.Module) -> int:
    """Channels that leave a stage of inverted bottlenecks."""
    return stage[-1].conv_pwl.out_channels


def _load(backbone: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    lengths = tuple(len(stage) for stage in backbone.blocks)
    load_arrays(backbone, arrays, keras_to_timm(lengths, V2))
