"""Batch norms that keep ImageNet's statistics in training: a batch of few images has too little to
tell of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import nn


def norms_below(module: nn.Module) -> Iterator[nn.BatchNorm2d]:
    """The batch norms in a module."""
    return (part for part in module.modules() if isinstance(part, nn.BatchNorm2d))


@torch.no_grad()
def fold_norms(norms: Iterable[nn.BatchNorm2d]) -> None:
    """Make the statistics of batch norms part of their scale and shift, so that ImageNet's are not
    shipped as they are.

    In evaluation the network stays the same function; the statistics are 0 and 1 afterwards.
    """
    for norm in norms:
        scale = norm.weight * ((1 + norm.eps) / (norm.running_var + norm.eps)).sqrt()
        norm.bias -= norm.running_mean * scale / (1 + norm.eps) ** 0.5
        norm.weight.copy_(scale)
        norm.running_mean.zero_()
        norm.running_var.fill_(1)
