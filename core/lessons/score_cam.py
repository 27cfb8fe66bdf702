"""Score-CAM, step by step, with the typical channels of Fast Score-CAM."""

from __future__ import annotations

from functools import partial

import numpy as np

from core.classifiers.base import probabilities, target_weights
from core.explain.fast_score_cam import typical_masks
from core.explain.heatmap import positive_part
from core.explain.masking import scored_masks
from core.lessons import drawing
from core.lessons.channels import SHOWN, correlation, enlarged
from core.lessons.step import Bars, Picture, Scene, Step
from core.wording import counted

METHOD = "fast-score-cam"
_BARS = 16
_LAST = "No gradient was used: the network was only asked, again and again."


def score_cam(scene: Scene) -> tuple[Step, ...]:
    """Channels as masks, the scan through each, scores as weights, the sum, the map."""
    masks, mask_of, scores = masked_scores(scene)
    share = probabilities(scores[mask_of])
    stands_for = np.bincount(mask_of, minlength=len(masks))
    shown = np.argsort(-stands_for, kind="stable")[:SHOWN]
    heatmap = positive_part(scene.maps @ share)
    return (
        _masks(scene, masks, stands_for, shown),
        _scores(scene, masks, scores, shown),
        _weights(scores, share),
        _sum(scene, share),
        enlarged(scene, heatmap, _LAST),
    )


def masked_scores(scene: Scene) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Typical masks (M, h, w) in [0, 1], which stands for each channel (K,), and the score of the
    target through each mask (M,)."""
    maps = scene.features[0][..., scene.classifier.channels(scene.layer)]
    choose = partial(typical_masks, count=int(scene.setting(METHOD, "channels")))
    weights = target_weights(scene.target, 1, len(scene.classifier.recipe.classes))[0]
    image, nobody = scene.batch[0], lambda _: None
    return scored_masks(choose, scene.classifier, image, maps, weights, nobody)


def _masks(scene: Scene, masks: np.ndarray, stands_for: np.ndarray, shown: np.ndarray) -> Step:
    height, width, count = scene.maps.shape
    pictures = [
        Picture(
            drawing.evidence(scene.pixels, masks[one]),
            f"mask {one + 1}",
            f"stands for {counted(stands_for[one], 'channel')}",
        )
        for one in shown
    ]
    return Step(
        "Every channel becomes a mask",
        f"The layer's {count:,} channels of {height} × {width} numbers are each scaled to 0 … 1. "
        f"Many are alike: here {len(masks)} typical ones stand for all, which is Fast Score-CAM; "
        "the exact method tries every one.",
        tuple(pictures),
    )


def _scores(scene: Scene, masks: np.ndarray, scores: np.ndarray, shown: np.ndarray) -> Step:
    pictures = [
        Picture(
            drawing.through(scene.pixels, masks[one], scene.nothing),
            f"through mask {one + 1}",
            f"score {scores[one]:+.2f}",
        )
        for one in shown
    ]
    return Step(
        "The network looks through each mask",
        f"What the mask leaves bright is kept, the rest fades. The score of *{scene.aim}* through "
        "a mask tells how much of what the network needs lies under it. The whole scan scores "
        f"{_whole(scene):+.2f}.",
        tuple(pictures),
    )


def _weights(scores: np.ndarray, share: np.ndarray) -> Step:
    order = np.argsort(-scores, kind="stable")
    ends = (
        np.concatenate([order[: _BARS // 2], order[-_BARS // 2 :]]) if len(order) > _BARS else order
    )
    evenness = float(np.exp(-(share * np.log(np.maximum(share, 1e-300))).sum()))
    return Step(
        "Scores become weights",
        r"$\alpha = \mathrm{softmax}(Y)$ over all channels. Look at how even they are: "
        f"these {len(share):,} weights count like {evenness:,.0f} equal ones, so the map lies "
        f"{'near' if evenness > len(share) / 2 else 'away from'} the plain mean of the channels.",
        bars=Bars(
            tuple(f"{one + 1}" for one in ends), scores[ends], "mask, best and worst", "score"
        ),
    )


def _sum(scene: Scene, share: np.ndarray) -> Step:
    maps = scene.maps
    weighted, plain = maps @ share, maps.mean(axis=-1)
    likeness = correlation(weighted, plain)
    pictures = [
        Picture(drawing.signed(scene.pixels, one, np.abs(one).max()), title)
        for title, one in (("weighted sum", weighted), ("plain mean of all channels", plain))
    ]
    return Step(
        "The weighted channels are added up",
        "What is below 0 is cut off. Beside it the plain mean, without any score: the two "
        f"correlate {likeness:.2f}. What the scores changed is the difference.",
        tuple(pictures),
    )


def _whole(scene: Scene) -> float:
    logits = scene.classifier.logits_from(scene.features, scene.layer)
    return float((logits * target_weights(scene.target, *logits.shape)).sum())
