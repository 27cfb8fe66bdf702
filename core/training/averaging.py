"""The running mean of a network's weights."""

from __future__ import annotations

import numpy as np
import torch
from torch.optim.swa_utils import AveragedModel

from core.architectures.torch_staged import StagedNetwork


class RunningMean:
    """Exponential moving average of a network's weights after each step, falling by ``decay`` a
    step; the first steps weigh less, since they are soon left behind. Statistics of batch norms
    are the last ones."""

    def __init__(self, network: StagedNetwork, decay: float):
        @torch.no_grad()
        def average(means: list[torch.Tensor], weights: list[torch.Tensor], steps: torch.Tensor):
            kept = min(decay, float((1 + steps) / (10 + steps)))
            torch._foreach_lerp_(means, weights, 1 - kept)

        self._average = AveragedModel(network, multi_avg_fn=average)

    @property
    def network(self) -> StagedNetwork:
        """The network of mean weights."""
        return self._average.module

    def update(self, network: StagedNetwork) -> None:
        """Take in the weights after a step."""
        self._average.update_parameters(network)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Its state, by name."""
        return {k: v.cpu().numpy().copy() for k, v in self._average.state_dict().items()}

    def from_arrays(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the state back."""
        self._average.load_state_dict({k: torch.from_numpy(v) for k, v in arrays.items()})
