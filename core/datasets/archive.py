"""A folder of classes in a .zip file, read in memory: nothing is ever unpacked to disk.

`core.archives` refuses what is hostile. An image is decompressed when it is asked for, and
forgotten after that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from threading import Lock
from weakref import WeakValueDictionary

from core.archives import Archive, ArchiveError, Limits
from core.datasets import folder
from core.datasets.base import DatasetError
from core.scan_types import Scan
from core.scans import read_scan

SCHEME = "archive:"
LIMITS = Limits(files=50_000, total_bytes=4 * 2**30)


class ArchivedFolder:
    """A folder of classes in the bytes of a .zip file: its `table`, with the columns of every data
    set, whose paths can be read for as long as this object is kept.

    `left_out` tells in sentences what is not in the table: files of a kind that is not read here,
    and images of no class. Raises DatasetError, with a sentence for the user, if it is no such
    archive or not one to be trusted.
    """

    def __init__(self, data: bytes) -> None:
        self.digest = hashlib.sha256(data).hexdigest()
        try:
            self._files = _shared(self.digest, _Files(data))
        except ArchiveError as error:
            raise DatasetError(str(error)) from error
        names = self._files.names
        root = f"{SCHEME}{self.digest}"  # what every path inside begins with
        tree = _tree(self._files, root)
        try:
            self.table = folder.read(tree)
        except DatasetError as error:
            packed = any(name.lower().endswith(".zip") for name in names)
            nested = " It holds another archive: unpack that first." if packed else ""
            raise DatasetError(str(error).replace(f"{root}/", "") + nested) from error
        self.left_out = folder.left_out(tree, self.table)


class _Files:
    """The files of an archive by their names below its root. Raises ArchiveError."""

    def __init__(self, data: bytes) -> None:
        self._archive = Archive(data, LIMITS)
        self._members = {member.path: member for member in self._archive.members}

    @property
    def names(self) -> tuple[str, ...]:
        """Every name, in the order of the archive."""
        return tuple(self._members)

    def read(self, name: str) -> bytes:
        """Content of a file of the archive. Raises DatasetError."""
        try:
            return self._archive.read(self._members[name])
        except (ArchiveError, KeyError) as error:
            raise DatasetError(f"The file {name} is damaged inside the archive.") from error

    def scan(self, name: str) -> Scan:
        """The scan in a file of the archive. Raises ScanError or DatasetError."""
        return read_scan(self.read(name))


_KEPT: WeakValueDictionary[str, _Files] = WeakValueDictionary()
_LOCK = Lock()


def _shared(digest: str, files: _Files) -> _Files:
    """The files of these bytes that somebody has open already, or else the given ones: they can be
    read until the last who has them open is gone."""
    with _LOCK:
        return _KEPT.setdefault(digest, files)


def scan_at(path: str) -> Scan:
    """The scan at a path of the table of an archive that is still kept.

    Raises ScanError or DatasetError.
    """
    digest, _, name = path.removeprefix(SCHEME).partition("/")
    kept = _KEPT.get(digest)
    if kept is None:
        raise DatasetError("The archive is no longer open. Upload it again.")
    return kept.scan(name)


@dataclass(frozen=True, eq=False)
class _Place:
    """A file or folder of an archive, with what `core.datasets.folder` asks of a pathlib.Path.

    `inside` tells of every folder of the archive what lies in it, `read` the content of a file.
    """

    path: PurePosixPath
    inside: Mapping[PurePosixPath, set[PurePosixPath]]
    read: Callable[[PurePosixPath], bytes]

    def __str__(self) -> str:
        return str(self.path)

    def __truediv__(self, below: str) -> _Place:
        return _Place(self.path / below, self.inside, self.read)

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def stem(self) -> str:
        return self.path.stem

    @property
    def suffix(self) -> str:
        return self.path.suffix

    def is_dir(self) -> bool:
        return self.path in self.inside

    def is_file(self) -> bool:
        return not self.is_dir() and self.path in self.inside.get(self.path.parent, ())

    def read_bytes(self) -> bytes:
        return self.read(self.path)

    def iterdir(self) -> Iterator[_Place]:
        return (_Place(path, self.inside, self.read) for path in self.inside[self.path])


def _tree(files: _Files, root: str) -> _Place:
    """The root of an archive. A name that is also a folder is that: some programs store folders as
    files without content."""
    top = PurePosixPath(root)
    inside: dict[PurePosixPath, set[PurePosixPath]] = {top: set()}
    for name in files.names:
        path = top / name
        while path != top:
            inside.setdefault(path.parent, set()).add(path)
            path = path.parent
    return _Place(top, inside, lambda path: files.read(str(path.relative_to(top))))
