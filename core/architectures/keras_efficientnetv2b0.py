"""EfficientNetV2-B0 (Tan and Le, ICML 2021) with global average pooling and one dense layer.

Input (N, H, W, 3) in the range 0..255: the network scales it itself. The last stage gives
(N, H/32, W/32, 1280).
"""

from __future__ import annotations

import keras
from keras import layers

from core.architectures.keras_arrays import start
from core.architectures.keras_staged import StagedNetwork

# Ends of the six blocks, and of the convolution after them (table 4 of the paper).
STAGES = {
    "block1": "block1a_project_activation",
    "block2": "block2b_add",
    "block3": "block3b_add",
    "block4": "block4c_add",
    "block5": "block5e_add",
    "block6": "block6h_add",
    "top": "top_activation",
}


def build(classes: int, size: tuple[int, int], parameters: dict, pretrained: bool) -> StagedNetwork:
    """The staged network. ``parameters``: ``dropout`` before the classifier (0 to 1)."""
    backbone = _backbone(size, pretrained)
    x = layers.GlobalAveragePooling2D(name="head_pool")(backbone.output)
    x = layers.Dropout(parameters.get("dropout", 0.0), name="head_dropout")(x)
    logits = layers.Dense(classes, name="head_logits")(x)
    return StagedNetwork(keras.Model(backbone.inputs[0], logits), STAGES)


def _backbone(size: tuple[int, int], pretrained: bool) -> keras.Model:
    def create(weights: str | None) -> keras.Model:
        # input_tensor keeps the graph flat: no model inside a model.
        return keras.applications.EfficientNetV2B0(
            input_tensor=keras.Input((*size, 3)), include_top=False, weights=weights
        )

    return start(create, "EfficientNetV2-B0", "efficientnetv2-b0.npz", pretrained)
