"""A picture of a data set, which may not be readable."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import streamlit as st

from core.refusal import Refusal

UNREADABLE = ":red[:material/broken_image: Cannot be read]"


def show_image(make: Callable[[], np.ndarray], alt: str) -> None:
    """What ``make`` gives, uint8 (H, W, 3), as wide as its place; in place of one that cannot be
    read, a word that says so, since the others beside it can."""
    try:
        st.image(make(), width="stretch", output_format="PNG", alt=alt)
    except Refusal:
        st.markdown(UNREADABLE)
