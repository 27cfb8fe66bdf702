"""ZIP archives from strangers: looked through before anything is unpacked, and never trusted.

Refused as a whole: names that lead out of the archive, links, encryption, entries that share
their bytes, and more files or bytes than the limits. What an entry claims is checked against
what comes out of it, so that no claim is worth forging.
"""

from __future__ import annotations

import io
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

from core.refusal import Refusal

MAGIC, GZIP = b"PK\x03\x04", b"\x1f\x8b"
_FIRST_FED, _BLOCK = 2**9, 2**20
_DEEPEST = 32  # every folder on the way to a file costs memory
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_UNUSABLE = ("Cc", "Cs")  # control characters and surrogates, as Unicode calls them
_SIDE_FILES = ("__MACOSX", ".DS_Store", "Thumbs.db", "desktop.ini")


class ArchiveError(Refusal):
    """An archive is refused; the text is a sentence for the user: what is wrong, what to do."""


@dataclass(frozen=True)
class Limits:
    """The most that an archive may hold: files, bytes of one file, bytes of all; unpacked."""

    files: int = 2_000
    file_bytes: int = 200 * 2**20
    total_bytes: int = 2 * 2**30


@dataclass(frozen=True)
class Member:
    """A file in an archive: its path, always with ``/`` and below the archive's root; its size."""

    path: str
    size: int
    _entry: zipfile.ZipInfo


class Archive:
    """A ZIP archive that was found harmless; ``members`` in the order of the archive.

    Folders and what operating systems leave beside files are passed over. ``source`` is a path,
    a file open for reading in binary, or the bytes. Raises ArchiveError.
    """

    def __init__(self, source: str | Path | io.IOBase | bytes, limits: Limits | None = None):
        limits = limits or Limits()
        stream = io.BytesIO(source) if isinstance(source, bytes) else source
        try:
            self._zip = zipfile.ZipFile(stream)
            entries = [one for one in self._zip.infolist() if not one.is_dir()]
        except OSError as error:
            raise ArchiveError(
                "The archive cannot be opened. Check its place and try again."
            ) from (error)
        except Exception as error:  # zipfile raises nearly anything at a hostile directory
            raise ArchiveError(DAMAGED) from error
        _check(entries, limits)
        self.members: tuple[Member, ...] = tuple(
            Member(_path(one), one.file_size, one) for one in entries if _counts(one)
        )
        _check_names(self.members)

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, if it was opened here."""
        self._zip.close()

    def read(self, member: Member) -> bytes:
        """Content of a file. Raises ArchiveError if it is damaged or longer than it claims."""
        return b"".join(self._blocks(member))

    def _blocks(self, member: Member) -> Iterator[bytes]:
        left = member.size
        try:
            with self._zip.open(member._entry) as file:
                while block := file.read(min(_BLOCK, left + 1)):
                    left -= len(block)
                    if left < 0:
                        raise ArchiveError(DAMAGED)
                    yield block
        except (ArchiveError, OSError):
            raise
        except Exception as error:
            raise ArchiveError(DAMAGED) from error
        if left:
            raise ArchiveError(DAMAGED)


def _counts(entry: zipfile.ZipInfo) -> bool:
    """Whether an entry is a file of its own, not one that an operating system left beside it."""
    return not is_side_file(PurePosixPath(entry.filename.replace("\\", "/")))


def is_side_file(path: PurePath) -> bool:
    """Whether a file is one that operating systems leave beside others."""
    return bool(set(path.parts) & set(_SIDE_FILES)) or path.name.startswith("._")


def pack(files: dict[str, bytes]) -> bytes:
    """A ZIP archive of files by name."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def gunzip(data: bytes, limit: int) -> bytes:
    """What all members of a gzip file hold, up to ``limit`` bytes; what is none behind them is
    passed over. Raises ArchiveError."""
    content, place = io.BytesIO(), 0
    while place == 0 or data.startswith(GZIP, place):
        place = _inflate_into(content, data, place, limit, 16 + zlib.MAX_WBITS)
    return content.getvalue()


