"""The stored values of a DICOM picture: what its header promises, checked, and its frames unpacked.

pydicom takes the file apart; gdcm, OpenJPEG and Pillow unpack what is compressed. Section numbers
are those of PS3.3 of the DICOM standard.
"""

from __future__ import annotations

import os
import struct
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from pydicom import Dataset, config
from pydicom.encaps import generate_frames, parse_fragments
from pydicom.pixels import convert_color_space, get_decoder, pixel_array
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    JPEG2000MC,
    UID,
    JPEG2000MCLossless,
    JPEG2000TransferSyntaxes,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
)

from core.dicom.header import or_else
from core.dicom.unpacking import WORTH_A_PROCESS, unpack_apart
from core.scan_types import MAX_FRAMES, MAX_PIXELS, TOO_LARGE, TOO_MANY, ScanError

# A warning may quote what stands in the file, and a log must not hold a patient's name.
config.settings.reading_validation_mode = config.IGNORE

_DESCRIBING = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
_DESCRIBING_WHOLE_NUMBERS = ("BitsStored", "PixelRepresentation")
_PLUGINS = ("pylibjpeg", "pillow", "gdcm")
# JPEG by parts of its spectrum and progressive, both retired.
_SPECTRAL, _PROGRESSIVE = UID("1.2.840.10008.1.2.4.53"), UID("1.2.840.10008.1.2.4.55")
_BY_GDCM_ALONE = {_SPECTRAL, _PROGRESSIVE, JPEG2000MCLossless, JPEG2000MC}
_OF_COSINES = (JPEGBaseline8Bit, JPEGExtended12Bit, _SPECTRAL, _PROGRESSIVE)
PARTIAL = "YBR_PARTIAL_422"
_OF_JPEG_2000 = ("YBR_ICT", "YBR_RCT")
"""Kinds of colours that decoders of JPEG 2000 turn into RGB, and nothing else has."""
_SAMPLES = {
    **dict.fromkeys(("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR"), 1),
    **dict.fromkeys(("RGB", "YBR_FULL", "YBR_FULL_422", PARTIAL, *_OF_JPEG_2000), 3),
}
"""Kind of picture that can be read here -> values a pixel."""
_OTHER_KINDS = (*_SAMPLES, "HSV", "ARGB", "CMYK", "YBR_PARTIAL_420", "XYB")
_PARTIAL_OF_RGB = (
    *((0.2568, 0.5041, 0.0979), (-0.1482, -0.2910, 0.4392)),
    (0.4392, -0.3678, -0.0714),
)
"""As C.7.6.3.1.2 has it, without 16 and twice 128, which are added."""
_ITEM = b"\xfe\xff\x00\xe0"
_THREADS = min(4, os.cpu_count() or 1)
_J2K_START = b"\xff\x4f\xff\x51"
_PART_2 = 0x8000  # of what a codestream of JPEG 2000 asks its reader for
# Start of frame, of every process; and that of JPEG-LS.
_JPEG_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_DEEPEST_COSINES = 12
"""Bits of a JPEG that is not lossless. gdcm writes 16 in its place, and then reads them wrong."""

_PACKED = (
    "The picture in this DICOM file is packed as {}, which cannot be read here. Export it without "
    "compression, or single frames of it as PNG."
)


