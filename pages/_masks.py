"""The outline of a lesion from a picture: the masks that came with the scan, or one that is asked
for."""

from __future__ import annotations

from functools import partial

import streamlit as st

from core.mask_files import UNUSED
from core.scans import ScanError
from pages._current import tell_from_before
from pages._frame import plain, quiet
from pages._outlines import outline_beside, read_outline
from pages._scans import Item
from pages._uploads import uploaded
from pages._views import Outline

NOTHING_HERE = "The mask outlines nothing at this frame."


def choose_outline(
    item: Item, frame: int, key: str, label: str = "Mask of its lesion"
) -> Outline | None:
    """The outline of the lesion at a frame of a scan, if there is one; what is wrong with a mask is
    told.

    Without masks an uploader of this ``key`` and ``label`` asks for one, which stays with the scan
    on all pages: Streamlit forgets it while another frame, scan, system or page is looked at.
    """
    return _beside(item, frame) if item.masks else _asked_for(item, frame, key, label)


def _beside(item: Item, frame: int) -> Outline | None:
    try:
        given = outline_beside(item, frame)
    except ScanError as error:
        return _told(UNUSED.format(error))
    names = ", ".join(dict.fromkeys(one.name for one in item.masks))
    held = "Outlined" if given else "Nothing is outlined here"
    quiet(plain(f"{held} in {names}, which came with the scan."))
    return given


def _asked_for(item: Item, frame: int, key: str, label: str) -> Outline | None:
    kept = f"given {item.digest}"
    forget = partial(st.session_state.pop, kept, None)
    upload = st.file_uploader(
        label,
        key=key,
        on_change=forget,
        help="A picture of the same size as the scan, white inside the lesion and black outside; "
        "of one frame for all, or of as many as the scan has.",
    )
    if upload:
        st.session_state[kept] = uploaded(upload)
    mask = st.session_state.get(kept)
    if not mask:
        return None
    if not upload:
        tell_from_before(mask.name, f"forget {key}", forget)
    try:
        given = read_outline(mask, item, frame)
    except ScanError as error:
        return _told(str(error))
    if not given:
        quiet(NOTHING_HERE)
    return given


def _told(sentence: str) -> None:
    st.error(plain(sentence), icon=":material/broken_image:")
