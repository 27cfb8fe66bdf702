"""DICOM pixel data -> grey values with their windows, or colours.

pydicom takes the file apart; gdcm, OpenJPEG and Pillow unpack what is compressed. Section numbers
are those of PS3.3 of the DICOM standard.
"""

from __future__ import annotations

import math
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from pydicom import Dataset, config
from pydicom.encaps import generate_frames
from pydicom.pixels import apply_color_lut, convert_color_space, get_decoder, pixel_array
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    UID,
    AllTransferSyntaxes,
    ExplicitVRLittleEndian,
    JPEG2000TransferSyntaxes,
    JPEGLSTransferSyntaxes,
)

from core.dicom.header import frame_header, is_enhanced
from core.dicom.unpacking import WORTH_A_PROCESS, unpack_apart
from core.scan_types import MAX_FRAMES, MAX_PIXELS, TOO_LARGE, TOO_MANY, Grey, ScanError, rgb
from core.windowing import TABLE_SIZE, Window, apply_window, window_between

PIXEL_KEYWORDS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")
_GREY = {"MONOCHROME1", "MONOCHROME2"}
_PALETTE = "PALETTE COLOR"
_COLOURS = {"RGB", "YBR_FULL", "YBR_FULL_422"}
_COMPRESSED_COLOURS = {"YBR_ICT", "YBR_RCT"}
_DESCRIBING = ("SamplesPerPixel", "PhotometricInterpretation", "BitsAllocated")
_DESCRIBING_WHOLE_NUMBERS = ("BitsStored", "PixelRepresentation")
_LARGEST = float(np.finfo(np.float32).max)
_THREADS = min(4, os.cpu_count() or 1)


def read_pixels(dataset: Dataset) -> tuple[np.ndarray, Grey | None]:
    """Pixels uint8 (frames, H, W, 3) of a data set with a picture, and its grey values, if any.

    Raises ScanError for what is beyond the limits or packed in a way that cannot be read, and
    nearly anything for a damaged file.
    """
    check_size(dataset)
    stored = _unpacked(dataset)
    kind = dataset.PhotometricInterpretation
    if kind in _GREY:
        return _grey_scan(stored, dataset)
    if kind == _PALETTE:
        palette = _palette(dataset)
        colours = apply_color_lut(stored, palette)[..., :3]
        return _to_bytes(colours, _palette_bits(palette, colours)), None
    packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    known = _COLOURS | _COMPRESSED_COLOURS if packed else _COLOURS
    if kind not in known or stored.ndim != 4 or stored.shape[-1] != 3:
        raise ValueError("neither grey nor colour")
    return _to_bytes(stored, int(dataset.BitsStored)), None


def unpack_in_place(dataset: Dataset) -> None:
    """Turn a compressed picture into a plain one, colours into RGB. Raises as ``read_pixels``."""
    check_size(dataset)
    if not dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        return
    stored = _unpacked(dataset)
    dataset.BitsAllocated = 8 * stored.itemsize
    if stored.ndim == 4:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    padding = b"\0" * (stored.nbytes % 2)
    dataset.PixelData = stored.astype(stored.dtype.newbyteorder("<")).tobytes() + padding
    dataset["PixelData"].VR = "OW" if stored.itemsize > 1 else "OB"
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def check_size(dataset: Dataset) -> None:
    """Raise ScanError if the header promises more than the limits, or what cannot be unpacked."""
    frames = frame_count(dataset)
    pixels = frames * _number(dataset, "Rows") * _number(dataset, "Columns")
    if frames > MAX_FRAMES:
        raise ScanError(TOO_MANY)
    if pixels > MAX_PIXELS:
        raise ScanError(TOO_LARGE)
    syntax = UID(dataset.file_meta.TransferSyntaxUID)
    if not _readable(syntax):
        name = syntax.name if syntax in AllTransferSyntaxes else "an unknown transfer syntax"
        raise ScanError(
            f"The picture in this DICOM file is packed as {name}, which cannot be read here. "
            "Export it without compression, or single frames of it as PNG."
        )
    _check_description(dataset)
    if "PixelData" in dataset and not syntax.is_encapsulated:
        there, needed = len(dataset.PixelData), get_expected_length(dataset)
        if there < needed:
            raise ScanError(
                f"The picture in this DICOM file is cut short: {there} of {needed} bytes are "
                "there. Copy or export it again."
            )


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
        return get_decoder(syntax).is_available
    except NotImplementedError:
        return False


