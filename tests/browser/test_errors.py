"""The errors page in a real browser: what is clicked, what answers, and what two readers keep.

On phantoms, so that it needs no data; the system that answers is a shipped one.
"""

from __future__ import annotations

import re
from urllib.parse import urlencode

import pytest
from conftest import open_page
from playwright.sync_api import expect
from taking import settled
from themes import pale_in_each

from core.checkpoints import list_trained
from core.recipes import load_recipe
from pages._errors_run import knows_phantoms

PAGE = "errors"
PATIENCE = 240_000  # ms, for the first answers on phantoms on a busy machine
TABS = {
    "Mistakes": "Most confused",
    "Why": "Each dot is the share",
    "Threshold": "A threshold chosen on these very images",
    "Notes": "nothing is ever overwritten",
}
"""Tab -> words that stand on it alone."""
CELLS = """() => {
  const chart = document.querySelector('.js-plotly-plot');
  const box = chart.querySelector('.nsewdrag').getBoundingClientRect();
  const texts = [...chart.querySelectorAll('.annotation-text')].map((one) => one.textContent);
  return {x: box.x, y: box.y, width: box.width, height: box.height, texts};
}"""


@pytest.fixture
def errors(browser, address):
    """The page on phantoms, by a link to that."""
    chosen = urlencode({"errors system": ultrasound_system(), "errors phantoms": "true"})
    with open_page(browser, f"{address}?{chosen}") as page:
        yield on_phantoms(page)


def ready(page):
    """The same by hand."""
    page.get_by_role("tab", name="Mistakes").wait_for()
    page.get_by_role("combobox", name="System").click()
    page.get_by_role("option", name=ultrasound_system(), exact=True).click()
    page.get_by_text("Phantoms in place of its test images").click()
    return on_phantoms(page)


def on_phantoms(page):
    page.get_by_text("no evidence of how good it is").wait_for(timeout=PATIENCE)
    page.get_by_role("figure", name=re.compile("^Confusion matrix")).wait_for()
    settled(page)
    return page


def ultrasound_system() -> str:
    """Title of the first system that can be asked about phantoms."""
    recipes = map(load_recipe, list_trained())
    found = [one.title for one in recipes if knows_phantoms(one)]
    return found[0] if found else pytest.skip("no system for ultrasound is shipped")


def click_cell(page, row: int, column: int, across: float = 0.5) -> int:
    """Click into a cell of the matrix, ``across`` its width; the count that it shows."""
    cells = page.evaluate(CELLS)
    size = round(len(cells["texts"]) ** 0.5)
    page.mouse.click(
        cells["x"] + cells["width"] * (column + across) / size,
        cells["y"] + cells["height"] * (row + 0.5) / size,
    )
    return int(cells["texts"][row * size + column])


def first_image(page):
    return page.get_by_role("button", name=re.compile(r"^[a-z]+.phantom \d+$")).first


@pytest.mark.slow
def test_a_click_anywhere_in_a_cell_shows_its_images(errors):
    count = click_cell(errors, 0, 0, across=0.05)
    errors.get_by_role("heading", name=f"benign called benign, right ({count})").wait_for()
    settled(errors)
    count = click_cell(errors, 1, 0, across=0.95)
    errors.get_by_role("heading", name=f"malignant called benign ({count})").wait_for()
    settled(errors)
    click_cell(errors, 1, 0)  # again: all mistakes
    errors.get_by_role("heading", name=re.compile(r"^All mistakes \(\d+\)")).wait_for()


def test_the_keyboard_reaches_the_same_images(errors):
    box = errors.get_by_role("combobox", name=re.compile("Show"))
    box.focus()
    errors.keyboard.press("ArrowDown")
    errors.get_by_role("option", name=re.compile("^All mistakes")).wait_for()
    errors.keyboard.type("benign called benign")
    expect(errors.get_by_role("option")).to_have_count(1)
    errors.keyboard.press("Enter")
    chosen = errors.get_by_role("heading", name=re.compile("benign called benign, right"))
    expect(chosen).to_be_visible()


@pytest.mark.slow
def test_heatmaps_are_laid_over_the_pictures(errors):
    expect(errors.get_by_role("img", name=re.compile("with its heatmap"))).to_have_count(0)
    errors.get_by_role("combobox", name=re.compile("Heatmap")).click()
    errors.get_by_role("option", name="Grad-CAM", exact=True).click()
    errors.get_by_role("img", name=re.compile("with its heatmap")).first.wait_for(timeout=PATIENCE)


@pytest.mark.slow
def test_two_readers_see_each_others_notes(errors, browser, address):
    first_image(errors).click()
    dialog = errors.get_by_role("dialog")
    dialog.get_by_role("figure", name=re.compile("three linked pictures")).wait_for(
        timeout=PATIENCE
    )
    settled(errors)
    dialog.get_by_role("radio", name="I disagree").click()
    dialog.get_by_label("Comment").fill("*not* what it seems")
    dialog.get_by_label("Your name or initials").fill("AB")
    dialog.get_by_role("button", name="Save note").click()
    dialog.get_by_text("AB disagrees with the label: *not* what it seems").wait_for()
    expect(errors.get_by_role("alert").filter(has_text="wrong")).to_have_count(0)

    with open_page(browser, address) as other:
        ready(other)
        first_image(other).click()
        other.get_by_role("dialog").get_by_text("AB disagrees with the label").wait_for()
        settled(other)
        other.keyboard.press("Escape")
        expect(other.get_by_role("dialog")).to_have_count(0)


@pytest.mark.slow
def test_a_note_that_was_not_kept_is_told_of_where_its_image_was_closed_at_once(errors):
    first_image(errors).click()
    dialog = errors.get_by_role("dialog")
    dialog.get_by_label("Comment").fill("of nobody")
    settled(errors)
    dialog.get_by_role("button", name="Save note").click()
    errors.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    told = errors.get_by_role("alert").filter(has_text="was not kept. Write your name")
    expect(told).to_be_visible(timeout=PATIENCE)


@pytest.mark.slow
def test_the_threshold_answers_the_keyboard_at_once(errors):
    errors.get_by_role("tab", name="Threshold").click()
    slider = errors.get_by_role("slider")
    slider.wait_for()
    settled(errors)
    slider.focus()
    errors.keyboard.press("End")
    expect(errors.get_by_test_id("stMetricValue").nth(1)).to_have_text("100 %")
    errors.get_by_role("button", name="Operating point").click()
    expect(errors.get_by_role("button", name="Operating point")).to_be_disabled()


@pytest.mark.slow
def test_text_is_readable_in_both_themes(errors):
    for tab, told in TABS.items():
        errors.get_by_role("tab", name=tab).click()
        errors.get_by_text(told).first.wait_for()
        for pale in pale_in_each(errors):
            # What a slider says of itself stands above its thumb, not on it.
            thumbs = errors.get_by_test_id("stSliderThumbValue").all_inner_texts()
            assert [text for text in pale if text not in thumbs] == [], tab


def test_the_page_opens_with_or_without_data(page):
    page.get_by_role("heading", name=re.compile(r"^\d+ mistakes")).wait_for()
    settled(page)
    told = page.get_by_text("Set LESIONLENS_DATA to a folder")
    pictures = page.get_by_role("img", name=re.compile("labelled"))
    expect(told.or_(pictures).first).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("Most confused")).to_be_visible()
