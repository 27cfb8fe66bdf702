"""EfficientNet-B0 (Tan and Le, ICML 2019), timm's ``tf_efficientnet_b0``.

Input (N, 3, H, W) in the ImageNet range. The last stage gives (N, 1280, H/32, W/32).
"""

from __future__ import annotations

import numpy as np
from torch import nn

from core.architectures.efficientnet_names import V1, keras_to_timm
from core.architectures.torch_arrays import from_timm, load_arrays, start
from core.architectures.torch_staged import StagedNetwork

NAME = "tf_efficientnet_b0"
ARRAYS = "efficientnetb0.npz"


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
    load_arrays(backbone, arrays, keras_to_timm(lengths, V1))
