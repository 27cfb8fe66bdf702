"""Grad-CAM++ (Chattopadhay et al., WACV 2018)."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import from_gradients, weighted_sum
from core.explain.method import Method


@from_gradients
def grad_cam_plus_plus(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``ReLU(sum_k w_k A_k)``, ``w_k = sum_ij alpha ReLU(g)`` with g = dY/dA_k.

    Arguments as in ``grad_cam``. Equation 19, for exp(Y) as the class score, gives
    ``alpha = g^2 / (2 g^2 + g^3 sum A_k)``; the factor exp(Y) of all weights is left out. Here
    g^2 is cancelled: ``alpha = 1 / (2 + g sum A_k)``, where the grad-cam package adds 1e-6 to
    the denominator and so gives another map whenever g is around 1e-3 or less, which it is
    behind an average over 7 x 7 places. The paper's features are never negative; where
    negative ones turn the denominator, the place has no weight.
    """
    denominator = 2 + gradients * features.sum(axis=(1, 2), keepdims=True)
    defined = denominator > 0
    alpha = np.where(defined, 1 / np.where(defined, denominator, 1), 0)
    return weighted_sum(features, (alpha * np.maximum(gradients, 0)).sum(axis=(1, 2)))


METHOD = Method(
    id="grad-cam-plus-plus",
    name="Grad-CAM++",
    paper="Chattopadhay et al., WACV 2018",
    equation=(
        r"L = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big), \quad w_k = \sum_{ij} "
        r"\frac{\mathrm{ReLU}(g^k_{ij})}{2 + g^k_{ij} \sum_{ab} A^k_{ab}}, \quad "
        r"g^k_{ij} = \frac{\partial Y}{\partial A^k_{ij}}"
    ),
    cost="instant",
    run=grad_cam_plus_plus,
)
