"""What every reader of scans shares: the record, the refusal and the limits."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from core.refusal import Refusal
from core.windowing import Window, apply_window

MAX_BYTES = 200 * 2**20
MAX_PIXELS = 80_000_000
"""Over all frames of a scan; checked from the headers, before anything is decoded."""
MAX_FRAMES = 256

_MOST_RATIO = 10.0
"""Of the sides of a pixel: beyond that a file is wrong rather than its pixels so long."""

TOO_LARGE = (
    f"The image is larger than the limit of {MAX_PIXELS // 10**6} million pixels, counted over "
    "all its frames. Crop it, shrink it or export fewer frames."
)
TOO_MANY = (
    f"The file has more frames than the limit of {MAX_FRAMES}. Export the part of the sequence "
    "that you need."
)


class ScanError(Refusal):
    """A file is not accepted; the text is a sentence for the user: what is wrong, what to do."""


@dataclass(frozen=True, eq=False)
class Grey:
    """The values behind a grey scan, before any window.

    ``values`` (frames, H, W), integers or floats, in ``unit`` if the file names one; read-only.
    ``windows`` are those the file proposes for all frames, or for each of them, or the one from
    the smallest to the largest value; a frame's first is that of ``Scan.pixels``, unless the file
    maps its values by a curve (VOI LUT), as ``curved`` tells of all frames or of each.
    ``inverted``: low values are white (MONOCHROME1). ``extent``: smallest and largest value of
    what is no padding, told where that is the window, since a DICOM file proposes none.
    """

    values: np.ndarray
    windows: tuple[tuple[Window, ...], ...]
    inverted: bool = False
    unit: str = ""
    extent: tuple[float, float] | None = None
    curved: tuple[bool, ...] = (False,)

    def __post_init__(self) -> None:
        self.values.flags.writeable = False

    @cached_property
    def value_range(self) -> tuple[float, float]:
        """Smallest and largest value of all frames; nan and infinity do not count."""
        values = self.values
        if values.dtype.kind == "f":
            values = values[np.isfinite(values)]
        return float(values.min()), float(values.max())

    def windows_of(self, frame: int) -> tuple[Window, ...]:
        """The windows proposed for a frame, at least one."""
        return self.windows[frame % len(self.windows)]

    def is_curved(self, frame: int) -> bool:
        """Whether the file maps the values of a frame by a curve."""
        return self.curved[frame % len(self.curved)]


@dataclass(frozen=True, eq=False)
class Scan:
    """One examination image.

    ``pixels`` uint8 (frames, H, W, 3), RGB, read-only; ``spacing_mm`` height and width of a
    pixel in the body, in millimetres, or None where the file does not tell; ``modality`` as the
    file tells it, or None. ``grey`` where the file holds more than ``pixels`` shows. ``overlay``
    bool (1 or frames, H, W): drawings that the file keeps beside the picture, never part of
    ``pixels``. ``frame_ms`` milliseconds from frame to frame of a cine. ``personal``: kinds of
    data in the file that tell of a person, such as "name", never the data; ``text_risk``: why the
    picture itself may show such data, or None. ``dicom``: whether it came from DICOM.
    ``pixel_ratio``: height over width of a pixel where the file tells that and no millimetres.
    ``files``: of a series, the number of each frame's file, from 0; ``gap``: which of its files
    could not be read and have no frame, a sentence, or None.
    """

    pixels: np.ndarray
    spacing_mm: tuple[float, float] | None = None
    modality: str | None = None
    grey: Grey | None = None
    overlay: np.ndarray | None = None
    frame_ms: float | None = None
    personal: tuple[str, ...] = ()
    text_risk: str | None = None
    dicom: bool = False
    pixel_ratio: float = 1.0
    files: tuple[int, ...] = ()
    gap: str | None = None

    def __post_init__(self) -> None:
        self.pixels.flags.writeable = False

    @property
    def aspect(self) -> float:
        """How many times as high as wide a pixel is in the body; 1 where the file does not tell, or
        tells what cannot be."""
        return ratio_of(*(self.spacing_mm or (self.pixel_ratio, 1.0)))

    @property
    def nbytes(self) -> int:
        """Bytes of memory that it takes."""
        held = (self.pixels, self.grey and self.grey.values, self.overlay)
        return sum(one.nbytes for one in held if one is not None)

    def view(self, frame: int, window: Window, inverted: bool = False) -> np.ndarray:
        """A frame, uint8 (H, W, 3), through another window; ``inverted`` on top of the scan's.

        Scans without ``grey`` are windowed in the 8 bits of ``pixels``, each colour alike.
        """
        if self.grey is None:
            return apply_window(self.pixels[frame], window, inverted)
        greys = apply_window(self.grey.values[frame], window, inverted != self.grey.inverted)
        return rgb(greys)

    def seen_through(self, frame: int, window: Window, inverted: bool = False) -> Scan:
        """The scan reduced to one frame, whose ``pixels`` are those of ``view``."""
        pixels = self.view(frame, window, inverted)[None]
        return replace(self, pixels=pixels, grey=None, overlay=None)


def ratio_of(height: float, width: float) -> float:
    """``Scan.pixel_ratio`` of a pixel of these sides; 1 where they are none."""
    ratio = height / width if width else 1.0
    return ratio if 1 / _MOST_RATIO <= ratio <= _MOST_RATIO else 1.0


def rgb(greys: np.ndarray) -> np.ndarray:
    """Greys uint8 (..., H, W) as contiguous RGB (..., H, W, 3)."""
    rows = greys.reshape(-1, greys.shape[-1])
    return cv2.cvtColor(rows, cv2.COLOR_GRAY2RGB).reshape(*greys.shape, 3)
