"""What the training loop asks of a framework."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module

import numpy as np

from core.recipe import Phase, Recipe

_CLASSES = {"torch": "TorchLearner", "two_task": "TwoTaskLearner", "keras": "KerasLearner"}


class Learner(ABC):
    """A network in training. Batches are float32 (N, H, W, 3) in the recipe's value range."""

    network = None
    """The staged network, whose ``to_arrays`` and ``from_arrays`` give and take all weights."""

    @property
    def kept(self):
        """The network whose weights are judged and kept: ``network``, or one of mean weights."""
        return self.network

    @abstractmethod
    def start_phase(self, phase: Phase) -> None:
        """Choose what learns, and begin with a fresh optimiser."""

    @abstractmethod
    def reseed(self, seed: int, epoch: int) -> None:
        """Let what is drawn in the steps that follow (dropout) depend on these two alone."""

    @abstractmethod
    def step(
        self, batch: np.ndarray, labels: np.ndarray, rate: float, masks: np.ndarray | None = None
    ) -> float:
        """One optimiser step at this learning rate; the loss before it. Lesion masks, bool
        (N, H, W), are for a second task."""

    @abstractmethod
    def logits(self, batch: np.ndarray) -> np.ndarray:
        """Logits (N, C) of ``kept`` in evaluation mode."""

    @abstractmethod
    def trained(self):
        """The staged network as it will be used, in float32."""

    @abstractmethod
    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        """The optimiser's memory, by name."""

    @abstractmethod
    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        """Take the optimiser's memory back, after ``start_phase``."""


def create_learner(recipe: Recipe, seed: int, pretrained: bool = True) -> Learner:
    """A learner on the recipe's network, ImageNet-initialised or not, random parts seeded."""
    framework = recipe.architecture.framework
    kind = "two_task" if recipe.training.second_task else framework
    module = import_module(f"core.training.{kind}_learner")
    return getattr(module, _CLASSES[kind])(recipe, seed, pretrained)
