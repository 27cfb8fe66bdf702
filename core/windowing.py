"""Window and level: from the values a scanner stored to the 256 greys of a screen.

DICOM PS3.3 C.11.2.1.2 and C.11.2.1.3, with the output range 0..255.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

TABLE_SIZE = 2**17
"""Integers that span less are looked up in a table, others are computed one by one."""
_BLOCK = 2**20


@dataclass(frozen=True)
class Window:
    """Which values are spread over the greys: ``width`` of them around ``center``.

    ``shape`` as DICOM names it: LINEAR, LINEAR_EXACT or SIGMOID; ``name`` as the file tells it.
    """

    center: float
    width: float
    shape: str = "LINEAR"
    name: str = ""


def linear_shape(kind: np.dtype) -> str:
    """The shape of a plain window over values of a type: LINEAR counts whole numbers."""
    return "LINEAR" if kind.kind in "iu" else "LINEAR_EXACT"


def window_between(low: float, high: float, shape: str = "LINEAR") -> Window:
    """The window in which ``low`` is black and ``high`` white; all black if they are the same.

    ``shape``: LINEAR or LINEAR_EXACT.
    """
    if low == high:
        return Window(low + 1, 1)
    if shape == "LINEAR":
        return Window((low + high + 1) / 2, high - low + 1)
    return Window((low + high) / 2, high - low, shape)


WHOLE_BYTE = window_between(0, 255)
"""The window that leaves 8-bit greys as they are."""


def apply_window(values: np.ndarray, window: Window, inverted: bool = False) -> np.ndarray:
    """Greys uint8 of values of any type and shape; ``inverted`` swaps black and white."""
    grey = partial(_greys, window=window, inverted=inverted)
    if values.dtype.kind in "iu" and values.size:
        low = int(values.min())
        count = int(values.max()) - low + 1
        if count <= min(TABLE_SIZE, values.size):
            table = grey(np.arange(low, low + count))
            return by_table(values, table, low)
    return _in_blocks(values, grey, np.uint8)


def by_table(values: np.ndarray, table: np.ndarray, low: int) -> np.ndarray:
    """What a table that begins at ``low`` has for whole numbers of any shape."""
    return _in_blocks(values, lambda part: table[part.astype(np.int64) - low], table.dtype)


def _in_blocks(
    values: np.ndarray, work: Callable[[np.ndarray], np.ndarray], kind: np.dtype
) -> np.ndarray:
    """The results, of this type, for a few values at a time: what lies between has 8 bytes each."""
    flat, results = values.reshape(-1), np.empty(values.size, kind)
    for start in range(0, flat.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        results[block] = work(flat[block])
    return results.reshape(values.shape)


def _greys(values: np.ndarray, window: Window, inverted: bool) -> np.ndarray:
    """Greys uint8 of numbers; what is no number is black."""
    levels = _levels(values.astype(np.float64), window)
    greys = np.rint(np.clip(np.nan_to_num(levels), 0, 255)).astype(np.uint8)
    return 255 - greys if inverted else greys


def _levels(values: np.ndarray, window: Window) -> np.ndarray:
    """Where values stand between black, 0, and white, 255, unclipped."""
    center, width = window.center, window.width
    if window.shape == "SIGMOID":
        exponent = np.clip(-4 * (values - center) / width, -700, 700)
        return 255 / (1 + np.exp(exponent))
    above_black = values - (center - width / 2)
    if window.shape == "LINEAR_EXACT" or width < 1:  # no LINEAR window is narrower than 1
        return above_black * 255 / width
    if width <= 1:
        return np.where(values > center - 0.5, 255.0, 0.0)
    return above_black * 255 / (width - 1)
