"""How bright the images of each class are, and whether that alone tells the classes apart."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.datasets.intensity import (
    REPORTED_SOURCE,
    beside_reported,
    box_table,
    effects,
    kruskal_wallis,
    pooled_histogram,
)
from core.figures import datasets as figures
from core.wording import p_value, usable
from pages._data_overview import download, show_figure
from pages._data_source import Source, measured, show_unmeasured
from pages._frame import plain, quiet
from pages._keeping import KEPT

REGIONS = {"Whole image": "mean", "Inside the lesion": "inside", "Outside the lesion": "outside"}
WHAT_IS_MEASURED = (
    "Intensity is grey divided by 255, of the pixels as the files have them, negatives turned "
    "positive. Files of more than 8 bits are seen through a window, most of them through one of "
    "their own: between such files it does not compare. It depends on the gain of the scanner as "
    "much as on the tissue: a classifier that relies on it will fail on other scanners."
)
HEADINGS = {
    "label": "Class",
    "n": "Images",
    "median": "Median",
    "first_quartile": "1st quartile",
    "third_quartile": "3rd quartile",
    "lower_whisker": "Lower whisker",
    "upper_whisker": "Upper whisker",
    "outliers": "Outliers",
    "skewness": "Skewness",
}
REPORTED_HEADINGS = {
    "label": "Class",
    "reported_low": "Lowest, paper",
    "low": "Lowest, here",
    "reported_median": "Median, paper",
    "median": "Median, here",
    "reported_high": "Highest, paper",
    "high": "Highest, here",
}
_NUMBER = st.column_config.NumberColumn(format="%.3f")


def show_intensity(source: Source) -> None:
    """Histograms, boxes in pictures and numbers, and a test of the differences."""
    found = measured(source)
    facts = found.facts.assign(group=source.table["group"].to_numpy())
    show_unmeasured(facts)
    facts = facts[facts["problem"] == ""]
    column, region = choose_region(facts)
    quiet(WHAT_IS_MEASURED)
    left, right = st.columns(2, gap="large")
    title = f"Mean intensity, {region.lower()}"
    with left:
        told = f"{region}, one value an image, as shares of each class."
        show_figure(
            "Mean of each image", figures.mean_histogram(facts, column, title), "means", told
        )
    with right:
        show_figure(
            "All pixels, whole images",
            figures.pixel_histogram(pooled_histogram(found)),
            "pixels",
            "Share of the pixels of each class by intensity, whole images.",
        )
    left, right = st.columns(2, gap="large")
    boxes = box_table(facts, column)
    with left:
        medians = ", ".join(f"{row.label} {row.median:.3f}" for row in boxes.itertuples())
        told = f"Medians: {medians}."
        show_figure("Spread", figures.boxes(facts, column, title), "boxes", told)
    with right:
        show_test(source, facts, column)
    st.subheader("In numbers", anchor=False)
    show_numbers(boxes)
    if column == "mean":
        show_reported(source, facts)


def choose_region(facts: pd.DataFrame) -> tuple[str, str]:
    """The column of facts that is looked at, and its name."""
    known = [name for name, column in REGIONS.items() if facts[column].notna().any()]
    if len(known) < 2:
        return "mean", next(iter(REGIONS))
    name = st.segmented_control(
        "Where", known, default=known[0], required=True, key="data region", persist_state="session"
    )
    return REGIONS[name], name


def show_numbers(boxes: pd.DataFrame) -> None:
    """The box plot's numbers."""
    table = boxes[list(HEADINGS)].rename(columns=HEADINGS)
    decimal = [name for name in table if name not in ("Class", "Images", "Outliers")]
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config=dict.fromkeys(decimal, _NUMBER),
        alt="Median, quartiles, whiskers, outliers and skewness of each class.",
    )
    download("Table (CSV)", table, "intensity")


def show_test(source: Source, facts: pd.DataFrame, column: str) -> None:
    """Do the classes differ, and by how much?"""
    tested = kruskal_wallis(facts, column)
    if tested is None:
        return
    statistic, p = tested
    lines = [_difference(row) for row in _effects(source.key, column, facts).itertuples()]
    st.subheader("Do the classes differ?", anchor=False)
    st.markdown(f"Kruskal-Wallis H = {statistic:.1f}, p {p_value(p)}.\n" + "\n".join(lines))
    quiet(
        "Cliff's delta: how much more often an image of the first class is the brighter one, from "
        "\u22121 to 1, with its 95 % interval, bootstrapped over the groups that the data set's "
        "reader knows. p takes images as independent: too small where there are near-duplicates."
    )


def _difference(row) -> str:
    """A line on two classes."""
    bounds = usable(row.low, row.high, f"{signed(row.low)} to {signed(row.high)}")
    return (
        f"- {plain(row.a)} ({row.n_a:,}) against {plain(row.b)} ({row.n_b:,}): Cliff's delta "
        f"**{signed(row.delta)}** ({bounds}), {row.magnitude}"
    )


@st.cache_data(max_entries=32, ttl=KEPT, show_spinner=False)
def _effects(key: str, column: str, _facts: pd.DataFrame) -> pd.DataFrame:
    return effects(_facts, column)


def signed(value: float) -> str:
    """Two decimals with a sign, none before a zero.

    >>> signed(0.171), signed(-0.004)
    ('+0.17', '0.00')
    """
    text = f"{round(value, 2) + 0.0:+.2f}".replace("-", "\u2212")
    return text.lstrip("+") if round(value, 2) == 0 else text


def show_reported(source: Source, facts: pd.DataFrame) -> None:
    """The paper's figures beside ours, where a paper has them."""
    table = beside_reported(facts, source.dataset_id)
    if table is None:
        return
    st.subheader("Beside the paper", anchor=False)
    table = table.rename(columns=REPORTED_HEADINGS)
    numbers = dict.fromkeys(list(table)[1:], st.column_config.NumberColumn(format="%.2f"))
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        column_config=numbers,
        alt="Reported and measured range and median of the mean intensity.",
    )
    quiet(
        f"Reported: {REPORTED_SOURCE}. Lowest and highest are the ends of the whiskers here; the "
        "paper does not say what its range leaves out."
    )
