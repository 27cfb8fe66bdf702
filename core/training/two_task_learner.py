"""Training steps of a network that learns to outline the lesion beside its classes."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from core.recipe import Phase, Recipe
from core.torch_compat import import_timm
from core.training.outline_loss import outline_loss
from core.training.state import parted
from core.training.torch_learner import TorchLearner

_DECODER = "decoder/"


class TwoTaskLearner(TorchLearner):
    """See ``Learner``. A U-Net's decoder outlines from the features of some stages; it learns with
    the network and is no part of what is kept."""

    def __init__(self, recipe: Recipe, seed: int, pretrained: bool):
        super().__init__(recipe, seed, pretrained)
        self._task = recipe.training.second_task
        self._decoder = self._build_decoder(recipe.preprocessing.size).to(self._device)
        self._decoder.to(memory_format=torch.channels_last)

    def step(
        self, batch: np.ndarray, labels: np.ndarray, rate: float, masks: np.ndarray | None = None
    ) -> float:
        self._prepare()
        target = torch.from_numpy(masks).to(self._device, torch.float32)[:, None]
        with torch.autocast(self._device, torch.bfloat16, enabled=self._bfloat16):
            x = self._input(batch)
            features = self._features(x)
            logits = self.network.head(features[-1])
            outline = self._decoder([x, *features[:-1]])
        loss = self._class_loss(logits.float(), labels)
        return self._descend(loss + self._task.weight * outline_loss(outline.float(), target), rate)

    def optimizer_arrays(self) -> dict[str, np.ndarray]:
        decoder = self._decoder.state_dict().items()
        kept = {f"{_DECODER}{name}": t.cpu().numpy().copy() for name, t in decoder}
        return super().optimizer_arrays() | kept

    def restore_optimizer(self, arrays: dict[str, np.ndarray]) -> None:
        decoder, others = parted(_DECODER, arrays)
        self._decoder.load_state_dict({k: torch.from_numpy(v) for k, v in decoder.items()})
        super().restore_optimizer(others)

    def _features(self, x: torch.Tensor) -> list[torch.Tensor]:
        """What leaves the task's stages, and, last, what enters the head."""
        found = []
        for name, stage in self.network.stages.items():
            x = stage(x)
            if name in self._task.stages:
                found.append(x)
        return [*found, x]

    def _build_decoder(self, size: tuple[int, int]) -> nn.Module:
        self.network.eval()
        with torch.inference_mode():
            x = torch.zeros(1, 3, *size, device=self._device)
            widths = [f.shape[1] for f in self._features(x)[:-1]]
        return _Decoder((3, *widths), self._task.channels)

    def _groups(self, phase: Phase) -> list[dict]:
        return [*super()._groups(phase), {"params": [*self._decoder.parameters()], "share": 1.0}]


class _Decoder(nn.Module):
    """Logits (N, 1, h, w) from the input and features of ever coarser stages."""

    def __init__(self, widths: tuple[int, ...], channels: tuple[int, ...]):
        super().__init__()
        import_timm()  # before the library below, which imports it
        from segmentation_models_pytorch.base import SegmentationHead, initialization
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        self.decoder = UnetDecoder(widths, channels, n_blocks=len(channels))
        self.head = SegmentationHead(channels[-1], 1)
        initialization.initialize_decoder(self.decoder)
        initialization.initialize_head(self.head)

    def forward(self, features: list[torch.Tensor]) -> torch.Tensor:
        return self.head(self.decoder(features))
