"""A click on a download gets its file at the worst moment: when the server has already moved on.

The browser then still shows what the last run of the page drew. Between a run's end and the moment
it is drawn lie milliseconds or, on a slow line or a busy computer, seconds; here, as long as the
test holds back what the server sends.
"""

from __future__ import annotations

import json
import re
import time

import cv2
import numpy as np
import pytest
from conftest import PATIENCE
from dicoms import dicom
from playwright.sync_api import expect
from taking import settled

from core.datasets.phantoms import phantom

STEPS = 6
QUIET = 250  # ms without a message: the run is over


class Line:
    """The way from the server to a page; ``hold`` keeps its messages until ``release``."""

    def __init__(self, page) -> None:
        self.page, self.held, self.holding = page, [], False
        page.route_web_socket(re.compile("_stcore/stream"), self._connect)

    def _connect(self, browser) -> None:
        self.browser, server = browser, browser.connect_to_server()
        server.on_message(self._arrived)

    def _arrived(self, message) -> None:
        if self.holding:
            self.held.append(message)
        else:
            self.browser.send(message)

    def hold(self) -> None:
        self.holding = True

    def wait_until_quiet(self) -> None:
        """Until the server has answered and says no more."""
        count = -1
        while not self.held or count < len(self.held):
            count = len(self.held)
            self.page.wait_for_timeout(QUIET)

    def release(self) -> None:
        self.holding = False
        for message in self.held:
            self.browser.send(message)
        self.held.clear()


@pytest.fixture
def line(page) -> Line:
    opened = Line(page)
    page.reload()
    return opened


@pytest.fixture(scope="module")
def cine(tmp_path_factory):
    pixels = cv2.resize(phantom("malignant", 404)[0], (160, 120))
    path = tmp_path_factory.mktemp("dicom") / "cine.dcm"
    path.write_bytes(dicom(np.stack([np.roll(pixels, i, axis=1) for i in range(STEPS)]), "RGB"))
    return path


@pytest.mark.slow
def test_a_click_gets_the_file_of_what_it_was_made_on(page, line, cine):
    page.locator("input[type=file]").set_input_files(cine)
    page.get_by_text("Take it with you").click()
    button = page.get_by_role("button", name="Record (JSON)")
    expect(button).to_be_visible()
    frame = page.get_by_role("slider", name="Frame")
    for shown in range(1, STEPS):
        settled(page)
        line.hold()
        frame.press("ArrowRight")
        line.wait_until_quiet()
        with page.expect_download(timeout=PATIENCE) as started:
            button.evaluate("(button) => button.click()")
            line.release()
        record = json.loads(started.value.path().read_bytes())
        assert record["frame"] == shown - 1, "the frame that was seen, not the one to come"


@pytest.mark.slow
def test_a_click_gets_its_file_though_a_tick_was_just_set(page, line, cine):
    page.locator("input[type=file]").set_input_files(cine)
    page.get_by_text("Take it with you").click()
    button = page.get_by_role("button", name="Record (JSON)")
    expect(button).to_be_visible()
    for _ in range(STEPS):
        settled(page)
        line.hold()
        page.get_by_text("With the patient's data").click()
        line.wait_until_quiet()
        with page.expect_download(timeout=PATIENCE):
            button.evaluate("(button) => button.click()")
            line.release()


@pytest.mark.slow
def test_clicks_in_a_row_get_a_file_each(page, cine):
    """Also when the next input breaks off the run that makes them, and the browser is slow."""
    page.locator("input[type=file]").set_input_files(cine)
    page.get_by_text("Take it with you").click()
    expect(page.get_by_role("button", name="Record (JSON)")).to_be_visible()
    settled(page)
    slowly = page.context.new_cdp_session(page)
    slowly.send("Emulation.setCPUThrottlingRate", {"rate": 8})
    got = []
    page.on("download", lambda one: got.append(one.suggested_filename))
    for name in ("Report (PDF)", "Record (JSON)"):
        page.get_by_role("button", name=name).click()
    page.get_by_role("slider", name="Frame").press("ArrowRight")
    deadline = time.monotonic() + PATIENCE / 1000
    while len(got) < 2 and time.monotonic() < deadline:
        page.wait_for_timeout(QUIET)
    assert sorted(got) == ["lesionlens-record.json", "lesionlens-report.pdf"]