class Claim(NamedTuple):
    """What a compressed frame says of itself; ``signed`` only JPEG 2000 can."""

    bits: int
    height: int
    width: int
    signed: bool = False

    @property
    def allocated(self) -> int:
        """Bits of the words that decoders hand over."""
        return next(size for size in (8, 16, 32, 64) if self.bits <= size)


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
        raise ScanError(_PACKED.format(syntax.name if known else "an unknown transfer syntax"))


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
        return syntax in _BY_GDCM_ALONE or get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def unpacked(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Stored values of all frames, (frames, H, W) or, as RGB, (frames, H, W, 3), and in how many of
    their lowest bits they are."""
    count, claim = frame_count(dataset), None
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames, claim = _checked_frames(dataset, count)
        plugin = _plugin(dataset, count, claim)
        if plugin == "gdcm":
            stored = _by_gdcm(dataset, frames, claim)
        else:
            stored = _by(plugin, dataset, count, claim)
    else:
        stored = _plain(dataset, count)
    if stored.shape[:3] != (count, dataset.Rows, dataset.Columns):
        raise ValueError("decoders disagree")
    return _of_codestream(stored, dataset, claim) if claim else _of_words(stored, dataset)


def _plain(dataset: Dataset, count: int) -> np.ndarray:
    partial = dataset.PhotometricInterpretation == PARTIAL
    # Both are packed alike.
    told = {"raw": True, "photometric_interpretation": "YBR_FULL_422"} if partial else {}
    stored = pixel_array(dataset, correct_unused_bits=False, **told)
    stored = stored if count > 1 else stored[None]
    return np.stack([_rgb_of_partial(frame) for frame in stored]) if partial else stored


def _rgb_of_partial(colours: np.ndarray) -> np.ndarray:
    """Colours of YBR_PARTIAL_422, whose black is 16 and white 235, as RGB."""
    back = np.linalg.inv(_PARTIAL_OF_RGB).astype(np.float32)
    bright = (colours - np.float32([16, 128, 128])) @ back.T
    return np.rint(bright).clip(0, 255).astype(np.uint8)


def _plugin(dataset: Dataset, count: int, claim: Claim | None) -> str:
    """What unpacks a compressed picture of so many frames. Pillow knows 8 bits only; OpenJPEG
    takes one frame after the other, gdcm several at a time."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in _BY_GDCM_ALONE:
        return "gdcm"
    able = get_decoder(syntax).available_plugins
    if syntax in JPEG2000TransferSyntaxes and count > WORTH_A_PROCESS and "gdcm" in able:
        return "gdcm"
    deep = (claim.bits if claim else int(dataset.BitsStored)) > 8
    return next(one for one in _PLUGINS if one in able and not (deep and one == "pillow"))


def _by(plugin: str, dataset: Dataset, count: int, claim: Claim | None) -> np.ndarray:
    # Decoders hand over colour by pixel, or correct this themselves, whatever the header says.
    told = {"decoding_plugin": plugin, "correct_unused_bits": False, "planar_configuration": 0}
    if claim:  # in words of the header's size pydicom would drop the bits above
        told |= {"bits_allocated": claim.allocated, "bits_stored": claim.bits}

    def frame(index: int) -> np.ndarray:
        try:
            return pixel_array(dataset, index=index, **told)
        except BaseException as error:
            # The decoder of run lengths is written in Rust, whose panics are no Exception.
            if type(error).__name__ == "PanicException":
                raise ValueError("damaged run lengths") from error
            raise

    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(frame, range(count))))


def _by_gdcm(dataset: Dataset, frames: list[bytes], claim: Claim) -> np.ndarray:
    samples, signed = int(dataset.SamplesPerPixel), int(dataset.PixelRepresentation)
    # The depth that the frames tell, not the header: gdcm drops the bits above it.
    about = {
        "syntax": str(dataset.file_meta.TransferSyntaxUID),
        "photometric": str(dataset.PhotometricInterpretation),
        "width": int(dataset.Columns),
        "height": int(dataset.Rows),
        "samples": samples,
        "allocated": claim.allocated,
        "stored": claim.bits,
        "signed": signed,
        "planar": int(dataset.get("PlanarConfiguration") or 0),
    }
    kind = np.dtype(f"<{'i' if signed else 'u'}{claim.allocated // 8}")
    values = np.frombuffer(unpack_apart(frames, about), kind)
    shape = (len(frames), dataset.Rows, dataset.Columns)
    if samples == 1:
        return values.reshape(shape)
    colours = values.reshape(*shape, samples)
    if dataset.PhotometricInterpretation.startswith("YBR_FULL"):
        return convert_color_space(colours, "YBR_FULL", "RGB")
    return colours


def has_unused_bits(dataset: Dataset) -> bool:
    """Whether the words of a plain picture have more bits than its values."""
    return "PixelData" in dataset and int(dataset.BitsStored) < int(dataset.BitsAllocated)


def _of_words(words: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, int]:
    """Values in the bits of plain words that are said to hold them, and how many these are; the
    others may hold an overlay (C.7.6.3).

    pydicom would take the lowest bits, wherever the highest is said to be.
    """
    size = 8 * words.itemsize
    if words.dtype.kind not in "iu" or "BitsStored" not in dataset:
        return words, size
    used, highest = _told_bits(dataset)
    if not 0 < used <= highest + 1 <= size:
        return words, size
    return _cut_out(words, used, highest), used


