"""Reader of "Ultrasound Breast Images for Breast Cancer" (Kaggle), 9016 images: BUSI, augmented.

Folders `train` and `val` with `benign` and `malignant`. The images are 496 of BUSI (286 benign, 210
malignant) under their BUSI names, e.g. `benign (36)`, and 8,520 rotated and sharpened copies of
them, e.g. `benign (36)-rotated1-sharpened`. Two sources have copies in both `train` and `val`.
The extra column `source` is the name in BUSI. The group is wider: BUSI holds near-duplicates
itself, so sources that are near-duplicates by content share a group, named after the first of them.
That makes 384 groups, the same that the BUSI reader makes of these 496 images.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from core.datasets import duplicates
from core.datasets.base import (
    DatasetReader,
    class_rows,
    locate,
    natural_key,
    read_frames,
    table_of,
)

CLASSES = ("benign", "malignant")
_NAME = "the set of 9016 ultrasound images"
_FOLDERS = {f"{part}/{label}": label for part in ("train", "val") for label in CLASSES}
# Near-duplicates that show in BUSI, but not at the size and sharpness that copies of this set have.
_ALSO_ALIKE = pd.DataFrame(
    [
        ("malignant (1)", "malignant (132)"),
        ("malignant (80)", "malignant (81)"),
        ("malignant (120)", "malignant (122)"),
    ],
    columns=["a", "b"],
)
_IMAGE = re.compile(r"(?P<source>(?:benign|malignant) \(\d+\)).*", re.IGNORECASE)


def read(folder: Path) -> pd.DataFrame:
    """The set as a table, one row an image, with the extra column source, e.g. "benign (36)".

    Raises DatasetError if the folder is not this set or a source is unreadable.
    """
    needed = [f"{below}/" for below in _FOLDERS]
    root = locate(folder, _NAME, ("ultrasound_9016", "ultrasound breast classification"), needed)
    table = table_of(class_rows(root, _FOLDERS, _NAME, _IMAGE), "source")
    names, paths = zip(*sorted(_shown(table).items(), key=_natural), strict=True)
    known = _ALSO_ALIKE[_ALSO_ALIKE.isin(names).all(axis=1)]
    pairs = pd.concat([duplicates.find_pairs(names, read_frames(paths)), known])
    group_of = dict(zip(names, duplicates.groups(names, pairs), strict=True))
    return table.assign(group=table["source"].map(group_of))


def _shown(table: pd.DataFrame) -> dict[str, str]:
    """Source -> file that shows it: the shortest name, which is the source itself or, where that
    is missing, the least altered copy."""
    shortest = table["image_id"].str.len().sort_values(kind="stable").index
    return table.loc[shortest].drop_duplicates("source").set_index("source")["path"].to_dict()


def _natural(item: tuple[str, str]) -> tuple:
    return natural_key(item[0])


def copy_of(image_id: str) -> tuple[str, str]:
    """The image of BUSI that an image shows.

    >>> copy_of("train/benign/benign (36)-rotated1-sharpened")
    ('busi', 'benign/benign (36)')
    """
    _, label, name = image_id.split("/")
    return "busi", f"{label}/{_IMAGE.fullmatch(name)['source']}"


READER = DatasetReader(
    id="ultrasound-9016",
    title="Ultrasound Breast Images for Breast Cancer (BUSI, augmented)",
    folder="ultrasound_9016",
    classes=CLASSES,
    groups="scans and their copies",
    read=read,
    copy_of=copy_of,
)
