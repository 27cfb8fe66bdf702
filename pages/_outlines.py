"""Outlines of lesions: from a picture that is given, of a sample, or from any mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.datasets.phantoms import phantom
from core.mask_files import outline_in
from core.scans import ScanError
from pages._samples import SAMPLES
from pages._scans import Item, scan_of
from pages._views import Outline

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
    outline = _united([mask], item)
    if outline is None:
        raise ScanError(EMPTY)
    return outline


def outline_beside(item: Item) -> Outline | None:
    """The outline in the masks that came with a scan, for all its frames; None if they outline
    nothing. Raises ScanError if one cannot be read or has another size than the scan."""
    return _united(item.masks, item) if item.masks else None


def _united(masks: Sequence[Item], item: Item) -> Outline | None:
    pictures = [scan_of(one.digest, one.read).pixels[0] for one in masks]
    return outline_of(outline_in(pictures, scan_of(item.digest, item.read).pixels.shape[1:3]))