def _of_codestream(words: np.ndarray, dataset: Dataset, claim: Claim) -> tuple[np.ndarray, int]:
    """Values of frames that tell their own depth, which holds where the header contradicts it.

    Many programs pack whole words: then the header tells in which of their bits the values are.
    That is so if its highest bit is that of the frame, or if no word goes beyond its bits.
    """
    used, highest = _told_bits(dataset)
    if 0 < used < claim.bits:
        if highest + 1 == claim.bits:
            return _cut_out(words, used, highest), used
        within = not claim.signed and words.min() >= 0 and words.max() < 2**used
        if within or _draws_in_words(dataset):
            return _cut_out(words, used, used - 1), used
    return _cut_out(words, claim.bits, claim.bits - 1), claim.bits


def _told_bits(dataset: Dataset) -> tuple[int, int]:
    """How many bits hold a value, and the highest of them, as the header says."""
    used = int(dataset.BitsStored)
    return used, or_else(dataset.get("HighBit"), used - 1)


def _draws_in_words(dataset: Dataset) -> bool:
    """Whether an overlay is said to lie in the bits beside the values."""
    groups = range(0x6000, 0x601F, 2)
    return any((one, 0x0102) in dataset and (one, 0x3000) not in dataset for one in groups)


def _cut_out(words: np.ndarray, used: int, highest: int) -> np.ndarray:
    """The numbers in so many bits of words up to the highest; of signed ones with their sign."""
    size = 8 * words.itemsize
    above = size - 1 - highest
    if size == used:
        return words
    if words.dtype.kind == "u" and above == size - used:
        return words & words.dtype.type(2**used - 1)
    return (words << above) >> (size - used)  # of signed numbers this repeats the sign


def _checked_frames(dataset: Dataset, count: int) -> tuple[list[bytes], Claim | None]:
    """All compressed frames, if each has the size of the header, and what the deepest of them
    claims: decoders reserve memory for what the frame itself claims.

    Raises ScanError for what of JPEG 2000 no decoder here knows, which may unpack it wrong.
    """
    size = (int(dataset.Rows), int(dataset.Columns))
    frames = _frames(dataset, count)
    claims = [_claim(frame) for frame in frames]
    for frame, claim in zip(frames, claims, strict=True):
        if claim and (claim.height, claim.width) != size:
            raise ValueError("sizes disagree")
        if _asks_for_part_2(frame):
            raise ScanError(_PACKED.format("JPEG 2000 with extensions of its part 2"))
    return frames, max((one for one in claims if one), default=None)


def _frames(dataset: Dataset, count: int) -> list[bytes]:
    try:
        frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    except ValueError:
        frames = []
    if len(frames) == count:
        return frames
    parts = parse_fragments(dataset.PixelData)[0] - 1  # the first tells where the others begin
    if parts == count:
        raise ValueError("frames are damaged")
    raise ScanError(
        f"The header of this DICOM file tells of {count} frames, but its picture has {parts} "
        "parts. Copy or export it again."
    )


def _asks_for_part_2(frame: bytes) -> bool:
    """Whether a JPEG 2000 frame is not to be understood without the standard's second part, such
    as its transformations of components."""
    start = frame.find(_J2K_START, 0, 4096)
    return start >= 0 and bool(int.from_bytes(frame[start + 6 : start + 8]) & _PART_2)


def _claim(frame: bytes) -> Claim | None:
    """What a JPEG or JPEG 2000 frame claims; None for other kinds."""
    start = frame.find(_J2K_START, 0, 4096)
    if start >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        depth = frame[start + 42]
        return Claim((depth & 0x7F) + 1, bottom - top, right - left, depth > 0x7F)
    place = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            place += 1
        elif frame[place + 1] in _JPEG_SIZES:
            bits, height, width = struct.unpack_from(">B2H", frame, place + 4)
            lossless = frame[place + 1] & 3 == 3
            return Claim(bits if lossless else min(bits, _DEEPEST_COSINES), height, width)
        elif frame[place + 1] in (0xFF, 0x01, *range(0xD0, 0xD9)):
            place += 1 if frame[place + 1] == 0xFF else 2
        else:
            place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None
