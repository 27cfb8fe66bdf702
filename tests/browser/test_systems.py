"""The systems page in a real browser: tables, views and what can be taken away."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pandas as pd
import pytest
from playwright.sync_api import expect
from taking import settled
from themes import pale_in_each

from core.recipes import list_recipes

PAGE = "systems"
FIGURES = {
    "Curves": "ROC and precision-recall of",
    "Reliability": "Reliability diagrams:",
    "Training": "Training curves:",
    "Confusion": "Confusion matrices,",
}


@pytest.fixture
def systems(page):
    return ready(page)


def ready(page):
    expect(figure(page, "Curves")).to_be_visible()
    return page


def figure(page, view: str):
    return page.get_by_role("figure", name=re.compile(FIGURES[view]))


def open_view(page, name: str) -> None:
    page.get_by_role("tab", name=name).click()
    expect(page.get_by_role("tab", name=name)).to_have_attribute("aria-selected", "true")


def download(page, button) -> bytes:
    settled(page)
    with page.expect_download() as started:
        button.click()
    return Path(started.value.path()).read_bytes()


def test_headings_that_repeat_what_stands_there_take_no_room(systems):
    for level, name in ((1, "Systems"), (2, "Curves")):
        heading = systems.get_by_role("heading", level=level, name=name, exact=True)
        expect(heading).to_have_count(1)
        room = heading.locator("xpath=ancestor::*[contains(@class, 'st-key-unseen')]/..")
        assert room.bounding_box()["height"] == 1
        assert room.evaluate("one => getComputedStyle(one).position") == "absolute"
    expect(systems.get_by_role("heading", level=1)).to_have_count(1)


@pytest.mark.slow
def test_every_view_opens_and_none_fails(systems):
    for name in FIGURES:
        open_view(systems, name)
        expect(figure(systems, name)).to_be_visible()
    open_view(systems, "Tests")
    expect(
        systems.get_by_text("Right answers").or_(systems.get_by_text("two systems"))
    ).to_be_visible()
    open_view(systems, "Explanations")
    expect(systems.get_by_role("combobox", name=re.compile("Explanations of"))).to_be_visible()
    open_view(systems, "Cards")
    expect(systems.get_by_text("Intended use.").first).to_be_visible()
    expect(systems.get_by_text("Something unexpected")).to_have_count(0)


@pytest.mark.slow
def test_the_other_split_changes_the_figure(systems):
    expect(systems.get_by_role("figure", name=re.compile("grouped split"))).to_be_visible()
    systems.get_by_role("radio", name="Random split").click()
    expect(systems.get_by_role("figure", name=re.compile("random split"))).to_be_visible()


def test_all_figures_can_be_taken_away(systems):
    data = download(systems, systems.get_by_role("button", name="All figures (CSV)"))
    table = pd.read_csv(io.BytesIO(data))
    assert len(table) == 3 * len(list_recipes())
    assert {"accuracy", "accuracy_low", "accuracy_high", "n", "figures"} <= set(table.columns)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "start"), [("PNG", b"\x89PNG"), ("SVG", b"<svg")])
def test_a_figure_can_be_saved(systems, name, start):
    systems.get_by_role("radio", name=name).click()
    expect(systems.get_by_role("radio", name=name)).to_be_checked()
    figure(systems, "Curves").hover()
    camera = systems.locator(".modebar-btn[data-title*='Download plot']").first
    expect(camera).to_be_visible()
    expect(camera).to_have_attribute(
        "data-title", "Download plot as a PNG" if name == "PNG" else "Download plot"
    )
    assert download(systems, camera)[:4] == start


@pytest.mark.slow
def test_text_is_readable_in_both_themes(systems):
    for name in ("Training", "Confusion", "Tests", "Curves"):
        open_view(systems, name)
        if name in FIGURES:
            expect(figure(systems, name)).to_be_visible()
        for pale in pale_in_each(systems):
            # A cell's colour is that of a rectangle behind the text, which the style does not
            # tell; tests/test_system_figures.py checks it.
            assert [text for text in pale if not re.fullmatch(r"\d+", text)] == []
