"""Networks of timm and torchvision as they are, cut into stages: for comparison runs.

| network | paper | last stage at 224x224 |
|---|---|---|
| vgg16, vgg19 | Simonyan and Zisserman, ICLR 2015 | (N, 512, 14, 14), before the last pooling |
| googlenet | Szegedy et al., CVPR 2015; batch norms, no auxiliary heads | (N, 1024, 7, 7) |
| resnet50 | He et al., CVPR 2016 | (N, 2048, 7, 7) |
| densenet121 | Huang et al., CVPR 2017 | (N, 1024, 7, 7) |
| seresnet50 | Hu et al., CVPR 2018 | (N, 2048, 7, 7) |
| vit | ViT-B/16, Dosovitskiy et al., ICLR 2021 | (N, 768, 14, 14) |
| swin | Swin-T, Liu et al., ICCV 2021 | (N, 768, 7, 7) |
| dinov2 | ViT-B/14, Oquab et al., TMLR 2024 | (N, 768, 16, 16) |

A vision transformer's patch tokens are averaged for its classifier, in place of the class token,
so that each place of a map has its say. VGG keeps its two dense layers of 4096.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from core.architectures import torch_dalaresnet50 as dala
from core.architectures.token_grids import ChannelsLast, TokenTrunk
from core.architectures.torch_arrays import from_timm, load_arrays, start
from core.architectures.torch_staged import StagedNetwork
from core.preprocessing import IMAGENET_MEAN, IMAGENET_STD
from core.torch_compat import import_timm

Stages = dict[str, nn.Module]
_CAFFE_MEAN_RGB = np.array([123.68, 116.779, 103.939], np.float32)


@dataclass(frozen=True)
class Slicing:
    """How a network is made and cut. ``begin(pretrained, size)`` gives it without classifier,
    ``cut`` its stages and what pools their features to (N, ``width``)."""

    begin: Callable[[bool, tuple[int, int]], nn.Module]
    cut: Callable[[nn.Module], tuple[Stages, nn.Module]]
    width: int


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``network`` of the table above, ``dropout``."""
    slicing = NETWORKS[parameters["network"]]
    return slice_up(slicing.begin(pretrained, size), slicing, classes, parameters)


def slice_up(whole: nn.Module, slicing: Slicing, classes: int, parameters: dict) -> StagedNetwork:
    """The stages of a network, and a new classifier behind its pooling."""
    stages, pooling = slicing.cut(whole)
    dropout = nn.Dropout(parameters.get("dropout", 0.0))
    head = nn.Sequential(pooling, dropout, nn.Linear(slicing.width, classes))
    return StagedNetwork(stages, head)


def _mean() -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _cut_resnet(whole: nn.Module) -> tuple[Stages, nn.Module]:
    return dala.stages(whole), _mean()


def _cut_densenet(whole: nn.Module) -> tuple[Stages, nn.Module]:
    f = whole.features
    stages = {
        "stem": nn.Sequential(f.conv0, f.norm0, f.pool0),
        "block1": f.denseblock1,
        "block2": nn.Sequential(f.transition1, f.denseblock2),
        "block3": nn.Sequential(f.transition2, f.denseblock3),
        "block4": nn.Sequential(f.transition3, f.denseblock4, f.norm5),
    }
    return stages, _mean()


def vgg_blocks(features: nn.Sequential) -> Stages:
    """The five blocks of VGG; from the second on each begins with the pooling before it."""
    pools = [i for i, layer in enumerate(features) if isinstance(layer, nn.MaxPool2d)]
    bounds = zip([0, *pools], pools, strict=False)
    return {f"block{i}": features[a:b] for i, (a, b) in enumerate(bounds, start=1)}


def _cut_vgg(whole: nn.Module) -> tuple[Stages, nn.Module]:
    return vgg_blocks(whole.features), nn.Sequential(nn.MaxPool2d(2), whole.pre_logits, whole.head)


def _cut_googlenet(whole: nn.Module) -> tuple[Stages, nn.Module]:
    w = whole
    stages = {
        "stem": nn.Sequential(w.conv1, w.maxpool1, w.conv2, w.conv3, w.maxpool2),
        "inception3": nn.Sequential(w.inception3a, w.inception3b),
        "inception4": nn.Sequential(
            w.maxpool3, w.inception4a, w.inception4b, w.inception4c, w.inception4d, w.inception4e
        ),
        "inception5": nn.Sequential(w.maxpool4, w.inception5a, w.inception5b),
    }
    return stages, _mean()