def _unpacked(dataset: Dataset) -> np.ndarray:
    """Stored values of all frames, (frames, H, W) or, as RGB, (frames, H, W, 3)."""
    count = frame_count(dataset)
    if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
        frames = _checked_frames(dataset, count)
        plugin = _plugin(dataset, count)
        stored = _by_gdcm(dataset, frames) if plugin == "gdcm" else _by(plugin, dataset, count)
    else:
        stored = pixel_array(dataset, correct_unused_bits=False)
        stored = stored if count > 1 else stored[None]
    if stored.shape[:3] != (count, dataset.Rows, dataset.Columns):
        raise ValueError("decoders disagree")
    return _without_unused_bits(stored, dataset)


def _plugin(dataset: Dataset, count: int) -> str:
    """What unpacks a compressed picture of so many frames. Pillow knows 8 bits only; OpenJPEG
    takes one frame after the other, gdcm several at a time."""
    syntax = dataset.file_meta.TransferSyntaxUID
    able = get_decoder(syntax).available_plugins
    if syntax in JPEG2000TransferSyntaxes and count > WORTH_A_PROCESS and "gdcm" in able:
        return "gdcm"
    deep = int(dataset.BitsStored) > 8
    return next(one for one in _PLUGINS if one in able and not (deep and one == "pillow"))


_PLUGINS = ("pylibjpeg", "pillow", "gdcm")


def _by(plugin: str, dataset: Dataset, count: int) -> np.ndarray:
    def frame(index: int) -> np.ndarray:
        try:
            return pixel_array(
                dataset, index=index, decoding_plugin=plugin, correct_unused_bits=False
            )
        except BaseException as error:
            # The decoder of run lengths is written in Rust, whose panics are no Exception.
            if type(error).__name__ == "PanicException":
                raise ValueError("damaged run lengths") from error
            raise

    with ThreadPoolExecutor(_THREADS) as pool:
        return np.stack(list(pool.map(frame, range(count))))


def _by_gdcm(dataset: Dataset, frames: list[bytes]) -> np.ndarray:
    samples, allocated = int(dataset.SamplesPerPixel), int(dataset.BitsAllocated)
    stored, signed = int(dataset.BitsStored), int(dataset.PixelRepresentation)
    syntax = dataset.file_meta.TransferSyntaxUID
    if syntax in JPEGLSTransferSyntaxes:  # gdcm goes by the depth that the frame tells
        stored = _codestream(frames[0])[0]
        allocated = 8 if stored <= 8 else 16
    about = {
        "syntax": str(syntax),
        "photometric": str(dataset.PhotometricInterpretation),
        "width": int(dataset.Columns),
        "height": int(dataset.Rows),
        "samples": samples,
        "allocated": allocated,
        "stored": stored,
        "signed": signed,
        "planar": int(dataset.get("PlanarConfiguration") or 0),
    }
    kind = np.dtype(f"<{'i' if signed else 'u'}{allocated // 8}")
    values = np.frombuffer(unpack_apart(frames, about), kind)
    shape = (len(frames), dataset.Rows, dataset.Columns)
    if samples == 1:
        return values.reshape(shape)
    colours = values.reshape(*shape, samples)
    if dataset.PhotometricInterpretation.startswith("YBR_FULL"):
        return convert_color_space(colours, "YBR_FULL", "RGB")
    return colours


