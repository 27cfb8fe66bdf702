"""Images of a data set on the page: small, in a row, and one of them enlarged."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets import read_pixels, usable_mask
from core.figures.datasets import enlarged
from core.figures.errors import thumbnail
from core.figures.opinion import EVIDENCE_CONFIG
from core.wording import in_percent
from pages._data_source import Source
from pages._frame import HERE, guarded, plain, quiet
from pages._keeping import KEPT
from pages._pictures import show_image

OPEN = f"{HERE}data open"


def show_picture(source: Source, image_id: str, told: str, size: str = "card") -> None:
    """A thumbnail with a button below it that enlarges it, or says why it cannot be read."""
    row = row_of(source, image_id)
    show_image(lambda: _small(source.key, image_id, row), f"{image_id}, {told}")
    st.markdown(plain(told))
    st.button(
        plain(image_id),
        key=f"data enlarge {size} {image_id}",
        icon=":material/zoom_in:",
        type="tertiary",
        on_click=_open,
        args=(image_id,),
        help="Enlarge",
    )


def show_open_picture(source: Source) -> None:
    """The dialog, if an image is open."""
    image_id = st.session_state.get(OPEN)
    if image_id is None or image_id not in set(source.table["image_id"]):
        return
    dialog = st.dialog("Look closer", width="large", icon=":material/zoom_in:", on_dismiss=_close)
    dialog(guarded(_enlarged))(source, image_id)


def row_of(source: Source, image_id: str):
    """The row of an image, as `read_pixels` takes it."""
    return next(source.table[source.table["image_id"] == image_id].itertuples(index=False))


def _enlarged(source: Source, image_id: str) -> None:
    row = row_of(source, image_id)
    pixels, (mask, problem) = read_pixels(row), usable_mask(row)
    outlined = mask is not None and mask.any()
    st.plotly_chart(
        enlarged(pixels, mask),
        config=EVIDENCE_CONFIG,
        key=f"data enlarged {image_id}",
        alt=f"{image_id}, {row.label}{', its lesion outlined' if outlined else ''}.",
    )
    st.markdown(f"**{plain(image_id)}**, {plain(row.label)}")
    height, width = pixels.shape[:2]
    lesion = f" The outlined lesion covers {in_percent(mask.mean(), 1)} of it." if outlined else ""
    group = "" if row.group == image_id else f" Group: {plain(row.group)}."
    quiet(f"{width} x {height} pixels.{lesion}{group}")
    if problem:
        quiet(f"Its mask is not shown. {plain(problem)}")


@st.cache_data(max_entries=4096, max_size="128MiB", ttl=KEPT, show_spinner=False)
def _small(key: str, image_id: str, _row) -> bytes:
    return thumbnail(read_pixels(_row))


def _open(image_id: str) -> None:
    st.session_state[OPEN] = image_id


def _close() -> None:
    st.session_state.pop(OPEN, None)


def sides_of(source: Source, split: str | None) -> pd.Series:
    """Side of each image under a split, by image_id; missing without one."""
    if split is None:
        return pd.Series(None, index=source.table["image_id"], dtype=object)
    return source.splits[split]
