"""What an outline is judged by in training."""

from __future__ import annotations

import torch
from torch.nn.functional import binary_cross_entropy_with_logits


def outline_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy, plus 1 minus the mean Dice coefficient of the images with a lesion
    (of all, if none has one), for logits and target (N, 1, h, w).

    The soft Dice coefficient of an image is ``(2 sum(p t) + 1) / (sum(p) + sum(t) + 1)`` (Milletari
    et al., 3DV 2016, with plain sums), so that a small lesion weighs as much as a large one.
    """
    share, target_ = torch.sigmoid(logits).flatten(1), target.flatten(1)
    shared, either = (share * target_).sum(1), share.sum(1) + target_.sum(1)
    dice = (2 * shared + 1) / (either + 1)
    lesion = target_.any(1)
    dice = dice[lesion] if lesion.any() else dice
    return binary_cross_entropy_with_logits(logits, target) + 1 - dice.mean()