def _without_unused_bits(stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Values in the bits that are said to hold them; the others may hold an overlay (C.7.6.3).

    pydicom would take the lowest bits, wherever the highest is said to be.
    """
    if stored.dtype.kind not in "iu" or "BitsStored" not in dataset:
        return stored
    size, used = 8 * stored.itemsize, int(dataset.BitsStored)
    above = size - 1 - _or_else(dataset.get("HighBit"), used - 1)
    if not 0 < used <= size - above or size == used:
        return stored
    if stored.dtype.kind == "u" and above == size - used:
        return stored & stored.dtype.type(2**used - 1)
    return (stored << above) >> (size - used)  # of signed numbers this repeats the sign


def _or_else(told, default: int) -> int:
    """A number of the header, or what is meant where it is missing or empty."""
    return default if told is None else int(told)


def _palette(dataset: Dataset) -> Dataset:
    """The data set, or where it is big-endian a palette without: pydicom takes the words of plain
    tables to be little-endian in every file."""
    tables = [f"{name}PaletteColorLookupTable" for name in _PRIMARIES]
    if _little_endian(dataset) or f"{tables[0]}Data" not in dataset:
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


_PRIMARIES = ("Red", "Green", "Blue")


def _to_bytes(colours: np.ndarray, bits: int) -> np.ndarray:
    """Colours of so many bits in 8, contiguous."""
    if colours.dtype == np.uint8 and bits == 8:
        return np.ascontiguousarray(colours)
    return apply_window(colours, window_between(0, 2**bits - 1))


# ---------------------------------------------------------------- grey: from stored to shown


def _grey_scan(stored: np.ndarray, dataset: Dataset) -> tuple[np.ndarray, Grey]:
    """Pixels and grey values: Modality LUT, then VOI LUT or window, then the polarity (C.11)."""
    if stored.ndim != 3:
        raise ValueError("several samples a pixel are no grey")
    headers = [frame_header(dataset, 0)]
    if is_enhanced(dataset):
        headers = [frame_header(dataset, frame) for frame in range(len(stored))]
    parts = np.split(stored, len(headers))
    values = [_rescaled(part, header) for part, header in zip(parts, headers, strict=True)]
    low, high = _extent(parts, values, dataset)
    whole = window_between(low, high)
    inverted = _inverted(dataset)
    pixels = [
        _shown(part, header, whole, inverted) for part, header in zip(values, headers, strict=True)
    ]
    windows = _windows(headers[0]) or (whole,)
    unit = str(headers[0].get("RescaleType") or "")
    grey = Grey(np.concatenate(values), windows, inverted, "" if unit == "US" else unit)
    return rgb(np.concatenate(pixels)), grey


def _inverted(dataset: Dataset) -> bool:
    """Whether low values are white. A presentation LUT shape says the same in other words."""
    shape = dataset.get("PresentationLUTShape")
    return dataset.PhotometricInterpretation == "MONOCHROME1" or shape == "INVERSE"


def _rescaled(stored: np.ndarray, header: Dataset) -> np.ndarray:
    """Values after the Modality LUT (C.11.1), in the smallest type that holds them exactly.

    That is int16 or uint16 where it can be, and float32 else.
    """
    sequence = header.get("ModalityLUTSequence")
    slope = float(header.get("RescaleSlope") or 1)
    intercept = float(header.get("RescaleIntercept") or 0)
    if not all(abs(one) <= _LARGEST for one in (slope, intercept)):  # or no number
        raise ValueError("rescaled to no numbers")
    low, high = (stored.min(), stored.max()) if stored.size else (0, 0)
    whole = stored.dtype.kind in "iu" and int(high) - int(low) < TABLE_SIZE
    if not sequence and not whole:
        return (stored * slope + intercept).astype(np.float32)
    ramp = np.arange(int(low), int(high) + 1)
    if not sequence and (slope, intercept) == (1, 0):
        return stored.astype(_smallest_type(ramp), copy=False)
    table = _looked_up(ramp, sequence[0]) if sequence else ramp * slope + intercept
    table = table.astype(_smallest_type(table))
    return table[stored.astype(np.int32) - int(low)]


def _smallest_type(values: np.ndarray) -> type:
    if not np.array_equal(values, np.rint(values)):
        return np.float32
    for kind in (np.uint8, np.uint16, np.int16):
        limits = np.iinfo(kind)
        if limits.min <= values.min() and values.max() <= limits.max:
            return kind
    return np.float32


def _looked_up(values: np.ndarray, item: Dataset) -> np.ndarray:
    """Values through a table whose descriptor tells its length, first value and bits (C.11.1.1)."""
    count, first, bits = (int(one) for one in item.LUTDescriptor)
    count = count or 2**16
    if not 0 < bits <= 16:
        raise ValueError("a table of no bits")
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if _little_endian(item) else ">"
        words = np.frombuffer(data, f"{order}u2").astype("<u2")
        # As C.11.1.1.1 tells entries of a byte from those of a word.
        data = words if len(data) >= 2 * count else words.view(np.uint8)
    table = np.atleast_1d(np.asarray(data, np.int64))[:count]
    if first >= 2**15 and values.min() < 0:  # a negative number that was written as unsigned
        first -= 2**16
    return table[np.clip(np.asarray(values, np.int64) - first, 0, len(table) - 1)]


def _little_endian(item: Dataset) -> bool:
    return item.original_encoding[1] is not False


def _extent(stored: list[np.ndarray], values: list[np.ndarray], dataset: Dataset) -> tuple:
    """Smallest and largest value of all frames, of what is picture and not padding (C.7.5.1.1)."""
    padding = dataset.get("PixelPaddingValue")
    kept = []
    for raw, value in zip(stored, values, strict=True):
        part = value if padding is None else value[~_padded(raw, dataset, int(padding))]
        part = part[np.isfinite(part)] if part.dtype.kind == "f" else part
        kept.extend([part.min(), part.max()] if part.size else [])
    return (float(min(kept)), float(max(kept))) if kept else (0.0, 0.0)


def _padded(stored: np.ndarray, dataset: Dataset, padding: int) -> np.ndarray:
    limits = (padding, _or_else(dataset.get("PixelPaddingRangeLimit"), padding))
    # Negative numbers are now and then written as unsigned.
    signed = stored.dtype.kind == "i"
    low, high = sorted(one - 2**16 if signed and one >= 2**15 else one for one in limits)
    return (stored >= low) & (stored <= high)


def _windows(header: Dataset) -> tuple[Window, ...]:
    """The windows that a file proposes; those without any width are left out."""
    centers, widths = _numbers(header.get("WindowCenter")), _numbers(header.get("WindowWidth"))
    names = header.get("WindowCenterWidthExplanation") or ()
    names = [names] if isinstance(names, str) else list(names)
    names += [""] * (len(centers) - len(names))
    shape = str(header.get("VOILUTFunction") or "LINEAR")
    found = zip(centers, widths, names, strict=False)
    return tuple(
        Window(c, w, shape, str(name))
        for c, w, name in found
        if w > 0 and math.isfinite(c) and math.isfinite(w)
    )


def _numbers(told) -> list[float]:
    if told is None or told == "":
        return []
    return [float(told)] if np.isscalar(told) else [float(one) for one in told]


def _shown(values: np.ndarray, header: Dataset, whole: Window, inverted: bool) -> np.ndarray:
    """Greys of values as the file wants them shown: by its table, its first window, or whole."""
    sequence = header.get("VOILUTSequence")
    if not sequence:
        return apply_window(values, (_windows(header) or (whole,))[0], inverted)
    bits = int(sequence[0].LUTDescriptor[2])
    return apply_window(_looked_up(values, sequence[0]), window_between(0, 2**bits - 1), inverted)


# ---------------------------------------------------------------- what is checked


def _checked_frames(dataset: Dataset, count: int) -> list[bytes]:
    """All compressed frames, if each has the size of the header: decoders reserve memory for what
    the frame itself claims."""
    size = (int(dataset.Rows), int(dataset.Columns))
    frames = list(generate_frames(dataset.PixelData, number_of_frames=count))
    if len(frames) != count:
        raise ValueError("frames are missing")
    for frame in frames:
        claim = _codestream(frame)
        if claim and claim[1:] != size:
            raise ValueError("sizes disagree")
    return frames


def _codestream(frame: bytes) -> tuple[int, int, int] | None:
    """Bits, height and width that a JPEG or JPEG 2000 frame claims; None for other kinds.

    Bits are 0 for JPEG 2000.
    """
    start = frame.find(_J2K_START, 0, 4096)
    if start >= 0:
        right, bottom, left, top = struct.unpack_from(">4I", frame, start + 8)
        return 0, bottom - top, right - left
    place = 2 if frame.startswith(b"\xff\xd8") else len(frame)
    while place + 9 <= len(frame):
        if frame[place] != 0xFF:
            place += 1
        elif frame[place + 1] in _JPEG_SIZES:
            return struct.unpack_from(">B2H", frame, place + 4)
        elif frame[place + 1] in (0xFF, 0x01, *range(0xD0, 0xD9)):
            place += 1 if frame[place + 1] == 0xFF else 2
        else:
            place += 2 + struct.unpack_from(">H", frame, place + 2)[0]
    return None


_J2K_START = b"\xff\x4f\xff\x51"
# Start of frame, of every process; and that of JPEG-LS.
_JPEG_SIZES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}

# A warning may quote what stands in the file, and a log must not hold a patient's name.
config.settings.reading_validation_mode = config.IGNORE
