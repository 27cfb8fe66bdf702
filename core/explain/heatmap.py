"""What every explanation method returns."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

NO_EVIDENCE = "No positive evidence for this class: no region of the scan speaks for it."
NOT_FINITE = "The map is not finite: the network's values overflowed on this scan."


@dataclass(frozen=True, eq=False)
class Heatmap:
    """One map of relative evidence.

    ``values`` float32 (h, w) in [0, 1], at the resolution of the explained layer (DT-Grad-CAM
    and methods that look at no layer: of the network's input), the largest value 1 where there
    is evidence and all 0 where there is none. ``maximum`` is the largest raw value before
    scaling, in the method's own unit (logits for Grad-CAM); ``note`` says in a sentence why a
    map is empty.
    """

    values: np.ndarray
    maximum: float
    note: str | None = None

    def resized(self, height: int, width: int) -> np.ndarray:
        """The map at the size of the scan, float32 (height, width) in [0, 1], bilinear."""
        return cv2.resize(self.values, (width, height), interpolation=cv2.INTER_LINEAR)


@dataclass(frozen=True, eq=False)
class Explanation:
    """Heatmaps of a batch, with the logits (N, C) of the unchanged images.

    ``steps`` holds what the method saw on its way, by name, each array with one entry an image.
    """

    heatmaps: tuple[Heatmap, ...]
    logits: np.ndarray
    steps: dict[str, np.ndarray] | None = None


def positive_part(raw: np.ndarray, empty: str = NO_EVIDENCE) -> Heatmap:
    """Keep what speaks for the class and scale it to [0, 1]; ``raw`` is float (h, w).

    ``empty`` is the note of a map without a positive value.
    """
    if not np.isfinite(raw).all():
        return Heatmap(np.zeros(raw.shape, np.float32), float("nan"), NOT_FINITE)
    maximum = float(raw.max())
    if maximum <= 0:
        return Heatmap(np.zeros(raw.shape, np.float32), maximum, empty)
    return Heatmap((np.maximum(raw, 0) / maximum).astype(np.float32), maximum)
