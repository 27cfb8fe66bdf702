"""Server and browser, shared by the tests of this folder, which are skipped where one cannot be."""

from __future__ import annotations

import re
from contextlib import contextmanager
from functools import cache

import pytest
import serving
from playwright.sync_api import expect

from core.checkpoints import list_trained

PATIENCE = 45_000  # ms; what a page shows is awaited, never taken at one glance
AT_FIRST = 180_000  # ms; the first answer of a server waits for all that it imports

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="session")
def dashboard(tmp_path_factory):
    if not list_trained():
        pytest.skip("the folder 'checkpoints' holds no trained system")
    folder = tmp_path_factory.mktemp("server")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LESIONLENS_NOTES", str(folder / "notes.sqlite"))  # not the user's own
        with serving.dashboard(folder / "log.txt") as running:
            yield running


@pytest.fixture(scope="session")
def browser():
    if serving.find_chromium() is None:
        pytest.skip("no Chromium was found: install one, or name it in CHROMIUM")
    with serving.chromium() as running:
        yield running


@pytest.fixture(scope="session")
def url(browser, dashboard) -> str:
    """Address of the dashboard, which has answered before."""
    with open_page(browser, dashboard.url) as first:
        first.set_default_timeout(AT_FIRST)
        first.get_by_role("button", name="Try the malignant phantom").click()
        first.get_by_role("figure", name=re.compile("three linked pictures")).wait_for()
    return dashboard.url


@pytest.fixture
def address(request, url) -> str:
    """Of the page that the tests of a file call ``PAGE``, else of the classify page."""
    return f"{url}/{getattr(request.module, 'PAGE', '')}"


@pytest.fixture
def page(browser, address):
    """The page in light colours; ``page.hosts`` collects whom the browser asks."""
    with open_page(browser, address) as opened:
        yield opened


@cache
def context_of(browser, theme: str):
    """One for all tests of a theme, so that scripts are fetched and compiled once."""
    return browser.new_context(viewport={"width": 1366, "height": 900}, color_scheme=theme)


@contextmanager
def open_page(browser, url: str, theme: str = "light"):
    """A new tab, which is a session of its own."""
    page = context_of(browser, theme).new_page()
    page.set_default_timeout(PATIENCE)
    page.hosts = set()
    page.on("request", lambda request: page.hosts.add(request.url.split("/")[2]))
    page.goto(url)
    yield page
    page.close()