def _cut_vit(whole: nn.Module) -> tuple[Stages, nn.Module]:
    return {"patches": whole.patch_embed.proj, "blocks": TokenTrunk(whole)}, _mean()


def _cut_swin(whole: nn.Module) -> tuple[Stages, nn.Module]:
    *first, last = whole.layers
    stages = {f"stage{i}": ChannelsLast(layer) for i, layer in enumerate(first, start=1)}
    last = ChannelsLast(nn.Sequential(last, whole.norm))
    return {"patches": _GridOfPatches(whole.patch_embed)} | stages | {"stage4": last}, _mean()


class _GridOfPatches(nn.Module):
    """Swin's patch embedding, which takes images (N, 3, H, W) and gives (N, h, w, K)."""

    def __init__(self, embed: nn.Module):
        super().__init__()
        self.embed = embed

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.embed(images).permute(0, 3, 1, 2)


def _timm(name: str, tag: str, **settings) -> Callable[[bool, tuple[int, int]], nn.Module]:
    return lambda pretrained, _: start(from_timm(name, tag, **settings), name, pretrained)


def _timm_of_size(name: str, tag: str, **settings) -> Callable[..., nn.Module]:
    """Transformers are made for one size of image."""

    def begin(pretrained: bool, size: tuple[int, int]) -> nn.Module:
        return start(from_timm(name, tag, img_size=size, **settings), name, pretrained)

    return begin


def _resnet50(pretrained: bool, _size: tuple[int, int]) -> nn.Module:
    return dala.backbone(pretrained)  # DALAResNet50's own, so that only the attention differs


def _vgg19(pretrained: bool, _size: tuple[int, int]) -> nn.Module:
    create = from_timm("vgg19", "tv_in1k")
    return start(create, "vgg19", pretrained, "vgg19_block1-block3.npz", load_vgg19)


def load_vgg19(network: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Take the arrays there are of timm's VGG19, made for BGR 0..255 minus Caffe's mean.

    The network's input is x = (p / 255 - m) / s, so that W (p - mean) = 255 s W x + W (255 m -
    mean), exact but at zero-padded borders.
    """
    kernel = arrays["block1_conv1/kernel"][:, :, ::-1]
    shift = 255 * IMAGENET_MEAN - _CAFFE_MEAN_RGB
    first = {
        "block1_conv1/kernel": kernel * 255 * IMAGENET_STD[:, None],
        "block1_conv1/bias": arrays["block1_conv1/bias"] + np.einsum("hwio,i->o", kernel, shift),
    }
    load_arrays(network, arrays | first, _vgg_names(network.features))


def _vgg_names(features: nn.Sequential) -> dict[str, str]:
    """Keras layer name -> timm module name."""
    names, block, number = {}, 1, 0
    for index, layer in enumerate(features):
        if isinstance(layer, nn.MaxPool2d):
            block, number = block + 1, 0
        elif isinstance(layer, nn.Conv2d):
            number += 1
            names[f"block{block}_conv{number}"] = f"features.{index}"
    return names


def _googlenet(pretrained: bool, _size: tuple[int, int]) -> nn.Module:
    import_timm()  # lets torchvision import
    from torchvision.models import GoogLeNet_Weights, googlenet

    def create(from_hub: bool) -> nn.Module:
        if from_hub:
            return googlenet(weights=GoogLeNet_Weights.IMAGENET1K_V1)
        return googlenet(weights=None, aux_logits=False, init_weights=False)

    return start(create, "googlenet", pretrained)


NETWORKS = {
    "vgg16": Slicing(_timm("vgg16", "tv_in1k"), _cut_vgg, 4096),
    "vgg19": Slicing(_vgg19, _cut_vgg, 4096),
    "googlenet": Slicing(_googlenet, _cut_googlenet, 1024),
    "resnet50": Slicing(_resnet50, _cut_resnet, 2048),
    "densenet121": Slicing(_timm("densenet121", "tv_in1k"), _cut_densenet, 1024),
    "seresnet50": Slicing(_timm("seresnet50", "ra2_in1k"), _cut_resnet, 2048),
    "vit": Slicing(
        _timm_of_size(
            "vit_base_patch16_224", "augreg2_in21k_ft_in1k", global_pool="avg", fc_norm=False
        ),
        _cut_vit,
        768,
    ),
    "swin": Slicing(_timm_of_size("swin_tiny_patch4_window7_224", "ms_in1k"), _cut_swin, 768),
    "dinov2": Slicing(
        _timm_of_size("vit_base_patch14_dinov2", "lvd142m", global_pool="avg", fc_norm=False),
        _cut_vit,
        768,
    ),
}
