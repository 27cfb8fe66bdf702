"""The proposed outline of a lesion, from the shipped network; what a page calls:
``open_outliner().propose(scan.pixels[0]).mask``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from core.checkpoints import CHECKPOINTS, Checkpoint, CheckpointError, is_checkpoint
from core.outlining.outline import VIEWS, Rule, outline_of
from core.outlining.recipe import BUSI_UNET, OutlineRecipe, parse_outline_recipe
from core.preprocessing import to_batch

FOLDER = "outlines"
"""Below the checkpoints: a folder deeper than a classifier's, so that none is taken for one."""


@dataclass(frozen=True, eq=False)
class Proposal:
    """What the network sees in a scan of H x W pixels.

    ``probability`` float32 (H, W) in [0, 1]: of each pixel's belonging to a lesion. ``mask`` bool
    (H, W): the proposed outline, all False if no lesion is seen. ``confidence``: the mean
    probability inside the mask, 0 if it is empty; it was not calibrated.
    """

    probability: np.ndarray
    mask: np.ndarray
    confidence: float


class Outliner:
    """The network with its rule. A pure function of a scan: any number of threads may share one."""

    def __init__(self, recipe: OutlineRecipe, network, rule: Rule, metrics: dict | None = None):
        import torch

        self.recipe = recipe
        self.rule = rule
        self.metrics = metrics or {}
        """Figures with n and interval, as ``core.outlining.evaluation`` measures them."""
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        network = network.eval().requires_grad_(False).to(self._device)
        self._network = network.to(memory_format=torch.channels_last)

    def propose(self, pixels: np.ndarray) -> Proposal:
        """The outline proposed for a scan, uint8 (H, W, 3). Raises ValueError for another array."""
        return proposal_of(self.probability(pixels, self.rule.views), self.rule)

    def probability(self, pixels: np.ndarray, views: str) -> np.ndarray:
        """Probability of each pixel's belonging to a lesion, float32 (H, W), of a scan uint8
        (H, W, 3): the mean over its ``VIEWS`` of this name."""
        _check(pixels)
        maps = [self._map(pixels, size, mirrored) for size, mirrored in VIEWS[views]]
        return np.clip(np.mean(maps, axis=0), 0, 1)

    def _map(self, pixels: np.ndarray, size: float, mirrored: bool) -> np.ndarray:
        """Map (H, W) of a scan, shown to the network at this multiple of its own size."""
        height, width = pixels.shape[:2]
        sides = tuple(round(size * side) for side in self.recipe.preprocessing.size)
        preprocessing = self.recipe.preprocessing.model_copy(update={"size": sides})
        batch = to_batch([pixels[:, ::-1] if mirrored else pixels], preprocessing)
        seen = cv2.resize(self._maps(batch)[0], (width, height), interpolation=cv2.INTER_LINEAR)
        return seen[:, ::-1] if mirrored else seen

    def _maps(self, batch: np.ndarray) -> np.ndarray:
        """Maps (N, h, w) of a batch (N, h, w, 3)."""
        import torch

        inputs = torch.tensor(batch, device=self._device).permute(0, 3, 1, 2)
        with torch.inference_mode():
            return torch.sigmoid(self._network(inputs))[:, 0].float().cpu().numpy()


def proposal_of(probability: np.ndarray, rule: Rule) -> Proposal:
    """The proposal that a map, float32 (H, W) in [0, 1], makes by this rule."""
    mask = outline_of(probability, rule)
    confidence = float(probability[mask].mean()) if mask.any() else 0.0
    return Proposal(probability, mask, confidence)


def outlines_checkpoint(root: Path = CHECKPOINTS) -> Checkpoint:
    """The checkpoint of the shipped network. Raises CheckpointError if there is none."""
    folder = root / FOLDER / BUSI_UNET
    if not is_checkpoint(folder):
        raise CheckpointError(
            "The network that proposes outlines is not here. Draw the region by hand, or train "
            "the network with: python -m core.outlining train --data DIR"
        )
    return OutlinesCheckpoint(folder)


def open_outliner(root: Path = CHECKPOINTS) -> Outliner:
    """The shipped network and its rule; needs no network connection.

    Raises CheckpointError if it is missing or one of its files is damaged.
    """
    from core.outlining.network import build

    checkpoint = outlines_checkpoint(root)
    network = build(checkpoint.recipe)
    try:
        network.from_arrays(checkpoint.arrays())
    except ValueError as error:
        raise CheckpointError(f"{checkpoint.folder.name}/weights.safetensors: {error}") from error
    metrics = checkpoint.metrics
    return Outliner(checkpoint.recipe, network, Rule(**metrics["rule"]), metrics)


class OutlinesCheckpoint(Checkpoint):
    """A checkpoint whose recipe is an outlining network's."""

    @cached_property
    def recipe(self) -> OutlineRecipe:
        """The recipe as trained."""
        return parse_outline_recipe(self.verified("recipe.toml").decode("utf-8"))


def _check(pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
        raise ValueError(
            "An outline is proposed for one frame of uint8 pixels (height, width, 3), not "
            f"for {pixels.dtype} {pixels.shape}."
        )
