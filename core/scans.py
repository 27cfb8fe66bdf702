"""Bytes of any image format -> Scan. Every refusal is a ScanError with a sentence for the user.

The format is told by content, never by name: some published sets hold BMP under ``.jpg``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from core.archives import GZIP, ArchiveError, gunzip
from core.archives import MAGIC as ZIP
from core.dicom.reading import is_dicom, read_dicom
from core.nifti import HALF, HALF_MARKS, NIFTI_MARKS, read_nifti
from core.pictures import read_picture
from core.scan_types import MAX_BYTES, Scan, ScanError

__all__ = ["Scan", "ScanError", "read_bytes", "read_scan", "read_scan_file"]


def read_scan(data: bytes) -> Scan:
    """The scan in the bytes of a file. Raises ScanError, and nothing else, if there is none."""
    if not data:
        raise ScanError("The file is empty. Export or copy it again.")
    if len(data) > MAX_BYTES:
        raise ScanError(
            f"The file is larger than the limit of {MAX_BYTES >> 20} MB. "
            "Crop the image or export fewer frames."
        )
    for kind in KINDS:
        if data.startswith(kind.magic, kind.offset):
            return kind.read(data)
    if is_dicom(data):  # without the usual beginning
        return read_dicom(data)
    raise ScanError(f"The file is not an image of a known format. {ACCEPTED}")


def read_scan_file(path: str | Path) -> Scan:
    """The scan in a file. Raises ScanError, also if the file cannot be opened."""
    return read_scan(read_bytes(path))


def read_bytes(path: str | Path) -> bytes:
    """The bytes of a file; of one that is too large, as many as tell that. Raises ScanError."""
    try:
        with Path(path).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a file name"
        raise ScanError(
            f"The file cannot be opened ({reason}). Check its name, its place and that you may "
            "read it."
        ) from error


@dataclass(frozen=True)
class Kind:
    """A file format: the bytes that tell it, where they stand, and what reads it."""

    offset: int
    magic: bytes
    read: Callable[[bytes], Scan]


def _refuse(sentence: str, data: bytes) -> Scan:
    raise ScanError(sentence)


def _picture(name: str, magic: bytes, offset: int = 0) -> Kind:
    return Kind(offset, magic, partial(read_picture, name))


def _refused(name: str, magic: bytes, offset: int = 0) -> Kind:
    sentence = f"This is {name}, which cannot be read here. {ACCEPTED}"
    return Kind(offset, magic, partial(_refuse, sentence))


def _gzipped(data: bytes) -> Scan:
    try:
        content = gunzip(data, MAX_BYTES)
    except ArchiveError as error:
        raise ScanError(str(error)) from error
    if content.startswith(GZIP):
        raise ScanError("The file is compressed twice. Unpack it and choose what is inside.")
    return read_scan(content)


ACCEPTED = "Choose a DICOM or NIfTI file, or export the image as PNG, JPEG, BMP, TIFF or WebP."
_OTHER_ARCHIVE = (
    "This is an archive of 7-Zip or RAR, which cannot be read here. Unpack it and choose the "
    "images in it, or pack them as a ZIP archive."
)

KINDS: tuple[Kind, ...] = (
    # First, because the 128 bytes before its mark may be those of a TIFF file.
    Kind(128, b"DICM", read_dicom),
    _picture("PNG", b"\x89PNG\r\n\x1a\n"),
    _picture("JPEG", b"\xff\xd8\xff"),
    _picture("BMP", b"BM"),
    _picture("TIFF", b"II*\0"),
    _picture("TIFF", b"MM\0*"),
    _picture("TIFF", b"II+\0"),
    _picture("TIFF", b"MM\0+"),
    _picture("WebP", b"WEBP", 8),
    _refused("a GIF file", b"GIF8"),
    _refused("a JPEG 2000 file", b"\0\0\0\x0cjP  "),
    _refused("a JPEG 2000 file", b"\xff\x4f\xff\x51"),
    _refused("a HEIC photograph", b"ftyphei", 4),
    _refused("a HEIC photograph", b"ftypmif1", 4),
    _refused("an AVIF file", b"ftypavif", 4),
    _refused("a video", b"ftyp", 4),
    _refused("a video", b"AVI ", 8),
    _refused("a PDF document", b"%PDF"),
    _refused("an archive or an Office document", ZIP),
    Kind(0, b"PK\5\6", partial(_refuse, "This ZIP archive is empty. Pack the images again.")),
    *(
        Kind(0, magic, partial(_refuse, _OTHER_ARCHIVE))
        for magic in (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\7")
    ),
    Kind(0, GZIP, _gzipped),
    *(Kind(*place, read_nifti) for place in NIFTI_MARKS),
    *(Kind(*place, partial(_refuse, HALF)) for place in HALF_MARKS),
    _refused("a Photoshop file", b"8BPS"),
    *(_refused("a Netpbm file (PGM or PPM)", b"P%d" % number) for number in range(1, 8)),
)
"""Tried in this order. A decoder for a further format is one more line."""
