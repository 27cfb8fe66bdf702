"""Scans to look at: where each comes from, and those that were read last, kept for the session."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import streamlit as st

from core.gathering import scan_in
from core.modality import contradiction
from core.recipe import Recipe
from core.scans import Scan
from pages._keeping import KEPT, Shelf, give_back

SCANS, SCAN_BYTES = 8, 512 * 2**20
"""How many scans a session keeps, and of how many bytes: a file of 0.1 MB may unpack to 400."""


@dataclass(frozen=True)
class Item:
    """One scan to look at: a name to show, the sha256 of its bytes, and how to get at those.

    ``read`` gives the bytes of its file, or, where there are ``several``, a list of those of all
    files of a series; it may raise ScanError. ``image``: data set and image id, if it is of one.
    ``masks`` came with it and outline its lesions.
    """

    name: str
    digest: str
    read: Callable[[], bytes | list[bytes]]
    synthetic: bool = False
    several: bool = False
    image: tuple[str, str] | None = None
    masks: tuple[Item, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Tells the scan and its masks from all others."""
        return (self.digest, *(one.digest for one in self.masks))


def item_of(name: str, data: bytes, **about) -> Item:
    """The item of a file's bytes; ``about``: the other fields."""
    return Item(name, hashlib.sha256(data).hexdigest(), lambda: data, **about)


@st.cache_resource(ttl=KEPT, scope="session", show_spinner=False, on_release=give_back)
def _scans() -> Shelf:
    return Shelf(SCANS, SCAN_BYTES)


def scan_of(digest: str, read: Callable[[], bytes | list[bytes]]) -> Scan:
    """The scan in a file or in the files of a series. Raises ScanError.

    Scans are read-only: all runs of a session share them.
    """
    return _scans().get(digest, lambda: scan_in(read()))


def modality_of(item: Item) -> str | None:
    """The modality that a scan's file names, as DICOM abbreviates it. Raises ScanError."""
    return "US" if item.synthetic else scan_of(item.digest, item.read).modality


def text_risk_of(item: Item) -> str | None:
    """Why the picture may show a name, or None; a synthetic one is of nobody."""
    return None if item.synthetic else scan_of(item.digest, item.read).text_risk


def mismatch(item: Item, recipe: Recipe) -> str | None:
    """Why a system's answer on a scan means nothing, if the scan's file tells; else None.

    Raises ScanError.
    """
    return contradiction(modality_of(item), recipe.modality)
