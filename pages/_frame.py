"""What surrounds every page: the intended-use notice, and a sentence in place of a traceback."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import wraps
from urllib.parse import urlsplit

import plotly.graph_objects as go
import streamlit as st
from streamlit.delta_generator_singletons import context_dg_stack, get_default_dg_stack_value

from core.refusal import Refusal
from core.wording import unbroken

UNEXPECTED = (
    "Something unexpected went wrong here. Your files are untouched and nothing was stored. "
    "Reload the page and try again; the details are in the server's log."
)

# Streamlit's chart theme writes its strong text colour, of the light or the dark theme, in place of
# this one. Its default for charts is a grey too pale to read on white.
THEME_TEXT = "#000037"

# Who reads a page by its headings needs some that would only repeat what stands there: the name of
# the page, of an open tab. They take no room.
UNSEEN = """<style>
div:has(> [class*="st-key-unseen"]) {
  position: absolute; width: 1px !important; height: 1px; overflow: hidden; clip-path: inset(50%);
}
</style>"""

# These are the two that it writes, and does not change in charts that are there already when the
# theme changes: of dark letters on dark, or white on white.
CHART_TEXT = """<style>
.js-plotly-plot text[style*="fill: rgb(38, 39, 48)"],
.js-plotly-plot text[style*="fill: rgb(250, 250, 250)"] { fill: currentColor !important; }
</style>"""

FRAMED, WANTED, SHOWN = "framed", "wanted page", "shown page"
HERE = "here: "
"""Begins the keys of what the session knows only until another page is shown."""

_log = logging.getLogger("lesionlens")


def guarded(body: Callable[..., None]) -> Callable[..., None]:
    """Show a sentence if ``body`` fails, and log the traceback of what is no ``Refusal``; scripts
    stop and rerun as ever."""

    @wraps(body)
    def run(*args, **kwargs) -> None:
        try:
            body(*args, **kwargs)
        except Refusal as refusal:
            st.error(plain(str(refusal)), icon=":material/error:")
        except Exception:
            _log.exception("A page failed")
            st.error(UNEXPECTED, icon=":material/error:")

    return run


def fragment(body: Callable[..., None]) -> Callable[..., None]:
    """A part of a page that runs again alone, guarded by itself: Streamlit shows what leaves a
    fragment in words of its own, and no page hears of it."""
    return st.fragment(guarded(body))


def begin_at_the_top() -> None:
    """Draw the page where pages are drawn, whatever was drawn before it.

    Where the run of a fragment ends while one of the whole page waits, both go in one thread (as
    ``runner.fastReruns`` is off), and ``streamlit.runtime.fragment`` leaves the fragment's place
    behind: who closed a dialog that was just drawing got the page drawn into it, and so nowhere.
    """
    context_dg_stack.set(get_default_dg_stack_value())


def plain(text: str) -> str:
    """The text with every sign escaped that Streamlit's Markdown would take for formatting.

    >>> plain("I*M + I*(1-M)")
    'I\\\\*M + I\\\\*(1-M)'
    """
    return re.sub(r"([\\`*_\[\]<>#$~:|])", r"\\\1", text)


def quiet(text: str) -> None:
    """A line of small grey Markdown; unlike st.caption's, the grey is dark enough to read.

    No line begins with the sign of a percentage.
    """
    st.markdown(f":small[:gray[{unbroken(text)}]]")


def follow_theme() -> None:
    """Have charts change their colours with the theme, once on every page."""
    st.html(CHART_TEXT)


def hide_unseen() -> None:
    """Have ``unseen`` headings take no room, once on every page."""
    st.html(UNSEEN)


def unseen(heading: Callable[..., None], text: str) -> None:
    """A heading, ``st.title`` or one below it, for those alone who have the page read to them."""
    with st.container(key=f"unseen {text}"):
        heading(plain(text), anchor=False)


def themed(figure: go.Figure) -> go.Figure:
    """The figure with all its text in the page's text colour, whichever theme is on."""
    layout = figure.layout
    layout.font.color = THEME_TEXT
    # Plotly's update_xaxes and update_yaxes do the same in three times the time.
    for name in layout:
        if name.startswith(("xaxis", "yaxis")):
            layout[name].tickfont.color = layout[name].title.font.color = THEME_TEXT
    return figure


@guarded
def run_page(page) -> None:
    """Run the page that st.navigation chose, or the one that ``require_frame`` was asked for."""
    st.session_state[FRAMED] = True
    if wanted := st.session_state.pop(WANTED, None):
        name, asked = wanted
        st.switch_page(f"pages/{name}.py", query_params=asked)
    _arrive(page.title)
    page.run()


def _arrive(title: str) -> None:
    """Forget what only the page that was shown before had to know."""
    state = st.session_state
    if state.get(SHOWN) != title:
        state[SHOWN] = title
        for key in [one for one in state if str(one).startswith(HERE)]:
            del state[key]


def require_frame() -> None:
    """Called by every page before it shows anything: none is shown without what surrounds it.

    Streamlit runs files of a folder named ``pages`` by themselves until st.navigation is called
    for the first time. Who asks a fresh server for a page by its address gets it through app.py,
    with what the address says of the page's settings.
    """
    if FRAMED not in st.session_state:
        asked = {key: st.query_params.get_all(key) for key in st.query_params}
        st.session_state[WANTED] = urlsplit(st.context.url).path.rpartition("/")[2], asked
        st.switch_page("app.py")
