"""Synthetic scans, to try the pages without one of one's own."""

from __future__ import annotations

import streamlit as st

from core.samples import SAMPLES, sample_file
from pages._scans import Item, item_of


@st.cache_data(max_entries=16, show_spinner=False)
def sample_png(name: str) -> bytes:
    """The PNG file of a sample, drawn once."""
    return sample_file(name)


def is_sample(item: Item) -> bool:
    """Whether a scan is one of the samples, and no other synthetic one."""
    return item.synthetic and item.name in SAMPLES


def sample(name: str) -> Item:
    """The item of a synthetic sample."""
    return item_of(name, sample_png(name), synthetic=True)
