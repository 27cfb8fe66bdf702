"""Copies of an image that were turned by any angle, mirrored or sharpened, found by content.

Turning an image about its centre shifts the polar picture of its central disc along the angle.
The magnitudes of a Fourier transform along the angle do not change by that (the idea of Reddy and
Chatterji, IEEE Transactions on Image Processing 5 (1996) 1266-1271), nor by a reflection:

1. Fingerprint. The largest central square at 96 x 96 pixels; within its disc, details of about 1 to
   4 pixels, divided by their local strength, so that neither gain nor sharpening matters; sampled
   at 16 radii and 64 angles. Dark background that touches the border, and a rim of 2 pixels next to
   it, count as nothing: outlines of breasts are alike.
2. Search. The 20 nearest of every image by the magnitudes (scikit-learn): memory is linear.
3. Verification. The best correlation of two polar pictures over all angles, plain and mirrored.
   Copies
   reach `_SAME`; a mirrored one must reach `_SAME_MIRRORED`, as many scans are nearly
   symmetrical.

Measured on the 9016 ultrasound images, whose names tell the source: 99.9 % of the pairs of copies
of one source correlate above 0.43 and 99 % above 0.72, of those of different lesions none above
0.29. Different women's thermograms and mammograms rarely reach 0.75.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from core.datasets.duplicates import COPY, MIRRORED

TURNED, TURNED_MIRRORED = "turned", "turned and mirrored"

SIDE = 96  # of a square
_RADII, _ANGLES = 16, 64
_FREQUENCIES = 24  # of the angle, used in the search
_FINE, _COARSE = 1.0, 4.0  # pixels: what is detail
_LEAST_CONTRAST = 2.0  # grey values that noise may have
_BACKGROUND, RIM = 20, 5
_WHITE_GROUND = 0.25  # share of the square
_LEAST_BODY = 0.2  # share of the disc
_NEIGHBOURS = 20
_SAME, _SAME_MIRRORED = 0.65, 0.85
_STEPS = 256  # angles tried in the verification
_UPRIGHT = 2  # of these steps: not turned
_CHUNK = 2000
_MIDDLE = (SIDE - 1) / 2


def _polar_grid() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x and y of the samples, and the weight that makes each count by its area."""
    radius = np.linspace(3, SIDE / 2 - _COARSE, _RADII, dtype=np.float32)[:, None]
    angle = np.linspace(0, 2 * np.pi, _ANGLES, endpoint=False, dtype=np.float32)
    x, y = _MIDDLE + radius * np.cos(angle), _MIDDLE + radius * np.sin(angle)
    return x, y, np.sqrt(radius)


_X, _Y, _AREA = _polar_grid()
_ROWS, _COLUMNS = np.ogrid[:SIDE, :SIDE]
_DISC = np.hypot(_ROWS - _MIDDLE, _COLUMNS - _MIDDLE) <= SIDE / 2 - 1


