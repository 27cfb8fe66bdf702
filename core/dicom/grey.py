"""Grey values of a DICOM picture and what is shown of them, after C.11 of PS3.3."""

from __future__ import annotations

import math

import numpy as np
from pydicom import Dataset

from core.dicom.header import frame_header, is_enhanced, little_endian
from core.scan_types import Grey, rgb
from core.windowing import TABLE_SIZE, Window, apply_window, by_table, linear_shape, window_between

_LARGEST = float(np.finfo(np.float32).max)
_SHAPES = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
_PADDED = ("Pixel", "FloatPixel", "DoubleFloatPixel")
"""How the keywords of padding begin, by the type of the pixels."""
_EXACT = 2**24
"""Largest whole number below which float32 holds all."""


def grey_scan(stored: np.ndarray, dataset: Dataset, bits: int) -> tuple[np.ndarray, Grey]:
    """Pixels and grey values of stored ones in so many bits: Modality LUT, then VOI LUT or window,
    then the polarity (C.11).

    Without either, bytes are greys already, as in a photograph (a window would be the identity, by
    A.8.4.4 of PS3.3); of other values the range that there is shown.
    """
    if stored.ndim != 3:
        raise ValueError("several samples a pixel are no grey")
    headers = [frame_header(dataset, 0)]
    if is_enhanced(dataset):
        headers = [frame_header(dataset, frame) for frame in range(len(stored))]
    parts = np.split(stored, len(headers))
    values = [_rescaled(part, header) for part, header in zip(parts, headers, strict=True)]
    extent = _extent(parts, values, dataset)
    joined = _joined(values)
    greys = stored.dtype.kind == "u" and _are_greys(bits, headers)
    shown = (0.0, 2.0**bits - 1) if greys else extent
    whole = window_between(*shown, linear_shape(joined.dtype))
    inverted = is_inverted(dataset)
    pixels = [
        _shown(part, header, whole, inverted) for part, header in zip(values, headers, strict=True)
    ]
    windows = tuple(_windows(header) or (whole,) for header in headers)
    curved = tuple(bool(header.get("VOILUTSequence")) for header in headers)
    proposed = _windows(headers[0]) or curved[0] or greys
    unit = str(headers[0].get("RescaleType") or "")
    grey = Grey(
        joined,
        windows,
        inverted,
        "" if unit == "US" else unit,
        None if proposed else extent,
        curved,
    )
    return rgb(_joined(pixels)), grey


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    """Frames of several arrays in one; a single array as it is, since it may be large."""
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def _are_greys(bits: int, headers: list[Dataset]) -> bool:
    """Whether stored values are greys of a screen, by their bits and by all that could map them."""
    return bits <= 8 and not any(map(_is_mapped, headers))


def _is_mapped(header: Dataset) -> bool:
    tables = header.get("ModalityLUTSequence") or header.get("VOILUTSequence")
    slope, intercept = header.get("RescaleSlope") or 1, header.get("RescaleIntercept") or 0
    return bool(tables or _windows(header)) or (float(slope), float(intercept)) != (1, 0)


def is_inverted(dataset: Dataset) -> bool:
    """Whether low values are white. A presentation LUT shape says the same in other words."""
    shape = dataset.get("PresentationLUTShape")
    return dataset.get("PhotometricInterpretation") == "MONOCHROME1" or shape == "INVERSE"


def _rescaled(stored: np.ndarray, header: Dataset) -> np.ndarray:
    """Values after the Modality LUT (C.11.1), in the smallest type that holds them exactly.

    That is of whole numbers uint8, uint16 or int16 where it can be; else float32, or float64 where
    float32 would round what the file tells apart.
    """
    sequence = header.get("ModalityLUTSequence")
    slope = float(header.get("RescaleSlope") or 1)
    intercept = float(header.get("RescaleIntercept") or 0)
    if not all(abs(one) <= _LARGEST for one in (slope, intercept)):  # or no number
        raise ValueError("rescaled to no numbers")
    low, high = (stored.min(), stored.max()) if stored.size else (0, 0)
    whole = stored.dtype.kind in "iu" and int(high) - int(low) < TABLE_SIZE
    if not sequence and not whole:
        values = stored * slope + intercept
        return values.astype(_float_type(values), copy=False)
    ramp = np.arange(int(low), int(high) + 1)
    if not sequence and (slope, intercept) == (1, 0):
        return stored.astype(_smallest_type(ramp), copy=False)
    table = _looked_up(ramp, sequence[0]) if sequence else ramp * slope + intercept
    table = table.astype(_smallest_type(table))
    return by_table(stored, table, int(low))


