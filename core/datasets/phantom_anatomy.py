"""Anatomy of the phantoms: a random breast as maps of tissue properties.

From the probe down: skin, subcutaneous fat in lobules between Cooper's ligaments, fibroglandular
tissue with fat islands, retromammary fat, pectoral muscle between its fasciae, chest wall (Stavros,
Breast Ultrasound, 2004). Echogenicity is relative to fat, the reference of the BI-RADS lexicon; fat
attenuates by 0.73 +- 0.23 dB / cm / MHz (Nasief et al., J. Ultrasound Med. 34:2007, 2015). The
other values are set so that the layers look as they do in BUSI (Al-Dhabyani et al., Data in Brief
28:104863, 2020).

Layers are laid out flat and then bent, so that septa and striations follow their layer. Thin
sheets (septa, fasciae, walls) are level lines of smooth random fields; they reflect like mirrors,
so their echo falls off as they turn away from perpendicular to the beam.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.datasets.phantom_imaging import TissueMaps

GRID = 256  # anatomy is drawn on a grid of its own, so that the size of the image cannot change it
SKIN, FAT, GLAND, RETROMAMMARY, MUSCLE, CHEST = range(6)


@dataclass(frozen=True)
class Tissue:
    """One layer. Levels in dB relative to fat; lengths in mm, pairs of them (depth, lateral)."""

    thickness: tuple[float, float]  # lowest and highest
    echo_db: float
    texture_db: float  # standard deviation of the echogenicity
    texture_mm: tuple[float, float]
    attenuation: float  # dB / cm / MHz
    sheet_mm: tuple[float, float]  # spacing of septa, fibres, striations
    sheet: float  # their echo when perpendicular to the beam, relative to fat speckle
    lower_face: float  # the same for the interface to the next layer


LAYERS = (
    Tissue((1.0, 1.8), 14, 2.0, (0.5, 6.0), 0.90, (0.5, 6.0), 2, 22),
    Tissue((3.0, 10.0), 1, 3.5, (1.6, 5.0), 0.65, (2.2, 6.0), 15, 4),
    Tissue((9.0, 16.0), 10, 7.0, (1.6, 4.5), 0.95, (0.9, 3.0), 20, 4),
    Tissue((1.5, 4.0), -1, 3.0, (1.2, 5.0), 0.65, (1.4, 6.0), 16, 9),
    Tissue((5.0, 9.0), -2, 6.0, (1.0, 8.0), 0.85, (1.0, 8.0), 20, 18),
    Tissue((99.0, 99.0), -4, 5.0, (1.4, 6.0), 1.00, (1.4, 5.0), 12, 0),
)
_SHEET_WIDTH = 0.10
_FACE_WIDTH = 0.15
_TRANSITION = 0.15
_FINE_TEXTURE_DB = 1.8


def random_field(
    rng: np.random.Generator,
    lengths_mm: tuple[float, float],
    pixel_mm: float,
    octaves: int = 1,
) -> np.ndarray:
    """Smooth Gaussian field of mean 0 and variance 1, float32 (GRID, GRID).

    lengths_mm: size of its features in depth and laterally; each further octave adds features
    of half the size and 0.6 of the amplitude.
    """
    total = np.zeros((1, 1), np.float32)
    for octave in range(octaves):
        cells = (2 * 2**octave * GRID * pixel_mm / length for length in lengths_mm)
        rows, columns = (int(np.ceil(count)) + 4 for count in cells)
        coarse = rng.standard_normal((rows, columns), dtype=np.float32)
        coarse = cv2.GaussianBlur(coarse, (5, 5), 1)
        total = _resized(total, (rows, columns)) + 0.6**octave * coarse
    total = _resized(total, (GRID, GRID))
    mean, deviation = cv2.meanStdDev(total)
    total -= np.float32(mean[0, 0])
    total *= np.float32(1 / deviation[0, 0])
    return total


def random_curve(rng: np.random.Generator, length_mm: float, pixel_mm: float) -> np.ndarray:
    """Smooth Gaussian curve of mean 0 and variance about 1, float32 (GRID,)."""
    count = int(np.ceil(2 * GRID * pixel_mm / length_mm)) + 4
    coarse = cv2.GaussianBlur(rng.standard_normal((1, count), dtype=np.float32), (5, 1), 1)
    return _resized(coarse * np.float32(1.88), (1, GRID))[0]


def sheets(field: np.ndarray, width_mm: float, pixel_mm: float) -> np.ndarray:
    """Echo in [0, 1] of thin sheets along the zero lines of a field, float32, its shape.

    Near a zero line field / |gradient| is the distance to it; the cosine of the angle between the
    sheet and the horizontal, squared, is the share of the echo that returns to the probe.
    """
    down = cv2.Sobel(field, cv2.CV_32F, 0, 1, scale=1 / (8 * pixel_mm))
    across = cv2.Sobel(field, cv2.CV_32F, 1, 0, scale=1 / (8 * pixel_mm))
    slope = down**2 + across**2 + 1e-6
    # The constant lets sheets thicken where the field is flat, as fibrous tissue does at junctions.
    return np.exp(-(field**2) / (slope * width_mm**2 + 0.002)) * (down**2 / slope)


def draw_floors(rng: np.random.Generator) -> np.ndarray:
    """Depth of the lower face of each layer before bending, mm, float32 (len(LAYERS),)."""
    return np.cumsum([rng.uniform(*tissue.thickness) for tissue in LAYERS], dtype=np.float32)


def draw_bend(rng: np.random.Generator, depth_mm: float) -> np.ndarray:
    """Displacement of the layers, mm, float32 (2, GRID, GRID): down and across.

    None at the skin, which the probe holds flat; growing below.
    """
    pixel_mm = depth_mm / GRID
    axis = (np.arange(GRID, dtype=np.float32) + 0.5) / GRID
    grows = np.clip((axis * depth_mm - 1.5) / 12, 0, 1)[:, None]
    swing = np.cos(2 * np.pi * (axis * rng.uniform(0.5, 1.1) + rng.uniform()))
    sweep = rng.normal(0, 5.0) * (axis - 0.5) + rng.normal(0, 1.5) * swing
    down = sweep + 1.1 * random_field(rng, (9, 16), pixel_mm, octaves=2)
    across = random_field(rng, (5, 12), pixel_mm, octaves=2)
    return np.stack([down * grows, across * grows]).astype(np.float32)


def draw_breast(
    rng: np.random.Generator, depth_mm: float, floors: np.ndarray, bend: np.ndarray
) -> TissueMaps:
    """A breast without a lesion, seen to depth_mm, maps of (GRID, GRID).

    floors: as from draw_floors. bend: displacement, mm, (2, GRID, GRID), down and across; the
    property at a point is that of the flat breast at the point minus its displacement.
    """
    pixel_mm = depth_mm / GRID
    depth = ((np.arange(GRID, dtype=np.float32) + 0.5) * pixel_mm)[:, None]
    # Sheets are not equally strong everywhere: they break up into streaks.
    strength = np.exp(1.2 * random_field(rng, (1.5, 3.0), pixel_mm, octaves=2) - 1.3)
    layers = [_layer(rng, tissue, strength, pixel_mm) for tissue in LAYERS]
    layers[GLAND] = _with_fat_islands(rng, layers[GLAND], layers[FAT], pixel_mm)
    flat = layers[SKIN]
    for upper, layer, floor in zip(LAYERS, layers[1:], floors, strict=False):
        below = depth - (floor - _waviness(rng, upper, pixel_mm))
        flat = _mixed(flat, layer, _sigmoid(below / _TRANSITION))
        patches = np.clip(0.6 + 0.4 * random_curve(rng, 6, pixel_mm), 0, None)
        face = np.exp(-((below / _FACE_WIDTH) ** 2)) * (upper.lower_face * patches)
        flat = (flat[0], np.maximum(flat[1], face), flat[2])
    echo_db, _, attenuation = flat
    echo_db += _FINE_TEXTURE_DB * random_field(rng, (0.7, 1.6), pixel_mm)
    attenuation += _contact_loss(rng, pixel_mm) * (depth < 1.5)
    return TissueMaps(*_bent(flat, bend / pixel_mm), pixel_mm)


def at_size(maps: TissueMaps, size: int) -> TissueMaps:
    """The same tissue on size x size pixels."""
    here = len(maps.reflector)
    how = cv2.INTER_AREA if size < here else cv2.INTER_LINEAR
    layers = (maps.echogenicity_db, maps.reflector, maps.attenuation)
    resized = (cv2.resize(layer, (size, size), interpolation=how) for layer in layers)
    return TissueMaps(*resized, maps.pixel_mm * here / size)


def _layer(
    rng: np.random.Generator, tissue: Tissue, strength: np.ndarray, pixel_mm: float
) -> tuple:
    """Echogenicity in dB, reflector and attenuation of one tissue that fills the grid."""
    texture = random_field(rng, tissue.texture_mm, pixel_mm, octaves=3)
    folds = random_field(rng, tissue.sheet_mm, pixel_mm, octaves=2)
    lines = sheets(folds, _SHEET_WIDTH, pixel_mm) * strength
    echo_db = tissue.echo_db + tissue.texture_db * texture
    return echo_db, tissue.sheet * lines, np.float32(tissue.attenuation)


def _mixed(first: tuple, second: tuple, share: np.ndarray) -> tuple:
    """Share 0: the properties of the first tissue; 1: those of the second."""
    return tuple(one + share * (other - one) for one, other in zip(first, second, strict=True))


def _with_fat_islands(rng: np.random.Generator, gland: tuple, fat: tuple, pixel_mm: float) -> tuple:
    density = rng.uniform(-0.2, 1.2)  # of fibroglandular tissue: from scattered to dense
    lobes = random_field(rng, (2.5, 7.0), pixel_mm, octaves=3)
    return _mixed(fat, gland, _sigmoid(6 * (lobes + density)))


def _waviness(rng: np.random.Generator, upper: Tissue, pixel_mm: float) -> np.ndarray:
    """Depth variation of a lower face, mm: cusps, as where ligaments hold the gland to the skin."""
    lowest, highest = upper.thickness
    return 0.12 * (highest - lowest) * np.abs(random_curve(rng, 7, pixel_mm))


def _contact_loss(rng: np.random.Generator, pixel_mm: float) -> np.ndarray:
    """Uneven contact of the probe: some beams lose more in the skin, at both sides most."""
    across = np.linspace(-1, 1, GRID, dtype=np.float32)
    uneven = np.clip(random_curve(rng, 6, pixel_mm) - 0.9, 0, None)
    return uneven * rng.uniform(0, 2) + across**6 * rng.uniform(0, 2.5)


def _bent(flat: tuple, bend_pixels: np.ndarray) -> tuple[np.ndarray, ...]:
    rows, columns = np.indices((GRID, GRID), dtype=np.float32)
    down, across = rows - bend_pixels[0], columns - bend_pixels[1]
    remapped = cv2.remap(
        cv2.merge(flat), across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return cv2.split(remapped)


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-np.clip(x, -30, 30)))


def _resized(field: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cv2.resize(field, shape[::-1], interpolation=cv2.INTER_CUBIC)
