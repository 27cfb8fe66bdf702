"""ROAD: remove pixels so that the gap itself tells nothing (Rong et al., ICML 2022).

A pixel set to grey leaves a visible edge, and a network may answer to the edge. Here a removed
pixel becomes the weighted mean of its neighbours, all removed ones at once, plus a little noise
("noisy linear imputation", section 4).
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import splu

from core.classifiers.base import Classifier
from core.evaluation.faithfulness import ranks, scores

SHARES = (0.2, 0.4, 0.6, 0.8)
NOISE = 0.01
"""Standard deviation of the noise, as a share of the image's value range."""

DIRECT, DIAGONAL = 1 / 6, 1 / 12
"""Weights of a neighbour, as in the paper; at the edge those there are share the whole."""


class Road(NamedTuple):
    """Mean score over ``SHARES`` with the most and with the least relevant pixels removed first.

    Both in [0, 1]; a good map has a low ``morf`` and a high ``lerf``. NaN for a map without
    evidence.
    """

    morf: float
    lerf: float


def road(classifier: Classifier, image: np.ndarray, values: np.ndarray, target: int) -> Road:
    """Judge a map, float (H, W) in [0, 1], of ``image``, float32 (H, W, 3), for one class."""
    if not values.max() > 0:
        return Road(float("nan"), float("nan"))
    place = ranks(values, image)
    orders = (place, place.size - 1 - place)
    removed = [order < share * place.size for order in orders for share in SHARES]
    found = scores(classifier, np.stack([impute(image, gone) for gone in removed]), target)
    return Road(*map(float, found.reshape(2, -1).mean(axis=1)))


def impute(image: np.ndarray, removed: np.ndarray, noise: float = NOISE) -> np.ndarray:
    """The image (H, W, K) with the pixels of ``removed``, bool (H, W), filled in; float32.

    The noise is seeded. Raises ValueError if no pixel is left to fill in from.
    """
    if removed.all():
        raise ValueError("All pixels are removed: there is nothing to fill them in from.")
    weights, gone = _neighbours(removed.shape), np.flatnonzero(removed)
    kept = np.flatnonzero(~removed)
    rows = weights[gone]
    system = sparse.diags(np.asarray(rows.sum(axis=1)).ravel()) - rows[:, gone]
    pixels = image.reshape(removed.size, -1).astype(np.float64)
    known = rows[:, kept] @ pixels[kept]
    # The matrix is symmetric and diagonally dominant: without pivoting it factorises 3 times
    # faster than spsolve does.
    factors = splu(
        system.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0,
        options={"SymmetricMode": True},
    )
    disturbance = np.random.default_rng(0).standard_normal(known.shape)
    pixels[gone] = factors.solve(known) + noise * np.ptp(image) * disturbance
    return pixels.reshape(image.shape).astype(np.float32)


@lru_cache(maxsize=4)
def _neighbours(size: tuple[int, int]) -> sparse.csr_array:
    """Weight of each pixel's up to 8 neighbours, (H W, H W)."""
    same = [sparse.eye_array(length) for length in size]
    beside = [sparse.eye_array(length, k=1) + sparse.eye_array(length, k=-1) for length in size]
    direct = sparse.kron(same[0], beside[1]) + sparse.kron(beside[0], same[1])
    return sparse.csr_array(DIRECT * direct + DIAGONAL * sparse.kron(*beside))
