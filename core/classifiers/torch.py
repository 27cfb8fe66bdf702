"""The classifier interface over a staged PyTorch network."""

from __future__ import annotations

from threading import Lock

import numpy as np
import torch

from core.architectures.torch_staged import StagedNetwork
from core.classifiers.base import INPUT, Classifier, Target, target_weights
from core.classifiers.precision import rough_precision
from core.classifiers.torch_rough import can_fuse, rough_copy
from core.recipe import Recipe


class TorchClassifier(Classifier):
    """See ``Classifier``. The network is put into evaluation mode once and never changed."""

    def __init__(self, recipe: Recipe, network: StagedNetwork):
        self.recipe = recipe
        self.layers = network.stage_names
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network = network.eval().requires_grad_(False).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)
        self._rough: StagedNetwork | None = None
        self._lock = Lock()

    def features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        layer = self._layer(layer)
        with torch.inference_mode():
            return _to_numpy(self._network.forward_to(self._to_torch(batch), layer))

    def head(
        self, features: np.ndarray, target: Target, layer: str | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        layer = self._layer(layer, INPUT)
        # enable_grad: a caller may be inside no_grad, and threads start with their own mode.
        with torch.inference_mode(False), torch.enable_grad():
            inputs = self._to_torch(features).requires_grad_()
            logits = self._answer(inputs, layer)
            weights = torch.tensor(target_weights(target, *logits.shape), device=self._device)
            # autograd.grad returns the gradient and leaves every .grad untouched.
            (gradients,) = torch.autograd.grad((logits * weights).sum(), inputs)
        return _to_numpy(logits.detach()), _to_numpy(gradients)

    def logits_from(self, features: np.ndarray, layer: str | None = None) -> np.ndarray:
        layer = self._layer(layer)
        with torch.inference_mode():
            return _to_numpy(self._network.forward_from(self._to_torch(features), layer))

    def rough_features(self, batch: np.ndarray, layer: str | None = None) -> np.ndarray:
        layer = self._layer(layer)
        with torch.inference_mode():
            return _to_numpy(self._rough_network().forward_to(self._to_torch(batch), layer))

    def _answer(self, features: torch.Tensor, layer: str) -> torch.Tensor:
        """Logits of what leaves ``layer``."""
        if layer == INPUT:
            return self._network(features)
        return self._network.forward_from(features, layer)

    def _rough_network(self) -> StagedNetwork:
        """The faster copy, made when it is first needed; the network itself where none can be."""
        with self._lock:
            if self._rough is None:
                fits = self._device == "cpu" and can_fuse()
                self._rough = self._copy() if fits else self._network
        return self._rough

    def _copy(self) -> StagedNetwork:
        count = sum(p.numel() for p in self._network.stages.parameters())
        return rough_copy(self._network, getattr(torch, rough_precision(count)))

    def _to_torch(self, array: np.ndarray) -> torch.Tensor:
        """(N, H, W, K) to (N, K, H, W): a view whose memory stays channels last."""
        # Contiguous, since torch takes no negative strides, as of a mirrored image.
        tensor = torch.tensor(np.ascontiguousarray(array, np.float32), device=self._device)
        return tensor.permute(0, 3, 1, 2)


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    if tensor.ndim == 4:
        tensor = tensor.permute(0, 2, 3, 1)
    return np.ascontiguousarray(tensor.float().cpu().numpy())
