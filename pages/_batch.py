"""The table of many scans: its rows, the choice of one to look at, and what can be taken away."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd
import streamlit as st

from core.figures.style import MALIGNANT_SCALE, OTHER_SCALE
from core.findings import NO_DECISION
from core.recipe import Recipe
from core.scan_table import PROBLEMS, Row, frame_of, scan_table, without_names
from core.spreadsheet import safe_csv
from core.wording import PERCENT_COLUMN, for_column, signed
from pages import _current as current
from pages._downloads import Offer, hand_over, show_buttons, told_apart
from pages._frame import fragment
from pages._scans import Item
from pages._verdicts import Verdict

NAMES = "A file's name may be a patient's. Without a tick the scans are numbered as in the table."
ROWS_SHOWN = 6.5
ROW_HEIGHT = 33
FULL_HEIGHT = int((ROWS_SHOWN + 1) * ROW_HEIGHT) + 3


def batch_table(
    items: list[Item], verdicts: list[Verdict], recipe: Recipe, strict: bool = False
) -> pd.DataFrame:
    """One row a scan, see ``core.scan_table``; every class of the system has its column.

    ``strict``: a class is named only where it is the only one that cannot be ruled out.
    """
    rows = [
        Row(
            file=item.name,
            recipe=recipe.id,
            label=NO_DECISION if strict and found.label and not found.decided else found.label,
            shares=dict(zip(recipe.classes, found.probabilities, strict=False)),
            frame=frame_of(0, found.frames),
            outline="uploaded" if found.outlined else None,
            prediction_set="; ".join(found.classes) if found.classes else None,
            warning=found.warning,
            error=found.error,
        )
        for item, found in zip(items, verdicts, strict=True)
    ]
    return scan_table(rows, recipe.classes)


def choose_item(
    table: pd.DataFrame, items: list[Item], recipe: Recipe, reports: Callable[[bool], bytes]
) -> int:
    """Show the table; the row to look at, chosen by a click on it or from the list below it.

    ``items`` are the scans in the rows. ``reports`` makes the archive of all reports, with the
    files' names or without.
    """
    _stay_with_scan([(item.digest, item.name) for item in items])
    _show_count(table)
    st.dataframe(
        _for_people(table, recipe),
        hide_index=True,
        height="content" if len(table) <= ROWS_SHOWN else FULL_HEIGHT,
        row_height=ROW_HEIGHT,
        column_config=_columns(recipe),
        key="batch",
        on_select=_row_chosen,
        selection_mode="single-row",
        placeholder="",
        alt=f"Table of {len(table)} scans: file, likeliest class, probabilities and problems",
    )
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        row = st.selectbox(
            "Scan to look at",
            range(len(table)),
            format_func=lambda row: f"Scan {row + 1}: {table['file'].iloc[row]}",
            key="shown",
            on_change=_list_chosen,
            label_visibility="collapsed",
            width=380,
        )
        _show_files(table, recipe, reports)
    return row


@fragment
def _show_files(table: pd.DataFrame, recipe: Recipe, reports: Callable[[bool], bytes]) -> None:
    """The table and the reports, to take away."""
    with st.container(horizontal=True, horizontal_alignment="right", vertical_alignment="center"):
        names = st.checkbox("With file names", key="csv names", help=NAMES)
        csv, archive = f"lesionlens-{recipe.id}.csv", f"lesionlens-{recipe.id}.zip"
        offers = [
            Offer("Download CSV", lambda: safe_csv(table if names else without_names(table)), csv),
            Offer("Reports (ZIP)", lambda: reports(names), archive, icon=":material/folder_zip:"),
        ]
        show_buttons("batch", offers, (recipe.id, names, told_apart(table)))
    hand_over("batch")


def _show_count(table: pd.DataFrame) -> None:
    doubtful, refused = (int(table[name].notna().sum()) for name in PROBLEMS)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{len(table)} scans", anchor=False, width="content")
        if refused:
            st.badge(f"{refused} not examined", color="orange", icon=":material/warning:")
        if doubtful:
            st.badge(f"{doubtful} not to be relied on", color="orange", icon=":material/help:")


def _for_people(table: pd.DataFrame, recipe: Recipe) -> pd.DataFrame:
    """Percentages in place of probabilities; the column of problems only where there is one."""
    shown = table.assign(
        label=table["label"].fillna("not examined"),
        **{name: for_column(table[name]) for name in recipe.classes},
        error=table["error"].fillna(table["warning"]),
        warning=None,
        recipe=None,
    )
    return shown.dropna(axis="columns", how="all")


def _columns(recipe: Recipe) -> dict:
    malignant = recipe.malignant_classes
    shares = {
        name: st.column_config.ProgressColumn(
            signed(name, name in malignant),
            width=130,
            format=PERCENT_COLUMN,
            min_value=0,
            max_value=100,
            color=MALIGNANT_SCALE[-1] if name in malignant else OTHER_SCALE[-1],
        )
        for name in recipe.classes
    }
    return {
        "file": st.column_config.TextColumn("File", pinned=True),
        "label": st.column_config.TextColumn("Most likely"),
        **shares,
        "frame": st.column_config.TextColumn("Frame examined"),
        "outline": st.column_config.TextColumn("Outline"),
        "prediction_set": None,  # stands below the scan; here it would push the problems out
        "error": st.column_config.TextColumn("Problem", width="large"),
    }


def _stay_with_scan(scans: list[tuple[str, str]]) -> None:
    """Go on with the scan that is looked at, in whatever row it stands now; else the first.
    ``scans``: hash and name of the scan in each row; two may hold the same bytes."""
    state, row = st.session_state, st.session_state.get("shown")
    before = state.get("shown of", [])
    if row is None:  # forgotten with the page, or while there was no table
        row = current.row()
    elif before == scans:
        return
    elif (looked_at := before[row : row + 1]) != scans[row : row + 1]:
        row = scans.index(*looked_at) if looked_at and looked_at[0] in scans else 0
    state["shown"], state["shown of"] = row, scans
    _list_chosen()


def _row_chosen() -> None:
    rows = st.session_state["batch"]["selection"]["rows"]
    if rows:
        st.session_state["shown"] = rows[0]


def _list_chosen() -> None:
    selection = {"rows": [st.session_state["shown"]], "columns": [], "cells": []}
    st.session_state["batch"] = {"selection": selection}
