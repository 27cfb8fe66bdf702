"""Occlusion (Zeiler and Fergus, ECCV 2014, section 4.2)."""

from __future__ import annotations

import math
from itertools import product

import numpy as np

from core.classifiers.base import Classifier, Target, target_weights
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import NEGLIGIBLE, Method, Parameter, Progress, portion

BATCH = 16


def occlusion(
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
    *,
    size: int = 32,
    steps: int = 2,
) -> Explanation:
    """How far the logit falls when a square is hidden: the mean over all squares on a pixel.

    Arguments as in ``grad_cam``; no layer is looked at, so ``layer`` and ``features`` change
    nothing. Squares of ``size`` pixels, each a ``steps``-th of their side from the next, become 0
    in the recipe's value range, mid-grey where it is centred. The map has the size of the network's
    input and is in logits. Raises ValueError if ``size`` or ``steps`` is below 1.
    """
    if size < 1 or steps < 1:
        raise ValueError("Occlusion needs squares of at least 1 pixel and at least 1 step.")
    logits = classifier.logits(batch)
    weights = target_weights(target, *logits.shape)
    squares = _squares(batch.shape[1:3], int(size), math.ceil(size / steps))
    heatmaps = []
    for index, image in enumerate(batch):
        hidden = _hidden_logits(classifier, image, squares, portion(progress, index, len(batch)))
        with np.errstate(over="ignore", invalid="ignore"):
            whole, rest = logits[index].astype(np.float64) @ weights[index], hidden @ weights[index]
            drops = whole - rest
        # A logit near 0 is rounded as coarsely as those beside it.
        if np.isfinite(drops).all() and np.abs(drops).max() <= NEGLIGIBLE * max(
            np.abs(logits[index]).max(), np.abs(hidden).max()
        ):
            drops = np.zeros_like(drops)
        heatmaps.append(positive_part(_mean_on_pixels(drops, squares, image.shape[:2])))
    return Explanation(tuple(heatmaps), logits)


def _squares(image: tuple[int, int], size: int, stride: int) -> list[tuple[slice, slice]]:
    """Squares that together cover every pixel; those at the far edges are flush with them."""
    return list(product(*(_intervals(length, size, stride) for length in image)))


def _intervals(length: int, size: int, stride: int) -> list[slice]:
    last = max(length - size, 0)
    return [slice(start, start + size) for start in [*range(0, last, stride), last]]


def _hidden_logits(
    classifier: Classifier,
    image: np.ndarray,
    squares: list[tuple[slice, slice]],
    progress: Progress,
) -> np.ndarray:
    """Logits (squares, C), float64, of the image (H, W, 3) with each square hidden."""
    logits = []
    for start in range(0, len(squares), BATCH):
        some = squares[start : start + BATCH]
        copies = np.repeat(image[None], len(some), axis=0)
        for copy, square in zip(copies, some, strict=True):
            copy[square] = 0
        logits.append(classifier.logits(copies))
        progress((start + len(some)) / len(squares))
    return np.concatenate(logits).astype(np.float64)


def _mean_on_pixels(
    drops: np.ndarray, squares: list[tuple[slice, slice]], image: tuple[int, int]
) -> np.ndarray:
    total, count = np.zeros(image), np.zeros(image)
    for drop, square in zip(drops, squares, strict=True):
        total[square] += drop
        count[square] += 1
    return total / count


METHOD = Method(
    id="occlusion",
    name="Occlusion",
    paper="Zeiler and Fergus, ECCV 2014",
    equation=r"L_{ij} = \mathrm{ReLU}\, \mathrm{mean}_{R \ni ij} \big(Y(X) - Y(X_{R = 0})\big)",
    cost="seconds",
    layered=False,
    run=occlusion,
    parameters=(
        Parameter("size", "Square", 32, 16, 128, 4, "Side of the hidden square, px."),
        Parameter("steps", "Steps", 2, 1, 4, 1, "In how many it moves by its own side."),
    ),
)
