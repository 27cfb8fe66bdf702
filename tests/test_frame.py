"""What a page shows in place of what failed: in the page itself, and in a part that runs alone."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest
import streamlit as st
from streamlit.delta_generator_singletons import context_dg_stack
from streamlit.testing.v1 import AppTest

from pages import _frame
from pages._frame import UNEXPECTED

PAGES = Path(__file__).parents[1] / "pages"


def a_page() -> None:
    import streamlit as st

    from core.datasets import DatasetError
    from pages._frame import fragment, guarded

    def fail() -> None:
        if st.session_state["how"] == "refusal":
            raise DatasetError("The folder *x* is empty. Give another one.")
        raise KeyError("a fault of ours")

    @fragment
    def part() -> None:
        st.markdown("a part")
        if st.button("In the part", key="part"):
            fail()

    @guarded
    def page() -> None:
        part()
        if st.button("In the page", key="page"):
            fail()

    page()
    st.markdown("below")


@pytest.mark.parametrize("place", ["part", "page"])
@pytest.mark.parametrize(
    ("how", "sentence"),
    [("refusal", r"The folder \*x\* is empty. Give another one."), ("fault", UNEXPECTED)],
)
def test_one_sentence_stands_for_what_failed(place, how, sentence, caplog):
    page = AppTest.from_function(a_page, default_timeout=60)
    page.session_state["how"] = how
    page.run().button(key=place).click().run()
    assert [one.value for one in page.error] == [sentence]
    assert not page.exception
    assert {"a part", "below"} <= {one.value for one in page.markdown}
    logged = [one for one in caplog.records if one.levelno >= logging.ERROR]
    assert len(logged) == (how == "fault")  # a refusal is no fault of ours


def test_a_page_is_not_drawn_into_what_a_fragment_left_behind(monkeypatch):
    """As when a dialog is closed while it still draws: the page's run follows in its thread."""
    begin = _frame.begin_at_the_top

    def after_a_fragment() -> None:
        left = st.expander("left behind")
        context_dg_stack.set((*context_dg_stack.get(), left))
        begin()

    monkeypatch.setattr(_frame, "begin_at_the_top", after_a_fragment)
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    page = AppTest.from_file(str(PAGES.parent / "app.py"), default_timeout=60).run()
    left = next(one for one in page.expander if one.label == "left behind")
    assert page.title and not left.children and not page.exception


def a_page_with_an_open_image() -> None:
    from types import SimpleNamespace

    import streamlit as st

    from pages import _data_pictures, _errors_detail
    from pages._frame import run_page

    def show() -> None:
        for opened in (_data_pictures.OPEN, _errors_detail.OPEN):
            st.text(st.session_state.get(opened, "nothing"))
            st.button("Open", key=f"button {opened}", on_click=open_image, args=(opened,))

    def open_image(opened: str) -> None:
        st.session_state[opened] = "an image"

    run_page(SimpleNamespace(title=st.session_state["page"], run=show))


def test_what_was_open_is_closed_when_the_page_is_left():
    app = AppTest.from_function(a_page_with_an_open_image, default_timeout=60)
    app.session_state["page"] = "Errors"
    app.run().button[0].click().run().button[1].click().run()
    assert [one.value for one in app.run().text] == ["an image"] * 2  # while the page is shown
    for title in ("About", "Errors"):
        app.session_state["page"] = title
        assert [one.value for one in app.run().text] == ["nothing"] * 2
    assert not app.exception


@pytest.mark.parametrize("path", sorted(PAGES.glob("*.py")), ids=lambda path: path.name)
def test_no_part_of_a_page_is_left_unguarded(path):
    """Streamlit's own decorator shows what fails in words of its own."""
    decorators = [
        ast.unparse(decorator)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
        for decorator in node.decorator_list
    ]
    assert "st.fragment" not in decorators and "st.dialog" not in decorators
