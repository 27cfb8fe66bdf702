"""What is in the data set: classes, splits, masks, sizes."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

from core.figures import datasets as figures
from core.spreadsheet import safe_csv
from core.wording import percent
from pages._data_source import PICTURE, Source, measured, show_unmeasured
from pages._downloads import Offer, show_downloads, told_apart
from pages._frame import themed


def show_overview(source: Source) -> None:
    """Counts at once; sizes and areas when the images have been measured."""
    counts = source.table["label"].value_counts(sort=False)
    left, right = st.columns(2, gap="large")
    with left:
        show_figure("Images a class", figures.class_bars(counts), "classes", told_counts(counts))
    with right:
        show_figure("Shares", figures.class_pie(counts), "shares", _shares(counts))
    show_splits(source)
    facts = measured(source).facts
    show_unmeasured(facts)
    show_sizes(facts[facts["problem"] == ""])
    show_summary(source, facts)


def show_splits(source: Source) -> None:
    """How many images of a class each side of a split has."""
    if source.splits.empty or not len(source.splits.columns):
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Split", anchor=False, width="content")
        name = choose_split(source, "data overview split")
    sides = source.splits[name].reindex(source.table["image_id"])
    counts = pd.crosstab(sides.to_numpy(), source.table["label"].to_numpy())
    counts = counts.reindex([one for one in figures.SPLIT_ORDER if one in counts.index])
    labels = source.table["label"].unique()
    counts = counts[[label for label in labels if label in counts]]  # a split may leave some out
    told = "; ".join(f"{side}: {told_counts(row)}" for side, row in counts.iterrows())
    draw(figures.split_bars(counts, labels), "splits", f"Images a split and class. {told}")


def choose_split(source: Source, key: str) -> str:
    """Name of a split that is known."""
    return st.selectbox(
        "Split",
        list(source.splits),
        key=key,
        persist_state="session",
        label_visibility="collapsed",
        width=320,
    )


def show_sizes(facts: pd.DataFrame) -> None:
    """Sizes in pixels, and how much of each image is lesion."""
    left, right = st.columns(2, gap="large")
    sizes = facts.groupby(["width", "height"]).size()
    told = (
        f"{len(sizes)} different sizes, {_range(facts, 'width')}, {_range(facts, 'height')} pixels."
    )
    with left:
        if len(sizes) > 1:
            show_figure("Image sizes", figures.sizes(facts), "sizes", told)
        elif len(sizes):
            st.subheader("Image sizes", anchor=False)
            width, height = sizes.index[0]
            st.markdown(f"All images have {width:.0f} x {height:.0f} pixels.")
    if facts["area"].notna().any():
        area = facts.assign(area=100 * facts["area"])
        told = ", ".join(
            f"{label} {part['area'].median():.1f} %"
            for label, part in area.dropna(subset="area").groupby("label")
        )
        with right:
            figure = figures.boxes(area, "area", "Lesion, % of the image")
            show_figure("Lesion areas", figure, "areas", f"Median areas: {told}.")


def show_summary(source: Source, facts: pd.DataFrame) -> None:
    """One row a class, to read and to take away."""
    st.subheader("In numbers", anchor=False)
    table = summary(source.table, facts)
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={"Median lesion area (%)": st.column_config.NumberColumn(format="%.1f")},
        alt="One row a class, in numbers.",
    )
    download("Table (CSV)", table, "classes")


def summary(table: pd.DataFrame, facts: pd.DataFrame) -> pd.DataFrame:
    """One row a class: images, groups, images with an outlined lesion, sizes, lesion areas."""
    both = table.assign(**{name: facts[name].to_numpy() for name in ("width", "height", "area")})
    rows = []
    for label, part in both.groupby("label", sort=False):
        rows.append(
            {
                "Class": label,
                "Images": len(part),
                "Groups": part["group"].nunique(),
                "Mask files": int(part["masks"].map(len).sum()),
                "Outlined lesions": int(part["area"].notna().sum()),
                "Median width": part["width"].median(),
                "Median height": part["height"].median(),
                "Median lesion area (%)": round(100 * part["area"].median(), 2),
            }
        )
    return pd.DataFrame(rows)


def show_figure(heading: str, figure: go.Figure, name: str, told: str) -> None:
    """A figure under its heading."""
    st.subheader(heading, anchor=False)
    draw(figure, name, f"{heading}. {told}")


def draw(figure: go.Figure, name: str, alt: str) -> None:
    """A figure that its camera button saves in the format that was chosen for the page."""
    kind = st.session_state[PICTURE].lower()
    config = {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {"format": kind, "filename": f"lesionlens-{name}", "scale": 2},
    }
    st.plotly_chart(themed(figure), config=config, key=f"data figure {name}", alt=alt)


def download(label: str, table: pd.DataFrame, name: str) -> None:
    """A button for a table."""
    offer = Offer(label, lambda: safe_csv(table), f"lesionlens-{name}.csv")
    show_downloads(f"data {name}", [offer], told_apart(table))


def told_counts(counts: pd.Series) -> str:
    """Images a class, so that a class called 10 is told from a number.

    >>> told_counts(pd.Series({"benign": 1437, "10": 2}))
    'benign (1,437), 10 (2)'
    """
    return ", ".join(f"{label} ({count:,})" for label, count in counts.items())


def _shares(counts: pd.Series) -> str:
    shares = (counts / counts.sum()).items()
    return ", ".join(f"{label} {percent(share)}" for label, share in shares)


def _range(facts: pd.DataFrame, side: str) -> str:
    return f"{side} {facts[side].min():.0f} to {facts[side].max():.0f}"
