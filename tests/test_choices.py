"""What outlasts a visit to another page: the choices that were left on one."""

from __future__ import annotations

from pathlib import Path

import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.checkpoints import list_trained

APP = Path(__file__).parents[1] / "app.py"

pytestmark = pytest.mark.skipif(not list_trained(), reason="no trained system is shipped")


@pytest.fixture
def app(monkeypatch) -> AppTest:
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    st.cache_data.clear()
    st.cache_resource.clear()
    return AppTest.from_file(str(APP), default_timeout=120).run()


def test_choices_stand_as_they_were_left_and_defaults_where_nothing_was_chosen(app):
    app.switch_page("pages/systems.py").run()
    first = app.pills(key="systems chosen").value
    assert len(first) > 1
    app.pills(key="systems chosen").set_value(first[1:]).run()
    app.segmented_control(key="systems protocol").set_value("published").run()
    for page in ("pages/about.py", "pages/classify.py"):  # more runs than one without the widgets
        app.switch_page(page).run()
        app.run()
    app.switch_page("pages/systems.py").run()
    assert not app.exception
    assert app.pills(key="systems chosen").value == first[1:]
    assert app.segmented_control(key="systems protocol").value == "published"
    assert app.segmented_control(key="systems picture").value == "PNG"
    app.segmented_control(key="systems protocol").set_value("grouped").run()  # and can be changed
    assert app.segmented_control(key="systems protocol").value == "grouped"
