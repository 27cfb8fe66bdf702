"""The dashboard on a free port, and a Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
START_SECONDS, STOP_SECONDS = 180, 20  # of a busy machine
CHROMIUM_ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@dataclass(frozen=True)
class Dashboard:
    """A running server: its address, and the file that takes what it prints."""

    url: str
    log: Path


@contextmanager
def dashboard(log: Path) -> Iterator[Dashboard]:
    """Serve the dashboard until the block ends. Raises RuntimeError if it does not start."""
    port = _free_port()
    command = [sys.executable, "-m", "streamlit", "run", "app.py", "--server.headless=true"]
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, f"--server.port={port}"], cwd=ROOT, stdout=output, stderr=output
        )
    try:
        _wait(server, f"http://localhost:{port}/_stcore/health", log)
        yield Dashboard(f"http://localhost:{port}", log)
    finally:
        _stop(server)


@contextmanager
def chromium() -> Iterator:
    """A headless browser of Playwright."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=find_chromium(), args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()


def find_chromium() -> str | None:
    """Path of the browser: CHROMIUM, or what the system has."""
    return os.environ.get("CHROMIUM") or shutil.which("chromium")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def _stop(server: subprocess.Popen) -> None:
    server.terminate()
    try:
        server.wait(timeout=STOP_SECONDS)
    except subprocess.TimeoutExpired:  # a network in the middle of a scan hears nothing
        server.kill()
        server.wait()


def _wait(server: subprocess.Popen, url: str, log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError(f"The dashboard did not start:\n{log.read_text(errors='replace')}")
