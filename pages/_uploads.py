"""From what was uploaded to scans to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath

import streamlit as st

from core.archives import MAGIC, is_side_file
from core.gathering import (
    Facts,
    File,
    Source,
    facts_of,
    packed_files,
    shared_names,
    single_file,
    sources_of,
)
from pages._keeping import KEPT
from pages._scans import Item


def uploaded(upload) -> Item:
    """The item of an uploaded file."""
    return Item(upload.name, _digest(upload.file_id, upload), upload.getvalue)


@st.cache_data(max_entries=1024, ttl=KEPT, show_spinner=False)
def _digest(file_id: str, _upload) -> str:
    return hashlib.sha256(_upload.getbuffer()).hexdigest()


def items_of(uploads: list) -> list[Item]:
    """The scans in uploaded files: one a file, a file of an archive, or a series of slices, each
    with its masks."""
    wanted = [one for one in uploads if not is_side_file(PurePosixPath(one.name))]
    held = [(upload.name, _files_of(upload)) for upload in _once(wanted)]
    shared = shared_names(file for _, files in held for file in files)
    files = [file for name, files in held for file in _apart(files, name, shared)]
    return [_item(one) for one in sources_of(files)]


def _item(source: Source) -> Item:
    masks = tuple(Item(one.name, one.digest, one.read) for one in source.masks)
    several = len(source.files) > 1
    return Item(source.name, source.digest, source.read, several=several, masks=masks)


def _once(uploads: list) -> list:
    """The same files, each as the object that held it first.

    Streamlit hands every run of the page a new copy of all uploads, bytes and all; what the page
    keeps from run to run would hold one copy for each.
    """
    known = st.session_state.get("uploads held", {})
    held = {one.file_id: known.get(one.file_id, one) for one in uploads}
    st.session_state["uploads held"] = held
    return list(held.values())


def _apart(files: list[File], upload: str, shared: set[str]) -> list[File]:
    """The files of an upload; those of an archive begin with its name if one is called like
    another file: scans and masks of the two are not to be mixed up."""
    names = {file.name for file in files}
    if names == {upload} or not names & shared:
        return files
    return [replace(file, name=f"{upload}/{file.name}") for file in files]


def _files_of(upload) -> list[File]:
    name, own = upload.name, upload.file_id
    facts = partial(_facts, own)
    if bytes(upload.getbuffer()[: len(MAGIC)]) == MAGIC:
        return packed_files(name, upload, own, facts)
    return [single_file(name, upload.getvalue, own, partial(facts, 0))]


# Neither names nor numbers of a patient are kept: a hash and a position.
@st.cache_data(max_entries=8192, ttl=KEPT, show_spinner=False)
def _facts(file_id: str, index: int, _read: Callable[[], bytes]) -> Facts:
    return facts_of(_read)
