"""Score-CAM (Wang et al., CVPR Workshops 2020), exact over all channels."""

from __future__ import annotations

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain.heatmap import Explanation
from core.explain.masking import from_masks, normalised
from core.explain.method import Method, Progress


def score_cam(
    classifier: Classifier,
    batch: np.ndarray,
    target: Target,
    layer: str | None = None,
    features: np.ndarray | None = None,
    progress: Progress | None = None,
) -> Explanation:
    """``ReLU(sum_k alpha_k A_k)``: each channel weighs what the class scores through its mask.

    Arguments as in ``grad_cam``. The channels, enlarged and scaled to [0, 1], multiply the
    network's input; alpha is the softmax over all channels of the target's logit.

    The paper's algorithm takes the softmax of the *increase* of the logit over a baseline
    image. The baseline is the same for all channels, so it cancels in the softmax and is not
    computed, as in the grad-cam package. That package enlarges with corners aligned, this
    function (as the authors' code) with pixel centres aligned, as the map is shown later.
    Channels with the same mask, such as all constant ones, are computed once.
    """
    return from_masks(distinct_masks, classifier, batch, target, layer, features, progress)


def distinct_masks(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The masks of features (h, w, K) without repetition (M, h, w), and which is whose (K,)."""
    masks = normalised(features)
    flat = masks.reshape(len(masks), -1).round(6)
    _, first, mask_of = np.unique(flat, axis=0, return_index=True, return_inverse=True)
    return masks[first], mask_of.reshape(-1)


METHOD = Method(
    id="score-cam",
    name="Score-CAM",
    paper="Wang et al., CVPR Workshops 2020",
    equation=(
        r"L = \mathrm{ReLU}\Big(\sum_k \alpha_k A^k\Big), \quad "
        r"\alpha = \mathrm{softmax}_k\, Y\big(X \circ s(\mathrm{up}(A^k))\big)"
    ),
    cost="minutes",
    run=score_cam,
)
