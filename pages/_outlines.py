"""Outlines of lesions: from a picture that is given, of a sample, or from any mask."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import streamlit as st

from core.datasets.phantoms import phantom
from core.mask_files import EMPTY, outline_in
from core.samples import SAMPLES
from core.scans import ScanError
from pages._scans import Item, scan_of
from pages._views import Outline


def outline_of(mask: np.ndarray) -> Outline | None:
    """A mask with its hash, or None for an empty one."""
    return Outline(mask, hashlib.sha256(np.packbits(mask)).hexdigest()) if mask.any() else None


@st.cache_data(max_entries=16, show_spinner=False)
def sample_outline(name: str) -> Outline | None:
    """The outline of a synthetic sample; None if it has no lesion."""
    return outline_of(phantom(*SAMPLES[name])[1])


def read_outline(mask: Item, item: Item, frame: int) -> Outline | None:
    """The outline in the picture ``mask``, bright inside, at a frame of the scan ``item``; None if
    a mask of several frames outlines nothing at this one.

    Raises ScanError if it cannot be read, does not fit the scan or outlines nothing at all.
    """
    if not scan_of(mask.digest, mask.read).pixels.any():
        raise ScanError(EMPTY)
    return _united([mask], item, frame)


def outline_beside(item: Item, frame: int = 0) -> Outline | None:
    """The outline in the masks that came with a scan, at a frame of it; None if they outline
    nothing there. Raises ScanError if one cannot be read or does not fit the scan."""
    return _united(item.masks, item, frame) if item.masks else None


def _united(masks: Sequence[Item], item: Item, frame: int) -> Outline | None:
    pictures = [scan_of(one.digest, one.read).pixels for one in masks]
    shape = scan_of(item.digest, item.read).pixels.shape[:3]
    return outline_of(outline_in(pictures, shape, frame))
