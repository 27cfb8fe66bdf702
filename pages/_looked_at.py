"""How a scan is looked at: its frame, the same on all pages and still there on return, and whether
in a view of the user's own."""

from __future__ import annotations

import streamlit as st

from pages._frame import quiet
from pages._scans import Item, scan_of

AS_IN_THE_FILE = "Shown as the file asks for, not in the view that was examined on Classify."


def choose_frame(item: Item) -> int:
    """Index of the frame to look at: a slider where the scan holds several, counted from 1."""
    count = len(scan_of(item.digest, item.read).pixels)
    if count == 1:
        return 0
    return st.slider("Frame", 1, count, key=_key(item), persist_state="session") - 1


def chosen_frame(item: Item) -> int:
    """The index that ``choose_frame`` is going to return, for what is asked for before it."""
    return st.session_state.get(_key(item), 1) - 1


def tell_other_view(item: Item) -> None:
    """Say so if the scan was examined in a view of the user's own, which is not what is shown."""
    if st.session_state.get(look_key(item.digest)):
        quiet(AS_IN_THE_FILE)


def look_key(digest: str) -> str:
    """The key of the view of a scan that the user had examined."""
    return f"look {digest}"


def _key(item: Item) -> str:
    return f"frame {item.digest}"
