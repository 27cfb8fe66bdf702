"""DICOM -> Scan: every transfer syntax that pydicom, gdcm, OpenJPEG and Pillow unpack; of JPEG 2000
part 2 what needs no more than part 1.

- Grey pictures run through Modality LUT, VOI LUT or first window, and polarity; without a window
  the smallest value is black and the largest white. ``Scan.grey`` keeps the values.
- Colours of every kind become RGB. ICC profiles are ignored, as in pictures.
- Overlays are never part of the pixels; ``Scan.overlay`` holds them.
- With or without preamble and file header, little-endian or big-endian, deflated.
- Nothing cut short is shown.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Sequence

from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filereader import _read_file_meta_info, read_dataset, read_preamble
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

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

_FIRST = (
    *(0x00, 0x01, 0x05, 0x08, 0x12, 0x13, 0x14, 0x16, 0x18, 0x20, 0x21, 0x22, 0x23, 0x2A, 0x30),
    *(0x50, 0x60, 0x64, 0x70),
)
"""Elements of the group 0008 with which a data set may begin."""
BARE_DICOM = (
    *(bytes([2, 0, element, 0]) for element in (0x00, 0x01, 0x02, 0x10)),
    *(bytes([8, 0, element, 0]) for element in _FIRST),
    *(bytes([0, 8, 0, element]) for element in _FIRST),
)
"""First four bytes of a file without preamble: tags that stand first, in both byte orders."""

# What the libraries have to say about a file may quote a patient's name: it reaches nobody.
warnings.filterwarnings("ignore", module=r"pydicom\.")
logging.getLogger("pydicom").setLevel(logging.CRITICAL + 1)


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
    return Scan(
        pixels,
        spacing_mm=header.spacing_mm(dataset),
        pixel_ratio=header.pixel_ratio(dataset),
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


def _parsed(data: bytes, only: Sequence[str]) -> Dataset:
    data = unpacked(data)
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
