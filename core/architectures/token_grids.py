"""Vision transformers as stages whose tokens lie on a grid, (N, K, h, w)."""

from __future__ import annotations

import torch
from torch import nn


class TokenTrunk(nn.Module):
    """What follows the patch embedding of timm's vision transformer: class token, positions,
    blocks, norm.

    Maps the grid of patch tokens to the grid of those that leave the last block. The class token
    takes part in every block and is left out in the end, being no place in the image.
    """

    def __init__(self, transformer: nn.Module):
        super().__init__()
        self.cls_token = transformer.cls_token
        self.pos_embed = transformer.pos_embed
        self.blocks = transformer.blocks
        self.norm = transformer.norm

    def forward(self, grid: torch.Tensor) -> torch.Tensor:
        """Tokens (N, K, h, w), from the patches (N, K, h, w)."""
        tokens = grid.flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(tokens), -1, -1), tokens], dim=1)
        tokens = self.norm(self.blocks(tokens + self.pos_embed))[:, 1:]
        return tokens.transpose(1, 2).reshape(grid.shape)


class ChannelsLast(nn.Module):
    """A module that maps (N, h, w, K), as one that maps (N, K, h, w)."""

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body = body

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Features (N, K, h, w), both ways."""
        return self.body(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
