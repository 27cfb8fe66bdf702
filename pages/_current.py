"""The scans that are looked at, so that no other page asks for them again.

Streamlit forgets what an uploader holds when its page is left. Kept with the session, in memory.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from pages._samples import is_sample
from pages._scans import Item

_ONE, _ALL, _ROW = "current scan", "scans of before", "row of before"


def remember(item: Item) -> None:
    """This scan is looked at now. No sample takes the place of what is held, and no other scan
    that of several."""
    state = st.session_state
    state[_ONE] = item
    if not is_sample(item) and len(held()) < 2:
        hold([item])
    found = place_of(item)
    if found is not None:
        state[_ROW] = found


def hold(items: list[Item]) -> None:
    """These came together, and are there until others come or they are removed."""
    st.session_state[_ALL] = items


def recalled() -> Item | None:
    """The scan that was looked at last, if there was one."""
    return st.session_state.get(_ONE)


def last_upload() -> Item | None:
    """The scan that was looked at last, samples left aside."""
    item = recalled()
    if item is not None and not is_sample(item):
        return item
    return held()[row()] if held() else None


def held() -> list[Item]:
    """The uploads that are there, in their order."""
    return st.session_state.get(_ALL, [])


def row() -> int:
    """The place of that among them which was looked at last."""
    return min(st.session_state.get(_ROW, 0), max(0, len(held()) - 1))


def place_of(item: Item) -> int | None:
    """Where a scan is among them. Of two of the same bytes one may have another name, or a mask."""
    alike = [n for n, one in enumerate(held()) if (one.key, one.name) == (item.key, item.name)]
    return next((n for n in alike if held()[n] is item), alike[0] if alike else None)


def forget() -> None:
    """Nobody looks at any of them any more."""
    for key in (_ONE, _ALL, _ROW):
        st.session_state.pop(key, None)


def left_here() -> list[Item]:
    """The uploads that were there before the page was left, with a way to be rid of them."""
    items = held()
    if items:
        what = items[0].name if len(items) == 1 else f"{len(items)} scans"
        tell_from_before(what, "forget scan", _remove)
    return items


def tell_from_before(what: str, key: str, remove: Callable[[], None]) -> None:
    """What is still there though its uploader was left, with a way to be rid of it."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(f"From before: {what}", width="stretch")
        st.button("Remove", icon=":material/close:", key=key, on_click=remove)


def _remove() -> None:
    """Forget them, and what was drawn on them and chosen for them: keys of that hold their hash."""
    digests = [one.digest for one in held()]
    forget()
    for key in list(st.session_state):
        if any(digest in str(key) for digest in digests):
            del st.session_state[key]
