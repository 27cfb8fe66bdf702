"""Grad-CAM, step by step."""

from __future__ import annotations

import numpy as np

from core.classifiers.base import target_weights
from core.explain.gradients import own_channels
from core.lessons import drawing
from core.lessons.channels import SHOWN, correlation, described, enlarged
from core.lessons.step import Bars, Picture, Scene, Step
from core.wording import in_percent

_BARS = 12
_ALIKE = 0.99
_NEAR = 0.001  # of what all channels bring, whatever its sign, may be lost in rounding


def grad_cam(scene: Scene) -> tuple[Step, ...]:
    """Channels, their weights, their sum, its positive part, the map."""
    parts, order = contributions(scene)
    lost = without_features(scene)
    brought = parts.sum(axis=(0, 1))
    straight = abs(brought.sum() - lost) <= _NEAR * np.abs(brought).sum()
    heatmap = scene.explained("grad-cam").heatmaps[0]
    why = f"These weigh most in the score of *{scene.aim}*, for it or against it."
    most = f"{heatmap.maximum:.2g}"
    told = (
        f"At its strongest place the map adds {most} to the score."
        if straight
        else f"Before it is stretched to 1 the map stands at {most} at its strongest place."
    )
    return (
        described(scene, order[:SHOWN], why),
        _weights(scene, parts, order, None if straight else lost),
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


def without_features(scene: Scene) -> float:
    """How much the score falls when every feature of the layer becomes 0; those of another branch
    beside it stay."""
    without = scene.features.copy()
    without[..., scene.classifier.channels(scene.layer)] = 0
    both = np.concatenate([scene.features, without])
    logits = scene.classifier.logits_from(both, scene.layer)
    whole, nothing = (logits * target_weights(scene.target, *logits.shape)).sum(axis=1)
    return float(whole - nothing)


def _weights(scene: Scene, parts: np.ndarray, order: np.ndarray, lost: float | None) -> Step:
    """``lost``: what the score falls by without features, if that is not what they add up to."""
    brought = parts.sum(axis=(0, 1))
    first = order[:_BARS]
    bent = (
        ""
        if lost is None
        else " That is to first order: the network goes on from here in ways that are not linear, "
        f"and without any of them the score would fall by {lost:.2f}."
    )
    return Step(
        "Each channel gets a weight",
        r"$\alpha_k = \frac{1}{Z}\sum_{ij} \partial Y / \partial A^k_{ij}$: how steeply the score "
        f"$Y$ of *{scene.aim}* rises with channel $k$, on average over its places. Weight times "
        f"channel, added over all places, is what the channel brings. All {len(order):,} together "
        f"bring {brought.sum():+.2f}; of them {np.sum(brought > 0):,} speak for *{scene.aim}* and "
        f"{np.sum(brought < 0):,} against it.{bent}",
        bars=Bars(
            tuple(f"{number}" for number in first), brought[first], "channel", "brings to the score"
        ),
    )


def _sum(scene: Scene, parts: np.ndarray, order: np.ndarray) -> Step:
    counts = _doublings(len(order))
    sums = [parts[..., order[:count]].sum(axis=-1) for count in counts]
    likeness = [correlation(one, sums[-1]) for one in sums]
    enough = next(n for n, r in zip(counts, likeness, strict=True) if r >= _ALIKE)
    told = (
        f"the strongest {enough:,} already make a map that correlates at least"
        if enough < len(order) or enough == 1
        else f"even the strongest {counts[-2]:,} make a map that correlates less than"
    )
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
        f"channels {told} {_ALIKE} with the whole.",
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
        f"$\\mathrm{{ReLU}}(x) = \\max(x, 0)$. Here {in_percent(against)} of the evidence, by "
        f"amount, spoke against *{scene.aim}*. The map will not tell: a scan can be bright all "
        "over and yet be given to another class.",
        tuple(pictures),
    )


def _doublings(count: int) -> list[int]:
    """1, 2, 4, ... below ``count``, and ``count``."""
    return [*(2**n for n in range(count.bit_length()) if 2**n < count), count]
