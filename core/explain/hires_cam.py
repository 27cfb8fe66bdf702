"""HiRes-CAM (Draelos and Carin, 2020)."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import from_gradients
from core.explain.method import Method


@from_gradients
def hires_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``ReLU(sum_k dY/dA_k * A_k)``: gradients are not averaged over places first.

    Arguments as in ``grad_cam``. Equal to Grad-CAM where the head averages over places.
    """
    return (gradients * features).sum(axis=-1)


METHOD = Method(
    id="hires-cam",
    name="HiRes-CAM",
    paper="Draelos and Carin, 2020 (arXiv 2011.08891)",
    equation=(r"L = \mathrm{ReLU}\Big(\sum_k \frac{\partial Y}{\partial A^k} \odot A^k\Big)"),
    cost="instant",
    run=hires_cam,
)
