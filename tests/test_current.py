"""One scan on all pages: what was looked at on Classify is there on the others, and on return."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.archives import pack
from core.checkpoints import list_trained
from core.datasets.phantoms import phantom
from core.drawn_region import Shapes
from core.png import png
from pages._looked_at import AS_IN_THE_FILE

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


def tiff(frames: np.ndarray) -> bytes:
    first, *others = map(Image.fromarray, frames)
    file = io.BytesIO()
    first.save(file, "TIFF", save_all=True, append_images=others)
    return file.getvalue()


def texts(app: AppTest) -> list[str]:
    return [one.value for one in app.text]


def titles(app: AppTest) -> str:
    return " ".join(str(one.value) for one in (*app.header, *app.subheader))


@pytest.fixture
def several(app) -> AppTest:
    """Three uploads on Classify, of which the second is looked at."""
    uploader = app.file_uploader(key="uploads")
    for number in (78, 79, 80):
        uploader.upload(f"{number}.png", png(phantom("benign", number)[0]))
    app.run()
    app.selectbox(key="shown").select(1).run()
    return app


@pytest.mark.slow
def test_all_scans_are_there_on_return_and_the_same_is_looked_at(several):
    table = several.dataframe[0].value
    assert several.toggle(key="folder").disabled
    to(to(several, "compare"), "classify")
    for _ in range(2):
        assert "From before: 3 scans" in texts(several)
        assert several.selectbox(key="shown").value == 1
        assert "79.png" in texts(several)
        assert several.dataframe[0].value.equals(table)
        several.run()
    assert not several.toggle(key="folder").disabled
    several.button(key="forget scan").click().run()
    assert "What does a trained system see" in titles(several)


@pytest.mark.slow
def test_of_two_files_of_the_same_bytes_that_is_looked_at_which_was(app):
    uploader, (pixels, mask) = app.file_uploader(key="uploads"), phantom("malignant", 77)
    white = np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=-1)
    uploader.upload(NAME, png(pixels)).upload("mine_mask.png", png(white))
    uploader.upload("copy.png", png(pixels)).run()
    app.selectbox(key="shown").select(1).run()
    to(app, "learn")
    assert app.selectbox(key="learn among").value == 1
    to(app, "classify")
    assert app.selectbox(key="shown").value == 1
    assert "copy.png" in texts(app)


def test_what_was_chosen_for_a_scan_goes_with_it(looked_at):
    def region():
        return next(o for o in looked_at.segmented_control if o.label == "Region of interest")

    region().set_value("Draw").run()
    to(to(looked_at, "about"), "classify")
    assert region().value == "Draw"
    looked_at.button(key="forget scan").click().run()
    data = png(phantom("benign", 77)[0])
    looked_at.file_uploader(key="uploads").upload("again.png", data).run()
    assert region().value == "Whole image"


@pytest.mark.slow
@pytest.mark.parametrize("page", ["compare", "learn"])
def test_each_of_several_scans_can_be_explained(several, page):
    to(several, page)
    choice = several.selectbox(key=f"{page} among")
    assert choice.value == 1
    assert choice.options == ["Scan 1: 78.png", "Scan 2: 79.png", "Scan 3: 80.png"]
    choice.select(2).run()
    assert several.selectbox(key=f"{page} among").value == 2
    to(several, "classify")
    assert several.selectbox(key="shown").value == 2
    assert "80.png" in texts(several)


@pytest.mark.slow
def test_a_sample_does_not_take_their_place(several):
    several.selectbox(key="sample").select("Benign phantom 2").run()
    to(several, "learn")
    (toggle,) = (one for one in several.toggle if one.label == "The scan from before")
    assert not toggle.value, "the sample was looked at last"
    toggle.set_value(True).run()
    assert several.selectbox(key="learn among").value == 1
    to(several, "classify")
    several.selectbox(key="sample").select(None).run()
    assert "From before: 3 scans" in texts(several)
    assert several.selectbox(key="shown").value == 1
    several.file_uploader(key="uploads").upload("other.png", png(phantom("normal", 5)[0])).run()
    to(to(several, "compare"), "classify")
    assert "From before: other.png" in texts(several)


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.parametrize(
    ("way", "drawn"), [("shapes", Shapes([{"x": [40, 90], "y": [40, 90]}], [])), ("keyboard", True)]
)
def test_the_frame_and_what_is_drawn_are_the_same_on_all_pages(app, way, drawn):
    frames = np.stack([phantom("benign", number)[0] for number in (77, 78, 79)])
    app.file_uploader(key="uploads").upload("sweep.tif", tiff(frames)).run()

    def frame():
        return next(one for one in app.slider if one.label == "Frame")

    def drawing():
        return next(one for one in app.toggle if one.label == "Draw the lesion")

    frame().set_value(3).run()
    to(app, "compare")
    assert frame().value == 3 and not drawing().value
    frame().set_value(2).run()
    digest = frame().key.removeprefix("frame ")
    to(app, "classify")
    assert frame().value == 2
    app.session_state[f"{way} drawn on {digest} 1"] = drawn
    app.session_state[f"look {digest}"] = "a view of the user's own"
    to(app, "learn")
    assert frame().value == 2
    assert AS_IN_THE_FILE in " ".join(str(one.value) for one in app.markdown)
    to(app, "compare")
    assert drawing().value


def test_an_archive_of_images_is_there_on_return_until_it_is_removed(app):
    files = {f"{label}/1.png": png(phantom(label, 1)[0]) for label in ("benign", "malignant")}
    to(app, "data")
    app.file_uploader(key="data upload").upload("own.zip", pack(files)).run()
    assert "own.zip" in titles(app)
    to(to(app, "about"), "data")
    assert "own.zip" in titles(app) and "From before: own.zip" in texts(app)
    app.button(key="forget data").click().run()
    assert "own.zip" not in titles(app) + " ".join(texts(app))
