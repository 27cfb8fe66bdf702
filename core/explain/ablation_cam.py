"""Ablation-CAM (Desai and Ramaswamy, WACV 2020)."""

from __future__ import annotations

import numpy as np

from core.classifiers.base import Classifier, Target, target_weights
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import Method, Progress, portion

BATCH = 32


def ablation_cam(
    classifier: Classifier,
    batch: np.ndarray | None,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """``ReLU(sum_k (Y - Y_k) A_k)``, Y_k the logit with channel k set to 0.

    Arguments as in ``grad_cam``; only the head runs again. The paper divides the weights by Y,
    which turns the map upside down where the logit is negative and changes nothing but the
    scale elsewhere: it is left out. The grad-cam package sets channels to -1e7 where features
    can be negative; here, as in the paper, to 0.
    """
    if features is None:
        features = classifier.features(batch, layer)
    logits = classifier.logits_from(features, layer)
    weights = target_weights(target, *logits.shape)
    own = classifier.channels(layer)
    heatmaps = []
    for index, maps in enumerate(features):
        report = portion(progress, index, len(features))
        ablated = _ablated_logits(classifier, maps, layer, own, report)
        with np.errstate(over="ignore", invalid="ignore"):
            drops = (logits[index].astype(np.float64) - ablated) @ weights[index]
            heatmaps.append(positive_part(maps[..., own].astype(np.float64) @ drops))
    return Explanation(tuple(heatmaps), logits)


def _ablated_logits(
    classifier: Classifier, maps: np.ndarray, layer: str | None, own: slice, progress: Progress
) -> np.ndarray:
    """Logits (K, C), float64, of features (h, w, K') without each of the layer's own channels."""
    channels = np.arange(maps.shape[-1])[own]
    logits = []
    for start in range(0, len(channels), BATCH):
        without = channels[start : start + BATCH]
        copies = np.repeat(maps[None], len(without), axis=0)
        copies[np.arange(len(without)), ..., without] = 0
        logits.append(classifier.logits_from(copies, layer))
        progress((start + len(without)) / len(channels))
    return np.concatenate(logits).astype(np.float64)


METHOD = Method(
    id="ablation-cam",
    name="Ablation-CAM",
    paper="Desai and Ramaswamy, WACV 2020",
    equation=r"L = \mathrm{ReLU}\Big(\sum_k (Y - Y_{A^k = 0}) A^k\Big)",
    cost="seconds",
    run=ablation_cam,
)
