"""What lessons share: their first step, their last, and how alike two maps are."""

from __future__ import annotations

import numpy as np

from core.explain.heatmap import Heatmap
from core.explain.masking import normalised
from core.lessons import drawing
from core.lessons.step import Picture, Scene, Step

SHOWN = 6


def described(scene: Scene, chosen: np.ndarray, why: str) -> Step:
    """The channels of the layer, those numbered ``chosen`` as pictures."""
    maps = scene.maps
    height, width, count = maps.shape
    masks = normalised(maps[..., chosen])
    pictures = [
        Picture(drawing.evidence(scene.pixels, mask), f"channel {number}")
        for number, mask in zip(chosen, masks, strict=True)
    ]
    return Step(
        "The network describes the scan",
        f"The explained layer answers with **{count:,} maps of {height} × {width} numbers**, its "
        "channels. Each is bright where the scan holds what that channel looks for; nobody chose "
        f"what that is, it was learned. {why}",
        tuple(pictures),
    )


def enlarged(scene: Scene, heatmap: Heatmap, told: str) -> Step:
    """The finished map, at the layer's resolution, over the scan."""
    height, width = heatmap.values.shape
    text = (
        f"{height} × {width} numbers are spread over the scan. The smooth edge is made by the "
        f"enlargement, not by the network: a map is no outline. {told}"
    )
    return finished(scene, heatmap, "The map is enlarged to the scan", text)


def finished(scene: Scene, heatmap: Heatmap, title: str, text: str) -> Step:
    """The finished map over the scan, or why there is none."""
    picture = Picture(drawing.evidence(scene.pixels, heatmap.values), "the map over the scan")
    return Step(title, heatmap.note or text, (picture,))


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's; 1 for the same map, also where it is even."""
    if np.array_equal(one, other):
        return 1.0
    spread = one.std() * other.std()
    return float(((one - one.mean()) * (other - other.mean())).mean() / spread) if spread else 0.0
