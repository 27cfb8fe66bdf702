"""From what was uploaded to scans to look at: archives are opened, slices put together."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import streamlit as st

from core.archives import MAGIC, Archive, ArchiveError, Limits, Member
from core.dicom.series import Slice, group_slices, slice_of
from core.scans import ScanError
from pages._keeping import KEPT
from pages._scans import Item

LIMITS = Limits()


@dataclass(frozen=True)
class File:
    """A file of an upload, or why there is none: name, sha256, place in a series, bytes."""

    name: str
    digest: str
    place: Slice | None
    read: Callable[[], bytes]


def uploaded(upload) -> Item:
    """The item of an uploaded file."""
    return Item(upload.name, _digest(upload.file_id, upload), upload.getvalue)


@st.cache_data(max_entries=1024, ttl=KEPT, show_spinner=False)
def _digest(file_id: str, _upload) -> str:
    return hashlib.sha256(_upload.getbuffer()).hexdigest()


def items_of(uploads: list) -> list[Item]:
    """The scans in uploaded files: one a file, a file of an archive, or a series of slices."""
    files = [file for upload in _once(uploads) for file in _files_of(upload)]
    groups = group_slices([file.place for file in files])
    return [_item([files[index] for index in group]) for group in groups]


def _once(uploads: list) -> list:
    """The same files, each as the object that held it first.

    Streamlit hands every run of the page a new copy of all uploads, bytes and all; what the page
    keeps from run to run would hold one copy for each.
    """
    known = st.session_state.get("uploads held", {})
    held = {one.file_id: known.get(one.file_id, one) for one in uploads}
    st.session_state["uploads held"] = held
    return list(held.values())


def _item(files: list[File]) -> Item:
    first = files[0]
    if len(files) == 1:
        return Item(first.name, first.digest, first.read)
    together = hashlib.sha256("".join(file.digest for file in files).encode()).hexdigest()
    name = f"{first.name} and {len(files) - 1} more slices"
    return Item(name, together, lambda: [file.read() for file in files], several=True)


def _files_of(upload) -> list[File]:
    if bytes(upload.getbuffer()[:4]) != MAGIC:
        digest, place = _facts(upload.file_id, 0, upload.getvalue)
        return [File(upload.name, digest, place, upload.getvalue)]
    try:
        archive = Archive(upload, LIMITS)  # one for all its files: to look through it takes time
        if not archive.members:
            raise ArchiveError("The archive holds no files. Pack the scans themselves.")
    except ArchiveError as error:
        return [File(upload.name, upload.file_id, None, partial(_refuse, str(error)))]
    members = enumerate(archive.members)
    return [_packed(archive, one, upload.file_id, index) for index, one in members]


def _packed(archive: Archive, member: Member, file_id: str, index: int) -> File:
    read = partial(_unpack, archive, member)
    try:
        digest, place = _facts(file_id, index, read)
    except ScanError:  # it is told when the file is looked at
        digest, place = f"{file_id} {index}", None
    return File(member.path, digest, place, read)


# Neither names nor numbers of a patient are kept: a hash and a position.
@st.cache_data(max_entries=8192, ttl=KEPT, show_spinner=False)
def _facts(file_id: str, index: int, _read: Callable[[], bytes]) -> tuple[str, Slice | None]:
    data = _read()
    return hashlib.sha256(data).hexdigest(), slice_of(data)


def _unpack(archive: Archive, member: Member) -> bytes:
    """Content of a file in an archive. Raises ScanError."""
    try:
        return archive.read(member)
    except ArchiveError as error:
        raise ScanError(str(error)) from error


def _refuse(sentence: str) -> bytes:
    raise ScanError(sentence)
