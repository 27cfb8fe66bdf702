"""What a guard is judged on: own test scans, other kinds of image, made ones, damaged scans."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint
from core.datasets import READERS, DatasetError, load_table, read_mask, read_pixels
from core.evaluation.corruptions import CORRUPTIONS, corrupt
from core.guard.making import images_of
from core.recipes import list_recipes

TESTED = 200
"""Own test images, at most."""
DAMAGED = 30
"""Own test images that are damaged, in every way and strength."""

OWN, BARE, SAME, OTHER, MADE, HARMED = (
    "own test scans",
    "own test scans, without outline",
    "same modality",
    "other modality",
    "no scan at all",
    "damaged test scans",
)
_SETS = {
    "BUSI": ("busi",),
    "ultrasound-9016": ("ultrasound-9016",),
    "thermograms": ("thermograms",),
    "mammograms": ("mammograms",),
    "UCSB histology": ("ucsb",),
    "BreakHis samples": ("breakhis-40", "breakhis-100", "breakhis-200", "breakhis-400"),
    "phantoms": ("phantoms",),
}


@dataclass(frozen=True, eq=False)
class Shown:
    """One image as a system gets it: ``pixels`` uint8 (H, W, 3), ``mask`` bool (H, W) or None."""

    set: str
    relation: str
    image_id: str
    group: str
    pixels: np.ndarray
    mask: np.ndarray | None
    strength: float = float("nan")


def everything(checkpoint: Checkpoint, root: Path | None, limit: int) -> Iterator[Shown]:
    """All that is shown to a system, one at a time; of every other data set ``limit`` images."""
    recipe = checkpoint.recipe
    dataset = recipe.data.dataset
    table = images_of(checkpoint, _folder(dataset, root))
    own = _first_of_groups(table[table["split"] == "test"], TESTED)
    outlined = recipe.preprocessing.outlined
    mine = list(_of_table(_name(dataset), OWN, own))
    yield from mine
    if outlined:
        yield from (_without_outline(one) for one in mine)
    outlines = cycle([one.mask for one in mine] if outlined else [None])
    for name, datasets in _SETS.items():
        if dataset not in datasets:
            relation = SAME if _modality(datasets[0]) == recipe.modality else OTHER
            others = _other_table(datasets, root, limit)
            yield from (_outlined(one, outlines) for one in _of_table(name, relation, others))
    for one in (*photographs(), *blanks(), *noises()):
        yield _outlined(one, outlines)
    yield from _damaged(mine[:DAMAGED])


def photographs() -> Iterator[Shown]:
    """The photographs that come with scikit-image, in colour and in grey."""
    for name in _PHOTOGRAPHS:
        pixels = _photograph(name)
        grey = np.repeat(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)
        yield Shown("photographs", OTHER, name, name, pixels, None)
        yield Shown("photographs in grey", OTHER, name, name, grey, None)


_PHOTOGRAPHS = (
    "astronaut", "brick", "camera", "cat", "clock", "coffee", "coins", "grass", "gravel",
    "hubble_deep_field", "moon", "page", "rocket", "text",
)  # fmt: skip


def _photograph(name: str) -> np.ndarray:
    from skimage import data

    pixels = np.atleast_3d(getattr(data, name)())[..., :3]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)), np.uint8)


def blanks() -> Iterator[Shown]:
    """Pictures of one grey."""
    for grey in range(0, 256, 17):
        yield Shown(
            "blank", MADE, f"grey {grey}", f"{grey}", np.full((256, 256, 3), grey, np.uint8), None
        )


def noises() -> Iterator[Shown]:
    """Noise: even, even in colour, normal, and normal that was smoothed into blotches."""
    random, size = np.random.default_rng(0), (256, 256, 1)
    for number in range(8):
        smooth = cv2.GaussianBlur(random.normal(0, 1, size[:2]), (0, 0), 3)[..., None]
        drawn = {
            "even": random.integers(0, 256, size),
            "colour": random.integers(0, 256, (256, 256, 3)),
            "normal": random.normal(110, 40, size),
            "blotches": 80 + 40 * smooth / smooth.std(),
        }
        for kind, values in drawn.items():
            pixels = np.clip(np.broadcast_to(values, (256, 256, 3)), 0, 255).astype(np.uint8)
            name = f"{kind} {number}"
            yield Shown("random noise", MADE, name, name, pixels, None)


def _damaged(mine: list[Shown]) -> Iterator[Shown]:
    for name, (_, strengths) in CORRUPTIONS.items():
        for strength in strengths:
            for seed, one in enumerate(mine):
                pixels, mask = corrupt(name, one.pixels, one.mask, strength, seed)
                yield Shown(name, HARMED, one.image_id, one.group, pixels, mask, float(strength))


def _of_table(name: str, relation: str, table: pd.DataFrame) -> Iterator[Shown]:
    for row in table.itertuples():
        image = (row.image_id, str(row.group), read_pixels(row), read_mask(row))
        yield Shown(name, relation, *image)


def _without_outline(one: Shown) -> Shown:
    return Shown(one.set, BARE, one.image_id, one.group, one.pixels, None)


def _outlined(one: Shown, outlines: Iterator[np.ndarray | None]) -> Shown:
    """With an outline of another scan, if the system needs one and the image has none."""
    outline = next(outlines)
    if outline is None or (one.mask is not None and one.mask.any()):
        return one
    size = one.pixels.shape[1::-1]
    moved = cv2.resize(outline.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST) > 0
    return Shown(one.set, one.relation, one.image_id, one.group, one.pixels, moved)


def _other_table(datasets: tuple[str, ...], root: Path | None, limit: int) -> pd.DataFrame:
    """At most ``limit`` images of all these sets; empty, and said so, if they are not there."""
    try:
        tables = [load_table(name, _folder(name, root)) for name in datasets]
    except DatasetError as error:
        print(f"Left out: {error}", file=sys.stderr)
        return pd.DataFrame(columns=["image_id", "path", "label", "masks", "group"])
    return _first_of_groups(pd.concat(tables, ignore_index=True), limit)


def _first_of_groups(table: pd.DataFrame, limit: int) -> pd.DataFrame:
    """At most ``limit`` rows in a seeded order, the first of every group before any second."""
    shuffled = table.sort_values("image_id").sample(frac=1, random_state=0)
    nth_of_group = shuffled.groupby("group").cumcount()
    return shuffled.loc[nth_of_group.sort_values(kind="stable").index[:limit]]


def _folder(dataset: str, root: Path | None) -> Path | None:
    """Where a set lies below ``root``; samples of a set count as the set."""
    name = READERS[dataset].folder
    if name is None:
        return None
    root = root or Path(os.environ.get("LESIONLENS_DATA", ""))
    places = (root / name, root / f"{name}_samples")
    return next((place for place in places if place.is_dir()), places[0])


def _modality(dataset: str) -> str:
    """What kind of image a data set holds, as the recipes that use it say."""
    known = {recipe.data.dataset: recipe.modality for recipe in list_recipes()}
    return (known | {"phantoms": known["busi"], "ucsb": known["breakhis-40"]})[dataset]


def _name(dataset: str) -> str:
    return next((name for name, sets in _SETS.items() if dataset in sets), dataset)
