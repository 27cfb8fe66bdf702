"""Training steps of the outlining network, and the running mean of its weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim.swa_utils import AveragedModel

from core.architectures.torch_staged import StagedNetwork
from core.outlining.network import build, encoder_norms
from core.outlining.recipe import OutlineRecipe
from core.recipe import Phase
from core.training.torch_learner import TorchLearner, trains_faster_in_bfloat16

_AVERAGE = "average/"


class OutlineLearner(TorchLearner):
    """The classifiers' learner, on masks: ``logits`` gives (N, 1, h, w), of the averaged weights.

    The encoder's batch norms keep ImageNet's statistics: a batch of few scans has too little to
    tell of its own.
    """

    def __init__(self, recipe: OutlineRecipe, seed: int, pretrained: bool):
        torch.manual_seed(seed)
        self._recipe = recipe
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bfloat16 = trains_faster_in_bfloat16()
        self.network = build(recipe, pretrained).to(self._device)
        self.network.to(memory_format=torch.channels_last)
        self._average = AveragedModel(self.network, multi_avg_fn=_running_mean(recipe.averaging))
        self.start_phase(recipe.training.phases[0])

    def step(self, batch: np.ndarray, masks: np.ndarray, rate: float) -> float:
        """One optimiser step on masks bool (N, h, w) at this learning rate; the loss before it."""
        self.network.train()
        for norm in encoder_norms(self.network):
            norm.eval()
        target = torch.from_numpy(masks).to(self._device, torch.float32)[:, None]
        loss = self._descend(outline_loss(self._forward(self.network, batch), target), rate)
        self._average.update_parameters(self.network)
        return loss

    def trained(self) -> StagedNetwork:
        return self._average.module

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        average = self._average.state_dict()
        kept = {f"{_AVERAGE}{name}": t.cpu().numpy().copy() for name, t in average.items()}
        return super().optimizer_arrays() | kept

    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        average = {
            name.removeprefix(_AVERAGE): torch.from_numpy(array)
            for name, array in arrays.items()
            if name.startswith(_AVERAGE)
        }
        self._average.load_state_dict(average)
        memory = {name: a for name, a in arrays.items() if not name.startswith(_AVERAGE)}
        super().restore_optimizer(memory)

    def _groups(self, phase: Phase) -> list[dict]:
        unet = self.network.stages["unet"]
        decoder = [*unet.decoder.parameters(), *unet.segmentation_head.parameters()]
        return [
            {"params": [*unet.encoder.parameters()], "share": self._recipe.encoder_rate},
            {"params": decoder, "share": 1.0},
        ]


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


def _running_mean(decay: float) -> Callable:
    """Exponential moving average of the weights after each step; the first steps weigh less, since
    they are soon left behind."""

    @torch.no_grad()
    def average(means: list[torch.Tensor], weights: list[torch.Tensor], steps: torch.Tensor):
        kept = min(decay, float((1 + steps) / (10 + steps)))
        torch._foreach_lerp_(means, weights, 1 - kept)

    return average
