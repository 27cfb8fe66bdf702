"""DICOM files made for tests, by pydicom's own writer, and what is read from them."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pytest
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from core.scans import ScanError, read_scan

ULTRASOUND = "1.2.840.10008.5.1.4.1.1.6.1"
NOISE = np.random.default_rng(5).integers(0, 4096, (40, 48)).astype(np.uint16)


def dataset(
    samples: np.ndarray,
    photometric: str = "MONOCHROME2",
    bits: int | None = None,
    syntax: UID = ExplicitVRLittleEndian,
    **elements,
) -> Dataset:
    """A data set with a picture; ``elements`` by keyword, None to leave one out."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.SOPClassUID, made.SOPInstanceUID = ULTRASOUND, generate_uid()
    made.Modality = "US"
    made.set_pixel_data(samples, photometric, bits or 8 * samples.itemsize)
    if syntax.is_compressed and syntax.is_encapsulated:
        made.compress(syntax, generate_instance_uid=False)
    else:
        made.file_meta.TransferSyntaxUID = syntax
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def saved(made: Dataset) -> bytes:
    """The data set as a file."""
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()


def dicom(samples, *arguments, **elements) -> bytes:
    """A file with a picture, as of ``dataset``."""
    return saved(dataset(np.asarray(samples), *arguments, **elements))


def lut(first: int, entries: Sequence[int], bits: int) -> Dataset:
    """An item of a lookup table sequence."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = np.array(entries, "<u2").tobytes()
    return item


def items(**elements) -> list[Dataset]:
    """A sequence of one item with these elements."""
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return [item]


def add_overlay(made: Dataset, group: int, origin: list[int], *dots: tuple) -> None:
    """Add a plane of 4 x 4, a frame for each dot (row, column), at row and column from 1."""
    planes = np.zeros((len(dots), 4, 4), np.uint8)
    for plane, dot in zip(planes, dots, strict=True):
        plane[dot] = 1
    made.add_new((group, 0x0010), "US", 4)
    made.add_new((group, 0x0011), "US", 4)
    made.add_new((group, 0x0015), "IS", len(dots))
    made.add_new((group, 0x0050), "SS", origin)
    made.add_new((group, 0x0100), "US", 1)
    made.add_new((group, 0x0102), "US", 0)
    made.add_new((group, 0x3000), "OW", np.packbits(planes.ravel(), bitorder="little").tobytes())


def slices(count: int, **elements) -> list[bytes]:
    """Files of one series along the body, out of order: slice i shows i and lies i mm up."""
    common = {
        "SeriesInstanceUID": generate_uid(),
        "Modality": "MR",
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    } | elements
    files = [
        dicom(
            np.full((4, 5), number, np.uint16),
            ImagePositionPatient=[0, 0, float(number)],
            **common,
        )
        for number in range(count)
    ]
    return files[::2] + files[1::2]


def grey_of(data: bytes, frame: int = 0) -> list:
    """Greys (H, W) of a frame, which is shown without colour."""
    pixels = read_scan(data).pixels[frame]
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].tolist()


def refused(data: bytes, sentence: str) -> None:
    """Assert that the file is refused with a sentence that matches."""
    with pytest.raises(ScanError, match=sentence) as error:
        read_scan(data)
    assert str(error.value).endswith(".")
