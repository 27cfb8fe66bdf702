"""VGG16-Inception, a comparison network of the DALAResNet50 paper (Liu et al., 2023).

That paper draws no picture of it. Assumed is VGGIN-Net (Saini and Susan, IEEE/ACM Transactions on
Computational Biology and Bioinformatics 2022, DOI 10.1109/TCBB.2022.3163277): VGG16 up to the
pooling after its fourth block, then one naive Inception module (Szegedy et al., CVPR 2015, figure
2a) of 64 1x1, 128 3x3 and 32 5x5 filters beside a 3x3 pooling, batch norm, flattening, dropout 0.4
and one dense layer. The filter counts are assumed too. All of it is trained.

Input (N, 3, H, W) in the ImageNet range. The last stage gives (N, 736, H/16, W/16).
"""

from __future__ import annotations

import torch
from torch import nn

from core.architectures.torch_arrays import from_timm, start
from core.architectures.torch_sliced import vgg_blocks
from core.architectures.torch_staged import StagedNetwork

_VGG_CHANNELS = 512
_FILTERS = {1: 64, 3: 128, 5: 32}  # side of the filters -> how many
CHANNELS = _VGG_CHANNELS + sum(_FILTERS.values())


class NaiveInception(nn.Module):
    """Convolutions of several sizes and a pooling side by side, their outputs concatenated."""

    def __init__(self):
        super().__init__()
        convolutions = [
            nn.Sequential(nn.Conv2d(_VGG_CHANNELS, count, side, padding="same"), nn.ReLU())
            for side, count in _FILTERS.items()
        ]
        self.branches = nn.ModuleList([*convolutions, nn.MaxPool2d(3, stride=1, padding=1)])

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, 736, h, w), from (N, 512, h, w)."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dropout`` before the classifier (0 to 1)."""
    vgg = start(from_timm("vgg16", "tv_in1k"), "vgg16", pretrained)
    stages = vgg_blocks(vgg.features)
    del stages["block5"]
    inception = nn.Sequential(nn.MaxPool2d(2), NaiveInception(), nn.BatchNorm2d(CHANNELS))
    height, width = (side // 16 for side in size)
    return StagedNetwork(
        stages=stages | {"inception": inception},
        head=nn.Sequential(
            nn.Flatten(),
            nn.Dropout(parameters.get("dropout", 0.4)),
            nn.Linear(CHANNELS * height * width, classes),
        ),
    )
