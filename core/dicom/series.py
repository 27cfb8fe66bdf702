"""DICOM files that are slices of one volume, put together in the order of their position."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.dicom.grey import is_inverted
from core.dicom.header import agreed
from core.dicom.personal import BURNED_IN
from core.dicom.reading import is_dicom, parse, read_dicom, unpacked
from core.scan_types import MAX_FRAMES, MAX_PIXELS, TOO_LARGE, TOO_MANY, Grey, Scan, ScanError, rgb
from core.windowing import apply_window, linear_shape, window_between

_NEEDED = (
    *("SeriesInstanceUID", "ImagePositionPatient", "ImageOrientationPatient", "Rows", "Columns"),
    *("NumberOfFrames", "AcquisitionNumber", "EchoNumbers", "InstanceNumber"),
    *("PhotometricInterpretation", "PresentationLUTShape", "SOPInstanceUID", "StudyInstanceUID"),
)

_GAP = "{} of this series cannot be read and {} left out. {}"
_DIGITS = 3
"""Of millimetres: slices closer than that lie at one place."""


@dataclass(frozen=True)
class Slice:
    """Hashes of the series a file belongs to and of its own identifier, None if it has none, and
    where in the series the file stands.

    ``position`` in millimetres along the volume; ``acquisition`` as the file numbers it.
    """

    series: str
    instance: str | None
    position: float
    number: int
    acquisition: str


def slice_of(data: bytes) -> Slice | None:
    """Series and position of a file; None if it is no single slice of a volume."""
    try:
        data = unpacked(data)
        if not is_dicom(data):
            return None
        told = parse(data, only=_NEEDED)
        if int(told.get("NumberOfFrames") or 1) != 1:
            return None
        turn = np.array(told.ImageOrientationPatient, float)
        across = np.cross(turn[:3], turn[3:])
        position = float(across @ np.array(told.ImagePositionPatient, float))
        kinds = str(told.get("PhotometricInterpretation")), is_inverted(told)
        turned = tuple((np.round(turn, 3) + 0.0).tolist())  # no 0 has a sign
        shape = (told.Rows, told.Columns, *kinds, turned)
        number = int(told.get("InstanceNumber") or 0)
        # Some programs write one series into the files of several studies.
        names = (str(told.get("StudyInstanceUID")), str(told.SeriesInstanceUID))
        parts = (*names, str(told.get("EchoNumbers")), shape)
        own = told.get("SOPInstanceUID")
        instance = _hash(str(own)) if own else None
        return Slice(
            _hash(repr(parts)), instance, position, number, str(told.get("AcquisitionNumber"))
        )
    except Exception:  # whatever is wrong with it is told when the file is read by itself
        return None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def group_slices(slices: Sequence[Slice | None]) -> list[list[int]]:
    """Indices of files by volume, each in the order of its slices; all others by themselves.

    Volumes and files keep the order of their first file. What is there twice goes into a second
    volume. Acquisitions of one series are volumes of their own if slices lie at one place, unless
    each has but one slice: then the second of a place goes into a second volume. Two slices of one
    place and acquisition are in the order of their numbers.
    """
    groups: dict[object, list[int]] = defaultdict(list)
    for index, (one, earlier) in enumerate(zip(slices, _earlier(slices), strict=True)):
        groups[(one.series, earlier) if one else index].append(index)
    volumes = [volume for group in groups.values() for volume in _volumes(group, slices)]
    return sorted(volumes, key=min)


def _earlier(slices: Sequence[Slice | None]) -> Iterator[int]:
    """How often each was there before: the same in all that is told, its identifier too. That
    alone does not tell copies: some programs write one identifier into all files."""
    known: Counter[Slice] = Counter()
    for one in slices:
        if one is None or one.instance is None:
            yield 0
            continue
        yield known[one]
        known[one] += 1


def _volumes(group: list[int], slices: Sequence[Slice | None]) -> list[list[int]]:
    """The files of a series, in order; several times where it was taken several times."""
    if len(group) == 1:
        return [group]
    ordered = sorted(group, key=lambda index: (slices[index].position, slices[index].number))
    places = {round(slices[index].position, _DIGITS) for index in group}
    if len(places) == len(group):
        return [ordered]
    taken: dict[object, list[int]] = defaultdict(list)
    numbered = len({slices[index].acquisition for index in group}) == len(group)
    seen: Counter[float] = Counter()
    for index in ordered:
        place = round(slices[index].position, _DIGITS)
        taken[seen[place] if numbered else slices[index].acquisition].append(index)
        seen[place] += 1
    return list(taken.values())


def read_series(files: Sequence[bytes]) -> Scan:
    """The volume of files in the order of ``group_slices``: one frame a file.

    Each keeps the windows it proposes; all share the one from their smallest to their largest
    value, padding apart, if the first proposes none. There are no millimetres if the files differ
    in them. A file that cannot be read is left out, and the scan's ``gap`` tells.
    Raises ScanError if none can be read or the files do not go together.
    """
    if len(files) > MAX_FRAMES:
        raise ScanError(TOO_MANY)
    read: dict[int, Scan] = {}
    reasons: dict[int, ScanError] = {}
    for index, data in enumerate(files):
        try:
            read[index] = scan = read_dicom(data)
        except ScanError as error:
            reasons[index] = error
        else:
            if scan.pixels.size // 3 * len(files) > MAX_PIXELS:
                raise ScanError(TOO_LARGE)
    if not read:
        raise reasons[0]
    scans = list(read.values())
    if any(one.pixels.shape != scans[0].pixels.shape for one in scans):
        raise ScanError("The files of this series differ in size. Choose them one by one.")
    pixels, grey = _joined(scans)
    risks = [one.text_risk for one in scans if one.text_risk]
    return replace(
        scans[0],
        pixels=pixels,
        spacing_mm=agreed([one.spacing_mm for one in scans]),
        grey=grey,
        pixel_ratio=_common_ratio(scans),
        overlay=_overlays(scans),
        personal=tuple(dict.fromkeys(kind for one in scans for kind in one.personal)),
        text_risk=BURNED_IN if BURNED_IN in risks else next(iter(risks), None),
        files=tuple(read),
        gap=_gap(reasons, len(files)),
    )


def _common_ratio(scans: list[Scan]) -> float:
    """The shape of a pixel, where all have one, though their sizes may differ."""
    first = scans[0].aspect
    return first if np.allclose([one.aspect for one in scans], first, rtol=1e-3) else 1.0


def _overlays(scans: list[Scan]) -> np.ndarray | None:
    """Drawings of all slices, empty where one has none; None if none has any."""
    if all(one.overlay is None for one in scans):
        return None
    none = np.zeros((1, *scans[0].pixels.shape[1:3]), bool)
    return np.concatenate([none if one.overlay is None else one.overlay for one in scans])


def _gap(reasons: dict[int, ScanError], count: int) -> str | None:
    """Which of the slices are left out, counted from 1, and why the first of them is."""
    if not reasons:
        return None
    numbers = [str(index + 1) for index in reasons]
    first = next(iter(reasons.values()))
    if len(numbers) == 1:
        return _GAP.format(f"Slice {numbers[0]} of {count}", "is", first)
    listed = f"{', '.join(numbers[:-1])} and {numbers[-1]}"
    return _GAP.format(f"Slices {listed} of {count}", "are", f"The first: {first}")


def _joined(scans: list[Scan]) -> tuple[np.ndarray, Grey | None]:
    """Pixels of all files; grey values too, under one window where the files propose none."""
    pixels = np.concatenate([one.pixels for one in scans])
    greys = [one.grey for one in scans if one.grey]
    if len(greys) < len(scans):
        return pixels, None
    values, first = np.concatenate([one.values for one in greys]), greys[0]
    if first.extent is None:
        windows = tuple(one.windows_of(0) for one in greys)
        curved = tuple(one.is_curved(0) for one in greys)
        return pixels, replace(first, values=values, windows=windows, curved=curved)
    extents = [one.extent or (one.values.min(), one.values.max()) for one in greys]
    low, high = min(low for low, _ in extents), max(high for _, high in extents)
    window = window_between(float(low), float(high), linear_shape(values.dtype))
    shown = rgb(apply_window(values, window, first.inverted))
    return shown, replace(first, values=values, windows=((window,),), extent=(low, high))
