"""What may make a test measure memory: copies, contradictory labels, groups on both sides."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets.audit import (
    NOTHING_TO_COMPARE,
    TINY,
    Audit,
    crossings,
    nearest_neighbour,
    what_relatives_are,
)
from core.wording import counted
from pages._data_overview import choose_split, download
from pages._data_pictures import show_open_picture, show_picture, sides_of
from pages._data_source import Source, audited, show_unreadable
from pages._frame import quiet
from pages._keeping import KEPT
from pages._paging import page_of

ALL, CONFLICTS, CROSSING = "All pairs", "Under two labels", "Across the split"
WHAT_KINDS_MEAN = (
    "**exact**: every pixel is the same, as seen in 8 bits. **copy**: the same picture, resaved, "
    "sharpened, brighter, cropped or annotated. **turned**: a copy at another angle. "
    "**mirrored**: a copy as in a mirror. **frame**: another frame of the same place."
)
PER_PAGE = 4


def show_leakage(source: Source) -> None:
    """The audit in figures, its splits, and its pairs side by side."""
    found = audited(source)
    show_unreadable(found.unreadable)
    if len(found.labels) < 2:
        st.info(NOTHING_TO_COMPARE, icon=":material/info:")
        return
    show_counts(source, found)
    show_crossings(source, found)
    show_pairs(source, found)
    show_open_picture(source)


def show_counts(source: Source, found: Audit) -> None:
    """The four figures that sum it up."""
    sizes = found.groups.value_counts()
    many = sizes[sizes > 1]
    labels = found.labels.groupby(found.groups.reindex(found.labels.index).to_numpy()).nunique()
    nearest = _neighbour(source.key, found)
    figures = (
        (
            "Images with a near-duplicate",
            f"{int(many.sum()):,}",
            f"in {counted(len(many), 'group')}",
        ),
        (
            "Exact copies",
            f"{int((found.pairs['kind'] == 'exact').sum()):,}",
            f"of {len(found.labels):,} images",
        ),
        ("Groups under two labels", f"{int((labels > 1).sum()):,}", "the label is in doubt"),
        (
            "Nearest neighbour is right",
            percent(nearest["any"]),
            f"{percent(nearest['other group'])} without relatives",
        ),
    )
    for column, (name, value, below) in zip(st.columns(4), figures, strict=True):
        column.metric(name, value, below, delta_color="off", delta_arrow="off")
    quiet(
        f"The nearest neighbour sees {TINY} x {TINY} grey pixels and knows nothing of medicine; "
        f"always answering the commonest label is right {percent(nearest['majority'])} of the "
        "time. What it gains from an image's relatives is memory, and a split that parts relatives "
        f"pays it out as accuracy. {what_relatives_are(source.groups)}"
    )


@st.cache_data(max_entries=8, ttl=KEPT, show_spinner=False)
def _neighbour(key: str, _found: Audit) -> dict[str, float]:
    return nearest_neighbour(_found)


@st.cache_data(max_entries=8, ttl=KEPT, show_spinner=False)
def _crossings(key: str, names: tuple[str, ...], _found: Audit, _splits) -> pd.DataFrame:
    return crossings(_found, _splits)


def show_crossings(source: Source, found: Audit) -> None:
    """How many groups of relatives lie on both sides of each split."""
    if not len(source.splits.columns):
        return
    st.subheader("Groups that cross splits", anchor=False)
    rows = _crossings(source.key, tuple(source.splits), found, source.splits)
    table = pd.DataFrame(
        {
            "Split": rows["split"],
            "Groups": rows["groups"],
            "On two sides": rows["crossing"],
            "Images not in training": rows["test images"],
            "With a relative in it": rows["leaked"],
            "Nearest neighbour right (%)": (100 * rows["neighbour"]).round(1),
        }
    )
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config={
            "Groups": st.column_config.NumberColumn(help="Of two relatives or more."),
            "On two sides": st.column_config.NumberColumn(help="Groups that the split divides."),
            "With a relative in it": st.column_config.NumberColumn(
                help="Those of them that have a relative in training: not a blind test."
            ),
            "Nearest neighbour right (%)": st.column_config.NumberColumn(
                format="%.1f", help="Of the images not in training, by those in it."
            ),
        },
        alt="Groups of relatives on two sides of each split.",
    )
    download("Table (CSV)", table, "crossings")


def show_pairs(source: Source, found: Audit) -> None:
    """Pairs side by side, the most alike first."""
    st.subheader("Pairs", anchor=False)
    if found.pairs.empty:
        among = f" among the {len(found.labels):,} images that can be read" * bool(found.unreadable)
        st.success(f"No copies or near-duplicates were found{among}.", icon=":material/check:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        choices = [ALL, CONFLICTS, *([CROSSING] if len(source.splits.columns) else [])]
        choice = st.segmented_control(
            "Show", choices, default=ALL, required=True, key="data pairs", persist_state="session"
        )
        kinds = st.pills(
            "Kind",
            sorted(found.pairs["kind"].unique()),
            selection_mode="multi",
            key="data kinds",
            persist_state="session",
        )
        split = choose_split(source, "data pair split") if choice == CROSSING else None
    pairs = pairs_of(source, found, choice, split)
    if kinds:
        pairs = pairs[pairs["kind"].isin(kinds)]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{counted(len(pairs), 'pair')}, the most alike first.", width="content")
        download("Pairs (CSV)", pairs, "pairs")
    grid = st.grid(2, min_column_width=420, gap="small")
    for pair in page_of(source.key, pairs, PER_PAGE).itertuples():
        with grid.cell():
            show_pair(source, pair)
    quiet(WHAT_KINDS_MEAN)


def pairs_of(source: Source, found: Audit, choice: str, split: str | None) -> pd.DataFrame:
    """The pairs of a choice, with the sides that their images are on."""
    if choice == CONFLICTS:
        return found.conflicts
    if choice == ALL:
        return found.pairs
    side = sides_of(source, split)
    a, b = (side.reindex(found.pairs[letter]).to_numpy() for letter in ("a", "b"))
    pairs = found.pairs.assign(side_a=a, side_b=b)
    have_sides = pairs["side_a"].notna() & pairs["side_b"].notna()
    return pairs[have_sides & (pairs["side_a"] != pairs["side_b"])]


def show_pair(source: Source, pair) -> None:
    """Two images side by side, with what makes them a pair."""
    with st.container(border=True, gap="xsmall"):
        conflict = pair.label_a != pair.label_b
        doubt = " :orange-badge[two labels]" if conflict else ""
        st.markdown(f"**{pair.kind}**, correlation {pair.similarity:.2f}{doubt}")
        sides = (
            (pair.a, pair.label_a, getattr(pair, "side_a", None)),
            (pair.b, pair.label_b, getattr(pair, "side_b", None)),
        )
        for column, (image_id, label, side) in zip(st.columns(2), sides, strict=True):
            with column:
                told = label + (f", {side}" if side else "")
                show_picture(source, image_id, told, f"pair {pair.Index} {image_id == pair.a}")


def percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"
