"""The confusion matrix, what it selects, and those images: as pictures or as a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.datasets import read_pixels
from core.evaluation.mistakes import Judged, confusion_counts, most_confused
from core.explain import METHODS
from core.figures.errors import (
    COUNTS,
    FIGURE_CONFIG,
    NORMALISED,
    confusion_figure,
    describe_confusion,
    thumbnail,
)
from core.spreadsheet import safe_csv
from core.wording import PERCENT_COLUMN, for_column, percent, unbroken
from pages import _errors_run as runs
from pages._downloads import Offer, show_downloads, told_apart
from pages._errors_detail import open_image, show_open_image, tell_lost_note
from pages._frame import plain, quiet, themed
from pages._keeping import KEPT
from pages._maps import INSTANT, Aim, answer
from pages._maps import Question as MapQuestion
from pages._paging import page_of
from pages._pictures import show_image
from pages._tables import version

PER_PAGE = 12
PAIRS_SHOWN = 5
ORDERS = {
    "Confidence": ("confidence", False, "the surest answers first"),
    "Loss": ("loss", False, "those that least expected their label first"),
    "Margin": ("margin", True, "the closest calls first"),
    "Similarity": ("similarity", True, "those least like a training image first"),
}
"""Name -> column, ascending, and what comes first."""
FLAGS = {
    "likely_label": ("Label in doubt", "red"),
    "other_labels": ("Other label in its group", "orange"),
    "trained_relatives": ("Relative trained on", "blue"),
}
"""Column of the table that is empty or 0 where all is well -> badge and its colour."""
WHAT_FLAGS_MEAN = (
    "**Label in doubt**, a likely label error: by confident learning (Northcutt et al., 2021), the "
    "system's answers on the whole test set suggest another label. **Other label in its group**: "
    "an image of the same patient, source or near-duplicate cluster carries another label, among "
    "those that the system knows. "
    "**Relative trained on**: such an image was in the training set, so the test was not blind."
)


@dataclass(frozen=True)
class Shown:
    """One choice of images: those with this label and answer, or those with a flag.

    None stands for any; ``wrong`` keeps mistakes alone.
    """

    label: str | None = None
    predicted: str | None = None
    flag: str | None = None
    wrong: bool = False

    def of(self, table: pd.DataFrame) -> pd.DataFrame:
        """Those rows of the table."""
        keep = pd.Series(True, index=table.index)
        if self.label:
            keep &= (table["label"] == self.label) & (table["predicted"] == self.predicted)
        if self.flag:
            keep &= table[self.flag].astype(bool)
        if self.wrong:
            keep &= table["wrong"]
        return table[keep]

    @property
    def words(self) -> str:
        """The choice in words."""
        if self.flag:
            return f"Flag: {FLAGS[self.flag][0].lower()}"
        if not self.label:
            return "All mistakes" if self.wrong else "All images"
        right = ", right" if self.label == self.predicted else ""
        return f"{self.label} called {self.predicted}{right}"


MISTAKES = Shown(wrong=True)


def show_mistakes(question: runs.Question, found: Judged) -> None:
    """The matrix and the commonest confusions, and below them the images that were chosen."""
    table, key = found.table, f"errors shown {question.key}"
    choices, pairs = _counted(question), most_confused(table)
    left, right = st.columns([1.1, 1], gap="large")
    chosen = st.session_state.get(key, MISTAKES)
    with left:
        _show_matrix(question, table, chosen, key)
    with right:
        chosen = st.selectbox(
            "Show",
            list(choices),
            format_func=lambda one: f"{one.words} ({choices[one]})",
            key=key,
            persist_state="session",
            help="The same as a click on a cell of the matrix.",
        )
        _show_pairs(pairs, table["label"].value_counts(), key)
    tell_lost_note()
    _show_images(question, chosen.of(table), chosen)
    show_open_image(question, found)


@st.cache_resource(max_entries=16, show_spinner=False)
def _counted(question: runs.Question) -> dict[Shown, int]:
    """Every choice, and how many images it has."""
    table = runs.judged(question).table
    return {one: len(one.of(table)) for one in choices_of(table, question.recipe.classes)}


def choices_of(table: pd.DataFrame, classes: tuple[str, ...]) -> list[Shown]:
    """Everything that can be shown, the commonest mistakes first."""
    pairs = most_confused(table)
    wrong = [Shown(row.label, row.predicted) for row in pairs.itertuples()]
    flags = [Shown(flag=flag) for flag in FLAGS if table[flag].astype(bool).any()]
    right = [Shown(name, name) for name in classes if (table["label"] == name).any()]
    empty = [
        Shown(a, b)
        for a in classes
        for b in classes
        if Shown(a, b) not in wrong and Shown(a, b) not in right
    ]
    return [MISTAKES, *wrong, *flags, *right, *empty, Shown()]


def _show_matrix(question: runs.Question, table: pd.DataFrame, chosen: Shown, key: str) -> None:
    classes = question.recipe.classes
    shown = st.segmented_control(
        "Confusion matrix",
        list(NORMALISED),
        default=COUNTS,
        required=True,
        key="errors normalised",
        persist_state="session",
        wrap=True,
        help="Shares of each label are sensitivities, shares of each answer predictive values.",
    )
    counts = confusion_counts(table, classes)
    selected = (chosen.label, chosen.predicted) if chosen.label else None
    chart = f"errors matrix {question.key}"
    st.plotly_chart(
        themed(confusion_figure(counts, classes, shown, selected)),
        key=chart,
        on_select=lambda: _cell_clicked(chart, key),
        selection_mode="points",
        config=FIGURE_CONFIG,
        alt=describe_confusion(counts, classes),
    )
    quiet("Click a cell to see its images.")


def _cell_clicked(chart: str, key: str) -> None:
    """A second click on the shown cell shows all mistakes again."""
    points = st.session_state[chart]["selection"]["points"]
    if points:
        cell = Shown(*points[0]["customdata"])
        again = st.session_state.get(key) == cell
        st.session_state[key] = MISTAKES if again else cell


def _show_pairs(pairs: pd.DataFrame, totals: pd.Series, key: str) -> None:
    with st.container(gap=None):
        st.markdown("**Most confused**" if len(pairs) else "No image was called something else.")
        for row in pairs.head(PAIRS_SHOWN).itertuples():
            st.button(
                unbroken(
                    f"{plain(row.label)} called {plain(row.predicted)}: **{row.count}** of "
                    f"{totals[row.label]} ({percent(row.share)})"
                ),
                key=f"{key} {row.label} {row.predicted}",
                on_click=st.session_state.__setitem__,
                args=(key, Shown(row.label, row.predicted)),
                type="tertiary",
            )


def _show_images(question: runs.Question, table: pd.DataFrame, chosen: Shown) -> None:
    pictures = runs.missing(question) is None
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        st.subheader(f"{plain(chosen.words)} ({len(table)})", anchor=False, width="stretch")
        method_id = _choose_heatmaps(question) if pictures else None
        view = st.segmented_control(
            "View",
            ["Pictures", "Table"],
            default="Pictures" if pictures else "Table",
            required=True,
            disabled=not pictures,
            key=f"errors view {pictures}",
            persist_state="session",
            label_visibility="collapsed",
        )
    if table.empty:
        st.info("No image is of this kind.", icon=":material/info:")
        return
    table = _ordered(table.dropna(axis="columns", how="all"))  # not every run has a similarity
    st.session_state["errors order"] = table["image_id"].tolist()
    if view == "Table":
        _show_table(question, table)
    else:
        _show_pictures(question, table, method_id)
    name = f"lesionlens-errors-{question.stem}.csv"
    offer = Offer("Download this table (CSV)", lambda: safe_csv(table), name)
    show_downloads("errors gallery", [offer], (question, told_apart(table)))


def _choose_heatmaps(question: runs.Question) -> str | None:
    """The method of the maps over the pictures: one that is instant, or None."""
    if not question.shipped:
        return None
    instant = [name for name, method in METHODS.items() if method.cost == INSTANT]
    return st.selectbox(
        "Heatmap",
        instant,
        index=None,
        format_func=lambda one: METHODS[one].name,
        placeholder="Heatmaps: none",
        key="errors heatmap",
        persist_state="session",
        label_visibility="collapsed",
        width=220,
    )


def _ordered(table: pd.DataFrame) -> pd.DataFrame:
    names = [name for name, (column, *_) in ORDERS.items() if column in table]
    with st.container(horizontal=True, vertical_alignment="center"):
        name = st.segmented_control(
            "Sort by",
            names,
            default=names[0],
            required=True,
            key=f"errors order among {len(names)}",
            persist_state="session",
            label_visibility="collapsed",
        )
        column, ascending, told = ORDERS[name]
        quiet(f"{told[0].upper()}{told[1:]}.")
    return table.sort_values([column, "image_id"], ascending=[ascending, True])


def _show_table(question: runs.Question, table: pd.DataFrame) -> None:
    ids, chart = table["image_id"].tolist(), f"errors table {question.key}"
    shares = [*question.recipe.classes, "confidence"]
    shown = table.drop(columns="wrong").assign(
        **{name: for_column(table[name]) for name in shares},
        margin=(100 * table["margin"]).clip(upper=99.9),
    )
    st.dataframe(
        shown,
        hide_index=True,
        height=min(420, 36 * (len(table) + 1) + 3),
        row_height=36,
        column_config=_columns(question),
        column_order=[
            "image_id",
            "label",
            "predicted",
            *question.recipe.classes,
            "margin",
            "loss",
            "similarity",
            "likely_label",
            "other_labels",
            "group_size",
            "trained_relatives",
        ],
        key=chart,
        on_select=lambda: _row_clicked(chart, ids),
        selection_mode="single-row",
        placeholder="",
        alt=f"Table of {len(table)} images: label, answer, probabilities, loss and flags",
    )
    quiet("Tick a row to look closer.")


def _row_clicked(chart: str, ids: list[str]) -> None:
    if rows := st.session_state[chart]["selection"]["rows"]:
        open_image(ids[rows[0]])


def _columns(question: runs.Question) -> dict:
    share = {
        name: st.column_config.NumberColumn(name, format=PERCENT_COLUMN)
        for name in question.recipe.classes
    }
    return {
        "image_id": st.column_config.TextColumn("Image", pinned=True),
        "label": st.column_config.TextColumn("Label"),
        "predicted": st.column_config.TextColumn("Answer"),
        **share,
        "margin": st.column_config.NumberColumn(
            "Margin", format=PERCENT_COLUMN, help="How far the answer is ahead of the second class."
        ),
        "loss": st.column_config.NumberColumn(
            "Loss", format="%.2f", help="-ln of the probability of the label."
        ),
        "similarity": st.column_config.NumberColumn(
            "Similarity",
            format="%.3f",
            help="Cosine, to the most similar of the training images kept here, at most 1,000.",
        ),
        "likely_label": st.column_config.TextColumn("Likelier label"),
        "other_labels": st.column_config.TextColumn("Other labels in its group"),
        "group_size": st.column_config.NumberColumn("Group size"),
        "trained_relatives": st.column_config.NumberColumn("Relatives trained on"),
    }


def _show_pictures(question: runs.Question, table: pd.DataFrame, method_id: str | None) -> None:
    rows, files = runs.images(question), version(question.dataset)
    grid = st.grid(4, min_column_width=190, border=True, gap="small")
    for one in page_of(question.key, table, PER_PAGE).itertuples():
        with grid.cell(), st.container(gap="xsmall"):
            _show_card(question, one, rows.get(one.image_id), method_id, files)
    flagged = table[list(FLAGS)].astype(bool).to_numpy().any()
    if flagged:
        quiet(WHAT_FLAGS_MEAN)


def _show_card(question: runs.Question, one, row, method_id: str | None, files: str) -> None:
    if row is None:
        st.markdown("This image is not in the data set on this computer.")
    else:
        show_image(
            lambda: _thumbnail(question, row, one.predicted, method_id, one.image_id, files),
            f"{one.image_id}, labelled {one.label}, called {one.predicted}"
            + (f", with its heatmap for {one.predicted}" if method_id else ""),
        )
    of_label = percent(np.exp(-one.loss))
    st.markdown(
        f"label **{plain(one.label)}**, {of_label}  \n"
        f"called **{plain(one.predicted)}**, {percent(one.confidence)}"
    )
    flags = [
        f":{colour}-badge[{text}{_more(flag, one)}]"
        for flag, (text, colour) in FLAGS.items()
        if getattr(one, flag)
    ]
    if flags:
        st.markdown(" ".join(flags))
    st.button(
        plain(one.image_id),
        key=f"errors open {question.key} {one.image_id}",
        icon=":material/zoom_in:",
        on_click=open_image,
        args=(one.image_id,),
        type="tertiary",
        help="Look closer",
    )


def _more(flag: str, one) -> str:
    return f": {plain(one.likely_label)}?" if flag == "likely_label" else ""


@st.cache_data(max_entries=1024, max_size="64MiB", ttl=KEPT, show_spinner=False)
def _thumbnail(
    question: runs.Question,
    _row,
    predicted: str,
    method_id: str | None,
    image_id: str,
    files: str,
):
    """An image, also with its map; ``files`` is the ``version`` of its data set."""
    if method_id is None:
        return thumbnail(read_pixels(_row))
    map_question = MapQuestion(method_id, Aim(predicted))
    return thumbnail(read_pixels(_row), answer(runs.view_of(question, _row), map_question).heatmap)
