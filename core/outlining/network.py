"""The outlining network: a U-Net (Ronneberger et al., MICCAI 2015) of segmentation-models-pytorch.

Input (N, 3, H, W) in the ImageNet range, sides that 32 divides; output (N, 1, H, W), the logit of
each pixel's belonging to a lesion. The encoder is timm's ``tf_efficientnet_b0`` up to its last
block, whose features at five scales the decoder takes up, the coarsest first.
"""

from __future__ import annotations

import logging

import numpy as np
from torch import nn

from core.architectures import backbones
from core.architectures.torch_arrays import from_timm, load_arrays
from core.architectures.torch_efficientnet_b0 import ARRAYS, NAME, keras_to_timm
from core.architectures.torch_staged import StagedNetwork
from core.outlining.recipe import OutlineRecipe
from core.torch_compat import import_timm

log = logging.getLogger(__name__)


def build(recipe: OutlineRecipe, pretrained: bool = False) -> StagedNetwork:
    """The untrained network, or if ``pretrained`` one whose encoder starts from ImageNet's weights.

    It is a chain of one stage, ``unet``: its weights go to and from arrays as a classifier's do.
    """
    import_timm()  # before the library below, which imports it
    import segmentation_models_pytorch as smp

    unet = smp.Unet(
        recipe.encoder,
        encoder_weights=None,
        decoder_channels=recipe.decoder_channels,
        in_channels=3,
        classes=1,
    )
    if pretrained:
        start_encoder(unet.encoder.model)
    return StagedNetwork(stages={"unet": unet}, head=nn.Identity())


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
    """Copy Keras-named arrays into the encoder, which lacks the classifier's last convolution."""
    lengths = tuple(len(stage) for stage in encoder.blocks)
    names = {k: module for k, module in keras_to_timm(lengths).items() if _below_head(module)}
    load_arrays(encoder, arrays, names)


def _below_head(name: str) -> bool:
    return not name.startswith(("conv_head", "bn2", "classifier"))
