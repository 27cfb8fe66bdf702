"""One scan on all pages: what was looked at on Classify is there on the others, and on return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from core.checkpoints import list_trained
from core.datasets.phantoms import phantom
from core.png import png

APP = Path(__file__).parents[1] / "app.py"
NAME = "mine.png"

pytestmark = [
    pytest.mark.skipif(not list_trained(), reason="no trained system is shipped"),
    pytest.mark.usefixtures("loaded_once"),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_kept() -> None:
    """What other tests left, of systems that were none, is forgotten; what these keep is real."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def app(monkeypatch) -> AppTest:
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    return AppTest.from_file(str(APP), default_timeout=120).run()


@pytest.fixture
def looked_at(app) -> AppTest:
    """An upload was looked at on Classify."""
    app.file_uploader(key="uploads").upload(NAME, png(phantom("benign", 77)[0])).run()
    assert not app.exception
    return app


def to(app: AppTest, page: str) -> AppTest:
    app.switch_page(f"pages/{page}.py").run()
    assert not app.exception
    assert not app.error
    return app


def texts(app: AppTest) -> list[str]:
    return [one.value for one in app.text]


def titles(app: AppTest) -> str:
    return " ".join(str(one.value) for one in (*app.header, *app.subheader))


def test_of_several_scans_it_is_told_that_the_others_are_gone(looked_at):
    for number in (78, 79):
        data = png(phantom("benign", number)[0])
        looked_at.file_uploader(key="uploads").upload(f"{number}.png", data)
    looked_at.run()
    assert looked_at.toggle(key="folder").disabled
    to(to(looked_at, "about"), "classify")
    told = "(one of 2: upload the others again to see them)"
    for _ in range(2):
        assert sum(told in text for text in texts(looked_at)) == 1
        looked_at.run()
    assert not looked_at.toggle(key="folder").disabled


@pytest.mark.parametrize("page", ["compare", "learn"])
def test_the_scan_goes_along_and_can_be_left(looked_at, page):
    to(looked_at, page)
    assert NAME in texts(looked_at)
    (toggle,) = (one for one in looked_at.toggle if one.label == "The scan from before")
    toggle.set_value(False).run()
    assert NAME not in texts(looked_at)
    assert looked_at.selectbox(key=f"{page} sample").value == "Malignant phantom 1"


def test_its_mask_goes_along(app):
    pixels, mask = phantom("malignant", 77)
    white = np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=-1)
    uploader = app.file_uploader(key="uploads")
    uploader.upload(NAME, png(pixels))
    uploader.upload("mine_mask.png", png(white)).run()
    to(app, "compare")
    assert NAME in texts(app)
    assert app.dataframe[0].value["recall"].notna().all(), "the lesion is known"


def test_it_is_there_on_return_until_it_is_removed(looked_at):
    to(to(looked_at, "about"), "classify")
    assert f"From before: {NAME}" in texts(looked_at)
    assert NAME in texts(looked_at)
    assert "What does a trained system see" not in titles(looked_at)
    looked_at.button(key="forget scan").click().run()
    assert "What does a trained system see" in titles(looked_at)
    to(looked_at, "compare")
    assert not [one for one in looked_at.toggle if one.label == "The scan from before"]


def test_another_upload_takes_its_place(looked_at):
    to(to(looked_at, "about"), "classify")
    looked_at.file_uploader(key="uploads").upload("other.png", png(phantom("normal", 5)[0])).run()
    assert f"From before: {NAME}" not in texts(looked_at)
    to(looked_at, "compare")
    assert "other.png" in texts(looked_at)


def test_a_sample_goes_along_too(app):
    app.selectbox(key="sample").select("Benign phantom 2").run()
    to(app, "compare")
    assert app.selectbox(key="compare sample").value == "Benign phantom 2"
    app.selectbox(key="compare sample").select("Normal phantom 1").run()
    to(app, "learn")
    assert app.selectbox(key="learn sample").value == "Normal phantom 1"
    to(app, "compare")
    assert app.selectbox(key="compare sample").value == "Normal phantom 1"


def test_a_file_that_cannot_be_read_does_not(app):
    app.file_uploader(key="uploads").upload("broken.png", b"\x89PNG\r\n\x1a\n and no more").run()
    to(app, "compare")
    assert "broken.png" not in texts(app)


def test_what_was_chosen_stands_on_return(app):
    app.selectbox(key="system").select(list_trained()[-1]).run()
    to(app, "learn")
    app.button_group(key="learn method").set_value("eigen-cam").run()
    to(app, "compare")
    app.pills(key="compare methods").set_value(["hires-cam"]).run()
    to(app, "learn")
    assert app.button_group(key="learn method").value == "eigen-cam"
    to(app, "compare")
    assert app.pills(key="compare methods").value == ["hires-cam"]
    to(app, "classify")
    assert app.selectbox(key="system").value == list_trained()[-1]
