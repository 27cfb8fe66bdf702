"""From which malignant probability on to call a scan malignant, and what that finds and misses."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.evaluation.calibration import SENSITIVITY
from core.evaluation.mistakes import Judged
from core.evaluation.thresholds import GRID, predictive_values, threshold_table
from core.figures.errors import (
    FIGURE_CONFIG,
    confusion_figure,
    describe_confusion,
    threshold_figure,
)
from core.spreadsheet import safe_csv
from core.wording import in_percent, percent, usable
from pages._downloads import Offer, show_downloads
from pages._errors_run import Question, judged
from pages._frame import fragment, plain, quiet, themed

NO_MALIGNANT = "No class of this system counts as malignant, so there is no threshold to choose."
WHAT_PREVALENCE_DOES = (
    "How common malignancy is where the system would be used. Test sets hold far more than a "
    "screening clinic sees, and the predictive values follow (Bayes' theorem)."
)
_MOST_DIGITS = 3
PREVALENCES = (0.1, 99.0)
"""Lowest and highest in percent that can be chosen."""
HOW_SURE = (
    "Intervals: 95 %, bootstrapped over groups, and where all samples give the same share, as "
    "where all or none are found, Wilson's with a group as one trial; those of the predictive "
    "values combine the bounds of both shares, on the careful side. The dotted line is the "
    "operating point. A threshold chosen on these very images would look better than it is."
)


def show_thresholds(question: Question, found: Judged) -> None:
    """The slider, and what follows from it at once."""
    if not question.recipe.malignant_classes:
        st.info(NO_MALIGNANT, icon=":material/info:")
        return
    _show(question)


@st.cache_data(max_entries=16, show_spinner=False)
def _table(question: Question) -> pd.DataFrame:
    """Every threshold that the slider has: the grid, and the operating point."""
    found, malignant = judged(question), list(question.recipe.malignant_classes)
    return threshold_table(
        found.table[malignant].sum(axis=1),
        found.table["label"].isin(malignant),
        found.table["group"],
        thresholds_with(found.fitted.threshold),
    )


def thresholds_with(operating: float) -> np.ndarray:
    """The grid, and the operating point in place of what would read like it: the slider tells its
    values by their texts."""
    others = [value for value in GRID if written(value) != written(operating)]
    return np.union1d(others, [operating])


def written(threshold: float) -> str:
    """A threshold as the slider shows it.

    >>> written(0.16493), written(0.5)
    ('0.165', '0.5')
    """
    return f"{threshold:.3f}".rstrip("0").rstrip(".")


@fragment
def _show(question: Question) -> None:
    table, operating = _table(question), judged(question).fitted.threshold
    sought = " or ".join(question.recipe.malignant_classes)
    row, prevalence = _choose(question, table, operating, sought)
    _show_metrics(row, prevalence, sought)
    left, right = st.columns([1, 1.5], gap="large")
    with left:
        _show_matrix(row, sought)
    with right:
        st.plotly_chart(
            themed(threshold_figure(table, row["threshold"], operating)),
            key="errors threshold curves",
            config=FIGURE_CONFIG,
            alt=f"Sensitivity and specificity over the threshold; at {row['threshold']:.3f} they "
            f"are {in_percent(row['sensitivity'])} and {in_percent(row['specificity'])}.",
        )
    quiet(HOW_SURE)
    name = f"lesionlens-thresholds-{question.stem}.csv"
    offer = Offer("All thresholds (CSV)", lambda: safe_csv(table), name)
    show_downloads("errors thresholds", [offer], question)


def _choose(
    question: Question, table: pd.DataFrame, operating: float, sought: str
) -> tuple[pd.Series, float]:
    """The row of the table that is chosen, and the prevalence, a share."""
    key = f"errors threshold {question.key}"
    st.session_state.setdefault(key, operating)
    row = table[table["threshold"] == st.session_state[key]].iloc[0]
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.select_slider(
            f"Call a scan {plain(sought)} from this probability on",
            table["threshold"].tolist(),
            format_func=written,
            key=key,
            persist_state="session",
        )
        st.button(
            "Operating point",
            icon=":material/my_location:",
            disabled=row["threshold"] == operating,
            on_click=st.session_state.__setitem__,
            args=(key, operating),
            help=f"The highest threshold that found {percent(SENSITIVITY)} of the {plain(sought)} "
            f"validation images: {operating:.3f}.",
        )
        prevalence = st.number_input(
            "Prevalence, %",
            *PREVALENCES,
            value=prevalence_among(row),
            step=0.5,
            format="%.1f",
            key=f"errors prevalence {question.key}",
            persist_state="session",
            help=WHAT_PREVALENCE_DOES,
            width=150,
        )
    return row, prevalence / 100


def _show_matrix(row: pd.Series, sought: str) -> None:
    counts = np.array([[row["tp"], row["fn"]], [row["fp"], row["tn"]]]).astype(int)
    kinds = (sought, "other")
    st.plotly_chart(
        themed(confusion_figure(counts, kinds)),
        key="errors threshold matrix",
        config={"displayModeBar": False},
        alt=describe_confusion(counts, kinds),
    )


def _show_metrics(row: pd.Series, prevalence: float, sought: str) -> None:
    rates = ("sensitivity", "specificity")
    values = predictive_values(*(row[name] for name in rates), prevalence)
    bounds = [
        predictive_values(*(row[f"{name}_{end}"] for name in rates), prevalence)
        for end in ("low", "high")
    ]
    sick, well = row["tp"] + row["fn"], row["fp"] + row["tn"]
    figures = [
        ("Sensitivity", row["sensitivity"], row["sensitivity_low"], row["sensitivity_high"]),
        ("Specificity", row["specificity"], row["specificity_low"], row["specificity_high"]),
        ("PPV", values[0], bounds[0][0], bounds[1][0]),
        ("NPV", values[1], bounds[0][1], bounds[1][1]),
    ]
    told = [
        f"{row['tp']:.0f} of {sick:.0f} images of this kind ({sought}) are found.",
        f"{row['tn']:.0f} of {well:.0f} other images are left alone.",
        f"Of scans called {sought}, this share is, at a prevalence of {100 * prevalence:.1f} %.",
        f"Of other scans, this share is not {sought}, at a prevalence of {100 * prevalence:.1f} %.",
    ]
    columns = st.columns(4)
    for column, (name, value, low, high), text in zip(columns, figures, told, strict=True):
        column.metric(
            name,
            *_told(value, low, high),
            delta_color="off",
            delta_arrow="off",
            help=text,
        )


def _told(value: float, low: float, high: float) -> tuple[str, str]:
    """A share and its interval in percent, with decimals where whole ones would say too little, as
    of predictive values where few are ill, would claim certainty or leave an interval no width."""
    if np.isnan(value):
        return "–", ""
    digits = 1 if value < 0.02 or value > 0.98 else 0
    while digits < _MOST_DIGITS and (
        any(_seems_certain(one, digits) for one in (value, low, high))
        or (low < high and round(100 * low, digits) == round(100 * high, digits))
    ):
        digits += 1
    share, *ends = (f"{round(100 * one, digits):g}" for one in (value, low, high))
    interval = usable(low, high, f"95 % CI {'–'.join(ends)} %")
    return f"{share} %", "" if "nan" in ends else interval


def _seems_certain(share: float, digits: int) -> bool:
    """Whether a share that is neither 0 nor 1 reads as if it were."""
    return 0 < share < 1 and round(100 * share, digits) in (0, 100)


def prevalence_among(row: pd.Series) -> float:
    """That among the test images, in percent, as far as ``PREVALENCES`` go: of one kind alone they
    would leave no predictive value to choose."""
    share = (row["tp"] + row["fn"]) / row[["tp", "fp", "fn", "tn"]].sum()
    return round(float(np.clip(100 * share, *PREVALENCES)), 1)
