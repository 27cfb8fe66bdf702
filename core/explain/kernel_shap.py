"""Kernel SHAP (Lundberg and Lee, NeurIPS 2017, section 4.1) over superpixels."""

from __future__ import annotations

from functools import partial
from math import comb

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain.heatmap import Explanation
from core.explain.method import Method, Parameter, Progress
from core.explain.superpixels import from_superpixels


def kernel_shap(
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
    """Shapley value of each superpixel, about ``size`` pixels wide, for the logit.

    Arguments as in ``grad_cam``, map and steps as in ``from_superpixels``; no layer is looked
    at, so ``layer`` and ``features`` change nothing. ``samples`` copies with superpixels hidden
    are scored, or as many as there are, if that is less: the values are exact then. The
    values always add up to ``Y(x) - Y(0)``.

    The shap package is not used. Its kernel explainer draws from NumPy's global generator, which
    threads share, so that the same scan would give another map; its partition explainer compiles
    anew in every process. Raises ValueError if ``samples`` is below 4 or ``size`` below 1.
    """
    if samples < 4:
        raise ValueError("Kernel SHAP needs at least 4 samples.")
    draw = partial(coalitions, int(samples), seed)
    return from_superpixels(draw, shapley_values, size, classifier, batch, target, progress)


def coalitions(samples: int, seed: int, count: int) -> np.ndarray:
    """Who of ``count`` players takes part, 0 or 1: (rows, count). The first all, the second none.

    Every coalition, if there are at most ``samples`` of them. Otherwise sizes s are drawn with
    the kernel's mass ``1 / (s (count - s))``, players at random, each coalition with its complement
    (Covert and Lee, AISTATS 2021, section 4).
    """
    if 2**count <= samples:
        every = np.arange(2**count)[:, None] >> np.arange(count) & 1
        return np.concatenate([every[-1:], every[:-1]])
    random = np.random.default_rng(seed)
    sizes = np.arange(1, count)
    mass = 1 / (sizes * (count - sizes))
    drawn = random.choice(sizes, (samples - 2) // 2, p=mass / mass.sum())
    order = random.permuted(np.tile(np.arange(count), (len(drawn), 1)), axis=1)
    half = (order < drawn[:, None]).astype(int)
    return np.concatenate([np.ones((1, count), int), np.zeros((1, count), int), half, 1 - half])


def shapley_values(shown: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Weighted least squares, the values adding up to all minus none; for ``coalitions``.

    With fewer pairs of coalitions than parts many values fit: they are the most even of these.
    """
    count = shown.shape[1]
    whole, nothing = scores[0], scores[1]
    gain = whole - nothing
    between, gains = shown[2:], scores[2:] - nothing
    if count == 1:
        return np.array([gain])
    # Solved for how far each value is from an even share of the gain: the rows below have a mean
    # of 0, and so has what solves them (Lundberg and Lee's constraint).
    share = between.mean(axis=1)
    rows, wanted = between - share[:, None], gains - share * gain
    if len(shown) == 2**count:
        root = np.sqrt(_kernel(between))
        rows, wanted = rows * root[:, None], wanted * root
    else:
        # Drawn coalitions follow the kernel already. The row of a complement is the negative: one
        # row for both gives the same values several times as fast.
        half = len(rows) // 2
        rows, wanted = rows[:half], (wanted[:half] - wanted[half:]) / 2
    return gain / count + np.linalg.lstsq(rows, wanted, rcond=None)[0]


def _kernel(between: np.ndarray) -> np.ndarray:
    """The Shapley kernel of each of all coalitions but the first and the last."""
    count = between.shape[1]
    sizes = between.sum(axis=1)
    return np.array([(count - 1) / (comb(count, s) * s * (count - s)) for s in sizes])


METHOD = Method(
    id="shap",
    name="Kernel SHAP",
    paper="Lundberg and Lee, NeurIPS 2017",
    equation=(
        r"L_{ij} = \mathrm{ReLU}\, \phi_{s(ij)}, \quad \phi_k = \sum_{S \not\ni k} "
        r"\tfrac{|S|!\,(M - |S| - 1)!}{M!} \big(Y(X_{S \cup k}) - Y(X_S)\big)"
    ),
    cost="seconds",
    layered=False,
    run=kernel_shap,
    parameters=(
        Parameter("samples", "Samples", 256, 64, 2048, 64, "Copies with parts hidden."),
        Parameter("size", "Superpixel", 32, 4, 128, 4, "Width of a superpixel, about, px."),
    ),
)
