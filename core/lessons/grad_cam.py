"""Grad-CAM, step by step."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import own_channels
from core.lessons import drawing
from core.lessons.channels import SHOWN, correlation, described, enlarged
from core.lessons.step import Bars, Picture, Scene, Step

_BARS = 12
_ALIKE = 0.99


def grad_cam(scene: Scene) -> tuple[Step, ...]:
    """Channels, their weights, their sum, its positive part, the map."""
    parts, order = contributions(scene)
    heatmap = scene.explained("grad-cam").heatmaps[0]
    why = f"These bring most to the score of *{scene.aim}*."
    told = f"At its strongest place the map adds {heatmap.maximum:.2g} to the score."
    return (
        described(scene, order[:SHOWN], why),
        _weights(scene, parts, order),
        _sum(scene, parts, order),
        _positive(scene, parts.sum(axis=-1)),
        enlarged(scene, heatmap, told),
    )


def contributions(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    """``alpha_k A_k`` of each channel, float64 (h, w, K), and the channels' numbers, those first
    whose sum over all places is largest, whatever its sign."""
    _, gradients = scene.classifier.head(scene.features, scene.target, scene.layer)
    (gradients,) = own_channels(scene.classifier, scene.layer, gradients)
    parts = scene.maps * gradients[0].mean(axis=(0, 1))
    return parts, np.argsort(-np.abs(parts.sum(axis=(0, 1))), kind="stable")


def _weights(scene: Scene, parts: np.ndarray, order: np.ndarray) -> Step:
    brought = parts.sum(axis=(0, 1))
    first = order[:_BARS]
    return Step(
        "Each channel gets a weight",
        r"$\alpha_k = \frac{1}{Z}\sum_{ij} \partial Y / \partial A^k_{ij}$: how much the score $Y$ "
        f"of *{scene.aim}* rises when channel $k$ rises everywhere. Weight times channel, added "
        f"over all places, is what the channel brings. All {len(order):,} together bring "
        f"{brought.sum():+.2f}; of them {np.sum(brought > 0):,} speak for *{scene.aim}* and "
        f"{np.sum(brought < 0):,} against it.",
        bars=Bars(
            tuple(f"{number}" for number in first), brought[first], "channel", "brings to the score"
        ),
    )


def _sum(scene: Scene, parts: np.ndarray, order: np.ndarray) -> Step:
    counts = _doublings(len(order))
    sums = [parts[..., order[:count]].sum(axis=-1) for count in counts]
    likeness = [correlation(one, sums[-1]) for one in sums]
    enough = next(n for n, r in zip(counts, likeness, strict=True) if r >= _ALIKE)
    pictures = [
        Picture(
            drawing.signed(scene.pixels, one, np.abs(one).max()),
            f"{count:,}",
            f"correlation with the sum of all: {r:.2f}",
        )
        for count, one, r in zip(counts, sums, likeness, strict=True)
    ]
    return Step(
        "The weighted channels are added up",
        f"Orange speaks for *{scene.aim}*, blue against it. Move the slider: of {len(order):,} "
        f"channels the strongest {enough:,} already make a map that correlates {_ALIKE} with the "
        "whole.",
        tuple(pictures),
        slider="Channels added",
    )


def _positive(scene: Scene, whole: np.ndarray) -> Step:
    amount = np.abs(whole).sum()
    against = np.abs(whole[whole < 0]).sum() / amount if amount else 0.0
    pictures = [
        Picture(drawing.signed(scene.pixels, one, np.abs(whole).max()), title)
        for title, one in (("before", whole), ("after ReLU", np.maximum(whole, 0)))
    ]
    return Step(
        "What speaks against is dropped",
        f"$\\mathrm{{ReLU}}(x) = \\max(x, 0)$. Here {against:.0%} of the evidence, by amount, "
        f"spoke against *{scene.aim}*. The map will not tell: a scan can be bright all over and "
        "yet be given to another class.",
        tuple(pictures),
    )


def _doublings(count: int) -> list[int]:
    """1, 2, 4, ... below ``count``, and ``count``."""
    return [*(2**n for n in range(count.bit_length()) if 2**n < count), count]
