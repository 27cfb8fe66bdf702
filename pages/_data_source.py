"""Which data set is looked at, and what is kept of it: its table, measurements and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pandas as pd
import streamlit as st

from core.datasets import (
    READERS,
    DatasetError,
    find_folder,
    folder,
    read_pixels,
    usable_mask,
)
from core.datasets.archive import ArchivedFolder
from core.datasets.audit import Audit, audit
from core.datasets.intensity import Measurements, measure
from core.datasets.known_splits import known_splits
from core.datasets.patients import FILE
from core.external import External, judge_own
from core.wording import counted
from pages import _shared as shared
from pages._current import tell_from_before
from pages._frame import plain, quiet
from pages._keeping import KEPT
from pages._tables import stamp, table_of, version

PHANTOMS = "phantoms"
UPLOAD, BEFORE = "data upload", "data of before"
PICTURES, PICTURE = ("PNG", "SVG"), "data picture"
LOCAL = ("localhost", "127.0.0.1", "::1")
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP")
"""What a proxy adds to a request that it passes on."""
NAMELESS = (
    "For others, set LESIONLENS_DATA to the folder that holds them before the server is started."
)


@dataclass(frozen=True, eq=False)
class Source:
    """A data set to look at. `key` changes with its content; `dataset_id` is None for a folder or
    an archive of the user's own."""

    key: str
    title: str
    table: pd.DataFrame
    splits: pd.DataFrame
    dataset_id: str | None = None
    remark: str = ""

    @property
    def synthetic(self) -> bool:
        return self.dataset_id == PHANTOMS

    @property
    def groups(self) -> str | None:
        """What the groups of the table are, in a few words, if anything is known of them."""
        known = READERS.get(self.dataset_id)
        return known.groups if known else folder.groups_of(self.table)


def choose() -> Callable[[], Source]:
    """Widgets; what they return reads the chosen data set, which may take seconds, and raises
    DatasetError if it cannot be read. What another choice outweighs is disabled."""
    first = st.container()
    upload = st.file_uploader(
        "Or your own, as a .zip file",
        type="zip",
        key=UPLOAD,
        on_change=_hold_upload,
        help=f"{folder.LAYOUT} {FILE} beside them (columns image and patient) tells whose images "
        "they are. All stays in the server's memory.",
    )
    if not upload and (upload := st.session_state.get(BEFORE)):
        tell_from_before(upload.name, "forget data", _forget_upload)
    path = _ask_folder(disabled=bool(upload)).strip() if is_local() else ""
    with first:
        dataset_id = _ask_dataset(disabled=bool(upload or path))
    st.segmented_control(
        "Save figures as",
        PICTURES,
        default=PICTURES[0],
        required=True,
        key=PICTURE,
        persist_state="session",
    )
    if upload:
        return lambda: _of_archive(upload)
    if path:
        return lambda: _of_folder(path)
    return lambda: _of_reader(dataset_id)


def _hold_upload() -> None:
    """Keep the archive with the session: Streamlit forgets it when the page is left."""
    st.session_state[BEFORE] = st.session_state[UPLOAD]


def _forget_upload() -> None:
    st.session_state.pop(BEFORE, None)  # a double click comes twice


def _ask_dataset(disabled: bool) -> str:
    present = [one for one in READERS if one == PHANTOMS or find_folder(one)]
    present.sort(key=lambda one: one != PHANTOMS)
    return st.selectbox(
        "Data set",
        present,
        format_func=lambda one: READERS[one].title,
        key="data set",
        bind="query-params",
        help=NAMELESS,
        disabled=disabled,
    )


def _ask_folder(disabled: bool) -> str:
    return st.text_input(
        "Or a folder on this computer",
        key="data folder",
        persist_state="session",
        disabled=disabled,
    )


def is_local() -> bool:
    """Whether server and browser are on one computer, so that its folders are the user's own.

    A proxy on this computer speaks for browsers elsewhere, even if it names this as the host.
    """
    headers = st.context.headers
    host = urlsplit(f"//{headers.get('Host') or LOCAL[0]}").hostname
    passed_on = any(headers.get(name) for name in FORWARDED)
    here = st.get_option("server.address") in LOCAL and host in LOCAL
    return here and not passed_on


def measured(source: Source) -> Measurements:
    """Facts and histograms of every image, from memory or measured now, with a bar."""
    return _remembered(
        source,
        (source.key, "measured"),
        "Measuring the images",
        lambda progress: measure(source.table, read_pixels, usable_mask, progress),
    )


def audited(source: Source) -> Audit:
    """The leakage audit, from memory or made now, with a bar."""
    return _remembered(
        source,
        (source.key, "audited"),
        "Looking for copies",
        lambda progress: audit(source.table, read_pixels, progress),
    )


