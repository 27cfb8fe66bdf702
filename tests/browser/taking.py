"""Taking a file away from a page, and waiting until it is ready for that."""

from __future__ import annotations

from pathlib import Path


def settled(page) -> None:
    """Wait until no script runs: one that does draws pictures anew and replaces what can be
    downloaded."""
    page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]').wait_for()


def taken(page, name: str) -> bytes:
    """What a click on the download button of this name gives."""
    button = page.get_by_role("button", name=name)
    button.wait_for()
    settled(page)
    with page.expect_download() as started:
        button.click()
    return Path(started.value.path()).read_bytes()
