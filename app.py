"""LesionLens: page config, navigation and the intended-use notice. Nothing else.

Run it with ``streamlit run app.py``.
"""

from __future__ import annotations

import streamlit as st

from core.card import INTENDED_USE
from pages._early_charts import fetch_charts
from pages._frame import begin_at_the_top, follow_theme, hide_unseen, quiet, run_page, unseen
from pages._warm_up import warm_up

begin_at_the_top()
st.set_page_config(
    page_title="LesionLens",
    page_icon="pages/mark.svg",
    layout="wide",
    initial_sidebar_state=330,
)
st.logo("pages/logo.svg", size="large")

page = st.navigation(
    [
        st.Page(
            "pages/classify.py",
            title="Classify",
            icon=":material/frame_inspect:",
            default=True,
            help="Upload scans, see what a trained system makes of them and what it looked at.",
        ),
        st.Page(
            "pages/compare.py",
            title="Compare",
            icon=":material/compare:",
            help="The same scan through several explanation methods and systems, side by side.",
        ),
        st.Page(
            "pages/learn.py",
            title="Learn",
            icon=":material/school:",
            help="How a heatmap comes about, step by step, and whether it can be believed.",
        ),
        st.Page(
            "pages/data.py",
            title="Data",
            icon=":material/dataset:",
            help="What is in a data set, how bright its classes are, and which images leak.",
        ),
        st.Page(
            "pages/errors.py",
            title="Errors",
            icon=":material/troubleshoot:",
            help="Where and why a system is wrong: its mistakes, what they share, its threshold.",
        ),
        st.Page(
            "pages/systems.py",
            title="Systems",
            icon=":material/monitoring:",
            help="Every system's figures beside its paper's, and two or more against each other.",
        ),
        st.Page(
            "pages/about.py",
            title="About",
            icon=":material/info:",
            help="What this tool is for, how to read its pictures, and what happens to uploads.",
        ),
    ],
    position="top",
)
follow_theme()
hide_unseen()
unseen(st.title, page.title)
quiet(INTENDED_USE)
run_page(page)
fetch_charts()
warm_up()