def answered(source: Source, recipe_id: str) -> External:
    """A system's answers to the images, from memory or made now, with a bar.

    Raises CheckpointError, or DatasetError if none can be read.
    """
    known = audited(source)
    return _remembered(
        source,
        (source.key, "answered", recipe_id, shared.version(recipe_id)),
        "Asking the system",
        lambda progress: judge_own(
            shared.checkpoint(recipe_id),
            shared.classifier(recipe_id),
            source.table,
            known,
            progress,
        ),
    )


def known_answers(source: Source, recipe_id: str) -> External | None:
    """A system's answers, if they were made before."""
    return _recalled((source.key, "answered", recipe_id, shared.version(recipe_id)))


def known_audit(source: Source) -> Audit | None:
    """The leakage audit, if it was made before."""
    return _recalled((source.key, "audited"))


def _of_reader(dataset_id: str) -> Source:
    key, table = f"{dataset_id} {version(dataset_id)}", table_of(dataset_id)
    return Source(
        key, READERS[dataset_id].title, table, _splits(key, dataset_id, table), dataset_id
    )


def _of_folder(text: str) -> Source:
    try:
        return _read_folder(text)
    except (OSError, RuntimeError) as error:  # no such user, a name too long, no right to read
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{text} cannot be opened ({reason}). Give a folder that exists on this computer and "
            "that the server may read."
        ) from error


@st.cache_data(max_entries=8, ttl=60, show_spinner="Reading the folder …")
def _read_folder(text: str) -> Source:
    """Key and table are kept together: what is remembered under the key then has a row for every
    row of the table that is shown, also while the folder changes."""
    path = Path(text).expanduser()
    table = folder.read(path)
    key = stamp(chain(table["path"], *table["masks"], folder.patient_lists(path)))
    return Source(key, path.name, table, known_splits(table), remark=folder.left_out(path, table))


def _of_archive(upload) -> Source:
    kept = _archive(upload.file_id, upload)
    splits = known_splits(kept.table)
    return Source(kept.digest, upload.name, kept.table, splits, remark=kept.left_out)


@st.cache_data(max_entries=16, show_spinner=False)
def _splits(key: str, dataset_id: str, _table: pd.DataFrame) -> pd.DataFrame:
    return known_splits(_table, dataset_id)


@st.cache_resource(max_entries=4, ttl=KEPT, scope="session", show_spinner="Opening the archive …")
def _archive(file_id: str, _upload) -> ArchivedFolder:
    return ArchivedFolder(_upload.getvalue())


class _UnknownError(Exception):
    """It is not there yet."""


@st.cache_resource(max_entries=8, ttl=KEPT, show_spinner=False)
def _kept(key: tuple, _found):
    """A store: an exception is not kept, so that asking in vain leaves no trace."""
    if _found is None:
        raise _UnknownError
    return _found


def _recalled(key: tuple):
    try:
        return _kept(key, None)
    except _UnknownError:
        return None


def _remembered(source: Source, key: tuple, text: str, work: Callable):
    """What was kept under the key, or comes of the work now; it is not kept if files were taken
    away meanwhile, since they may come back as they were."""
    found = _recalled(key)
    if found is not None:
        return found
    place = st.empty()
    bar = place.progress(0.0, f"{text} …")
    shown = 0.0

    def progress(share: float) -> None:
        nonlocal shown
        if share - shown >= 0.01:
            shown = share
            bar.progress(min(share, 1.0), f"{text} …")

    found = work(progress)
    place.empty()
    files = chain(source.table["path"], *source.table["masks"])
    return _kept(key, found) if _are_there(files) else found


def _are_there(paths: Iterable[str]) -> bool:
    """Whether all are that are files of their own, not of an archive, nor drawn."""
    return all(Path(one).is_file() for one in paths if Path(one).is_absolute())


def show_unreadable(problems: dict[str, str]) -> None:
    """Which images cannot be read, if any."""
    _show_problems(problems, f"{counted(len(problems), 'image')} cannot be read")


def show_unmeasured(facts: pd.DataFrame) -> None:
    """Of what was measured, which images and which masks could not be."""
    problems = facts.set_index("image_id")[["problem", "mask_problem"]]
    images, masks = (part[part != ""].to_dict() for _, part in problems.items())
    show_unreadable(images)
    told = f"The masks of {counted(len(masks), 'image')} cannot be used"
    _show_problems(masks, f"{told}: nothing inside or outside of them is measured")


def _show_problems(problems: dict[str, str], told: str) -> None:
    if not problems:
        return
    with st.expander(told, icon=":material/broken_image:"):
        for name, sentence in list(problems.items())[:50]:
            quiet(f"**{plain(name)}**: {plain(sentence)}")
