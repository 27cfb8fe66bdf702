"""What the header of a DICOM file promises of its picture, before a byte of that is unpacked.

Section numbers are those of PS3.3 of the DICOM standard.
"""

from __future__ import annotations

from pydicom import Dataset
from pydicom.pixels import get_decoder
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    JPEG2000MC,
    UID,
    JPEG2000MCLossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from core.scan_types import MAX_FRAMES, MAX_PIXELS, TOO_LARGE, TOO_MANY, ScanError

PACKED = (
    "The picture in this DICOM file is packed as {}, which cannot be read here. Export it without "
    "compression, or single frames of it as PNG."
)
# JPEG by parts of its spectrum and progressive, both retired.
SPECTRAL, PROGRESSIVE = UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55")
BY_GDCM_ALONE = {SPECTRAL, PROGRESSIVE, JPEG2000MCLossless, JPEG2000MC}
"""Transfer syntaxes that pydicom's own decoders do not know."""
PARTIAL = "YBR_PARTIAL_422"

_DESCRIBING = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
_DESCRIBING_WHOLE_NUMBERS = ("BitsStored", "PixelRepresentation")
_OF_COSINES = (JPEGBaseline8Bit, JPEGExtended12Bit, SPECTRAL, PROGRESSIVE)
_OF_JPEG_2000 = ("YBR_ICT", "YBR_RCT")
"""Kinds of colours that decoders of JPEG 2000 turn into RGB, and nothing else has."""
_SAMPLES = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", PARTIAL, *_OF_JPEG_2000), 3),
}
"""Kind of picture that can be read here -> values a pixel."""
_OTHER_KINDS = (*_SAMPLES, "HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "XYB")
_ITEM = b"\xfe\xff\x00\xe0"


def settle(dataset: Dataset) -> None:
    """Put right what of the header has one meaning only. Raises ScanError if it promises more than
    the limits, or what cannot be unpacked."""
    if isinstance(dataset.get("PhotometricInterpretation"), str):
        dataset.PhotometricInterpretation = dataset.PhotometricInterpretation.strip().upper()
    _check_size(dataset)
    _check_description(dataset)
    _settle_colours(dataset)
    _check_length(dataset)


def _check_size(dataset: Dataset) -> None:
    frames = frame_count(dataset)
    pixels = frames * _number(dataset, "Rows") * _number(dataset, "Columns")
    if frames > MAX_FRAMES:
        raise ScanError(TOO_MANY)
    if pixels > MAX_PIXELS:
        raise ScanError(TOO_LARGE)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not _readable(syntax):
        known = syntax.name != syntax  # of the standard: a file may say anything
        raise ScanError(PACKED.format(syntax.name if known else "an unknown transfer syntax"))


def _check_length(dataset: Dataset) -> None:
    """Raise ScanError if a picture that is stored as it is lacks bytes, or is not stored so."""
    if "PixelData" not in dataset or dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    there, needed = len(dataset.PixelData), get_expected_length(dataset)
    if dataset.PhotometricInterpretation == PARTIAL:
        needed = needed // 3 * 2  # as of YBR_FULL_422
    in_parts = dataset.PixelData.startswith(_ITEM) and there != needed + needed % 2
    if dataset["PixelData"].is_undefined_length or in_parts:
        raise ScanError(
            "The picture in this DICOM file is compressed, but its header does not say how. Export "
            "it again, if possible without compression."
        )
    if there < needed:
        raise ScanError(
            f"The picture in this DICOM file is cut short: {there} of {needed} bytes are "
            "there. Copy or export it again."
        )


def _settle_colours(dataset: Dataset) -> None:
    """Bring the kind of colours in line with how they are packed. Raises ScanError if samples are
    missing or too many for it, or if nothing here tells what they mean."""
    kind, samples = dataset.PhotometricInterpretation, _number(dataset, "SamplesPerPixel")
    syntax = dataset.file_meta.TransferSyntaxUID
    if kind in _OF_JPEG_2000 and syntax in _OF_COSINES:
        # Which such a frame cannot hold: it is luminance and chrominance as in every JPEG.
        kind = dataset.PhotometricInterpretation = "YBR_FULL"
    named = kind if kind in _OTHER_KINDS else "an unknown kind"  # a file may say anything
    shown = kind in _SAMPLES
    if kind in _OF_JPEG_2000:
        shown = syntax in JPEG2000TransferSyntaxes
    elif kind == PARTIAL:
        shown = not syntax.is_encapsulated and int(dataset.BitsAllocated) == 8
    if not shown:
        raise ScanError(
            f"The colours of this DICOM file, {named}, cannot be read here. Export it again, as "
            "RGB and without compression."
        )
    if samples != _SAMPLES[kind]:
        raise ScanError(
            f"The header of this DICOM file contradicts itself: {kind} has {_SAMPLES[kind]} "
            f"values a pixel, not {samples}. Export the file again."
        )
    if samples > 1 and dataset.get("PlanarConfiguration") is None:
        dataset.PlanarConfiguration = 0


def _check_description(dataset: Dataset) -> None:
    """Raise ScanError, with its name, if an element is missing without which no byte has a
    meaning: to guess it might show a wrong picture."""
    whole = _DESCRIBING_WHOLE_NUMBERS if "PixelData" in dataset else ()
    for keyword in (*_DESCRIBING, *whole):
        if dataset.get(keyword) in (None, ""):
            raise ScanError(
                f"The header of this DICOM file is damaged: {keyword} is missing. Export the file "
                "again."
            )


def frame_count(dataset: Dataset) -> int:
    """Number of frames; one where the file does not tell. Raises ScanError if it tells nonsense."""
    return _number(dataset, "NumberOfFrames") if dataset.get("NumberOfFrames") else 1


def _number(dataset: Dataset, keyword: str) -> int:
    try:
        told = dataset[keyword].value
        value = int(told) if float(told).is_integer() else 0
    except Exception as error:  # missing, empty, several, or no number
        value, cause = 0, error
    else:
        cause = None
    if value < 1:
        raise ScanError(
            f"The header of this DICOM file is damaged: {keyword} is missing or no count. "
            "Export the file again."
        ) from cause
    return value


def _readable(syntax: UID) -> bool:
    try:
        return syntax in BY_GDCM_ALONE or get_decoder(syntax).is_available
    except NotImplementedError:
        return False
