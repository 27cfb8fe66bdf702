"""MobileNetV2 (Sandler et al., CVPR 2018) with the head of Surya et al.

Input (N, H, W, 3) in the range -1..1. The last stage gives (N, H/32, W/32, 1280).
"""

from __future__ import annotations

import keras
from keras import layers

from core.architectures.keras_arrays import absorb_statistics, start
from core.architectures.keras_staged import StagedNetwork

# Where the resolution is about to halve, and the end (table 2 of the paper).
STAGES = {
    "stem": "expanded_conv_project_BN",
    "block2": "block_2_add",
    "block5": "block_5_add",
    "block12": "block_12_add",
    "block16": "block_16_project_BN",
    "top": "out_relu",
}


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dense`` width, ``dropout``, ``activation``."""
    backbone = _backbone(size, pretrained)
    # With ImageNet's statistics batch norms stay in inference mode, as in the paper; their scales
    # and offsets learn.
    if pretrained:
        absorb_statistics(backbone)
    x = layers.GlobalAveragePooling2D(name="head_pool")(backbone.output)
    x = layers.Dense(
        parameters.get("dense", 1024),
        activation=parameters.get("activation", "relu"),
        name="head_dense",
    )(x)
    x = layers.Dropout(parameters.get("dropout", 0.5), name="head_dropout")(x)
    logits = layers.Dense(classes, name="head_logits")(x)
    model = keras.Model(backbone.inputs[0], logits)
    return StagedNetwork(model, STAGES, keeps_statistics=pretrained)


def _backbone(size: tuple[int, int], pretrained: bool) -> keras.Model:
    def create(weights: str | None) -> keras.Model:
        # input_tensor keeps the graph flat: no model inside a model.
        return keras.applications.MobileNetV2(
            input_tensor=keras.Input((*size, 3)), include_top=False, weights=weights
        )

    return start(create, "MobileNetV2", "mobilenetv2_1.00.npz", pretrained)
