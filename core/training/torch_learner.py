"""Training steps in PyTorch."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from core.architectures import build
from core.processor import has_fast_bfloat16
from core.recipe import Phase, Recipe
from core.training.learner import Learner

_OPTIMIZERS = {
    "adam": torch.optim.Adam,
    "nadam": torch.optim.NAdam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
}


def trains_faster_in_bfloat16() -> bool:
    """Whether the GPU knows bfloat16, or, without one, the processor is fast in it."""
    if torch.cuda.is_available():
        return torch.cuda.is_bf16_supported()
    return has_fast_bfloat16()


class TorchLearner(Learner):
    """See ``Learner``. Channels-last memory; bfloat16 where it is faster.

    Batch norms of stages in which nothing learns use and keep their stored statistics.
    """

    def __init__(self, recipe: Recipe, seed: int, pretrained: bool):
        torch.manual_seed(seed)
        self._recipe = recipe
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bfloat16 = trains_faster_in_bfloat16()
        self.network = build(recipe, pretrained).to(self._device)
        self.network.to(memory_format=torch.channels_last)
        self._optimizer: torch.optim.Optimizer

    def start_phase(self, phase: Phase) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(_learns(name, phase))
        create = _OPTIMIZERS[self._recipe.training.optimizer]
        self._optimizer = create(self._groups(phase), lr=phase.learning_rate)

    def step(self, batch: np.ndarray, labels: np.ndarray, rate: float) -> float:
        self.network.train()
        for stage in self.network.stages.values():
            stage.train(any(p.requires_grad for p in stage.parameters()))
        truth = torch.from_numpy(labels).to(self._device)
        return self._descend(cross_entropy(self._forward(self.network, batch), truth), rate)

    def logits(self, batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._forward(self.trained().eval(), batch).cpu().numpy()

    def trained(self) -> torch.nn.Module:
        return self.network

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        return {
            f"{index}/{name}": torch.as_tensor(value).float().cpu().numpy().copy()
            for index, memory in self._optimizer.state_dict()["state"].items()
            for name, value in memory.items()
        }

    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, array in arrays.items():
            index, name = key.split("/")
            state.setdefault(int(index), {})[name] = torch.from_numpy(array)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _forward(self, network: torch.nn.Module, batch: np.ndarray) -> torch.Tensor:
        x = torch.from_numpy(batch).permute(0, 3, 1, 2).to(self._device)
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bfloat16):
            return network(x).float()

    def _descend(self, loss: torch.Tensor, rate: float) -> float:
        """One optimiser step; the loss before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        return loss.item()

    def _groups(self, phase: Phase) -> list[dict]:
        """What learns, stage by stage, each with its ``share`` of the learning rate."""
        parts = [self.network.head, *reversed(self.network.stages.values())]
        return [
            {
                "params": [p for p in part.parameters() if p.requires_grad],
                "share": phase.stage_decay ** max(0, back - 1),
            }
            for back, part in enumerate(parts)
        ]


def _learns(parameter: str, phase: Phase) -> bool:
    if phase.trainable == "all":
        return True
    beginnings = ("head",) if phase.trainable == "head" else phase.trainable
    return parameter.removeprefix("stages.").startswith(beginnings)
