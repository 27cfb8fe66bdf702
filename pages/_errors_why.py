"""What the mistakes have in common: rates by label, lesion, brightness, contrast and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import DatasetError, read_pixels, usable_mask
from core.evaluation.attributes import (
    ATTRIBUTES,
    Attribute,
    associations,
    image_attributes,
    rates_by_bin,
    rates_of,
)
from core.evaluation.mistakes import Judged
from core.figures.errors import FIGURE_CONFIG, describe_rates, rate_figure
from core.spreadsheet import safe_csv
from core.wording import counted, usable
from pages._downloads import Offer, show_downloads
from pages._errors_run import Question, images, judged, missing
from pages._frame import plain, quiet, themed
from pages._tables import version

HOW_TO_READ = (
    "Each dot is the share of wrong answers among about a quarter of the images, more where many "
    "values are equal, from the smallest to the largest value, with its 95 % interval, "
    "bootstrapped over groups (where all samples give the same share, as where all or none are "
    "wrong, Wilson's with a group as one trial); the dotted line is the share among all."
)
WHAT_THE_TEST_SAYS = (
    "'Larger if wrong' is the chance that a wrong image has the larger value: 50 % is no relation; "
    "its 95 % interval is bootstrapped over groups. p is of the Mann-Whitney test, adjusted for "
    "the number of checks (Benjamini-Hochberg), and takes images as independent. 'In brief' asks "
    "for both: a p below 0.05, and an interval without 50 %. They tell what goes with mistakes, "
    "not what causes them."
)
READ_IN_BRIEF = {True: "goes with mistakes", False: "no clear relation"}
SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False)
class Plot:
    """Rates of mistakes a bin, as of ``rates_by_bin``, with names for the bins."""

    heading: str
    told: str
    rates: pd.DataFrame
    names: list[str]


def show_why(question: Question, found: Judged) -> None:
    """The checks as a table, then a plot each."""
    pictures = missing(question) is None
    files = version(question.dataset)
    table = measured(question, files) if pictures else found.table
    known = [one for one in ATTRIBUTES if one.name in table and table[one.name].notna().any()]
    names = tuple(one.name for one in known)
    _show_checks(_checks(question, names, files, table), known)
    quiet(HOW_TO_READ + _left_out(table, found.table))
    plots = [_by_label(table), *(_by_attribute(one, table) for one in known)]
    top = max(plot.rates["rate_high"].max() for plot in plots)
    grid = st.grid(3, min_column_width=250, gap="small")
    for plot in plots:
        with grid.cell():
            _show_plot(plot, found.error, top)
    name = f"lesionlens-why-{question.stem}.csv"
    offer = Offer("Images with these values (CSV)", lambda: safe_csv(table), name)
    show_downloads("errors why", [offer], question)


@st.cache_data(max_entries=16, show_spinner=False)
def _checks(
    question: Question, names: tuple[str, ...], files: str, _table: pd.DataFrame
) -> pd.DataFrame:
    return associations(_table, list(names))


@st.cache_resource(max_entries=8, show_spinner="Measuring the images …")
def measured(question: Question, files: str) -> pd.DataFrame:
    """The test images with the attributes that need their pixels, of the data set whose ``version``
    is ``files``. Raises DatasetError."""
    table, rows = judged(question).table, images(question)
    found = {name: _attributes(rows[name]) for name in table["image_id"] if name in rows}
    return table.join(pd.DataFrame.from_dict(found, orient="index"), on="image_id")


def _attributes(row) -> dict[str, float]:
    """Nothing of an image that cannot be read, and of its mask nothing if that cannot be used."""
    try:
        return image_attributes(read_pixels(row), usable_mask(row)[0])
    except DatasetError:
        return {}


def _left_out(table: pd.DataFrame, without: pd.DataFrame) -> str:
    """How many images have none of the values that need their pixels."""
    values = table.drop(columns=without.columns)
    count = int(values.isna().all(axis=1).sum()) if len(values.columns) else 0
    return f" {counted(count, 'image')} could not be read, and are not in them." if count else ""


def _show_checks(checks: pd.DataFrame, known: list[Attribute]) -> None:
    if checks.empty:
        st.info("There are too few mistakes here to compare.", icon=":material/info:")
        return
    headings = {one.name: f"{one.heading} ({one.unit})" for one in known}
    shown = checks.assign(
        name=checks["name"].map(headings),
        larger=100 * checks["larger"],
        interval=[
            usable(row.low, row.high, f"{100 * row.low:.0f}–{100 * row.high:.0f} %")
            for row in checks.itertuples()
        ],
        verdict=related(checks).map(READ_IN_BRIEF),
    )
    st.dataframe(
        shown,
        hide_index=True,
        height="content",
        column_order=[
            "name",
            "median_wrong",
            "median_right",
            "larger",
            "interval",
            "p",
            "n",
            "verdict",
        ],
        column_config={
            "name": st.column_config.TextColumn("Could it be …", width="medium"),
            "median_wrong": st.column_config.NumberColumn("Median if wrong", format="%.3g"),
            "median_right": st.column_config.NumberColumn("Median if right", format="%.3g"),
            "larger": st.column_config.ProgressColumn(
                "Larger if wrong", format="%.0f %%", min_value=0, max_value=100
            ),
            "interval": st.column_config.TextColumn("95 % interval"),
            "p": st.column_config.NumberColumn("p, adjusted", format="%.2g"),  # never 0.000
            "n": st.column_config.NumberColumn("Images"),
            "verdict": st.column_config.TextColumn("In brief"),
        },
        alt="Table of attributes: medians of wrong and right images, effect and p value",
    )
    quiet(WHAT_THE_TEST_SAYS)


def related(checks: pd.DataFrame) -> pd.Series:
    """Which checks show a relation, by p and by an interval over groups that has a width: p alone
    would find one among the images of a single patient."""
    beyond_chance = (checks["low"] > 0.5) | (checks["high"] < 0.5)
    return (checks["p"] < SIGNIFICANT) & beyond_chance & (checks["high"] > checks["low"])


def _by_label(table: pd.DataFrame) -> Plot:
    rates = rates_of(table["label"], table["wrong"], table["group"])
    told = "Share of each label's images that were called something else."
    return Plot("Label", told, rates, rates["kind"].tolist())


def _by_attribute(one: Attribute, table: pd.DataFrame) -> Plot:
    rates = rates_by_bin(table[one.name], table["wrong"], table["group"])
    names = [_range(row.low, row.high) for row in rates.itertuples()]
    return Plot(f"{one.heading}, {one.unit}", one.help, rates, names)


def _show_plot(plot: Plot, overall: float, top: float) -> None:
    st.markdown(f"**{plain(plot.heading)}**", help=plot.told)
    st.plotly_chart(
        themed(rate_figure(plot.rates, plot.names, overall, top)),
        key=f"errors why {plot.heading}",
        config=FIGURE_CONFIG,
        alt=describe_rates(plot.heading, plot.rates, plot.names),
    )


def _range(low: float, high: float) -> str:
    """From low to high, with as many digits as tell them apart.

    >>> _range(0.33, 2.8), _range(0.1338, 0.1344), _range(2, 2)
    ('0.33–<br>2.8', '0.1338–<br>0.1344', '2')
    """
    if low == high:
        return f"{low:.4g}"
    digits = next((n for n in (2, 3) if f"{low:.{n}g}" != f"{high:.{n}g}"), 4)
    return "–<br>".join(
        np.format_float_positional(x, digits, fractional=False, trim="-") for x in (low, high)
    )
