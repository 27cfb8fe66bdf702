"""The images themselves, by class, split, group and what is remarkable about them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets.audit import what_relatives_are
from core.wording import counted
from pages._data_overview import download
from pages._data_pictures import show_open_picture, show_picture, sides_of
from pages._data_source import Source, known_audit
from pages._frame import quiet
from pages._paging import page_of

PER_PAGE = 15
FLAGS = {
    "near_duplicate": "Near-duplicate",
    "two_labels": "Two labels in its group",
    "crosses": "Group on both sides",
    "outlined": "Has a mask",
    "unreadable": "Cannot be read",
}
NOT_AUDITED = (
    "Groups are those that the data set's reader knows. Open Leakage once to find near-duplicates."
)


def show_browse(source: Source) -> None:
    """Filters, then a page of thumbnails."""
    first = st.container(horizontal=True, vertical_alignment="bottom")
    with first:
        label = _choose("Class", source.table["label"].unique(), "data label")
        split, side = _choose_side(source)
    table = add_flags(source, split)
    with st.container(horizontal=True, vertical_alignment="bottom") if split else first:
        sizes = table["group"].value_counts()
        group = _choose("Group", sizes[sizes > 1].index, "data group")
        flags = _choose_flags([flag for flag in FLAGS if flag in table and table[flag].any()])
    if known_audit(source) is None:
        quiet(NOT_AUDITED)
    else:
        quiet(f"A group is an image with its relatives. {what_relatives_are(source.groups)}")
    show_images(source, select(table, flags, label=label, split=side, group=group))
    show_open_picture(source)


def add_flags(source: Source, split: str | None) -> pd.DataFrame:
    """The table with the columns group, split (the side) and FLAGS. If the audit was made before,
    the groups are those of its relatives; if not, nothing is known of near-duplicates and of what
    cannot be read, and these columns are missing."""
    found = known_audit(source)
    table = source.table.reset_index(drop=True)
    side = sides_of(source, split).reindex(table["image_id"])
    table = table.assign(split=side.to_numpy())
    if found is not None:
        table["group"] = table["image_id"].map(found.relatives)
        table["near_duplicate"] = table["image_id"].isin(
            found.groups.index[found.groups.duplicated(keep=False)]
        )
        table["unreadable"] = table["image_id"].isin(list(found.unreadable))
    by_group = table.groupby("group")
    return table.assign(
        two_labels=by_group["label"].transform("nunique") > 1,
        crosses=by_group["split"].transform("nunique") > 1,
        outlined=source.synthetic | (table["masks"].map(len) > 0),
    )


def select(table: pd.DataFrame, flags: list[str], **values: str | None) -> pd.DataFrame:
    """The rows that have all the flags and the values; None stands for any."""
    keep = pd.Series(True, index=table.index)
    for column, value in values.items():
        if value is not None:
            keep &= table[column] == value
    for flag in flags:
        keep &= table[flag]
    return table[keep]


def show_images(source: Source, table: pd.DataFrame) -> None:
    """A page of thumbnails, and the list to take away."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{len(table):,} of {counted(len(source.table), 'image')}", width="content")
        download("List (CSV)", table.drop(columns=["path", "masks"]), "images")
    grid = st.grid(5, min_column_width=150, gap="small")
    for row in page_of(source.key, table, PER_PAGE).itertuples():
        with grid.cell(), st.container(border=True, gap="xsmall"):
            told = row.label + (f", {row.split}" if pd.notna(row.split) else "")
            show_picture(source, row.image_id, told)


def _choose(name: str, options, key: str) -> str | None:
    return st.selectbox(
        name, options, index=None, placeholder="any", key=key, persist_state="session", width=200
    )


def _choose_flags(present: list[str]) -> list[str]:
    """Those that all images shown must have; nothing is asked where no image has any."""
    if not present:
        return []
    return st.pills(
        "Only those with",
        present,
        format_func=FLAGS.get,
        selection_mode="multi",
        key="data flags",
        persist_state="session",
        wrap=True,
    )


def _choose_side(source: Source) -> tuple[str | None, str | None]:
    """A split and one of its sides."""
    if not len(source.splits.columns):
        return None, None
    split = st.selectbox(
        "Split", list(source.splits), key="data browse split", persist_state="session", width=260
    )
    return split, _choose("Side", source.splits[split].dropna().unique(), "data side")
