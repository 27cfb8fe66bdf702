"""What a picture looks like, whatever it shows: some numbers of colour, greys, edges and layout.

The second view of the guard. The last layer of a network keeps what tells its classes apart and
may throw away what tells an ultrasound from noise (Ahmed and Courville, AAAI 2020); these numbers
come from the pixels, and so no training can have lost them.
"""

from __future__ import annotations

import cv2
import numpy as np

SIDE = 128
"""Pictures are judged at this width and height, so that resolution says nothing."""

_BINS, _SCALES, _CELLS = 16, 4, 4
_COLOURED = 24  # of 255 between the channels: more than JPEG leaves in a grey picture
_FAINTEST = 0.25  # of 255: an edge below a grey level counts as this much

# The least spread that counts, in each kind of number's own unit. Where the training images are
# all alike (no colour, say), a trace of it in another picture must not be infinitely far away.
_COLOUR_FLOOR, _GREY_FLOOR, _EDGE_FLOOR, _LAYOUT_FLOOR = 0.03, 0.02, 0.1, 0.03


def statistics(pixels: np.ndarray) -> np.ndarray:
    """Numbers of a picture uint8 (H, W, 3), float32 (48,), in the order of ``FLOORS``.

    Colour: the mean difference between the channels, the share of coloured pixels, mean red less
    green and blue less green. Greys: square roots of a histogram of 16 bins. Edges, at 4 scales
    from 128 pixels down to 16: log2 of the mean difference between neighbours, across and down,
    and how much of it is in few places. Layout: mean grey of each of 4 x 4 parts.
    """
    small = _small(pixels)
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
    return np.concatenate([_colour(small), _greys(grey), _edges(grey), _layout(grey)])


def _small(pixels: np.ndarray) -> np.ndarray:
    shrinks = min(pixels.shape[:2]) >= SIDE
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (SIDE, SIDE), interpolation=interpolation)


def _colour(small: np.ndarray) -> np.ndarray:
    channels = cv2.split(small)
    spread = np.maximum.reduce(channels) - np.minimum.reduce(channels)
    red, green, blue, _ = cv2.mean(small)
    return np.float32(
        [
            spread.mean() / 255,
            (spread > _COLOURED).mean(),
            (red - green) / 255,
            (blue - green) / 255,
        ]
    )


def _greys(grey: np.ndarray) -> np.ndarray:
    counts = np.bincount(grey.ravel() // (256 // _BINS), minlength=_BINS)
    return np.sqrt(counts / grey.size).astype(np.float32)


def _edges(grey: np.ndarray) -> np.ndarray:
    found, picture = [], grey.astype(np.float32)
    for _ in range(_SCALES):
        steps = [np.abs(np.diff(picture, axis=axis)) for axis in (1, 0)]
        across, down = (step.mean() for step in steps)
        both = np.concatenate([step.ravel() for step in steps])
        uneven = (np.sqrt(np.square(both).mean()) + _FAINTEST) / (both.mean() + _FAINTEST)
        found += [np.log2(across + _FAINTEST), np.log2(down + _FAINTEST), np.log2(uneven)]
        picture = cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    return np.float32(found)


def _layout(grey: np.ndarray) -> np.ndarray:
    size = SIDE // _CELLS
    parts = grey.reshape(_CELLS, size, _CELLS, size).mean(axis=(1, 3))
    return (parts.ravel() / 255).astype(np.float32)


FLOORS = np.repeat(
    np.float32([_COLOUR_FLOOR, _GREY_FLOOR, _EDGE_FLOOR, _LAYOUT_FLOOR]),
    [4, _BINS, 3 * _SCALES, _CELLS**2],
)
FLOORS.flags.writeable = False
