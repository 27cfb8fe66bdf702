"""Grad-CAM (Selvaraju et al., ICCV 2017, equations 1 and 2)."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import from_gradients, weighted_sum
from core.explain.method import Method


def raw_grad_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``sum_k mean_ij(dY/dA_k) A_k`` before the ReLU, in logits: (N, h, w)."""
    return weighted_sum(features, gradients.mean(axis=(1, 2)))


@from_gradients
def grad_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``ReLU(sum_k mean_ij(dY/dA_k) A_k)`` of each image.

    ``batch`` float32 (N, H, W, 3); ``target`` a class, a class an image or weights of the
    logits; ``layer`` the explained stage (default: the last). Give ``features`` (N, h, w, K)
    of that layer if they are known already: the backbone is then not run again.
    """
    return raw_grad_cam(features, gradients)


METHOD = Method(
    id="grad-cam",
    name="Grad-CAM",
    paper="Selvaraju et al., ICCV 2017",
    equation=(
        r"L = \mathrm{ReLU}\Big(\sum_k \alpha_k A^k\Big), \quad "
        r"\alpha_k = \frac{1}{Z} \sum_{ij} \frac{\partial Y}{\partial A^k_{ij}}"
    ),
    cost="instant",
    run=grad_cam,
)
