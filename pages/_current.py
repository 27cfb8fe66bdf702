"""The scans that are looked at, so that no other page asks for them again.

Streamlit forgets what an uploader holds when its page is left. Kept with the session, in memory.
"""

from __future__ import annotations

import streamlit as st

from pages._samples import is_sample
from pages._scans import Item

_ONE, _ALL = "current scan", "scans of before"


def remember(item: Item) -> None:
    """This scan is looked at now. No sample takes the place of what is held, and no other scan
    that of several."""
    st.session_state[_ONE] = item
    if not is_sample(item) and len(_held()) < 2:
        hold([item])


def hold(items: list[Item]) -> None:
    """These came together, and are there until others come or they are removed."""
    st.session_state[_ALL] = items


def recalled() -> Item | None:
    """The scan that was looked at last, if there was one."""
    return st.session_state.get(_ONE)


def beside(item: Item) -> list[Item]:
    """A scan among those that it came with."""
    items = _held()
    return items if item.key in {one.key for one in items} else [item]


def forget() -> None:
    """Nobody looks at any of them any more."""
    for key in (_ONE, _ALL):
        st.session_state.pop(key, None)


def left_here() -> list[Item]:
    """The uploads that were there before the page was left, with a way to be rid of them."""
    items = _held()
    if items:
        what = items[0].name if len(items) == 1 else f"{len(items)} scans"
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.text(f"From before: {what}", width="stretch")
            st.button("Remove", icon=":material/close:", key="forget scan", on_click=forget)
    return items


def _held() -> list[Item]:
    return st.session_state.get(_ALL, [])
