"""How long the server remembers what it made of a scan, and for whom. In memory, never on disk."""

from __future__ import annotations

import ctypes
import sys
from collections import OrderedDict
from collections.abc import Callable
from functools import wraps
from threading import Event, Lock, Timer
from typing import TYPE_CHECKING

import streamlit as st

if TYPE_CHECKING:
    from core.scans import Scan
    from pages._views import View

KEPT = "1h"
"""How long anything made of a scan may stay in memory after it was last computed."""

_WAIT = 2.0  # seconds: until all that goes together is gone
_due = Event()


def give_back(_released: object) -> None:
    """Soon after a scan was released, hand the memory that it filled to the system, where glibc
    would keep it for later."""
    if sys.platform == "linux" and not _due.is_set():
        _due.set()
        timer = Timer(_WAIT, _trim)
        timer.daemon = True
        timer.start()


def _trim() -> None:
    _due.clear()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    if trim:
        trim(0)


class Shelf:
    """The scans that were read last, up to ``most`` of them and so many bytes; the newest always
    stays."""

    def __init__(self, most: int, most_bytes: int):
        self._most, self._most_bytes = most, most_bytes
        self._held: OrderedDict[str, Scan] = OrderedDict()
        self._lock = Lock()

    def get(self, digest: str, read: Callable[[], Scan]) -> Scan:
        """The scan of a digest, read if it is not there."""
        with self._lock:
            if digest not in self._held:
                self._held[digest] = read()
                self._make_room()
            self._held.move_to_end(digest)
            return self._held[digest]

    def _make_room(self) -> None:
        while len(self._held) > 1 and self._too_much():
            give_back(self._held.popitem(last=False))

    def _too_much(self) -> bool:
        held = self._held.values()
        return len(held) > self._most or sum(one.nbytes for one in held) > self._most_bytes


def _key(view: View) -> tuple:
    return view.key


def keep(key: Callable[[View], tuple] = _key, **limits) -> Callable:
    """Remember a function of a view, ``f(key, *arguments, _view)``; it is called ``f(view, ...)``.

    What is made of an upload goes when the session ends in which it was uploaded; what is made of
    a synthetic sample is shared by all. ``limits`` are those of ``st.cache_data``, for each of
    the two. Arguments whose names begin with an underscore do not count as part of the question.
    """

    def decorate(function: Callable) -> Callable:
        settings = {"ttl": KEPT, "show_spinner": False, **limits}
        shared, own = (
            st.cache_data(scope=scope, **settings)(function) for scope in ("global", "session")
        )

        @wraps(function)
        def remembered(view: View, *arguments):
            cache = shared if view.item.synthetic else own
            return cache(key(view), *arguments, _view=view)

        return remembered

    return decorate