def inflate(data: bytes, limit: int) -> bytes:
    """Deflated bytes without a header unpacked, up to ``limit`` of them. Raises ArchiveError."""
    content = io.BytesIO()
    _inflate_into(content, data, 0, limit, -zlib.MAX_WBITS)
    return content.getvalue()


def _inflate_into(content: io.BytesIO, data: bytes, place: int, limit: int, wbits: int) -> int:
    """Unpack from a place, as zlib calls the kind, until it ends; return where that is.

    What is fed grows from little: what stands behind a short member would be copied with each.
    """
    unpacker, fed = zlib.decompressobj(wbits), _FIRST_FED
    while not unpacker.eof:
        block = data[place : place + fed]
        if not block:
            raise ArchiveError(DAMAGED_FILE)
        try:
            content.write(unpacker.decompress(block, limit + 1 - content.tell()))
        except zlib.error as error:
            raise ArchiveError(DAMAGED_FILE) from error
        if content.tell() > limit:
            raise ArchiveError(
                f"The file unpacks to more than the limit of {limit >> 20} MB. Save it in parts."
            )
        place, fed = place + len(block), min(2 * fed, _BLOCK)
    return place - len(unpacker.unused_data)


DAMAGED = "The archive is damaged or incomplete. Copy it or pack it again."
DAMAGED_FILE = "The compressed file is damaged or incomplete. Copy it again."


def _check(entries: list[zipfile.ZipInfo], limits: Limits) -> None:
    """Raise unless the directory of an archive promises something harmless within the limits."""
    if sum(map(_counts, entries)) > limits.files or len(entries) > 3 * limits.files:
        raise ArchiveError(
            f"The archive holds more files than the limit of {limits.files}. Pack fewer of them."
        )
    if any(one.file_size > limits.file_bytes for one in entries):
        raise ArchiveError(
            f"A file in the archive is larger than the limit of {limits.file_bytes >> 20} MB "
            "unpacked. Leave it out."
        )
    if sum(one.file_size for one in entries) > limits.total_bytes:
        raise ArchiveError(
            f"The archive unpacks to more than the limit of {limits.total_bytes >> 20} MB. "
            "Pack it in parts."
        )
    if any(one.flag_bits & _ENCRYPTED for one in entries):
        raise ArchiveError("The archive is encrypted. Pack it without a password.")
    if any(one.compress_type not in _METHODS for one in entries):
        raise ArchiveError("The archive is packed in an unusual way. Pack it as a plain ZIP file.")
    if any(stat.S_ISLNK(one.external_attr >> 16) for one in entries):
        raise ArchiveError("The archive holds links. Pack the files themselves.")
    _check_overlap(entries)


def _check_overlap(entries: list[zipfile.ZipInfo]) -> None:
    """Raise if entries share bytes: how a small archive can hold far more than it could."""
    end = 0
    for one in sorted(entries, key=lambda entry: entry.header_offset):
        if one.header_offset < end:
            raise ArchiveError(DAMAGED)
        end = one.header_offset + one.compress_size


def _path(entry: zipfile.ZipInfo) -> str:
    """Path of an entry below the archive's root. Raises ArchiveError if it leads elsewhere."""
    name = entry.filename.replace("\\", "/")
    path = PurePosixPath(name)
    nowhere = not path.parts or ":" in path.parts[0]
    unusable = any(unicodedata.category(letter) in _UNUSABLE for letter in name)
    too_deep = len(path.parts) > _DEEPEST
    if nowhere or too_deep or path.is_absolute() or ".." in path.parts or unusable:
        raise ArchiveError(
            "The archive holds a file whose name leads out of it or cannot be used. "
            "Pack it again from a plain folder."
        )
    return str(path)


def _check_names(members: tuple[Member, ...]) -> None:
    """Raise if files would overwrite each other on some file system."""
    folded = {unicodedata.normalize("NFC", one.path).casefold() for one in members}
    if len(folded) < len(members):
        raise ArchiveError("The archive holds two files of one name. Rename one and pack again.")
