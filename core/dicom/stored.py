"""The stored values of a DICOM picture: its frames unpacked, and the bits of them that count.

pydicom takes the file apart; gdcm, OpenJPEG and Pillow unpack what is compressed. Section numbers
are those of PS3.3 of the DICOM standard.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydicom import Dataset, config
from pydicom.pixels import convert_color_space, get_decoder, pixel_array
from pydicom.uid import JPEG2000TransferSyntaxes

from core.dicom.codestreams import Claim, checked_frames
from core.dicom.header import or_else
from core.dicom.settling import BY_GDCM_ALONE, PARTIAL, frame_count
from core.dicom.unpacking import WORTH_A_PROCESS, unpack_apart

# A warning may quote what stands in the file, and a log must not hold a patient's name.
config.settings.reading_validation_mode = config.IGNORE

_PLUGINS = ("pylibjpeg", "pillow", "gdcm")
_PARTIAL_OF_RGB = np.float32(
    [[0.2568, 0.5041, 0.0979], [-0.1482, -0.2910, 0.4392], [0.4392, -0.3678, -0.0714]]
)
"""As C.7.6.3.1.2 has it, without 16 and twice 128, which are added."""
_THREADS = min(4, os.cpu_count() or 1)


def unpacked(dataset: Dataset) -> tuple[np.ndarray, int]:
    """Stored values of all frames, (frames, H, W) or, as RGB, (frames, H, W, 3), and in how many of
    their lowest bits they are."""
    count, claim = frame_count(dataset), None
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames, claim = checked_frames(dataset, count)
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
    back = np.linalg.inv(_PARTIAL_OF_RGB)
    bright = (colours - np.float32([16, 128, 128])) @ back.T
    return np.rint(bright).clip(0, 255).astype(np.uint8)


def _plugin(dataset: Dataset, count: int, claim: Claim | None) -> str:
    """What unpacks a compressed picture of so many frames. Pillow knows 8 bits only; OpenJPEG
    takes one frame after the other, gdcm several at a time."""
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in BY_GDCM_ALONE:
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
    if not 0 < used <= size:
        return words, size
    if not used <= highest + 1 <= size:
        return words, used
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
