"""Integrated gradients (Sundararajan et al., ICML 2017, equation 1)."""

from __future__ import annotations

import numpy as np

from core.classifiers.base import INPUT, Classifier, Target, target_weights
from core.explain.heatmap import Explanation, positive_part
from core.explain.method import Method, Parameter, Progress, portion

BATCH = 8


def integrated_gradients(
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
    *,
    points: int = 32,
) -> Explanation:
    """``(x - x') * mean_a dY/dx (x' + a (x - x'))``, summed over colours, cut at 0.

    Arguments as in ``grad_cam``; no layer is looked at, so ``layer`` and ``features`` change
    nothing. The baseline x' is 0 in the recipe's value range, mid-grey where it is centred: what
    is 0 gets no evidence. The path has ``points`` points, in the middle of as many equal parts
    (the midpoint rule). The map has the size of the network's input and is in logits;
    ``steps["attributions"]`` float64 (N, H, W) is the map before the cut at 0, whose sum is
    ``Y(x) - Y(x')`` up to the error of the rule (the completeness axiom).
    Raises ValueError if ``points`` is below 1.
    """
    if points < 1:
        raise ValueError("Integrated gradients need a path of at least 1 point.")
    logits = classifier.logits(batch)
    weights = target_weights(target, *logits.shape)
    signed = []
    for index, image in enumerate(batch):
        report = portion(progress, index, len(batch))
        mean = _mean_gradient(classifier, image, weights[index], int(points), report)
        with np.errstate(over="ignore", invalid="ignore"):
            signed.append((image * mean).sum(axis=-1))
    heatmaps = tuple(positive_part(one) for one in signed)
    return Explanation(heatmaps, logits, {"attributions": np.stack(signed)})


def _mean_gradient(
    classifier: Classifier, image: np.ndarray, weights: np.ndarray, points: int, progress: Progress
) -> np.ndarray:
    """Mean gradient (H, W, 3), float64, on the way from 0 to the image."""
    places = ((np.arange(points) + 0.5) / points).astype(np.float32)
    total = np.zeros(image.shape)
    for start in range(0, points, BATCH):
        some = places[start : start + BATCH, None, None, None]
        total += classifier.head(some * image, weights, INPUT)[1].sum(axis=0, dtype=np.float64)
        progress(min(1.0, (start + BATCH) / points))
    return total / points


METHOD = Method(
    id="integrated-gradients",
    name="Integrated gradients",
    paper="Sundararajan et al., ICML 2017",
    equation=(
        r"L = \mathrm{ReLU} \sum_c (x - x')_c \int_0^1 "
        r"\frac{\partial Y}{\partial x_c}\big(x' + a (x - x')\big)\, da"
    ),
    cost="seconds",
    layered=False,
    run=integrated_gradients,
    parameters=(
        Parameter("points", "Points", 32, 4, 256, 4, "Gradients taken on the way from nothing."),
    ),
)
