"""A PyTorch network as a chain of named stages and a head."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import nn


class StagedNetwork(nn.Module):
    """Stages that map (N, C, H, W) features on, then a head that gives logits (N, classes).

    The network can be run up to any stage and on from it, which is all that a class
    activation map needs: no hooks, no state.
    """

    def __init__(self, stages: Mapping[str, nn.Module], head: nn.Module):
        super().__init__()
        self.stages = nn.ModuleDict(stages)
        self.head = head

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages from input to output."""
        return tuple(self.stages)

    def forward_to(self, x: torch.Tensor, stage: str) -> torch.Tensor:
        """Features (N, K, h, w) that leave ``stage``, from input (N, 3, H, W)."""
        for name, module in self.stages.items():
            x = module(x)
            if name == stage:
                break
        return x

    def forward_from(self, features: torch.Tensor, stage: str) -> torch.Tensor:
        """Logits (N, classes) from the features that left ``stage``."""
        reached = False
        for name, module in self.stages.items():
            if reached:
                features = module(features)
            reached = reached or name == stage
        return self.head(features)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, classes) from input (N, 3, H, W)."""
        last = self.stage_names[-1]
        return self.forward_from(self.forward_to(x, last), last)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """A copy of all weights and batch-norm statistics, by name, float32."""
        return {
            name: tensor.detach().float().cpu().numpy().copy()
            for name, tensor in self.state_dict().items()
            if tensor.is_floating_point()
        }

    def from_arrays(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Take all weights from arrays. Raises ValueError if one is missing, extra or misfits."""
        state = {
            name: torch.from_numpy(np.asarray(arrays[name], np.float32)) if name in arrays else old
            for name, old in self.state_dict().items()
            if name in arrays or not old.is_floating_point()
        }
        try:
            self.load_state_dict(state | {n: torch.empty(0) for n in arrays if n not in state})
        except RuntimeError as error:
            raise ValueError(f"The weights do not fit the network: {error}") from error
