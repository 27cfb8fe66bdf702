"""A folder of classes in a .zip file, read in memory: nothing is ever unpacked to disk.

`core.archives` refuses what is hostile. An image is decompressed when it is asked for, and
forgotten after that.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import PurePosixPath
from weakref import WeakValueDictionary

from core.archives import Archive, ArchiveError, Limits
from core.datasets import folder
from core.datasets.base import SUFFIXES, DatasetError
from core.scan_types import Scan
from core.scans import read_scan

SCHEME = "archive:"
LIMITS = Limits(files=50_000, total_bytes=4 * 2**30)


class ArchivedFolder:
    """A folder of classes in the bytes of a .zip file: its `table`, with the columns of every data
    set, whose paths can be read for as long as this object is kept.

    `left_out` counts the files that are no images. Raises DatasetError, with a sentence for the
    user, if it is no such archive or not one to be trusted.
    """

    def __init__(self, data: bytes) -> None:
        try:
            self._archive = Archive(data, LIMITS)
        except ArchiveError as error:
            raise DatasetError(str(error)) from error
        self.digest = hashlib.sha256(data).hexdigest()
        self._members = {member.path: member for member in self._archive.members}
        suffixes = [PurePosixPath(path).suffix.lower() for path in self._members]
        self.left_out = sum(suffix not in SUFFIXES for suffix in suffixes)
        tree = zipfile.Path(io.BytesIO(data))
        tree.root.filename = SCHEME + self.digest  # what every path inside begins with
        try:
            self.table = folder.read(tree)
        except DatasetError as error:
            nested = " It holds another archive: unpack that first." if ".zip" in suffixes else ""
            raise DatasetError(f"{error}{nested}") from error
        _KEPT[self.digest] = self

    def scan(self, name: str) -> Scan:
        """The scan in a file of the archive. Raises ScanError or DatasetError."""
        try:
            return read_scan(self._archive.read(self._members[name]))
        except (ArchiveError, KeyError) as error:
            raise DatasetError(f"The file {name} is damaged inside the archive.") from error


_KEPT: WeakValueDictionary[str, ArchivedFolder] = WeakValueDictionary()


def scan_at(path: str) -> Scan:
    """The scan at a path of the table of an archive that is still kept.

    Raises ScanError or DatasetError.
    """
    digest, _, name = path.removeprefix(SCHEME).partition("/")
    kept = _KEPT.get(digest)
    if kept is None:
        raise DatasetError("The archive is no longer open. Upload it again.")
    return kept.scan(name)
