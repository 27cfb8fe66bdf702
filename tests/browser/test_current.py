"""An upload goes from page to page in a real browser, where leaving a page drops its files."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from core.datasets.phantoms import phantom
from core.png import png


@pytest.mark.slow
def test_an_upload_is_explained_on_the_next_page_and_there_on_return(page, tmp_path):
    file = tmp_path / "mine.png"
    file.write_bytes(png(phantom("benign", 77)[0]))
    page.get_by_role("button", name="Try the malignant phantom").wait_for()
    page.locator("input[type=file]").first.set_input_files(file)
    page.get_by_role("figure", name=re.compile("three linked pictures")).wait_for()
    page.get_by_role("link", name="Learn").click()
    page.get_by_role("figure", name=re.compile("while the scan is hidden")).wait_for()
    page.get_by_text("The scan from before").wait_for()
    page.get_by_role("link", name="Classify").click()
    page.get_by_text("From before: mine.png").wait_for()
    page.get_by_role("figure", name=re.compile("three linked pictures")).wait_for()
    page.get_by_role("button", name="Remove").click()
    page.get_by_role("button", name="Try the malignant phantom").wait_for()
    expect(page.get_by_role("alert")).to_have_count(0)
