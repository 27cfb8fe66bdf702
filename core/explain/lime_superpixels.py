"""LIME (Ribeiro et al., KDD 2016) over superpixels."""

from __future__ import annotations

from functools import partial

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain.heatmap import Explanation
from core.explain.method import Method, Parameter, Progress
from core.explain.superpixels import from_superpixels

KERNEL_WIDTH = 0.25  # of the cosine distance, as the lime package has it for images


def lime_superpixels(
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
    *,
    samples: int = 256,
    size: int = 32,
    seed: int = 0,
) -> Explanation:
    """Weight of each superpixel in a linear model of the logit, fitted around the image.

    Arguments as in ``grad_cam``, map and steps as in ``from_superpixels``; no layer is looked
    at, so ``layer`` and ``features`` change nothing. Superpixels about ``size`` pixels wide are
    hidden at random, each with probability 1/2, in ``samples`` seeded copies. The model is the
    ridge regression of the lime package, with its kernel over the cosine distance to the whole
    image. (Its image explainer prints a bar and cannot be cancelled; the copies are made here.)
    Raises ValueError if ``samples`` is below 2 or ``size`` below 1.
    """
    if samples < 2:
        raise ValueError("LIME needs at least 2 samples.")
    draw = partial(_draw, int(samples), seed)
    return from_superpixels(draw, linear_model, size, classifier, batch, target, progress)


def _draw(samples: int, seed: int, count: int) -> np.ndarray:
    """The first copy shows all."""
    shown = np.random.default_rng(seed).integers(0, 2, (samples, count))
    shown[0] = 1
    return shown


def linear_model(shown: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Coefficients of the ridge regression, near copies weighing more."""
    from lime.lime_base import LimeBase

    count = shown.shape[1]
    distances = 1 - np.sqrt(shown.mean(axis=1))  # cosine distance to what shows everything
    base = LimeBase(lambda distance: np.exp(-((distance / KERNEL_WIDTH) ** 2) / 2))
    _, weights, _, _ = base.explain_instance_with_data(
        shown, scores[:, None], distances, 0, count, feature_selection="none"
    )
    return np.array([weight for _, weight in sorted(weights)])


METHOD = Method(
    id="lime",
    name="LIME",
    paper="Ribeiro et al., KDD 2016",
    equation=(
        r"L_{ij} = \mathrm{ReLU}\, w_{s(ij)}, \quad w = \arg\min_w \sum_z "
        r"\pi(z) \big(Y(X_z) - w_0 - w^\top z\big)^2 + \lVert w \rVert^2"
    ),
    cost="seconds",
    layered=False,
    run=lime_superpixels,
    parameters=(
        Parameter("samples", "Samples", 256, 64, 2048, 64, "Copies with parts hidden at random."),
        Parameter("size", "Superpixel", 32, 4, 128, 4, "Width of a superpixel, about, px."),
    ),
)
