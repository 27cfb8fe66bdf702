"""XGrad-CAM (Fu et al., BMVC 2020)."""

from __future__ import annotations

import numpy as np

from core.explain.gradients import from_gradients, weighted_sum
from core.explain.method import Method

# Below this share of the summed absolute activation, a channel's sum is cancellation.
NEGLIGIBLE = 1e-6


@from_gradients
def xgrad_cam(features: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    """``ReLU(sum_k w_k A_k)``, ``w_k = sum_ij A_k / (sum A_k) * dY/dA_k``.

    Arguments as in ``grad_cam``. Equal to Grad-CAM, up to scale, where the head averages over
    places. A channel whose activations sum to 0 has the weight of even activations.
    """
    total = features.sum(axis=(1, 2))
    defined = np.abs(total) > NEGLIGIBLE * np.abs(features).sum(axis=(1, 2))
    weighted = (features * gradients).sum(axis=(1, 2)) / np.where(defined, total, 1)
    return weighted_sum(features, np.where(defined, weighted, gradients.mean(axis=(1, 2))))


METHOD = Method(
    id="xgrad-cam",
    name="XGrad-CAM",
    paper="Fu et al., BMVC 2020",
    equation=(
        r"L = \mathrm{ReLU}\Big(\sum_k w_k A^k\Big), \quad w_k = \sum_{ij} "
        r"\frac{A^k_{ij}}{\sum_{ab} A^k_{ab}} \frac{\partial Y}{\partial A^k_{ij}}"
    ),
    cost="instant",
    run=xgrad_cam,
)
