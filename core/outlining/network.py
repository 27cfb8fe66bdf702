"""The outlining network: a U-Net (Ronneberger et al., MICCAI 2015) of segmentation-models-pytorch.

Input (N, 3, H, W) in the ImageNet range, sides that 16 divides; output (N, 1, H, W), the logit of
each pixel's belonging to a lesion. The encoder is timm's ``tf_efficientnetv2_b0`` up to the last
block of 1/16 of the input's resolution, whose features at four scales the decoder takes up, the
coarsest first. The stage after it holds two thirds of the backbone's weights and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from core.architectures import backbones
from core.architectures.efficientnet_names import V2, keras_to_timm
from core.architectures.torch_arrays import from_timm, load_arrays
from core.architectures.torch_staged import StagedNetwork
from core.outlining.recipe import OutlineRecipe
from core.torch_compat import import_timm

NAME, ARRAYS = "tf_efficientnetv2_b0", "efficientnetv2-b0.npz"
_BLOCKS = 5  # stages of blocks in the encoder, the last at 1/16 of the input's resolution


def build(recipe: OutlineRecipe, pretrained: bool = False) -> StagedNetwork:
    """The untrained network, or if ``pretrained`` one whose encoder starts from ImageNet's weights.

    It is a chain of one stage, ``unet``: its weights go to and from arrays as a classifier's do.
    """
    import_timm()  # before the library below, which imports it
    import segmentation_models_pytorch as smp

    unet = smp.Unet(
        recipe.encoder,
        encoder_depth=len(recipe.decoder_channels),
        encoder_weights=None,
        decoder_channels=recipe.decoder_channels,
        in_channels=3,
        classes=1,
    )
    encoder = unet.encoder.model
    encoder.blocks = encoder.blocks[:_BLOCKS]  # the library builds the unused ones too
    if pretrained:
        start_encoder(encoder)
    return StagedNetwork(stages={"unet": unet}, head=nn.Identity())


def encoder_norms(network: StagedNetwork) -> Iterator[nn.BatchNorm2d]:
    """The batch norms of the encoder."""
    modules = network.stages["unet"].encoder.modules()
    return (module for module in modules if isinstance(module, nn.BatchNorm2d))


@torch.no_grad()
def fold_norms(network: StagedNetwork) -> None:
    """Make the statistics of the encoder's batch norms part of their scale and shift.

    In evaluation the network stays the same function; the statistics are 0 and 1 afterwards.
    """
    for norm in encoder_norms(network):
        scale = norm.weight * ((1 + norm.eps) / (norm.running_var + norm.eps)).sqrt()
        norm.bias -= norm.running_mean * scale / (1 + norm.eps) ** 0.5
        norm.weight.copy_(scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1)


def start_encoder(encoder: nn.Module) -> None:
    """Give the encoder ImageNet's weights: from the arrays at hand, else from timm's hub.

    Where there are none it keeps its random weights, and a warning says so.
    """
    arrays = backbones.find_arrays(ARRAYS)
    if arrays is not None:
        load_imagenet(encoder, arrays)
        return
    try:
        whole = from_timm(NAME, "in1k")(True)
    except Exception as error:  # the hub's client raises many kinds of network error
        backbones.warn_random_start(NAME, error)
        return
    encoder.load_state_dict({k: v for k, v in whole.state_dict().items() if _below_head(k)})


def load_imagenet(encoder: nn.Module, arrays: dict[str, np.ndarray]) -> None:
    """Copy Keras-named arrays into the encoder, which lacks the backbone's last layers."""
    lengths = tuple(len(stage) for stage in encoder.blocks)
    names = keras_to_timm(lengths, V2)
    below_head = {layer: module for layer, module in names.items() if _below_head(module)}
    load_arrays(encoder, arrays, below_head)


def _below_head(name: str) -> bool:
    return not name.startswith(("conv_head", "bn2", "classifier"))
