"""DICOM pixel data -> grey values with their windows, or colours."""

from __future__ import annotations

import numpy as np
from pydicom import Dataset
from pydicom.pixels import apply_color_lut
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from core.dicom.codestreams import is_irreversible
from core.dicom.grey import grey_scan
from core.dicom.header import little_endian
from core.dicom.settling import PARTIAL, PROGRESSIVE, SPECTRAL, settle
from core.dicom.stored import has_unused_bits, unpacked
from core.scan_types import Grey, ScanError
from core.windowing import apply_window, window_between

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY = {"MONOCHROME1", "MONOCHROME2"}
_PALETTE = "PALETTE COLOR"
_PRIMARIES = ("Red", "Green", "Blue")
_ALWAYS_LOSSY = (
    *(JPEGBaseline8Bit, JPEGExtended12Bit, SPECTRAL, PROGRESSIVE),
    JPEGLSNearLossless,
)
_PERHAPS_LOSSY = (JPEG2000, JPEG2000MC, HTJ2K)
_OF_COMPRESSED = (
    *("ExtendedOffsetTable", "ExtendedOffsetTableLengths"),
    "EncapsulatedPixelDataValueTotalLength",
)
"""What tells where the frames of a compressed picture lie."""


def read_pixels(dataset: Dataset) -> tuple[np.ndarray, Grey | None]:
    """Pixels uint8 (frames, H, W, 3) of a data set with a picture, and its grey values, if any.

    Raises ScanError for what is beyond the limits or packed in a way that cannot be read, and
    nearly anything for a damaged file.
    """
    settle(dataset)
    stored, bits = unpacked(dataset)
    kind = dataset.PhotometricInterpretation
    if kind in _GREY:
        return grey_scan(stored, dataset, bits)
    if kind == _PALETTE:
        _check_tables(dataset)
        palette = _palette(dataset)
        colours = apply_color_lut(stored, palette)[..., :3]
        return _to_bytes(colours, _palette_bits(palette, colours)), None
    return _to_bytes(stored, bits), None


def unpack_in_place(dataset: Dataset) -> None:
    """Turn a picture that is compressed, of retired colours, or has bits beside its values, into a
    plain one without; its colours into RGB. Raises as ``read_pixels``.

    Bits beside the values may hold an overlay, and an overlay a name.
    """
    settle(dataset)
    compressed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    retired = dataset.PhotometricInterpretation == PARTIAL
    if not (compressed or retired or has_unused_bits(dataset)):
        return
    stored, bits = unpacked(dataset)
    lossy = was_lossy(dataset)  # which the plain syntax tells no longer
    dataset.BitsAllocated = 8 * stored.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1  # where ``unpacked`` has moved them
    if stored.ndim == 4:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    padding = b"\0" * (stored.nbytes % 2)
    order = "<" if compressed or little_endian(dataset) else ">"
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes() + padding
    dataset["PixelData"].VR = "OW" if stored.itemsize > 1 else "OB"
    if compressed:
        if lossy:
            dataset.LossyImageCompression = "01"
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        for keyword in _OF_COMPRESSED:
            dataset.pop(keyword, None)


def was_lossy(dataset: Dataset) -> bool:
    """Whether a picture lost anything when it was compressed, as its header, its syntax or its
    frames tell."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if dataset.get("LossyImageCompression") == "01" or syntax in _ALWAYS_LOSSY:
        return True
    return syntax in _PERHAPS_LOSSY and is_irreversible(dataset)


def _check_tables(dataset: Dataset) -> None:
    for name in _PRIMARIES:
        table = f"{name}PaletteColorLookupTable"
        held = (f"{table}Data", f"Segmented{table}Data")
        if f"{table}Descriptor" not in dataset or not any(map(dataset.get, held)):
            raise ScanError(
                "The colours of this DICOM file stand in tables, which are missing. Export it "
                "again, as RGB."
            )


def _palette(dataset: Dataset) -> Dataset:
    """The data set, or where it is big-endian a palette without: pydicom takes the words of plain
    tables to be little-endian in every file."""
    tables = [f"{name}PaletteColorLookupTable" for name in _PRIMARIES]
    if little_endian(dataset) or f"{tables[0]}Data" not in dataset:
        return dataset
    palette = Dataset()
    for table in tables:
        words = np.frombuffer(dataset[f"{table}Data"].value, ">u2").astype("<u2")
        setattr(palette, f"{table}Descriptor", dataset[f"{table}Descriptor"].value)
        setattr(palette, f"{table}Data", words.tobytes())
    return palette


def _palette_bits(dataset: Dataset, colours: np.ndarray) -> int:
    """Bits of the colours of a palette. Some files hold 8 in the lower byte of 16."""
    tables = [dataset.get(f"{name}PaletteColorLookupTableData") for name in _PRIMARIES]
    if colours.itemsize == 1 or not all(tables):  # segments are no plain entries
        return 8 * colours.itemsize
    return 8 if max(np.frombuffer(one, colours.dtype).max() for one in tables) < 2**8 else 16


def _to_bytes(colours: np.ndarray, bits: int) -> np.ndarray:
    """Colours of so many bits in 8, contiguous."""
    if colours.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(colours)
    return apply_window(colours, window_between(0, 2**bits - 1))
