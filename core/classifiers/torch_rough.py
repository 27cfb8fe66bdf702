"""A faster copy of a PyTorch network, for inference only; it may be less precise."""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise

import torch
from torch import nn
from torch.nn.functional import avg_pool2d
from torch.nn.utils.fusion import fuse_conv_bn_weights

from core.architectures.torch_staged import StagedNetwork
from core.torch_compat import import_timm

COLOURS = 3

# Activations that oneDNN applies while it writes the result of a convolution.
_FUSED = {nn.SiLU: "swish", nn.ReLU: "relu", nn.Identity: "none"}


def can_fuse() -> bool:
    """Whether this build of PyTorch has oneDNN's convolutions with activations."""
    return torch.backends.mkldnn.is_available() and hasattr(
        torch.ops.mkldnn, "_convolution_pointwise"
    )


def rough_copy(network: StagedNetwork, dtype: torch.dtype) -> StagedNetwork:
    """The same function at the precision of ``dtype``, its batch norms folded into convolutions.

    The convolution that sees the image itself and the head stay float32: rounding the image to
    three digits is noise that the whole network would amplify. Takes float32 and gives features
    of ``dtype`` and float32 logits.
    """
    copy = deepcopy(network)
    _fuse(copy.stages)
    _lower(copy.stages, dtype)
    copy.head = nn.Sequential(_To(torch.float32), copy.head)
    return copy.requires_grad_(False).eval()


class _To(nn.Module):
    """Casts."""

    def __init__(self, dtype: torch.dtype):
        super().__init__()
        self.dtype = dtype

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.to(self.dtype)


class _FusedConvolution(nn.Module):
    """A convolution, the batch norm after it, and its activation, as one call of oneDNN."""

    def __init__(self, conv: nn.Conv2d, norm: nn.BatchNorm2d):
        super().__init__()
        weight, bias = fuse_conv_bn_weights(
            conv.weight,
            conv.bias,
            norm.running_mean,
            norm.running_var,
            norm.eps,
            norm.weight,
            norm.bias,
        )
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last))
        self.bias = nn.Parameter(bias)
        self.in_channels = conv.in_channels
        activation = getattr(norm, "act", nn.Identity())
        self._fused = _FUSED.get(type(activation), "none")
        self.after = nn.Identity() if type(activation) in _FUSED else activation
        self._pad, padding = _padding(conv)
        self._geometry = (padding, list(conv.stride), list(conv.dilation), conv.groups)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.ops.mkldnn._convolution_pointwise(
            self._pad(x), self.weight, self.bias, *self._geometry, self._fused, [], ""
        )
        return self.after(x)


class _SqueezeExcitation(nn.Module):
    """timm's block for inference alone: its mean makes no float32 copy of all maps, and the maps,
    which the convolution before has just written, are weighed in place."""

    def __init__(self, block: nn.Module):
        super().__init__()
        self.weigh = nn.Sequential(block.conv_reduce, block.act1, block.conv_expand, block.gate)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mul_(self.weigh(avg_pool2d(x, x.shape[-2:])))


def _padding(conv: nn.Conv2d):
    """What pads unevenly before the convolution, as TensorFlow does, and its even padding."""
    import_timm()
    from timm.layers import Conv2dSame

    if isinstance(conv, Conv2dSame):
        return lambda x: _pad_same(x, conv), [0, 0]
    if isinstance(conv.padding, str):
        even = [d * (k - 1) // 2 for k, d in zip(conv.kernel_size, conv.dilation, strict=True)]
        return lambda x: x, even if conv.padding == "same" else [0, 0]
    return lambda x: x, list(conv.padding)


def _pad_same(x: torch.Tensor, conv: nn.Conv2d) -> torch.Tensor:
    """timm's ``pad_same``, which fills the whole result before it copies ``x`` into it."""
    from timm.layers.padding import get_same_padding

    size, geometry = x.shape[-2:], (conv.kernel_size, conv.stride, conv.dilation)
    more = [get_same_padding(*one) for one in zip(size, *geometry, strict=True)]
    if not any(more):
        return x
    padded = torch.empty(
        (*x.shape[:2], *(old + new for old, new in zip(size, more, strict=True))),
        dtype=x.dtype,
        memory_format=torch.channels_last,
    )
    inside = padded
    for dim, (old, new) in enumerate(zip(size, more, strict=True), start=2):
        before = new // 2
        inside.narrow(dim, 0, before).zero_()
        inside.narrow(dim, before + old, new - before).zero_()
        inside = inside.narrow(dim, before, old)
    inside.copy_(x)
    return padded


def _fuse(module: nn.Module) -> None:
    """Replace every convolution and the batch norm that follows it, and every squeeze and
    excitation, in place."""
    children = list(module.named_children())
    for (name, conv), (next_name, norm) in pairwise(children):
        if type(conv).__name__ in ("Conv2d", "Conv2dSame") and isinstance(norm, nn.BatchNorm2d):
            setattr(module, name, _FusedConvolution(conv, norm))
            setattr(module, next_name, nn.Identity())
    for name, child in list(module.named_children()):
        if type(child).__name__ == "SqueezeExcite":  # EfficientNet's, of timm
            setattr(module, name, _SqueezeExcitation(child))
        elif not isinstance(child, _FusedConvolution):
            _fuse(child)


def _lower(module: nn.Module, dtype: torch.dtype) -> None:
    """Bring all but convolutions of colours, which hand on their results so, to ``dtype``."""
    for name, child in list(module.named_children()):
        if getattr(child, "in_channels", None) == COLOURS:
            setattr(module, name, nn.Sequential(child, _To(dtype)))
        else:
            _lower(child, dtype)
    module._apply(lambda t: t.to(dtype) if t.is_floating_point() else t, recurse=False)
