"""On half a screen or a tablet held upright, with the sidebar open, every word can be read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from taking import settled

WORDS = (Path(__file__).parent / "words.js").read_text(encoding="utf-8")
NARROW = {"width": 820, "height": 1180}
CHARTS = {
    "": "three linked pictures",
    "compare": "as linked pictures",
    "data": "Shares|Images a class",
    "errors": "^Confusion matrix",
    "systems": "ROC and precision-recall",
    "learn": "while the scan is hidden",
}
"""Address of a page -> what its last chart is called."""


@pytest.mark.slow
@pytest.mark.parametrize("name", CHARTS)
def test_no_word_is_cut_or_lies_upon_another(browser, url, name):
    context = browser.new_context(viewport=NARROW)
    page = context.new_page()
    page.goto(f"{url}/{name}")
    if not name:
        page.get_by_role("button", name="Try the malignant phantom").click()
    page.get_by_role("figure", name=re.compile(CHARTS[name])).first.wait_for()
    settled(page)
    if not name:
        page.get_by_text("Look closer").click()
        page.get_by_role("figure", name=re.compile("beside it your view")).wait_for()
        settled(page)
    assert page.evaluate(WORDS) == []
    context.close()
