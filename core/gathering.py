"""From files, folders and ZIP archives to scans: archives are opened, slices put together, and
masks laid to their scans."""

from __future__ import annotations

import hashlib
import io
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from core.archives import MAGIC, Archive, ArchiveError, Limits, Member, is_side_file
from core.dicom.series import Slice, group_slices, read_series, slice_of
from core.mask_files import masks_beside
from core.scans import Scan, ScanError, read_bytes, read_scan
from core.wording import counted

LIMITS = Limits()
UNCLEAR = (
    "Different files have one name, that of this scan or of its mask, so that it cannot be told "
    "which belongs to which. Give them other names, or take one folder or archive at a time."
)
"""It names no file: it stands in reports and tables that are to hold no name."""
Facts = tuple[str, Slice | None]
"""Of a file: the sha256 of its bytes, and its place in a series."""


@dataclass(frozen=True)
class File:
    """A file with a scan or a slice of one; ``read`` raises ScanError where there are no bytes.

    ``digest`` is the sha256 of the bytes, or something else of its own where there are none.
    ``path`` is where the file lies, unless in an archive.
    """

    name: str
    digest: str
    place: Slice | None
    read: Callable[[], bytes]
    path: Path | None = None


@dataclass(frozen=True)
class Source:
    """The files of one scan: one, or the slices of a series in their order. ``masks`` outline its
    lesions."""

    files: tuple[File, ...]
    masks: tuple[File, ...] = ()

    @property
    def name(self) -> str:
        """That of the first file, and of how many more."""
        first, more = self.files[0].name, len(self.files) - 1
        return f"{first} and {counted(more, 'more slice')}" if more else first

    @property
    def digest(self) -> str:
        """The file's, or one for all."""
        digests = [file.digest for file in self.files]
        return hashlib.sha256("".join(digests).encode()).hexdigest() if digests[1:] else digests[0]

    @property
    def path(self) -> Path | None:
        """Where the scan lies, if that is one file outside an archive."""
        return None if self.files[1:] else self.files[0].path

    def read(self) -> bytes | list[bytes]:
        """The bytes of the file, or a list of those of all files. Raises ScanError."""
        several = [file.read() for file in self.files]
        return several if several[1:] else several[0]


def scan_in(data: bytes | list[bytes]) -> Scan:
    """The scan in what a ``Source`` reads. Raises ScanError."""
    return read_series(data) if isinstance(data, list) else read_scan(data)


def sources_of(files: list[File]) -> list[Source]:
    """Scans in the order of their first files.

    What is named as the mask of another file that is a scan by itself is none; the slices of a
    series have no masks. Where several files share a name, no mask can be told to belong: one
    that refuses to be read stands for all.
    """
    groups = group_slices([file.place for file in files])
    alone = {group[0] for group in groups if len(group) == 1}
    beside = masks_beside([file.name for file in files])
    masks = {scan: alone.intersection(beside[scan]) for scan in alone & beside.keys()}
    taken = set().union(*masks.values())
    shared = shared_names(files)

    def source(group: list[int]) -> Source:
        scan, own = files[group[0]], _at(files, sorted(masks.get(group[0], ())))
        unclear = own and shared.intersection(one.name for one in (scan, *own))
        return Source(_at(files, group), (_unclear(own),) if unclear else own)

    return [source(group) for group in groups if group[0] not in taken]


def shared_names(files: Iterable[File]) -> set[str]:
    """Names that files of different bytes share."""
    digests = defaultdict(set)
    for file in files:
        digests[file.name].add(file.digest)
    return {name for name, several in digests.items() if len(several) > 1}


def _unclear(masks: tuple[File, ...]) -> File:
    """A mask that tells why these are not to be used."""
    digests = " ".join(mask.digest for mask in masks)
    return _refused(masks[0].name, UNCLEAR, f"unclear {digests}")


def _at(files: list[File], indices: Iterable[int]) -> tuple[File, ...]:
    return tuple(files[index] for index in indices)


def facts_of(read: Callable[[], bytes]) -> Facts:
    """The facts of the file that ``read`` reads. Raises ScanError."""
    data = read()
    return hashlib.sha256(data).hexdigest(), slice_of(data)


def single_file(
    name: str,
    read: Callable[[], bytes],
    own: str,
    facts: Callable[[Callable[[], bytes]], Facts] = facts_of,
    path: Path | None = None,
) -> File:
    """A file that is no archive. ``own`` tells it from all others where it cannot be read."""
    try:
        digest, place = facts(read)
    except ScanError:  # it is told when the file is looked at
        digest, place = own, None
    return File(name, digest, place, read, path)


def packed_files(
    name: str,
    source: Path | io.IOBase,
    own: str,
    facts: Callable[[int, Callable[[], bytes]], Facts] = lambda _, read: facts_of(read),
    below: str = "",
) -> list[File]:
    """The files of a ZIP archive, or one that tells why it is refused. ``facts`` is asked with the
    number of each; ``own`` as above; ``below`` begins their names."""
    try:
        archive = Archive(source, LIMITS)  # one for all its files: to look through it takes time
        if not archive.members:
            raise ArchiveError("The archive holds no files. Pack the scans themselves.")
    except ArchiveError as error:
        return [_refused(name, str(error), own)]
    return [
        single_file(
            below + one.path,
            partial(_unpack, archive, one),
            f"{own} {index}",
            partial(facts, index),
        )
        for index, one in enumerate(archive.members)
    ]


def files_at(path: Path) -> list[File]:
    """The file of a path, those in an archive, or those below a folder, sorted by path; none that
    is hidden or that operating systems leave beside files."""
    if path.is_dir():
        below = sorted(one for one in path.rglob("*") if _is_scan(one, path))
        empty = "The folder holds no files. Choose the one that the scans lie in."
        found = [file for one in below for file in files_at(one)]
        return found or [_refused(str(path), empty, str(path))]
    if _is_archive(path):
        return packed_files(str(path), path, str(path), below=f"{path}/")
    read = cache(partial(read_bytes, path)) if _is_pipe(path) else partial(read_bytes, path)
    return [single_file(str(path), read, str(path), path=path)]


def _refused(name: str, sentence: str, own: str) -> File:
    def refuse() -> bytes:
        raise ScanError(sentence)

    return File(name, own, None, refuse)


def _unpack(archive: Archive, member: Member) -> bytes:
    """Content of a file in an archive. Raises ScanError."""
    try:
        return archive.read(member)
    except ArchiveError as error:
        raise ScanError(str(error)) from error


def _is_scan(path: Path, root: Path) -> bool:
    """Whether a path below ``root`` may be a scan's."""
    below = path.relative_to(root)
    hidden = any(part.startswith(".") for part in below.parts)
    return path.is_file() and not hidden and not is_side_file(below)


def _is_pipe(path: Path) -> bool:
    """Whether what a path leads to may give its bytes but once."""
    return path.exists() and not path.is_file()


def _is_archive(path: Path) -> bool:
    try:
        if _is_pipe(path):
            return False  # it would be broken when it is opened again
        with path.open("rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except (OSError, ValueError):
        return False  # it is told when the file is looked at
