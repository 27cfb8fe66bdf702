"""Layer-CAM (Jiang et al., IEEE Transactions on Image Processing 2021)."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import from_gradients
from core.explain.method import Method


@from_gradients
def layer_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``ReLU(sum_k ReLU(dY/dA_k) * A_k)``: only what raises the class. As ``grad_cam``."""
    return (np.maximum(gradients, 0) * features).sum(axis=-1)


METHOD = Method(
    id="layer-cam",
    name="Layer-CAM",
    paper="Jiang et al., IEEE TIP 2021",
    equation=(
        r"L = \mathrm{ReLU}\Big(\sum_k \mathrm{ReLU}\Big(\frac{\partial Y}{\partial A^k}\Big) "
        r"\odot A^k\Big)"
    ),
    cost="instant",
    run=layer_cam,
)
