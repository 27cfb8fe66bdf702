"""Lesions of the phantoms, after the BI-RADS ultrasound lexicon (ACR BI-RADS Atlas, 5th ed., 2013).

Benign: oval, parallel, circumscribed, homogeneous, thin echogenic walls, posterior enhancement.
Malignant: irregular, not parallel, spiculated and angular margins, heterogeneous, echogenic halo,
posterior shadow. Carcinomas attenuate more than fibroadenomas (Nam, Zagzebski and Hall, Ultrason.
Imaging 35:146, 2013), scirrhous ones strongly (Kobayashi, J. Clin. Ultrasound 7:471, 1979); a cyst
hardly attenuates. The classes are set further apart than patients are. Nothing is painted below a
lesion: only its own properties are set here.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from core.datasets.phantom_anatomy import GRID, RETROMAMMARY, random_field
from core.datasets.phantom_imaging import TissueMaps

Range = tuple[float, float]
_ANGLES = np.linspace(0, 2 * np.pi, 480, endpoint=False)
_HALO_WIDTH = 2.0
_WALL_WIDTH = 0.2
_CLEAR_OF_SKIN = 3.5
_CLEAR_OF_SIDES = 2.0


@dataclass(frozen=True)
class LesionModel:
    """Ranges from which the lesions of a class are drawn, uniformly.

    Lengths in mm, levels in dB relative to fat, attenuation in dB / cm / MHz.
    """

    width: Range
    width_to_height: Range
    tilt_degrees: float  # up to, either way
    lobulation: Range  # of the outline, relative to its radius
    harmonics: int  # of the outline: few make lobes, many make it irregular
    spicules: tuple[int, int]
    spicule_length: Range  # relative to the radius
    echo_db: Range
    attenuation: Range  # at the lowest and at the highest echo_db
    margin: float  # width over which the boundary is blurred
    heterogeneity_db: float
    halo_db: Range
    wall: Range  # echo of the walls, relative to fat speckle
    edge_loss: float  # extra attenuation at the lateral edges, by refraction
    displaces: float  # share of its area that it pushes aside; 0 replaces tissue
    calcifications: tuple[int, int]


MODELS = {
    "benign": LesionModel(
        width=(8, 20),
        width_to_height=(1.3, 2.2),
        tilt_degrees=12,
        lobulation=(0.02, 0.09),
        harmonics=4,
        spicules=(0, 0),
        spicule_length=(0, 0),
        echo_db=(-28, -8),
        attenuation=(0.02, 0.3),
        margin=0.12,
        heterogeneity_db=1.2,
        halo_db=(0, 0),
        wall=(2, 7),
        edge_loss=1.0,
        displaces=0.5,
        calcifications=(0, 0),
    ),
    "malignant": LesionModel(
        width=(9, 15),
        width_to_height=(0.58, 0.85),
        tilt_degrees=15,
        lobulation=(0.11, 0.18),
        harmonics=9,
        spicules=(5, 10),
        spicule_length=(0.1, 0.5),
        echo_db=(-14, -7),
        attenuation=(1.7, 1.3),
        margin=0.6,
        heterogeneity_db=3.5,
        halo_db=(5, 10),
        wall=(0, 0),
        edge_loss=0.0,
        displaces=0.0,
        calcifications=(0, 6),
    ),
}


@dataclass(frozen=True, eq=False)
class Lesion:
    """A drawn lesion. Points are (across, down) in mm from the corner of the image."""

    model: LesionModel
    width: float
    height: float
    centre: np.ndarray  # (2,)
    outline: np.ndarray  # (480, 2)
    calcifications: np.ndarray  # (n, 3): across, down, echo in mm2 of fat speckle amplitude
    echo_db: float
    attenuation: float
    halo_db: float
    wall: float


def draw_lesion(
    rng: np.random.Generator, model: LesionModel, depth_mm: float, floors: np.ndarray
) -> Lesion:
    """A lesion below the skin and, if there is room, above the muscle.

    Its outline spans exactly the width and the height that were drawn for it. floors: depth of
    the lower faces of the layers, mm.
    """
    width = rng.uniform(*model.width)
    height = width / rng.uniform(*model.width_to_height)
    sides = width / 2 + _CLEAR_OF_SIDES
    highest = height / 2 + _CLEAR_OF_SKIN
    lowest = max(highest, float(floors[RETROMAMMARY]) - height / 2)
    centre = np.array([rng.uniform(sides, depth_mm - sides), rng.uniform(highest, lowest)])
    outline = centre + _outline(rng, model, width, height)
    tone = rng.uniform()
    return Lesion(
        model=model,
        width=width,
        height=height,
        centre=centre,
        outline=outline,
        calcifications=_calcifications(rng, model, centre, outline),
        echo_db=_between(model.echo_db, tone),
        attenuation=_between(model.attenuation, tone),
        halo_db=rng.uniform(*model.halo_db),
        wall=rng.uniform(*model.wall),
    )


def mass_effect(lesion: Lesion, depth_mm: float) -> np.ndarray:
    """Displacement of the tissue around a lesion, mm, float32 (2, GRID, GRID): down and across.

    Tissue moves away from the centre and keeps its area, but for the skin, which the probe holds.
    """
    axis = (np.arange(GRID, dtype=np.float32) + 0.5) * (depth_mm / GRID)
    across, down = axis[None] - lesion.centre[0], axis[:, None] - lesion.centre[1]
    radius2 = (2 * across / lesion.width) ** 2 + (2 * down / lesion.height) ** 2
    moved = 1 - np.sqrt(1 - lesion.model.displaces / np.maximum(radius2, 1))
    moved *= np.clip((axis[:, None] - 1.5) / 6, 0, 1)
    return np.stack([down * moved, across * moved]).astype(np.float32)


def rasterise(lesion: Lesion, size: int, pixel_mm: float) -> np.ndarray:
    """Mask of the lesion, uint8 (size, size), 1 inside."""
    corners = lesion.outline / pixel_mm - 0.5
    mask = np.zeros((size, size), np.uint8)
    return cv2.fillPoly(mask, [np.round(corners * 16).astype(np.int32)], 1, shift=4)


def insert(
    rng: np.random.Generator, maps: TissueMaps, lesion: Lesion, mask: np.ndarray
) -> TissueMaps:
    """The tissue with the lesion in place of what was there; the given maps stay as they are."""
    model, pixel_mm = lesion.model, maps.pixel_mm
    texture, patches = _fields(rng, len(mask), pixel_mm)
    inside = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(model.margin / pixel_mm, 0.3))
    outside_mm = cv2.distanceTransform(1 - mask, cv2.DIST_L2, 3) * np.float32(pixel_mm)
    across, down = _slopes(mask, pixel_mm)

    halo = np.exp(-((outside_mm / _HALO_WIDTH) ** 2)) * np.clip(0.7 + 0.4 * patches, 0, 2)
    around = maps.echogenicity_db + lesion.halo_db * halo
    within = lesion.echo_db + model.heterogeneity_db * texture
    reflector = np.maximum(maps.reflector * (1 - inside), lesion.wall * down**2)
    lossy = maps.attenuation + inside * (lesion.attenuation - maps.attenuation)
    return TissueMaps(
        (around + inside * (within - around)).astype(np.float32),
        (reflector + _points(lesion, len(mask), pixel_mm)).astype(np.float32),
        (lossy + model.edge_loss * across**2).astype(np.float32),
        pixel_mm,
    )


def _outline(
    rng: np.random.Generator, model: LesionModel, width: float, height: float
) -> np.ndarray:
    """Outline around (0, 0): a tilted ellipse whose radius has waves and cusps (spicules)."""
    orders = np.arange(2, model.harmonics + 1)[:, None]
    phases = rng.uniform(0, 2 * np.pi, orders.shape)
    waves = np.cos(orders * _ANGLES + phases) * rng.normal(size=orders.shape) / np.sqrt(orders)
    radius = 1 + rng.uniform(*model.lobulation) * waves.sum(axis=0)
    radius += _spicules(rng, model).sum(axis=0)
    tilt = np.deg2rad(rng.uniform(-model.tilt_degrees, model.tilt_degrees))
    turn = np.array([[np.cos(tilt), np.sin(tilt)], [-np.sin(tilt), np.cos(tilt)]])
    oval = np.stack([np.cos(_ANGLES) * width, np.sin(_ANGLES) * height], axis=1)
    turned = (radius[:, None] * oval) @ turn
    low, high = turned.min(axis=0), turned.max(axis=0)
    return (turned - (low + high) / 2) * (np.array([width, height]) / (high - low))


def _spicules(rng: np.random.Generator, model: LesionModel) -> np.ndarray:
    """What each spicule adds to the radius, float (spicules, angles)."""
    count = rng.integers(model.spicules[0], model.spicules[1] + 1)
    turns = (np.arange(count) + rng.uniform(-0.35, 0.35, count)) / max(count, 1)
    lengths = rng.uniform(*model.spicule_length, count)[:, None]
    half_widths = rng.uniform(0.06, 0.22, count)[:, None]
    away = np.abs((_ANGLES - 2 * np.pi * turns[:, None] + np.pi) % (2 * np.pi) - np.pi)
    return lengths * np.exp(-away / half_widths)


def _calcifications(
    rng: np.random.Generator, model: LesionModel, centre: np.ndarray, outline: np.ndarray
) -> np.ndarray:
    count = rng.integers(model.calcifications[0], model.calcifications[1] + 1)
    rim = outline[rng.integers(0, len(outline), count)]
    places = centre + 0.8 * np.sqrt(rng.uniform(size=(count, 1))) * (rim - centre)
    return np.hstack([places, rng.uniform(0.1, 0.4, (count, 1))])


def _points(lesion: Lesion, size: int, pixel_mm: float) -> np.ndarray:
    """Echo of the calcifications, float (size, size): the same on pixels of any size."""
    points = np.zeros((size, size))
    for across, down, echo in lesion.calcifications:
        points[int(down / pixel_mm), int(across / pixel_mm)] += echo / pixel_mm**2
    return points


def _slopes(mask: np.ndarray, pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Slope of the boundary (across, down): about 1 where it faces that way, 0 away from it."""
    smooth = cv2.GaussianBlur(mask.astype(np.float32), (0, 0), max(_WALL_WIDTH / pixel_mm, 0.5))
    across = cv2.Sobel(smooth, cv2.CV_32F, 1, 0)
    down = cv2.Sobel(smooth, cv2.CV_32F, 0, 1)
    steepest = float(cv2.magnitude(across, down).max())
    return across / steepest, down / steepest


def _fields(rng: np.random.Generator, size: int, pixel_mm: float) -> tuple[np.ndarray, np.ndarray]:
    """Texture within the lesion and patches of its halo, float32 (size, size)."""
    drawn = (random_field(rng, lengths, pixel_mm * size / GRID) for lengths in ((1.5, 2), (3, 3)))
    texture, patches = (cv2.resize(field, (size, size)) for field in drawn)
    return texture, patches


def _between(limits: Range, share: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * share