def square(grey: np.ndarray) -> np.ndarray:
    """The largest central square of a grey image, uint8 (H, W), at (SIDE, SIDE)."""
    height, width = grey.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = grey[top : top + side, left : left + side]
    return cv2.resize(cut, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def find_turned(image_ids: Sequence[str], squares: Sequence[np.ndarray]) -> pd.DataFrame:
    """Pairs of copies among images, given as their `square`s; the most similar pairs first.

    Columns as of `duplicates.find_pairs`; kind is "copy" (not turned), "turned", "mirrored" or
    "turned and mirrored". Of a large family not every pair is told, but enough to connect it.
    """
    empty = np.zeros((0, _RADII, _ANGLES // 2 + 1), np.complex64)
    spectra = np.stack([_spectrum(one) for one in squares]) if len(squares) else empty
    a, b = _near(spectra)
    best, steps = _correlations(spectra, a, b)
    is_plain = (best[0] >= _SAME) & (best[0] >= best[1])
    told = is_plain | (best[1] >= _SAME_MIRRORED)
    # As a reflection in a horizontal line; one in a vertical line differs by half a turn.
    upright = _off_by(steps, _STEPS) <= _UPRIGHT, _off_by(steps, _STEPS // 2) <= _UPRIGHT
    kind = np.where(
        is_plain,
        np.where(upright[0][0], COPY, TURNED),
        np.where(upright[1][1], MIRRORED, TURNED_MIRRORED),
    )
    names = np.asarray(image_ids, dtype=object)
    pairs = pd.DataFrame(
        {
            "a": names[a[told]],
            "b": names[b[told]],
            "similarity": np.where(is_plain, *best)[told],
            "kind": kind[told],
        }
    )
    return pairs.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def _spectrum(square: np.ndarray) -> np.ndarray:
    """Fourier transform along the angle, complex64 (radii, frequencies), of length 1; all zero
    where there is too little to see."""
    body = _DISC & ~background(square)
    if body.sum() < _LEAST_BODY * _DISC.sum():
        return np.zeros((_RADII, _ANGLES // 2 + 1), np.complex64)
    weight = body.astype(np.float32)
    grey = square.astype(np.float32) * weight
    fine, coarse = (
        _blur(grey, width) / np.maximum(_blur(weight, width), 1e-3) for width in (_FINE, _COARSE)
    )
    inner = cv2.erode((body | ~_DISC).astype(np.uint8), np.ones((RIM, RIM))) * _DISC
    details = (fine - coarse) * inner
    power = _blur(details**2, _COARSE) / np.maximum(_blur(weight, _COARSE), 1e-3)
    details /= np.sqrt(power) + _LEAST_CONTRAST
    polar = cv2.remap(details, _X, _Y, cv2.INTER_LINEAR) * _AREA
    spectrum = np.fft.rfft(polar / max(float(np.linalg.norm(polar)), 1e-6), axis=1)
    return spectrum.astype(np.complex64)


def background(square: np.ndarray) -> np.ndarray:
    """Dark regions that touch the border, bool (SIDE, SIDE)."""
    _, regions = cv2.connectedComponents((square <= _BACKGROUND).astype(np.uint8))
    border = np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]])
    touching = np.zeros(regions.max() + 1, bool)
    touching[border] = True
    touching[0] = False
    return touching[regions]


def on_dark(grey: np.ndarray) -> np.ndarray:
    """The negative of a grey image, uint8 (H, W), whose ground is white; any other as it is.

    Of the 3383 mammograms, 548 of the 550 negatives are told and 2 others; no image of BUSI or of
    the thermograms is.
    """
    negative = 255 - grey
    return negative if background(square(negative)).mean() > _WHITE_GROUND else grey


def _blur(values: np.ndarray, width: float) -> np.ndarray:
    return cv2.GaussianBlur(values, (0, 0), width, borderType=cv2.BORDER_CONSTANT)


def _near(spectra: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of pairs that are worth verifying, the first before the second."""
    seen = np.flatnonzero(np.abs(spectra).max(axis=(1, 2)) > 0)
    if len(seen) < 2:
        return seen[:0], seen[:0]
    magnitudes = np.abs(spectra[seen, :, :_FREQUENCIES]).reshape(len(seen), -1)
    magnitudes /= np.linalg.norm(magnitudes, axis=1, keepdims=True)
    count = min(_NEIGHBOURS, len(seen) - 1)
    search = NearestNeighbors(n_neighbors=count, algorithm="brute").fit(magnitudes)
    near = seen[search.kneighbors(return_distance=False)]
    pairs = np.stack([np.repeat(seen, count), near.ravel()], axis=1)
    return tuple(np.unique(np.sort(pairs, axis=1), axis=0).T)


def _off_by(steps: np.ndarray, period: int) -> np.ndarray:
    """How many steps these are from a multiple of the period."""
    return np.minimum(steps % period, -steps % period)


def _correlations(
    spectra: np.ndarray, a: np.ndarray, b: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Best correlations over all angles, and the steps turned there, both (2, pairs): plain and
    mirrored."""
    best, steps = np.zeros((2, len(a))), np.zeros((2, len(a)), int)
    for start in range(0, len(a), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        one, other = spectra[a[chunk]], spectra[b[chunk]].conj()
        for row, view in enumerate((one, one.conj())):  # a reflection is a conjugate
            product = (view * other).sum(axis=1)
            product[:, -1] /= 2  # the highest frequency stands for two in the finer transform
            over_angles = np.fft.irfft(product, n=_STEPS, axis=1)
            best[row, chunk] = over_angles.max(axis=1) * (_STEPS / _ANGLES)
            steps[row, chunk] = over_angles.argmax(axis=1)
    return best, steps
