"""Training steps of the outlining network."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from core.outlining.network import build
from core.outlining.recipe import OutlineRecipe
from core.training.torch_learner import TorchLearner, trains_faster_in_bfloat16


class OutlineLearner(TorchLearner):
    """The classifiers' learner, on masks: ``logits`` gives (N, 1, h, w)."""

    def __init__(self, recipe: OutlineRecipe, seed: int, pretrained: bool):
        torch.manual_seed(seed)
        self._recipe = recipe
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bfloat16 = trains_faster_in_bfloat16()
        self.network = build(recipe, pretrained).to(self._device)
        self.network.to(memory_format=torch.channels_last)
        self.start_phase(recipe.training.phases[0])

    def step(self, batch: np.ndarray, masks: np.ndarray, rate: float) -> float:
        """One optimiser step on masks bool (N, h, w) at this learning rate; the loss before it."""
        self.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        target = torch.from_numpy(masks).to(self._device, torch.float32)[:, None]
        loss = outline_loss(self._forward(batch), target)
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.item()


def outline_loss(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean binary cross-entropy plus ``1 - Dice`` of the batch, for logits and target (N, 1, h, w).

    The soft Dice coefficient is ``2 sum(p t) / (sum(p) + sum(t))`` (Milletari et al., 3DV 2016,
    with plain sums) over all pixels of the batch, so that an image without lesion weighs by the
    pixels wrongly marked in it.
    """
    share = torch.sigmoid(logits)
    shared, either = (share * target).sum(), share.sum() + target.sum()
    dice = (2 * shared + 1) / (either + 1)
    return binary_cross_entropy_with_logits(logits, target) + 1 - dice
