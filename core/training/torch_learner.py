"""Training steps in PyTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from core.architectures import build
from core.architectures.torch_staged import StagedNetwork
from core.processor import has_fast_bfloat16
from core.recipe import Phase, Recipe
from core.training.averaging import RunningMean
from core.training.learner import Learner
from core.training.norms import fold_norms, norms_below
from core.training.state import parted

_MEAN = "mean/"
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
    """See ``Learner``. Channels-last memory; bfloat16 where it is faster. ``create`` makes the
    network of the recipe.

    Batch norms of stages in which nothing learns use and keep their stored statistics.
    """

    def __init__(self, recipe: Recipe, seed: int, pretrained: bool, create: Callable = build):
        torch.manual_seed(seed)
        self._recipe = recipe
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._bfloat16 = trains_faster_in_bfloat16()
        self.network = create(recipe, pretrained).to(self._device)
        self.network.to(memory_format=torch.channels_last)
        self._optimizer: torch.optim.Optimizer
        self._mean: RunningMean | None = None

    @property
    def kept(self) -> StagedNetwork:
        return self._mean.network if self._mean else self.network

    def start_phase(self, phase: Phase) -> None:
        for name, parameter in self.network.named_parameters():
            parameter.requires_grad_(_learns(name, phase))
        create = _OPTIMIZERS[self._recipe.training.optimizer]
        self._optimizer = create(self._groups(phase), lr=phase.learning_rate)
        decay = self._recipe.training.averaging
        self._mean = RunningMean(self.network, decay) if decay else None

    def reseed(self, seed: int, epoch: int) -> None:
        torch.manual_seed(int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0]))

    def step(
        self, batch: np.ndarray, labels: np.ndarray, rate: float, masks: np.ndarray | None = None
    ) -> float:
        self._prepare()
        return self._descend(self._class_loss(self._forward(self.network, batch), labels), rate)

    def logits(self, batch: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self._forward(self.kept.eval(), batch).cpu().numpy()

    def trained(self) -> StagedNetwork:
        network = deepcopy(self.kept)
        fold_norms(self._kept_norms(network))
        return network

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        memory = {
            f"{index}/{name}": torch.as_tensor(value).float().cpu().numpy().copy()
            for index, memory in self._optimizer.state_dict()["state"].items()
            for name, value in memory.items()
        }
        mean = self._mean.to_arrays() if self._mean else {}
        return memory | {f"{_MEAN}{name}": array for name, array in mean.items()}

    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        mean, memory = parted(_MEAN, arrays)
        if self._mean:
            self._mean.from_arrays(mean)
        self._restore_memory(memory)

    def _restore_memory(self, arrays: dict[str, np.ndarray]) -> None:
        state: dict[int, dict[str, torch.Tensor]] = {}
        for key, array in arrays.items():
            index, name = key.split("/")
            state.setdefault(int(index), {})[name] = torch.from_numpy(array)
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": state, "param_groups": groups})

    def _prepare(self) -> None:
        """Into training mode, but for norms that keep their statistics."""
        self.network.train()
        for stage in self.network.stages.values():
            stage.train(any(p.requires_grad for p in stage.parameters()))
        for norm in self._kept_norms(self.network):
            norm.eval()

    def _kept_norms(self, network: StagedNetwork) -> Iterator[torch.nn.BatchNorm2d]:
        """The batch norms that keep ImageNet's statistics."""
        kept = self._recipe.training.kept_norms
        for name, stage in network.stages.items():
            if name.startswith(kept):
                yield from norms_below(stage)

    def _class_loss(self, logits: torch.Tensor, labels: np.ndarray) -> torch.Tensor:
        training = self._recipe.training
        weights = torch.tensor(training.class_weights or [1.0] * logits.shape[1]).to(logits)
        truth = torch.from_numpy(labels).to(self._device)
        return cross_entropy(logits, truth, weights, label_smoothing=training.label_smoothing)

    def _forward(self, network: torch.nn.Module, batch: np.ndarray) -> torch.Tensor:
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bfloat16):
            return network(self._input(batch)).float()

    def _input(self, batch: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(batch).permute(0, 3, 1, 2).to(self._device)

    def _descend(self, loss: torch.Tensor, rate: float) -> float:
        """One optimiser step; the loss before it."""
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["share"]
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self._optimizer.step()
        if self._mean:
            self._mean.update(self.network)
        return loss.item()

    def _groups(self, phase: Phase) -> list[dict]:
        """What learns, stage by stage, each with its ``share`` of the learning rate."""
        parts = [self.network.head, *reversed(self.network.stages.values())]
        return [
            {
                "params": [p for p in part.parameters() if p.requires_grad],
                "share": _share(phase, back),
            }
            for back, part in enumerate(parts)
        ]


def _share(phase: Phase, back: int) -> float:
    """Of the learning rate, so many parts back from the head: its own and the last stage's is 1."""
    return 1.0 if back <= 1 else phase.stage_rate * phase.stage_decay ** (back - 1)


def _learns(parameter: str, phase: Phase) -> bool:
    if phase.trainable == "all":
        return True
    beginnings = ("head",) if phase.trainable == "head" else phase.trainable
    return parameter.removeprefix("stages.").startswith(beginnings)
