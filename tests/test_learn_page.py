"""The learn page without a browser, with shipped systems: what is shown, of what, how often."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import streamlit as st
from dicoms import dicom
from streamlit.testing.v1 import AppTest

from core.checkpoints import DEFAULT, list_trained
from core.datasets.phantoms import phantom
from core.explain import METHODS
from core.lessons import LESSONS
from core.picture_size import size_within
from core.png import png
from core.recipes import load_recipe
from pages import _lessons, _views
from pages._scans import item_of
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
FIRST = DEFAULT

pytestmark = [
    pytest.mark.skipif(FIRST not in list_trained(), reason=f"{FIRST} is not trained"),
    pytest.mark.usefixtures("loaded_once"),
]


@pytest.fixture(scope="module", autouse=True)
def nothing_kept() -> None:
    """What other tests left, of systems that were none, is forgotten; what these keep is real."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(monkeypatch) -> AppTest:
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    page = AppTest.from_file(str(APP), default_timeout=120).run()
    return page.switch_page("pages/learn.py").run()


def method(page: AppTest, method_id: str) -> AppTest:
    return page.button_group(key="learn method").set_value(method_id).run()


def titles(page: AppTest) -> list[str]:
    return [one.value for one in page.subheader if one.value[:1].isdigit()]


def test_steps_are_numbered_and_end_in_the_trial(page):
    assert not page.exception
    assert not page.error
    found = titles(page)
    assert [one.partition(".")[0] for one in found] == [str(n + 1) for n in range(len(found))]
    assert found[0] == "1. The network describes the scan"
    assert found[-1].endswith("Does the map hold?")
    assert "of them" in words(page)


@pytest.mark.slow
def test_every_method_has_its_lesson(page):
    for method_id in LESSONS:
        method(page, method_id)
        assert not page.exception
        assert not page.error
        assert METHODS[method_id].paper in words(page)
        assert len(titles(page)) >= 5


def test_another_class_is_another_lesson(page):
    before = words(page)
    explained = next(
        one for one in page.button_group if (one.key or "").startswith("learn explained")
    )
    explained.set_value("benign").run()
    assert not page.exception
    assert "*benign*" in words(page)
    assert "*benign*" not in before


def test_parameters_of_the_method_are_used(page):
    method(page, "dt-grad-cam")
    assert "16 copies" in words(page)
    page.slider(key="learn dt-grad-cam n").set_value(4).run()
    assert "4 copies" in words(page)


@pytest.mark.slow
def test_a_lesson_is_computed_once(page, monkeypatch):
    st.cache_data.clear()
    method(page, "grad-cam")
    asked = []
    for name, lesson in LESSONS.items():
        monkeypatch.setitem(
            _lessons.LESSONS,
            name,
            lambda scene, name=name, lesson=lesson: asked.append(name) or lesson(scene),
        )
    method(page, "eigen-cam")
    method(page, "grad-cam")
    method(page, "eigen-cam")
    assert asked == ["eigen-cam"]


def test_an_earlier_layer_has_its_own_channels(page):
    page.selectbox(key=f"learn layer {FIRST}").select("block3").run()
    assert not page.exception
    assert "48 maps of 40 × 40 numbers" in words(page)


def test_a_system_that_sees_the_outline_alone(page):
    outlined = next(
        (one for one in list_trained() if load_recipe(one).preprocessing.outlined), None
    )
    if outlined is None:
        pytest.skip("no system of outlined lesions is trained")
    page.selectbox(key="learn system").select(outlined).run()
    assert not page.exception
    assert titles(page)


def test_a_scan_that_cannot_be_read_gets_a_sentence(page):
    page.file_uploader(key="learn upload").upload(
        "broken.png", b"\x89PNG\r\n\x1a\n and no more"
    ).run()
    assert not page.exception
    assert "damaged" in page.error[0].value


def test_pictures_lie_as_in_the_body(page, in_a_session):
    flat = phantom("benign", 4)[0][::2, :, 0]  # every other line of the scan
    made = dicom(flat, PixelAspectRatio=["2", "1"])
    page.file_uploader(key="learn upload").upload("flat.dcm", made).run()
    assert not page.exception
    shown = _lessons._picture(_views.View(item_of("flat.dcm", made), 0, FIRST))
    height, width = 2 * flat.shape[0], flat.shape[1]
    assert shown.shape[:2] == size_within(height, width, _lessons.LARGEST_SIDE)


@pytest.mark.parametrize("shape", [(1, 400), (3, 700), (400, 1)], ids=str)
def test_a_scan_of_one_line_has_its_lesson(page, shape):
    line = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    page.file_uploader(key="learn upload").upload("line.png", png(line)).run()
    assert not page.exception and not page.error
    assert titles(page)


def test_a_photograph_gets_no_unmarked_lesson(page):
    """Bright stripes of all colours are no ultrasound."""
    stripes = np.zeros((90, 120, 3), np.uint8)
    stripes[:, ::3, 0], stripes[:, 1::3, 1], stripes[:, 2::3, 2] = 255, 200, 240
    page.file_uploader(key="learn upload").upload("stripes.png", png(stripes)).run()
    assert not page.exception
    (warning,) = page.warning
    assert load_recipe(FIRST).title in warning.value
    assert "does not look like what the system was trained on" in warning.value


def test_a_synthetic_scan_is_not_doubted(page):
    assert not page.warning
