"""Names of Keras' EfficientNet layers in timm's ``tf_efficientnet*`` networks, whose graphs are the
same (Tan and Le, ICML 2019 and 2021)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

# Parts of a block: Keras layer suffix -> timm module.
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
_FUSED_FIRST = {"project_conv": "conv", "project_bn": "bn1"}
_FUSED = {
    "expand_conv": "conv_exp",
    "expand_bn": "bn1",
    "project_conv": "conv_pwl",
    "project_bn": "bn2",
}
_INVERTED_V2 = {("dwconv2" if k == "dwconv" else k): module for k, module in _INVERTED.items()}
_OUTER = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}

Parts = Sequence[Mapping[str, str]]
V1: Parts = (_SEPARABLE, *[_INVERTED] * 6)
"""Parts of the blocks of each stage of EfficientNet."""
V2: Parts = (_FUSED_FIRST, _FUSED, _FUSED, *[_INVERTED_V2] * 3)
"""Those of the small EfficientNetV2s, B0 to B3."""


def keras_to_timm(lengths: Sequence[int], parts: Parts) -> dict[str, str]:
    """Keras layer name -> timm module name: stem, top, and stages of so many blocks, from the first
    stage on."""
    names = dict(_OUTER)
    for stage, length in enumerate(lengths):
        for index in range(length):
            keras_block = f"block{stage + 1}{chr(ord('a') + index)}"
            timm_block = f"blocks.{stage}.{index}"
            names |= {f"{keras_block}_{k}": f"{timm_block}.{t}" for k, t in parts[stage].items()}
    return names
