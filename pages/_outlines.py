"""Outlines of lesions: from a picture that is given, of a sample, or from any mask."""

from __future__ import annotations

import hashlib

import numpy as np
import streamlit as st

from core.datasets.phantoms import phantom
from core.scans import ScanError
from pages._samples import SAMPLES
from pages._scans import Item, scan_of
from pages._views import Outline

OTHER_SIZE = (
    "The mask is {} pixels wide and high, the scan {}. Save the mask with the size of the scan."
)
EMPTY = (
    "Nothing in the mask is bright, so that it outlines nothing. Save it white inside the lesion "
    "and black outside."
)


def outline_of(mask: np.ndarray) -> Outline | None:
    """A mask with its hash, or None for an empty one."""
    return Outline(mask, hashlib.sha256(np.packbits(mask)).hexdigest()) if mask.any() else None


@st.cache_data(max_entries=16, show_spinner=False)
def sample_outline(name: str) -> Outline | None:
    """The outline of a synthetic sample; None if it has no lesion."""
    return outline_of(phantom(*SAMPLES[name])[1])


def read_outline(mask: Item, item: Item) -> Outline:
    """The outline in the picture ``mask``, bright inside, for all frames of the scan ``item``.

    Raises ScanError if it cannot be read, has another size than the scan or nothing bright.
    """
    picture = scan_of(mask.digest, mask.read).pixels[0]
    size = scan_of(item.digest, item.read).pixels.shape[1:3]
    if picture.shape[:2] != size:
        sizes = [f"{width} x {height}" for height, width in (picture.shape[:2], size)]
        raise ScanError(OTHER_SIZE.format(*sizes))
    outline = outline_of(picture.max(axis=-1) >= 128)
    if outline is None:
        raise ScanError(EMPTY)
    return outline
