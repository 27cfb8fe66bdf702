"""The frames of a compressed DICOM picture, and what each says of itself."""

from __future__ import annotations

import struct
from typing import NamedTuple

from pydicom import Dataset
from pydicom.encaps import generate_frames, parse_fragments

from core.dicom.settling import PACKED
from core.scan_types import ScanError

_SOC, _COD = b"\xff\x4f", b"\xff\x52"
_J2K_START = _SOC + b"\xff\x51"
_WAVELET = 13
"""Bytes from the marker of JPEG 2000's coding style to the kind of its wavelet."""
_PART_2 = 0x8000  # of what a codestream of JPEG 2000 asks its reader for
# Start of frame, of every process; and that of JPEG-LS.
_JPEG_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
_DEEPEST_COSINES = 12
"""Bits of a JPEG that is not lossless. gdcm writes 16 in its place, and then reads them wrong."""


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


def checked_frames(dataset: Dataset, count: int) -> tuple[list[bytes], Claim | None]:
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
            raise ScanError(PACKED.format("JPEG 2000 with extensions of its part 2"))
    return frames, max((one for one in claims if one), default=None)


def is_irreversible(dataset: Dataset) -> bool:
    """Whether a frame of JPEG 2000 was coded with the wavelet that does not give back what it took
    (ISO/IEC 15444-1, A.6.1: the 9-7), as its main header tells; the other can lose too, which
    nothing tells."""
    return any(map(_is_of_9_7, _frames(dataset, int(dataset.get("NumberOfFrames") or 1))))


def _is_of_9_7(frame: bytes) -> bool:
    place = frame.find(_J2K_START, 0, 4096) + len(_SOC)
    while place >= len(_SOC) and frame[place : place + 1] == b"\xff":
        if frame[place : place + 2] == _COD:
            return frame[place + _WAVELET : place + _WAVELET + 1] == b"\0"
        place += 2 + int.from_bytes(frame[place + 2 : place + 4])
    return False


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
