"""What is made of an upload goes with its session; what is made of a sample is shared."""

from __future__ import annotations

import sys
from time import monotonic, sleep
from types import SimpleNamespace

import numpy as np
import pytest
import streamlit as st
from streamlit.runtime.caching import cache_data_api, cache_utils
from streamlit.runtime.caching import clear_session_data_cache as end_of_session

from core.scans import Scan, ScanError
from pages import _keeping, _uploads
from pages._keeping import Shelf, give_back, keep
from pages._scans import Item
from pages._views import View


@pytest.fixture
def session(monkeypatch):
    """Tells Streamlit in whose session the test is: ``session("name")``."""

    def enter(name: str) -> None:
        monkeypatch.setattr(cache_data_api, "get_session_id_or_throw", lambda: name)

    yield enter
    st.cache_data.clear()


@pytest.fixture
def doubled():
    """A function that is kept, and the numbers that it was really asked for."""
    asked = []

    @keep(max_entries=4)
    def double(key: tuple, number: int, *, _view: View) -> int:
        asked.append(number)
        return 2 * number

    return double, asked


def view(synthetic: bool, digest: str = "x") -> View:
    return View(Item("scan", digest, bytes, synthetic=synthetic), 0, "busi-mobilenetv2")


def test_an_upload_is_remembered_for_its_own_session_alone(session, doubled):
    double, asked = doubled
    session("one")
    assert [double(view(False), 3), double(view(False), 3)] == [6, 6]
    assert asked == [3]
    session("other")
    assert double(view(False), 3) == 6
    assert asked == [3, 3]
    end_of_session("one")
    assert double(view(False), 3) == 6
    assert asked == [3, 3]  # the other session lost nothing
    session("one")
    assert double(view(False), 3) == 6
    assert asked == [3, 3, 3]


def test_a_sample_is_remembered_for_all(session, doubled):
    double, asked = doubled
    for name in ("one", "other"):
        session(name)
        assert double(view(True), 3) == 6
        end_of_session(name)
    assert asked == [3]


@pytest.mark.parametrize(
    "fact_of",
    [
        lambda read: _uploads._digest("file", SimpleNamespace(getbuffer=read)),
        lambda read: _uploads._facts("file", 0, read),
    ],
    ids=["hash", "hash and place in a series"],
)
def test_what_is_known_of_an_upload_is_forgotten_after_an_hour(monkeypatch, fact_of):
    now, times = [0.0], []
    monkeypatch.setattr(cache_utils, "TTLCACHE_TIMER", lambda: now[0])
    st.cache_data.clear()
    for now[0] in (0.0, 3599.0, 3601.0):
        fact_of(lambda: times.append(now[0]) or b"no scan")
    assert times == [0, 3601]
    st.cache_data.clear()


def test_another_scan_or_argument_is_another_question(session, doubled):
    double, asked = doubled
    session("one")
    for digest, number in (("x", 3), ("y", 3), ("x", 4)):
        assert double(view(False, digest), number) == 2 * number
    assert asked == [3, 3, 4]


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone keeps what was freed")
def test_scans_that_go_together_are_given_back_at_once(monkeypatch):
    trims = []
    monkeypatch.setattr(_keeping, "_WAIT", 0.3)
    libc = SimpleNamespace(malloc_trim=trims.append)
    monkeypatch.setattr(_keeping.ctypes, "CDLL", lambda _: libc)
    for round_ in (1, 2):
        for _ in range(5):
            give_back(None)
        deadline = monotonic() + 20
        while len(trims) < round_ and monotonic() < deadline:
            sleep(0.05)
        sleep(0.5)  # no second one follows
        assert trims == [0] * round_


def scan(rows: int) -> Scan:
    return Scan(np.zeros((1, rows, 10, 3), np.uint8), overlay=np.zeros((1, rows, 10), bool))


def test_a_shelf_keeps_what_was_asked_for_last_within_its_bytes():
    shelf, asked = Shelf(most=3, most_bytes=40 * 100), []

    def get(digest: str, rows: int) -> None:
        shelf.get(digest, lambda: asked.append(digest) or scan(rows))

    for digest in "abcab":
        get(digest, 10)
    assert asked == list("abc"), "400 bytes each"
    get("d", 10)
    get("c", 10)
    assert asked == list("abcdc"), "of four, the one that was asked for longest ago went"
    get("large", 99)
    get("large", 99)
    assert asked[5:] == ["large"]
    get("d", 10)
    assert asked[6:] == ["d"], "beside the large one there was no room"


def test_what_cannot_be_read_is_not_kept():
    shelf = Shelf(most=3, most_bytes=1000)

    def fail() -> Scan:
        raise ScanError("Broken.")

    with pytest.raises(ScanError):
        shelf.get("a", fail)
    assert shelf.get("a", lambda: scan(1)).pixels.shape == (1, 1, 10, 3)
