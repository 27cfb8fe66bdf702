"""DICOM -> Scan: every transfer syntax that pydicom, gdcm, OpenJPEG and Pillow unpack; of JPEG 2000
part 2 what needs no more than part 1.

- Grey pictures run through Modality LUT, VOI LUT or first window, and polarity; without a window
  the smallest value is black and the largest white. ``Scan.grey`` keeps the values.
- Colours of every kind become RGB. ICC profiles are ignored, as in pictures.
- Overlays are never part of the pixels; ``Scan.overlay`` holds them.
- With or without preamble, its mark and file header, little-endian or big-endian, deflated.
- Nothing cut short is shown.
"""

from __future__ import annotations

import io
import logging
import struct
import warnings
from collections.abc import Sequence

from pydicom import Dataset, dcmread
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)
from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

from core.archives import GZIP, ArchiveError, gunzip, inflate
from core.dicom import header, personal
from core.dicom.pixels import PIXEL_KEYWORDS, read_pixels
from core.scan_types import MAX_BYTES, Scan, ScanError

DAMAGED = (
    "This DICOM file is damaged, incomplete or of an unusual kind, so nothing of it is shown. "
    "Copy or export it again, if possible without compression."
)
DIRECTORY = (
    "This is the directory of a DICOM disc, which holds no picture. Choose the images themselves."
)

_PREAMBLE, _MARK = 128, b"DICM"
_ELEMENTS = 3
"""Elements in order with which bytes without a mark must begin to be a data set."""
_LONG = {one.encode() for one in EXPLICIT_VR_LENGTH_32}
_SHORT = {one.encode() for one in EXPLICIT_VR_LENGTH_16}
_HEADER, _UNDEFINED = 0x0002, 2**32 - 1
_COMMANDS = 0x0000FFFF
"""The last tag of the group that is sent and stands in no file."""

# What the libraries have to say about a file may quote a patient's name: it reaches nobody.
warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


def is_dicom(data: bytes) -> bool:
    """Whether bytes are a DICOM file, with or without the usual beginning."""
    return _beginning(data) is not None


def read_dicom(data: bytes) -> Scan:
    """The scan in a DICOM file. Raises ScanError, and nothing else."""
    try:
        return _scan(parse(data))
    except ScanError:
        raise
    except Exception as error:  # a hostile file makes the decoders raise nearly anything
        raise ScanError(DAMAGED) from error


def parse(data: bytes, only: Sequence[str] = ()) -> Dataset:
    """The data set of a DICOM file, or of one in a gzip file, with a transfer syntax. Raises
    ScanError.

    ``only``: keywords of the elements that are wanted, where no picture is; the others may be
    left out.
    """
    try:
        dataset = _parsed(data, only)
        _complete_meta(dataset)
    except ArchiveError as error:
        raise ScanError(str(error)) from error
    except Exception as error:
        raise ScanError(DAMAGED) from error
    return dataset


def _scan(dataset: Dataset) -> Scan:
    if not any(keyword in dataset for keyword in PIXEL_KEYWORDS):
        raise ScanError(_without_picture(dataset))
    pixels, grey = read_pixels(dataset)
    spacing = header.spacing_mm(dataset)
    return Scan(
        pixels,
        spacing_mm=spacing,
        pixel_ratio=1.0 if spacing else header.pixel_ratio(dataset),
        modality=str(dataset.get("Modality") or "").strip() or None,
        grey=grey,
        overlay=header.overlay(dataset),
        frame_ms=header.frame_milliseconds(dataset),
        personal=personal.personal_data(dataset),
        text_risk=personal.text_risk(dataset),
        dicom=True,
    )


def _without_picture(dataset: Dataset) -> str:
    if "DirectoryRecordSequence" in dataset:
        return DIRECTORY
    if not len(dataset):
        return DAMAGED
    uid = UID(str(dataset.get("SOPClassUID") or ""))
    kind = f" It is of the kind {uid.name}." if uid.name != uid else ""  # of the standard alone
    return f"This DICOM file holds no picture.{kind} Choose the file of the image itself."


def unpacked(data: bytes) -> bytes:
    """The file inside a gzip file; any other as it is. Raises ArchiveError."""
    return gunzip(data, MAX_BYTES) if data.startswith(GZIP) else data


def _beginning(data: bytes) -> int | None:
    """Where reading begins: before a whole preamble; or behind one that was cut off or lacks its
    mark, or where there is none. None for bytes that are no DICOM file."""
    if data.startswith(_MARK, _PREAMBLE):
        return 0
    if data.startswith(_MARK):
        return len(_MARK)
    return next((one for one in (0, _PREAMBLE) if _begins_dataset(data, one)), None)


def _begins_dataset(data: bytes, place: int) -> bool:
    """Whether a file header stands there, or elements of the standard follow each other by their
    tags and lengths: no other bytes do so by chance."""
    # Of tags of the first groups the low byte is never empty, the high one always.
    order = ">" if data[place : place + 1] == b"\0" else "<"
    last = _COMMANDS
    for _ in range(_ELEMENTS):
        if place + 12 > len(data):
            return False
        group, number, length = struct.unpack_from(f"{order}2HI", data, place)
        tag, kind, head = group << 16 | number, data[place + 4 : place + 6], 8
        if kind in _SHORT:
            (length,) = struct.unpack_from(f"{order}H", data, place + 6)
        elif kind in _LONG:
            (length,), head = struct.unpack_from(f"{order}I", data, place + 8), 12
        of_a_group = number == 0 and length == 4  # its length, which no dictionary lists
        known = of_a_group or dictionary_has_tag(tag) or last > _COMMANDS  # private ones may follow
        if tag <= last or not known:
            return False
        if length == _UNDEFINED or group == _HEADER and kind in _SHORT | _LONG:
            return True
        place, last = place + head + length, tag
    return place <= len(data)


def _parsed(data: bytes, only: Sequence[str]) -> Dataset:
    data = unpacked(data)
    data = data[_beginning(data) or 0 :]
    file = io.BytesIO(data)
    read_preamble(file, force=True)
    # As pydicom itself will read it: it would unpack what is deflated without any limit.
    meta = _read_file_meta_info(file)
    if meta.get("TransferSyntaxUID") != DeflatedExplicitVRLittleEndian:
        file.seek(0)
        return dcmread(
            file, stop_before_pixels=bool(only), force=True, specific_tags=list(only) or None
        )
    content = inflate(data[file.tell() :], MAX_BYTES)
    dataset = read_dataset(io.BytesIO(content), False, True)
    dataset.file_meta = meta
    return dataset


def _complete_meta(dataset: Dataset) -> None:
    """Add the transfer syntax where a file has no header, from the way it is written."""
    if not hasattr(dataset, "file_meta"):
        dataset.file_meta = FileMetaDataset()
    if "TransferSyntaxUID" in dataset.file_meta:
        return
    implicit, little = dataset.original_encoding
    plain = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
    dataset.file_meta.TransferSyntaxUID = plain if little else ExplicitVRBigEndian
