"""A page in both of its themes, one after the other, and what of it can be read in them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from playwright.sync_api import expect
from taking import settled

CONTRAST = (Path(__file__).parent / "contrast.js").read_text(encoding="utf-8")
READABLE = 4.5  # WCAG 2, level AA, for text of normal size
WHITE = "rgb(255, 255, 255)"
FADED = 1000  # ms; the end of every fade


def pale_in_each(page) -> Iterator[list[str]]:
    """The texts that are too pale to be read, in dark and then in light colours, which a page takes
    on when the computer's setting changes."""
    ground = expect(page.get_by_test_id("stApp"))
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        wanted = ground.to_have_css if theme == "light" else ground.not_to_have_css
        wanted("background-color", WHITE)
        settled(page)
        page.wait_for_timeout(FADED)
        yield pale(page)


def pale(page) -> list[str]:
    """The texts that are too pale to be read."""
    return [one["text"] for one in page.evaluate(CONTRAST) if one["ratio"] < READABLE]
