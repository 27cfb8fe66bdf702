"""Colours and sizes that all figures share."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from plotly.colors import sample_colorscale, unlabel_rgb

# Name shown -> Plotly colour scale. All but jet are perceptually uniform.
COLOUR_MAPS: dict[str, str] = {
    "Inferno": "Inferno",
    "Magma": "Magma",
    "Viridis": "Viridis",
    "Cividis": "Cividis",
    "Jet (misleading steps)": "Jet",
}
# From unlikely to certain. Orange against blue survives every common colour blindness, and both
# ends keep a contrast of 3:1 on white and on near-black.
MALIGNANT_SCALE = ["#c58238", "#c8450a"]
OTHER_SCALE = ["#8296a8", "#3a7ab0"]
TEXT_SIZE = 14
CLEAR = "rgba(0,0,0,0)"


def likelihood_colour(probability: float, malignant: bool) -> str:
    """Colour of a class by its probability in [0, 1]: warm if malignant, cool if not."""
    scale = MALIGNANT_SCALE if malignant else OTHER_SCALE
    return sample_colorscale(scale, [float(np.clip(probability, 0, 1))])[0]


@lru_cache(maxsize=32)
def opaque_scale(name: str, stops: int = 41) -> tuple[tuple[float, str], ...]:
    """A named colour scale as positions in [0, 1] and rgb(...) colours."""
    positions = np.linspace(0, 1, stops).tolist()
    return tuple(zip(positions, sample_colorscale(name, positions), strict=True))


@lru_cache(maxsize=32)
def fading_scale(name: str) -> tuple[tuple[float, str], ...]:
    """The same scale, clear at 0 and opaque at 1."""
    return tuple(
        (at, "rgba({:.0f},{:.0f},{:.0f},{:.3f})".format(*unlabel_rgb(colour), at))
        for at, colour in opaque_scale(name)
    )
