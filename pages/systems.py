"""Systems: every system's figures beside its paper's, and the chosen ones against each other."""

from __future__ import annotations

import streamlit as st

from core.card import SPLIT_TITLES
from core.evaluation import EvaluationError
from core.figures.systems import SERIES
from core.systems import Run
from pages import _systems_curves as figures
from pages import _systems_data as data
from pages import _systems_table as tables
from pages._frame import guarded, plain, require_frame, unseen
from pages._shared import NO_SYSTEM
from pages._systems_cards import show_cards
from pages._systems_explanations import show_explanations
from pages._systems_tests import show_tests

PROTOCOL_HELP = (
    "Grouped: no near-duplicate, patient or source of a test image was in training. Random: image "
    "by image in the paper's proportions, as papers do; such figures flatter."
)
SHOWN_AT_FIRST = 3
TOO_MANY = f"Figures of more than {len(SERIES)} systems cannot be told apart: the first are shown."


@guarded
def main() -> None:
    """The table of all systems; below it the chosen ones, one view at a time."""
    table = data.table()
    protocol = show_systems(table)
    if not data.trained():
        st.error(NO_SYSTEM)
        return
    compare(protocol)


def show_systems(table) -> str:
    """The table with its settings; returns the protocol chosen."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        protocol = st.segmented_control(
            "Figures measured under the",
            list(SPLIT_TITLES),
            default=next(iter(SPLIT_TITLES)),
            required=True,
            format_func=SPLIT_TITLES.__getitem__,
            help=PROTOCOL_HELP,
            key="systems protocol",
            bind="query-params",
        )
        metrics = tables.choose_columns(
            "Figures", tables.METRICS, tables.SHOWN_FIRST, key="systems metrics"
        )
    tables.show_table(table, protocol, metrics)
    return protocol


def compare(protocol: str) -> None:
    """Views of the chosen systems; only the one that is open is computed."""
    chosen, picture = choose()

    def of_runs(show, *more) -> None:
        if runs := runs_of(chosen, protocol):
            show(runs, *more)

    views = {
        "Curves": lambda: of_runs(figures.show_curves, picture),
        "Reliability": lambda: of_runs(figures.show_reliability, picture),
        "Training": lambda: of_runs(figures.show_training, picture),
        "Confusion": lambda: of_runs(figures.show_confusion, picture),
        "Tests": lambda: of_runs(show_tests),
        "Explanations": lambda: show_explanations(chosen),
        "Cards": lambda: show_cards(chosen),
    }
    tabs = st.tabs(list(views), on_change="rerun", key="systems view")
    for tab, (name, view) in zip(tabs, views.items(), strict=True):
        if tab.open:
            with tab:
                unseen(st.header, name)
                if chosen:
                    view()
                else:
                    st.info("Choose a system above.", icon=":material/info:")


def choose() -> tuple[list[str], str]:
    """The systems to compare, no more than can be told apart, and the format to save figures in."""
    trained = data.trained()
    left, right = st.columns([5.5, 1])
    with left:
        chosen = st.pills(
            "Systems to compare",
            trained,
            selection_mode="multi",
            default=chosen_at_first(trained),
            format_func=data.title,
            wrap=True,
            key="systems chosen",
            bind="query-params",
        )
    with right:
        picture = st.segmented_control(
            "Save figures as",
            list(figures.FORMATS),
            default="PNG",
            required=True,
            help="The camera above a figure saves it.",
            key="systems picture",
            wrap=True,
            persist_state="session",
        )
    if len(chosen) > len(SERIES):
        st.info(TOO_MANY, icon=":material/info:")
    return chosen[: len(SERIES)], picture


def chosen_at_first(trained: tuple[str, ...]) -> list[str]:
    """The first few of the data set with most systems: those that can be compared."""
    datasets = [data.checkpoint(name).recipe.data.dataset for name in trained]
    most = max(datasets, key=datasets.count)
    alike = [name for name, one in zip(trained, datasets, strict=True) if one == most]
    return alike[:SHOWN_AT_FIRST]


def runs_of(chosen: list[str], protocol: str) -> list[Run]:
    """Those of the chosen systems that were trained under the protocol; of others a sentence."""
    runs = []
    for recipe_id in chosen:
        try:
            runs.append(data.run(recipe_id, protocol))
        except EvaluationError as error:
            st.info(plain(str(error)), icon=":material/info:")
    return runs


require_frame()
main()
