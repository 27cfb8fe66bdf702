"""The scan that was looked at last, so that no other page asks for it again.

Streamlit forgets what an uploader holds when its page is left. Kept with the session, in memory.
"""

from __future__ import annotations

import streamlit as st

from pages._samples import is_sample
from pages._scans import Item

_KEY, _AMONG = "current scan", "scans beside the current"


def remember(item: Item, alone: bool = True) -> None:
    """This scan is looked at now, ``alone`` or one of those that came together."""
    st.session_state[_KEY] = item
    if alone:
        came_together(1)


def came_together(count: int) -> None:
    """So many scans are there, of which one will be looked at."""
    st.session_state[_AMONG] = count


def recalled() -> Item | None:
    """The scan that was looked at last, if there was one."""
    return st.session_state.get(_KEY)


def forget() -> None:
    """Nobody looks at it any more."""
    st.session_state.pop(_KEY, None)


def left_here() -> list[Item]:
    """The upload that was looked at before the page was left, with a way to be rid of it."""
    item = recalled()
    if item is None or is_sample(item):
        return []
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        count = st.session_state[_AMONG]
        gone = f" (one of {count}: upload the others again to see them)" if count > 1 else ""
        st.text(f"From before: {item.name}{gone}", width="stretch")
        st.button("Remove", icon=":material/close:", key="forget scan", on_click=forget)
    return [item]
