"""Synthetic scans, to try the pages without one of one's own."""

from __future__ import annotations

import streamlit as st

from core.datasets.phantoms import PHANTOM_CLASSES, phantom
from core.png import png
from pages._scans import Item, item_of

SAMPLES: dict[str, tuple[str, int]] = {
    f"{label.capitalize()} phantom {number}": (label, seed)
    for label in PHANTOM_CLASSES
    for number, seed in enumerate((11, 12), start=1)
}
"""Name of a synthetic sample -> class and seed."""


@st.cache_data(max_entries=16, show_spinner=False)
def sample_png(name: str) -> bytes:
    """A synthetic scan as the bytes of a PNG file, so that it takes the way of an upload."""
    pixels, _ = phantom(*SAMPLES[name])
    return png(pixels)


def is_sample(item: Item) -> bool:
    """Whether a scan is one of the samples, and no other synthetic one."""
    return item.synthetic and item.name in SAMPLES


def sample(name: str) -> Item:
    """The item of a synthetic sample."""
    return item_of(name, sample_png(name), synthetic=True)
