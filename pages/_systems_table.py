"""The table of systems: published figures beside ours, for people and as CSV."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.card import SPLIT_TITLES
from core.recipes.comparison import COMPARED
from core.results.rows import PAPER
from core.spreadsheet import safe_csv
from core.systems import FIGURES
from core.timing import read_timings
from core.wording import with_interval
from pages._downloads import Offer, show_downloads
from pages._frame import quiet

METRICS = {name.format(malignant="malignant"): title for name, title in FIGURES.items()}
"""Column of ``systems_table`` -> its title."""
TRAINED, FIGURES_ONLY, COMPARISON, OTHER_SPLIT, PAPER_ONLY = STATUS = (
    "trained",
    "figures only",
    "comparison",
    "other split",
    "paper only",
)
"""What is there: a shipped system, a run without its weights or a comparison run with figures of
this split, a system with figures of the other, or none at all."""
ROW, VISIBLE_ROWS = 33, 9.5  # pixels; half a row tells that there are more
SHOWN_FIRST = ["accuracy", "sensitivity_malignant"]
READING = (
    "Ranges are 95 % intervals, bootstrapped over groups of test images; of a handful of groups "
    "they say little, and can be far too narrow. Papers print none, and their test images are "
    "others. Where a system tells several malignant classes apart, the lowest of their figures is "
    "shown."
)


STATUS_HELP = (
    "Figures only: it was trained and judged, its weights are not here. Paper only: the recipe is "
    "here, a trained system is not. Train it with train.py to see what its method gives. Other "
    "split: it was trained, but not under this one. Comparison: another network in place of the "
    "paper's, trained on this computer (train.py --architecture)."
)


def show_table(table: pd.DataFrame, protocol: str, metrics: list[str]) -> None:
    """One row a system: its figures under ``protocol``, each beside the paper's."""
    shown = beside(table, protocol, metrics)
    st.dataframe(
        shown,
        hide_index=True,
        height=int(ROW * (min(len(shown), VISIBLE_ROWS) + 1)) + 3,
        row_height=ROW,
        placeholder="–",
        column_config=_columns(metrics),
        key="systems table",
        alt=f"Table of {len(shown)} systems with their figures: {SPLIT_TITLES[protocol]}",
    )
    text, button = st.columns([4, 1])
    with text:
        quiet(READING + _timed())
    with button:
        _show_download(table)


def choose_columns(name: str, titles: dict[str, str], first: list[str], key: str) -> list[str]:
    """Which of many figures are columns of a table; the choice is folded away."""
    with st.popover(name, icon=":material/view_column:"):
        return st.pills(
            "Columns",
            list(titles),
            selection_mode="multi",
            default=first,
            format_func=titles.get,
            key=key,
            persist_state="session",
        )


def _show_download(table: pd.DataFrame) -> None:
    offer = Offer(
        "All figures (CSV)",
        lambda: safe_csv(table),
        "lesionlens-systems.csv",
        help="One row a system and source of figures: paper, published (random) and grouped.",
    )
    show_downloads("systems table", [offer])


def beside(table: pd.DataFrame, protocol: str, metrics: list[str]) -> pd.DataFrame:
    """One row a recipe: text of each metric under ``protocol``, and the paper's number.

    The text has two decimals throughout, so that it sorts as its numbers do.
    """
    ours = table[table["figures"] == protocol].set_index("recipe")
    ours = ours.assign(status=[_status(row) for row in ours.itertuples()])
    ours = ours.sort_values("status", key=lambda each: each.map(STATUS.index), kind="stable")
    papers = table[table["figures"] == PAPER].set_index("recipe")
    shown = ours[["title", "status", "dataset", "n", "n_groups"]].copy()
    for name in metrics:
        shown[name] = [
            _interval(*row) for row in ours[[name, f"{name}_low", f"{name}_high"]].to_numpy()
        ]
        shown[f"{name}_paper"] = papers[name]
    shown["parameters"] = ours["parameters"] / 1e6
    shown["megabytes"] = ours["megabytes"]
    if ours["milliseconds"].notna().any():
        shown["milliseconds"] = ours["milliseconds"]
    return shown.reset_index(drop=True)


def _status(row) -> str:
    if row.status == "measured":
        if COMPARED in row.Index:
            return COMPARISON
        return FIGURES_ONLY if pd.isna(row.megabytes) else TRAINED
    return PAPER_ONLY if pd.isna(row.parameters) else OTHER_SPLIT


def _interval(value: float, low: float, high: float) -> str | None:
    if pd.isna(value):
        return None
    return with_interval({"value": value, "low": low, "high": high}, 2, "–")


def _timed() -> str:
    measured = read_timings()
    if not measured:
        return ""
    return f" Time: median of {measured['scans']} single scans, {measured['processor']}."


def _columns(metrics: list[str]) -> dict:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    figures = {}
    for name in metrics:
        figures[name] = text(
            METRICS[name],
            help=f"{METRICS[name]}, measured here, with its 95 % interval.",
            width=138,
        )
        figures[f"{name}_paper"] = number(
            "Paper", format="%.4g", help=f"{METRICS[name]} as the paper printed it.", width=64
        )
    return {
        "title": text("System"),
        "status": text("Status", width=80, help=STATUS_HELP),
        "dataset": text("Data", width=108),
        "n": number("Images", help="Test images.", width=56),
        "n_groups": number(
            "Groups", help="Of test images: a patient, a source or near-duplicates.", width=58
        ),
        **figures,
        "parameters": number(
            "Parameters, M", format="%.1f", help="Learned, in millions, as shipped.", width=94
        ),
        "megabytes": number("Size, MB", format="%.1f", help="The file of weights.", width=62),
        "milliseconds": number(
            "Time, ms", format="%.0f", help="One scan, without explanation.", width=70
        ),
    }
