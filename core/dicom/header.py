"""What a DICOM header says beside the pixels: spacing, drawings, rhythm.

Section numbers are those of PS3.3 of the DICOM standard.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from core.scan_types import ratio_of

# What may be told once a file or in functional groups, for all frames or each (C.7.6.16).
_GROUPS = (
    *("PixelMeasuresSequence", "FrameVOILUTSequence", "PixelValueTransformationSequence"),
    "FrameAnatomySequence",
)
_ONCE = (
    *("PixelSpacing", "WindowCenter", "WindowWidth", "WindowCenterWidthExplanation"),
    *("VOILUTFunction", "VOILUTSequence", "ModalityLUTSequence", "RescaleSlope"),
    *("RescaleIntercept", "RescaleType"),
)

_SLOWEST_MS = 60_000
"""Frames that are further apart are no cine."""

_SCALE, _TISSUE, _CENTIMETRES = 0, 1, 3  # RegionSpatialFormat; PhysicalUnits (C.8.5.5.1)


def frame_header(dataset: Dataset, frame: int) -> Dataset:
    """Spacing, rescaling, windows and side of one frame, wherever the file tells them."""
    header = Dataset()
    for keyword in _ONCE:
        if keyword in dataset:
            header[keyword] = dataset.get_item(keyword)  # as it stands: not all is asked for
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    each = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for groups in (*shared[:1], *each[frame : frame + 1]):
        for name in _GROUPS:
            for item in (groups.get(name) or [])[:1]:
                header.update(item)
    return header


def is_enhanced(dataset: Dataset) -> bool:
    """Whether frames may differ in spacing, rescaling and windows."""
    return bool(dataset.get("PerFrameFunctionalGroupsSequence"))


def spacing_mm(dataset: Dataset) -> tuple[float, float] | None:
    """Height and width of a pixel in the body, in millimetres, or None if the file leaves it open
    or tells it differently of its frames.

    Taken from PixelSpacing (10.7.1), unless that repeats ImagerPixelSpacing, which is measured at
    the detector; else from ImagerPixelSpacing or, of a film, NominalScannedPixelSpacing, divided by
    the magnification, else from the ultrasound regions (C.8.5.5), if they lie within the picture,
    all show tissue in two dimensions, but for scales of greys or colours, and agree. What is no
    size counts as not told.
    """
    try:
        return _told_spacing(dataset)
    except (TypeError, ValueError, ArithmeticError):  # no two numbers: the picture is still good
        return None


def pixel_ratio(dataset: Dataset) -> float:
    """Height of a pixel over its width by PixelAspectRatio (C.7.6.3.1.7), or as the spacings of all
    frames tell it, whose sizes may differ; 1 without one that can be."""
    try:
        return ratio_of(*map(float, dataset.PixelAspectRatio))
    except (AttributeError, TypeError, ValueError, ArithmeticError):
        return _ratio_of_frames(dataset)


def _ratio_of_frames(dataset: Dataset) -> float:
    if not is_enhanced(dataset):
        return 1.0
    try:
        shapes = [one and (one[0] / one[1], 1.0) for one in _frame_sizes(dataset)]
    except (TypeError, ValueError, ArithmeticError):
        return 1.0
    return ratio_of(*(agreed(shapes) or (1.0, 1.0)))


def agreed(spacings: Sequence[tuple[float, float] | None]) -> tuple[float, float] | None:
    """The first of several spacings if all are that, but for rounding; else None."""
    first = spacings[0] if spacings else None
    alike = first and all(one and np.allclose(one, first, rtol=1e-3, atol=0) for one in spacings)
    return first if alike else None


def _told_spacing(dataset: Dataset) -> tuple[float, float] | None:
    told = _frame_sizes(dataset)
    detector = _sizes(dataset, "ImagerPixelSpacing")
    if any(told) and not (detector and all(agreed([detector, one]) for one in told)):
        return agreed(told)
    projected = detector or _sizes(dataset, "NominalScannedPixelSpacing")
    if projected:
        magnification = float(dataset.get("EstimatedRadiographicMagnificationFactor") or 1)
        return _positive(*(one / magnification for one in projected))
    return _ultrasound_spacing(dataset)


def _frame_sizes(dataset: Dataset) -> list[tuple[float, float] | None]:
    """Height and width of a pixel as the file tells them of its frames, or of all."""
    frames = len(dataset.get("PerFrameFunctionalGroupsSequence") or [None])
    return [_sizes(frame_header(dataset, frame), "PixelSpacing") for frame in range(frames)]


def _sizes(header: Dataset, keyword: str) -> tuple[float, float] | None:
    """Height and width of a pixel in an element; None where it holds no two lengths."""
    try:
        return _positive(*header[keyword].value)
    except (KeyError, TypeError, ValueError, ArithmeticError):
        return None


def _ultrasound_spacing(dataset: Dataset) -> tuple[float, float] | None:
    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    # Where a copy was resized, the regions still tell of the first picture: they lie outside.
    shown = [one for one in regions if one.get("RegionSpatialFormat") != _SCALE]
    if not (all(_inside(one, dataset) for one in regions) and all(map(_shows_tissue, shown))):
        return None
    return agreed([_positive(10 * _delta(one, "Y"), 10 * _delta(one, "X")) for one in shown])


def _shows_tissue(region: Dataset) -> bool:
    """Whether it is a picture in centimetres: no spectrum, no motion over time, no curve."""
    units = {region.get(f"PhysicalUnits{axis}Direction") for axis in "XY"}
    return region.get("RegionSpatialFormat") == _TISSUE and units == {_CENTIMETRES}


def _delta(region: Dataset, axis: str) -> float:
    return abs(float(region[f"PhysicalDelta{axis}"].value))


def _inside(region: Dataset, dataset: Dataset) -> bool:
    right, bottom = region.get("RegionLocationMaxX1"), region.get("RegionLocationMaxY1")
    told = right is not None and bottom is not None
    return told and right <= dataset.Columns and bottom <= dataset.Rows


def _positive(height: float, width: float) -> tuple[float, float] | None:
    sizes = float(height), float(width)
    return sizes if all(math.isfinite(one) and one > 0 for one in sizes) else None


def frame_milliseconds(dataset: Dataset) -> float | None:
    """Time from frame to frame of a cine (C.7.6.5), the mean where the times differ, or None."""
    try:
        told = float(dataset.get("FrameTime") or 0)
        if not told and dataset.get("FrameTimeVector"):
            told = _mean_of_steps(dataset.FrameTimeVector)
        if not told and dataset.get("CineRate"):
            told = 1000 / float(dataset.CineRate)
    except (TypeError, ValueError, ArithmeticError):  # no number: the picture is still good
        return None
    return told if 0 < told <= _SLOWEST_MS else None


def _mean_of_steps(times) -> float:
    """Of the times from frame to frame in a FrameTimeVector, whose first, to the first, is 0."""
    steps = [float(one) for one in times][1:]
    return sum(steps) / len(steps) if steps else 0.0


def overlay(dataset: Dataset) -> np.ndarray | None:
    """All overlay planes (C.9.2) of a file as one, bool (1 or frames, H, W), or None; also those in
    bits of the picture's words beside its values.

    A plane that cannot be read is left out: it is a drawing beside the picture.
    """
    frames = int(dataset.get("NumberOfFrames") or 1)
    found = []
    for group in range(0x6000, 0x601F, 2):
        try:
            plane = _plane(dataset, group, frames)
            if plane is None:
                continue
            told = dataset.get((group, 0x0050))
            origin = [int(one) - 1 for one in (told and told.value) or (1, 1)]
            first = int(dataset[group, 0x0051].value) - 1 if (group, 0x0051) in dataset else 0
            found.append(_placed(plane, origin, first, (frames, dataset.Rows, dataset.Columns)))
        except Exception:  # whatever is wrong with a drawing, the picture is still good
            continue
    return np.logical_or.reduce(np.broadcast_arrays(*found)) if found else None


def _plane(dataset: Dataset, group: int, frames: int) -> np.ndarray | None:
    """The overlay of a group as it is stored, bool (1 or frames, h, w), or None."""
    if (group, 0x3000) in dataset:
        return np.atleast_3d(dataset.overlay_array(group).T).T.astype(bool)
    if (group, 0x0102) in dataset and _has_plain_words(dataset):
        return _beside_values(dataset, int(dataset[group, 0x0102].value), frames)
    return None


def _has_plain_words(dataset: Dataset) -> bool:
    """Whether the picture is stored as it is, in words of 16 bits that hold one value each."""
    packed = dataset.file_meta.TransferSyntaxUID.is_encapsulated
    kind = (dataset.get("BitsAllocated"), dataset.get("SamplesPerPixel"))
    return "PixelData" in dataset and not packed and kind == (16, 1)


def _beside_values(dataset: Dataset, bit: int, frames: int) -> np.ndarray | None:
    """A drawing in a bit of the words that is none of their values, bool (frames, H, W), as the
    standard allowed until 2004; None if it is one, repeats the sign of theirs, or is empty as in
    de-identified copies."""
    highest = or_else(dataset.get("HighBit"), int(dataset.BitsStored) - 1)
    if highest - int(dataset.BitsStored) < bit <= highest:
        return None
    shape = (frames, dataset.Rows, dataset.Columns)
    order = "<" if little_endian(dataset) else ">"
    words = np.frombuffer(dataset.PixelData, f"{order}u2", math.prod(shape))
    drawn, sign = ((words >> one & 1).astype(bool) for one in (bit, highest))
    repeated = bit > highest and dataset.get("PixelRepresentation") == 1 and (drawn == sign).all()
    return drawn.reshape(shape) if drawn.any() and not repeated else None


def _placed(plane: np.ndarray, origin: list[int], first: int, shape: tuple) -> np.ndarray:
    """A plane (frames, h, w) on the picture's field; one of a single frame is for all."""
    frames, height, width = shape
    single = len(plane) == 1
    field = np.zeros((1 if single else frames, height, width), bool)
    top, left = origin
    part = plane[:, max(0, -top) : height - top, max(0, -left) : width - left]
    top, left, first = max(0, top), max(0, left), 0 if single else first
    target = field[first : first + len(part), top : top + part.shape[1], left:]
    target[:, :, : part.shape[2]] = part[: len(target)]
    return field


def or_else(told, default: int) -> int:
    """A number of the header, or what is meant where it is missing or empty."""
    return default if told is None else int(told)


def little_endian(item: Dataset) -> bool:
    """Whether the words of a data set, as it was read, begin with their low byte."""
    return item.original_encoding[1] is not False
