"""Outlines as the closed lines that a structured report holds."""

from __future__ import annotations

import numpy as np

MOST_CORNERS = 8_000
"""A value of the kind FL has at most 2^16 bytes, 8 of which are a corner."""
_TOLERANCE = 0.25
"""Pixels that a line may leave the border: no centre of a pixel is within 0.35 of that."""


def outlines(mask: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """The outer borders of the parts of a mask, bool (H, W), and the pixels of each part, those in
    its holes not among them; largest first.

    A border is float (corners, 2), column and row, the last as the first, in the coordinates of
    PS3.3 C.18.6: (0, 0) is the outer corner of the first pixel, whose centre is (0.5, 0.5). The
    centres within are those of the part and of its holes.
    """
    from scipy.ndimage import binary_fill_holes, label

    parts, count = label(binary_fill_holes(mask), structure=np.ones((3, 3)))
    pixels = np.bincount(parts[mask], minlength=count + 1)
    numbers = sorted(range(1, count + 1), key=lambda number: -pixels[number])
    return [(_border(parts == number), int(pixels[number])) for number in numbers]


def _border(part: np.ndarray) -> np.ndarray:
    from skimage.measure import approximate_polygon, find_contours

    # Halfway between the centres of pixels inside and outside; one row of zeros around.
    (line,) = find_contours(np.pad(part, 1).astype(float), 0.5, fully_connected="high")
    tolerance = _TOLERANCE
    corners = approximate_polygon(line, tolerance)
    while len(corners) > MOST_CORNERS:
        tolerance *= 2
        corners = approximate_polygon(line, tolerance)
    return corners[:, ::-1] - 0.5
