"""The outlining network: a U-Net (Ronneberger et al., MICCAI 2015) of segmentation-models-pytorch.

Input (N, 3, H, W) in the ImageNet range, sides that 16 divides; output (N, 1, H, W), the logit of
each pixel's belonging to a lesion. The encoder is timm's ``tf_efficientnetv2_b0`` up to the last
block of 1/16 of the input's resolution, whose features at four scales the decoder takes up, the
coarsest first. The stage after it holds two thirds of the backbone's weights and is left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from core.architectures.torch_efficientnetv2b0_short import BLOCKS, whole_backbone
from core.architectures.torch_staged import StagedNetwork
from core.outlining.recipe import OutlineRecipe
from core.torch_compat import import_timm
from core.training.norms import norms_below


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
    encoder.blocks = encoder.blocks[:BLOCKS]  # the library builds the unused ones too
    if pretrained:
        start_encoder(encoder)
    return StagedNetwork(stages={"unet": unet}, head=nn.Identity())


def encoder_norms(network: StagedNetwork) -> Iterator[nn.BatchNorm2d]:
    """The batch norms of the encoder."""
    return norms_below(network.stages["unet"].encoder)


def start_encoder(encoder: nn.Module) -> None:
    """Give the encoder ImageNet's weights, as far as it goes."""
    weights = whole_backbone(True).state_dict()
    encoder.load_state_dict({name: weights[name] for name in encoder.state_dict()})
