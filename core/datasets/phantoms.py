"""Phantoms: synthetic B-mode breast ultrasound with lesion masks, a data set that is always there.

An image is a function of its class, its seed and its size, and is made when it is asked for. The
anatomy is in `phantom_anatomy`, the lesions in `phantom_lesions`, the scanner in `phantom_imaging`.
Phantoms show how the dashboard works; they are no evidence of how well a classifier does.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets import phantom_anatomy as anatomy
from core.datasets import phantom_lesions as lesions
from core.datasets.base import DatasetReader, table_of
from core.datasets.phantom_imaging import Scanner, TissueMaps, b_mode

PHANTOM_CLASSES = ("benign", "malignant", "normal")
SMALLEST, LARGEST = 64, 1024


def phantom(label: str, seed: int, size: int = 256) -> tuple[np.ndarray, np.ndarray]:
    """A synthetic scan and the mask of its lesion: uint8 (size, size, 3), bool (size, size).

    The same label, seed and size give the same image; another size gives the same breast with
    other speckle. The three channels are equal. The mask of a normal scan is empty.
    Raises ValueError for an unknown label, a seed that is no whole number from 0 up, or a size
    outside 64 to 1024.
    """
    _check(label, seed, size)
    streams = np.random.SeedSequence([PHANTOM_CLASSES.index(label), int(seed)]).spawn(2)
    draws, speckle = (np.random.default_rng(stream) for stream in streams)
    scanner = _settings(draws)
    maps, mask = _tissue(label, draws, size)
    grey = b_mode(maps, scanner, speckle)
    return np.repeat(grey[..., None], 3, axis=2), mask.astype(bool)


def phantom_table(n_per_class: int = 60, seed: int = 0) -> pd.DataFrame:
    """Table of n_per_class phantoms of each class, with the columns of every dataset.

    Their seeds are seed, seed + 1, and so on; every image is a group of its own. Masks are
    generated with the image, so no mask files are named. Raises ValueError for n_per_class < 1.
    """
    if n_per_class < 1:
        raise ValueError(f"A table needs at least 1 phantom of each class, not {n_per_class}.")
    return table_of(
        _row(label, number)
        for label in PHANTOM_CLASSES
        for number in range(seed, seed + n_per_class)
    )


def _row(label: str, seed: int) -> dict:
    image_id = f"{label}/phantom {seed:04d}"
    return {
        "image_id": image_id,
        "path": f"phantom:{label}/{seed}",
        "label": label,
        "masks": (),
        "group": image_id,
    }


def _read(folder: Path | None) -> pd.DataFrame:
    return phantom_table()


READER = DatasetReader(
    "phantoms", "Phantoms (synthetic)", None, PHANTOM_CLASSES, "single phantoms", _read
)


def _settings(rng: np.random.Generator) -> Scanner:
    """The scanner as one examiner or another would have set it."""
    usual = Scanner()
    return replace(
        usual,
        focus=rng.uniform(10, 20),
        tgc_slope=usual.tgc_slope + rng.uniform(-0.05, 0.06),
        tgc_highest=usual.tgc_highest + rng.uniform(-5, 5),
        brightest_db=usual.brightest_db + rng.uniform(-4, 4),
    )


def _tissue(label: str, rng: np.random.Generator, size: int) -> tuple[TissueMaps, np.ndarray]:
    depth_mm = rng.uniform(34, 46)
    floors = anatomy.draw_floors(rng)
    bend = anatomy.draw_bend(rng, depth_mm)
    if label not in lesions.MODELS:
        maps = anatomy.draw_breast(rng, depth_mm, floors, bend)
        return anatomy.at_size(maps, size), np.zeros((size, size), np.uint8)
    lesion = lesions.draw_lesion(rng, lesions.MODELS[label], depth_mm, floors)
    bend += lesions.mass_effect(lesion, depth_mm)
    maps = anatomy.at_size(anatomy.draw_breast(rng, depth_mm, floors, bend), size)
    mask = lesions.rasterise(lesion, size, maps.pixel_mm)
    return lesions.insert(rng, maps, lesion, mask), mask


def _check(label: str, seed: int, size: int) -> None:
    if label not in PHANTOM_CLASSES:
        raise ValueError(f"There is no phantom {label!r}: choose {', '.join(PHANTOM_CLASSES)}.")
    if seed < 0 or seed != int(seed):
        raise ValueError(f"The seed of a phantom must be a whole number from 0 up, not {seed}.")
    if not SMALLEST <= size <= LARGEST:
        raise ValueError(
            f"A phantom is {SMALLEST} to {LARGEST} pixels wide; {size} is outside that range."
        )
