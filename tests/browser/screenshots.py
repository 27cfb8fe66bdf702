"""Take the screenshots of the documentation: ``python tests/browser/screenshots.py [PAGE]...``."""

from __future__ import annotations

import io
import re
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import serving
from PIL import Image

SAMPLE = "Malignant phantom 1"
IN_BOTH = {"classify"}
QUALITY = 75  # of WebP: text stays sharp, at a quarter of the size of PNG


def main() -> None:
    """One picture a page, of a synthetic scan; of those IN_BOTH one a theme."""
    with (
        tempfile.TemporaryDirectory() as folder,
        serving.dashboard(Path(folder) / "log.txt") as running,
        serving.chromium() as browser,
    ):
        for name in sys.argv[1:] or SCENES:
            for theme in ("light", "dark") if name in IN_BOTH else ("light",):
                _take(browser, running.url, theme, name)


def _take(browser, url: str, theme: str, name: str) -> None:
    scene, (width, height) = SCENES[name]
    page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
    page.set_default_timeout(120_000)  # the first page waits for the systems to be loaded
    page.goto(url)
    scene(page)
    page.mouse.move(0, 0)
    page.wait_for_timeout(2000)  # fonts, and the end of every fade
    target = serving.ROOT / "docs" / f"{name}-{theme}.webp"
    Image.open(io.BytesIO(page.screenshot())).save(target, quality=QUALITY, method=6)
    print(target.relative_to(serving.ROOT), f"{target.stat().st_size / 1000:.0f} kB")
    page.close()


def _classify(page) -> None:
    page.get_by_role("button", name=f"Try the {SAMPLE[0].lower()}{SAMPLE[1:-2]}").click()
    page.get_by_role("figure", name=re.compile("three linked pictures")).wait_for()


def _region(page) -> None:
    """The proposed outline, and the system that sees nothing outside it."""
    _classify(page)
    page.get_by_role("combobox", name="System").click()
    page.get_by_role("option", name=re.compile("on the outlined lesion$")).click()
    page.get_by_text(re.compile("A network drew this outline")).wait_for()
    page.get_by_text(re.compile("The region covers")).wait_for()
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def _compare(page) -> None:
    """The sample is there from the start."""
    page.get_by_role("button", name=re.compile("^Try the")).first.wait_for()
    page.get_by_role("link", name="Compare").click()
    page.get_by_role("figure", name=re.compile("as linked pictures")).wait_for()


def _learn(page) -> None:
    page.get_by_role("button", name=re.compile("^Try the")).first.wait_for()
    page.get_by_role("link", name="Learn").click()
    page.get_by_role("figure", name=re.compile("while the scan is hidden")).wait_for()


def _systems(page) -> None:
    """The table and the curves of the systems that are chosen at first."""
    page.get_by_role("button", name=re.compile("^Try the")).first.wait_for()
    page.get_by_role("link", name="Systems").click()
    page.get_by_role("figure", name=re.compile("ROC and precision-recall")).wait_for()


def _errors(page) -> None:
    page.get_by_role("button", name=re.compile("^Try the")).first.wait_for()
    page.get_by_role("link", name="Errors").click()
    page.get_by_role("combobox", name="System").click()
    page.get_by_role("option", name=re.compile("^EfficientNet-B0 with")).click()  # it errs more
    page.get_by_text("EfficientNet-B0 with mask overlay on BUSI").wait_for()
    page.get_by_text("Phantoms in place of its test images").click()
    page.get_by_text("no evidence of how good it is").wait_for()
    page.get_by_role("img", name=re.compile("phantom .* labelled")).first.wait_for()


def _data(page) -> None:
    page.get_by_role("button", name=re.compile("^Try the")).first.wait_for()
    page.get_by_role("link", name="Data").click()
    page.get_by_role("tab", name=re.compile("Intensity")).click()
    page.get_by_role("figure", name=re.compile("^Spread")).wait_for()


# The more pictures on a page, the smaller the window, since the files are kept in the repository.
SCENES: dict[str, tuple[Callable, tuple[int, int]]] = {
    "classify": (_classify, (1440, 1000)),
    "region": (_region, (1440, 1100)),
    "compare": (_compare, (1366, 768)),
    "learn": (_learn, (1366, 900)),
    "data": (_data, (1366, 900)),
    "errors": (_errors, (1366, 1000)),
    "systems": (_systems, (1366, 1330)),
}


if __name__ == "__main__":
    sys.exit(main())
