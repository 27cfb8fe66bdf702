"""Errors: where a system is wrong, which images these are, what they have in common, and notes."""

from __future__ import annotations

import streamlit as st

from core.card import SPLIT_TITLES
from core.checkpoints import list_trained
from core.datasets import READERS
from core.evaluation.mistakes import Judged
from core.wording import counted, in_percent, usable
from pages._errors_gallery import show_mistakes
from pages._errors_notes import show_notes
from pages._errors_run import Question, choose, judged, missing
from pages._errors_thresholds import show_thresholds
from pages._errors_why import show_why
from pages._frame import guarded, plain, quiet, require_frame
from pages._shared import NO_SYSTEM

TABS = {
    ":material/grid_view: Mistakes": show_mistakes,
    ":material/query_stats: Why": show_why,
    ":material/tune: Threshold": show_thresholds,
    ":material/edit_note: Notes": show_notes,
}
SYNTHETIC = (
    "These are phantoms, drawn by a computer. The system was trained on real scans: the figures "
    "show how this page works and are no evidence of how good it is."
)


@guarded
def main() -> None:
    """What was asked, its figure, and the open one of the tabs."""
    systems = list_trained()
    if not systems:
        st.error(NO_SYSTEM)
        return
    with st.sidebar:
        question = choose(systems)
    found = judged(question)
    show_figure(question, found)
    for tab, show in zip(
        st.tabs(list(TABS), key="errors tab", on_change="rerun"), TABS.values(), strict=True
    ):
        if tab.open:
            with tab:
                show(question, found)


def show_figure(question: Question, found: Judged) -> None:
    """How often the system was wrong, on what, and how sure that is."""
    table, recipe = found.table, question.recipe
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(counted(int(table["wrong"].sum()), "mistake"), anchor=False, width="content")
        st.markdown(
            f"on {counted(len(table), 'test image')}: {share_wrong(found)}",
            width="content",
        )
        if question.synthetic:
            st.badge("synthetic", color="orange", icon=":material/warning:")
    if question.synthetic:
        quiet(SYNTHETIC)
        return
    split = SPLIT_TITLES[question.protocol].lower()
    quiet(
        f"{plain(recipe.title)} on {plain(READERS[question.dataset].title)}, {split}, "
        f"{found.n_groups} groups; the interval is bootstrapped over them."
    )
    if told := missing(question):
        st.info(plain(told), icon=":material/folder_off:")


def share_wrong(found: Judged) -> str:
    """The share of mistakes and its interval, which tells nothing where it has no width."""
    bounds = f"95 % CI {100 * found.low:.1f}–{in_percent(found.high, 1)}"
    return f"{in_percent(found.error, 1)} wrong ({usable(found.low, found.high, bounds)})"


require_frame()
main()
