"""The files of a scan as they came, or without personal data."""

from __future__ import annotations

from core.archives import pack
from core.dicom.deidentify import deidentify
from pages._scans import Item, scan_of


def deidentified(item: Item) -> bytes:
    """A copy of a DICOM file without personal data; of a series, a ZIP archive of copies of those
    files that can be read.

    Raises ScanError.
    """
    if not item.several:
        return deidentify([item.read()])[0]
    data, whole = item.read(), scan_of(item.digest, item.read).files
    copies = enumerate(deidentify([data[index] for index in whole]), start=1)
    return pack({f"{number:04d}.dcm": data for number, data in copies})


def source_of(item: Item, frame: int, named: bool) -> bytes:
    """The DICOM file of a frame, as it is if ``named``, else without personal data.

    Raises ScanError.
    """
    data = item.read()
    file = data[scan_of(item.digest, item.read).files[frame]] if item.several else data
    return file if named else deidentify([file])[0]