def _smallest_type(values: np.ndarray) -> type:
    if not np.array_equal(values, np.rint(values)):
        return _float_type(values)
    for kind in (np.uint8, np.uint16, np.int16):
        limits = np.iinfo(kind)
        if limits.min <= values.min() and values.max() <= limits.max:
            return kind
    return _float_type(values)


def _float_type(values: np.ndarray) -> type:
    rounds = values.dtype != np.float32 and (np.abs(values) > _EXACT).any()
    return np.float64 if rounds else np.float32


def _looked_up(values: np.ndarray, item: Dataset) -> np.ndarray:
    """Values through a table whose descriptor tells its length, first value and bits (C.11.1.1)."""
    count, first, bits = (int(one) for one in item.LUTDescriptor)
    count = count or 2**16
    if not 0 < bits <= 16:
        raise ValueError("a table of no bits")
    data = item.LUTData
    if isinstance(data, bytes):
        order = "<" if little_endian(item) else ">"
        words = np.frombuffer(data, f"{order}u2").astype("<u2")
        # As C.11.1.1.1 tells entries of a byte from those of a word.
        data = words if len(data) >= 2 * count else words.view(np.uint8)
    table = np.atleast_1d(np.asarray(data, np.int64))[:count]
    if first >= 2**15 and values.min() < 0:  # a negative number that was written as unsigned
        first -= 2**16
    return table[np.clip(np.asarray(values, np.int64) - first, 0, len(table) - 1)]


def _extent(stored: list[np.ndarray], values: list[np.ndarray], dataset: Dataset) -> tuple:
    """Smallest and largest value of all frames, of what is picture and not padding (C.7.5.1.1).

    Raises ValueError if no value is a number.
    """
    padding = _padding(dataset)
    kept, numbers = [], False
    for raw, value in zip(stored, values, strict=True):
        keep = np.isfinite(value) if value.dtype.kind == "f" else np.ones((), bool)
        numbers = numbers or keep.any()
        if padding:
            keep = keep & ~_padded(raw, padding)
        part = value if keep.all() else value[keep]
        kept.extend([part.min(), part.max()] if part.size else [])
    if not numbers:
        raise ValueError("no numbers")
    return (float(min(kept)), float(max(kept))) if kept else (0.0, 0.0)


def _padding(dataset: Dataset) -> tuple[float, float] | None:
    """Smallest and largest stored value that are no picture, or None."""
    for name in _PADDED:
        value = dataset.get(f"{name}PaddingValue")
        if value is not None:
            limit = dataset.get(f"{name}PaddingRangeLimit")
            return value, value if limit is None else limit
    return None


def _padded(stored: np.ndarray, padding: tuple[float, float]) -> np.ndarray:
    # Now and then negative numbers are written as unsigned, and large ones as signed.
    signed = stored.dtype.kind == "i"
    low, high = sorted(one - 2**16 if signed and one >= 2**15 else one for one in padding)
    if stored.dtype.kind == "u":
        low, high = (one + 2 ** (8 * stored.itemsize) if one < 0 else one for one in (low, high))
    if low > high:  # a range from below 0: the last of the words and the first
        return (stored >= low) | (stored <= high)
    return (stored >= low) & (stored <= high)


def _windows(header: Dataset) -> tuple[Window, ...]:
    """The windows that a file proposes; those that are no numbers or without any width are left
    out."""
    centers, widths = (_numbers(header, f"Window{part}") for part in ("Center", "Width"))
    names = header.get("WindowCenterWidthExplanation") or ()
    names = [names] if isinstance(names, str) else list(names)
    names += [""] * (len(centers) - len(names))
    told = str(header.get("VOILUTFunction")).strip().upper()
    shape = told if told in _SHAPES else "LINEAR"
    found = zip(centers, widths, names, strict=False)
    return tuple(
        Window(c, w, shape, str(name))
        for c, w, name in found
        if w > 0 and math.isfinite(c) and math.isfinite(w)
    )


def _numbers(header: Dataset, keyword: str) -> list[float]:
    """Values of an element; those that are empty or no numbers, as "1,5", are nan: the picture and
    the others are still good."""
    try:
        told = header.get(keyword)
    except ValueError:
        return []
    return [_number(one) for one in ([told] if np.isscalar(told) else told or ())]


def _number(told: object) -> float:
    try:
        return float(told)
    except (TypeError, ValueError):
        return math.nan


def _shown(values: np.ndarray, header: Dataset, whole: Window, inverted: bool) -> np.ndarray:
    """Greys of values as the file wants them shown: by its table, its first window, or whole."""
    sequence = header.get("VOILUTSequence")
    if not sequence:
        return apply_window(values, (_windows(header) or (whole,))[0], inverted)
    bits = int(sequence[0].LUTDescriptor[2])
    return apply_window(_looked_up(values, sequence[0]), window_between(0, 2**bits - 1), inverted)
