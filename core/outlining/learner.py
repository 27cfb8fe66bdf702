"""Training steps of the outlining network."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn

from core.architectures.torch_staged import StagedNetwork
from core.outlining.network import build, encoder_norms
from core.outlining.recipe import OutlineRecipe
from core.recipe import Phase
from core.training.outline_loss import outline_loss
from core.training.torch_learner import TorchLearner


class OutlineLearner(TorchLearner):
    """The classifiers' learner, on masks: ``logits`` gives (N, 1, h, w), of the kept weights.

    The encoder's batch norms keep ImageNet's statistics.
    """

    def __init__(self, recipe: OutlineRecipe, seed: int, pretrained: bool):
        super().__init__(recipe, seed, pretrained, build)
        self.start_phase(recipe.training.phases[0])

    def step(self, batch: np.ndarray, masks: np.ndarray, rate: float) -> float:
        """One optimiser step on masks bool (N, h, w) at this learning rate; the loss before it."""
        self._prepare()
        target = torch.from_numpy(masks).to(self._device, torch.float32)[:, None]
        return self._descend(outline_loss(self._forward(self.network, batch), target), rate)

    def _kept_norms(self, network: StagedNetwork) -> Iterator[nn.BatchNorm2d]:
        return encoder_norms(network)

    def _groups(self, phase: Phase) -> list[dict]:
        unet = self.network.stages["unet"]
        decoder = [*unet.decoder.parameters(), *unet.segmentation_head.parameters()]
        return [
            {"params": [*unet.encoder.parameters()], "share": self._recipe.encoder_rate},
            {"params": decoder, "share": 1.0},
        ]
