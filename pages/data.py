"""Data: what is in a data set, how bright its classes are, what leaks, its images, and how a system
does on them."""

from __future__ import annotations

import streamlit as st

from core.wording import counted
from pages._data_browse import show_browse
from pages._data_intensity import show_intensity
from pages._data_leakage import show_leakage
from pages._data_overview import show_overview, told_counts
from pages._data_source import Source, choose
from pages._data_system import show_system
from pages._frame import guarded, plain, quiet, require_frame

TABS = {
    ":material/bar_chart: Overview": show_overview,
    ":material/brightness_6: Intensity": show_intensity,
    ":material/content_copy: Leakage": show_leakage,
    ":material/grid_view: Browse": show_browse,
    ":material/experiment: Test a system": show_system,
}
SYNTHETIC = "Phantoms, drawn by a computer, to try the page without data."


@guarded
def main() -> None:
    """What is chosen, and the open one of the tabs."""
    with st.sidebar:
        read = choose()
    source = read()
    show_heading(source)
    tabs = st.tabs(list(TABS), key="data tab", on_change="rerun")
    for tab, show in zip(tabs, TABS.values(), strict=True):
        if tab.open:
            with tab:
                show(source)


def show_heading(source: Source) -> None:
    """The data set's name and size."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.header(plain(source.title), anchor=False, width="content")
        if source.synthetic:
            st.badge("synthetic", color="orange", icon=":material/warning:")
    counts = source.table["label"].value_counts(sort=False)
    remark = SYNTHETIC if source.synthetic else plain(source.remark)
    quiet(f"{counted(len(source.table), 'image')}: {plain(told_counts(counts))}. {remark}")


require_frame()
main()
