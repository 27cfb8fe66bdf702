"""Files made on demand: a click on their button gets one, of what was shown at the click.

Streamlit's own button for a file that is made when it is asked for holds the id of one run of the
page: ``MediaFileManager.remove_orphaned_files`` forgets it at the end of the next run of any
session, before the browser knows the new id, and the click is lost. Here a click is an ordinary
input, and the file travels in the answer to it. ``runner.fastReruns`` has to be off: with it
``AppSession.request_rerun`` forgets a click that waits for its turn when another input follows.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from uuid import uuid4

import pandas as pd
import streamlit as st

from core.refusal import Refusal
from pages._frame import HERE, UNEXPECTED, fragment, plain

VIEWS_KEPT = 3
"""Of how many views the offers are kept: a click may come from one that the page just left."""

HANDED_OVER = 30
"""Seconds after which a file is surely saved. Until then each run sends it and the browser saves it
once: a slow one may not draw what a run sends if the next run follows at once."""

_log = logging.getLogger("lesionlens")
_save = st.components.v2.component(
    "save_file", js=Path(__file__).with_name("save_file.js").read_text(encoding="utf-8")
)


@dataclass(frozen=True)
class Offer:
    """A button and what makes its file; ``make`` may raise ScanError or CheckpointError."""

    label: str
    make: Callable[[], bytes]
    file_name: str
    icon: str = ":material/download:"
    help: str | None = None


@dataclass
class _Desk:
    """What a session is offered at one place of a page, its clicks that wait for their file, and
    by click the files that were made: when, and what is sent."""

    offered: dict[str, Offer] = field(default_factory=dict)
    asked: dict[str, str] = field(default_factory=dict)
    made: dict[str, tuple[float, bytes]] = field(default_factory=dict)


@fragment
def show_downloads(place: str, offers: Sequence[Offer], view: object = "") -> None:
    """The buttons, and below them, for a moment, what hands over their files."""
    with st.container(horizontal=True):
        show_buttons(place, offers, view)
    hand_over(place)


def show_buttons(place: str, offers: Sequence[Offer], view: object = "") -> None:
    """The buttons, one after another; ``hand_over`` has to follow in the same fragment.

    ``view`` tells all that the files are about: a click that was made on another view, just before
    the page changed, still gets the file of that one.
    """
    desk, view = _desk(place), hashlib.sha256(repr(view).encode()).hexdigest()
    for offer in offers:
        key = f"{offer.label} {place} {view}"
        desk.offered.pop(key, None)  # the newest stand last
        desk.offered[key] = offer
        st.button(
            offer.label, key=key, icon=offer.icon, help=offer.help, on_click=_ask, args=(place, key)
        )
    for key in list(desk.offered)[: -VIEWS_KEPT * len(offers)]:
        del desk.offered[key]


def hand_over(place: str) -> None:
    """Make the files that were asked for at a place and have the browser save them."""
    desk = _desk(place)
    for click, (since, content) in list(desk.made.items()):
        if monotonic() - since > HANDED_OVER:
            del desk.made[click]
        else:
            _send(click, content)
    for key, click in list(desk.asked.items()):
        if key in desk.offered and (content := _content(desk.offered[key], click)):
            desk.made[click] = monotonic(), content
            _send(click, content)
        # Only now: a run that is broken off by another leaves the click to that one.
        del desk.asked[key]


def told_apart(table: pd.DataFrame) -> bytes:
    """A ``view`` for the files of a table, which are about nothing but what stands in it."""
    rows = pd.util.hash_pandas_object(table).to_numpy().tobytes()
    return repr(list(table.columns)).encode() + rows


def saved(content: bytes) -> tuple[str, bytes]:
    """Name and bytes of the file in what is sent to the browser; the inverse of how it is sent."""
    head, _, data = content.partition(b"\n")
    return json.loads(head)["name"], data


def _ask(place: str, key: str) -> None:
    _desk(place).asked[key] = uuid4().hex


def _desk(place: str) -> _Desk:
    """It goes with its page: a click that was left behind there gets no file on another day."""
    return st.session_state.setdefault(f"{HERE}downloads {place}", _Desk())


def _content(offer: Offer, click: str) -> bytes | None:
    """What is sent; or None, and a sentence on the page, if it cannot be made."""
    try:
        with st.spinner(f"Making {offer.file_name} …"):
            data = offer.make()
    except Refusal as refusal:
        st.error(plain(str(refusal)), icon=":material/error:")
        return None
    except Exception:
        _log.exception("A file could not be made")
        st.error(UNEXPECTED, icon=":material/error:")
        return None
    head = json.dumps({"name": offer.file_name, "click": click})
    return head.encode() + b"\n" + data


def _send(click: str, content: bytes) -> None:
    _save(data=content, key=f"file {click}", height="content")
