"""Does a heatmap lie on the lesion? Figures of one map against one mask.

Overlap of the region where the map is at least 0.5 (the DALAResNet50 paper, table 14), the share
of the evidence inside the mask (Wang et al., 2020, "energy-based pointing game") and the pointing
game (Zhang et al., 2016), here without a tolerance around the mask. ``otsu_threshold`` gives each
map a threshold of its own; ``pixel_precision`` needs none.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.explain.heatmap import Heatmap
from core.statistics.ratio import ratio

THRESHOLD = 0.5


@dataclass(frozen=True)
class Localisation:
    """Each figure in [0, 1], higher is better; NaN where it is not defined.

    ``region`` is where the map is at least the threshold. ``iou``: shared pixels over those of
    either; ``dice``: twice the shared over the sum of both; ``precision``: share of the region
    inside the mask (undefined for an empty region); ``recall``: share of the mask inside the
    region; ``f1``: harmonic mean of the two, for pixels the same number as ``dice``.
    ``energy_inside``: share of the map's sum inside the mask; ``pointing``: share of the pixels
    with the largest value that lie inside, so 1 or 0 for a single peak. Both are undefined for
    a map without evidence. With an empty mask nothing is defined.
    """

    iou: float
    dice: float
    precision: float
    recall: float
    f1: float
    energy_inside: float
    pointing: float


def localisation(
    heatmap: Heatmap | np.ndarray, mask: np.ndarray, threshold: float = THRESHOLD
) -> Localisation:
    """Compare a map with a lesion's mask, bool (H, W).

    ``heatmap`` is brought to the size of the mask; an array, float in [0, 1], must have that size
    already, or ValueError is raised.
    """
    values = heatmap.resized(*mask.shape) if isinstance(heatmap, Heatmap) else heatmap
    if values.shape != mask.shape:
        raise ValueError(f"The map has shape {values.shape}, the mask {mask.shape}.")
    if not mask.any():
        return Localisation(*[float("nan")] * 7)
    region = values >= threshold
    shared, marked, lesion = (int(part.sum()) for part in (region & mask, region, mask))
    dice = _share(2 * shared, marked + lesion)
    return Localisation(
        iou=_share(shared, marked + lesion - shared),
        dice=dice,
        precision=_share(shared, marked),
        recall=_share(shared, lesion),
        f1=dice,
        energy_inside=_share(values[mask].sum(dtype=float), values.sum(dtype=float)),
        pointing=_pointing(values, mask),
    )


def otsu_threshold(values: np.ndarray) -> float:
    """The level that splits a map, float in [0, 1], best in two (Otsu, 1979), in steps of 1/255.

    What is at least the level belongs to the region, as in ``localisation``.
    """
    levels = np.rint(values * 255).astype(np.uint8)
    below, _ = cv2.threshold(levels, 0, 1, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    return (below + 0.5) / 255


def pixel_precision(values: np.ndarray, mask: np.ndarray) -> float:
    """Average precision of the map's values as scores of the pixels of ``mask``, in [0, 1].

    A map that knows nothing has the mask's share of the scan; NaN without a mask or evidence.
    """
    from sklearn.metrics import average_precision_score

    if not (mask.any() and values.max() > 0):
        return float("nan")
    return float(average_precision_score(mask.ravel(), values.ravel()))


def _pointing(values: np.ndarray, mask: np.ndarray) -> float:
    largest = values.max()
    return float(mask[values == largest].mean()) if largest > 0 else float("nan")


def _share(part: float, whole: float) -> float:
    return float(ratio(part, whole))
