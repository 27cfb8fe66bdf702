"""Reader of "breast-cancer-detection" (Kaggle, hayder17): 3383 mammograms of 224 x 224 pixels.

Folders `benign` and `malignant`; "benign" most likely means "no cancer found". The part of a name
before `_` is the patient, and the group: 19 patients have images in both folders. 550 images
are negatives (the air around the breast is white): the extra column `inverted` marks them, and
`core.datasets.read_pixels` gives all in one polarity.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from core.datasets.base import DatasetReader, class_rows, locate, read_frames, table_of
from core.polarity import is_inverted

CLASSES = ("benign", "malignant")
_NAME = "the set of 3383 mammograms"
_IMAGE = re.compile(r"(?P<group>\d+)_.+")


def read(folder: Path) -> pd.DataFrame:
    """The set as a table, one row an image, with the extra column inverted.

    Raises DatasetError if the folder is not this set or an image is unreadable.
    """
    needed = [f"{label}/[0-9]*_*.*" for label in CLASSES]
    root = locate(folder, _NAME, ("mammography_hayder17",), needed)
    folders = {label: label for label in CLASSES}
    table = table_of(class_rows(root, folders, _NAME, _IMAGE))
    return table.assign(inverted=[is_inverted(pixels) for pixels in read_frames(table["path"])])


READER = DatasetReader(
    id="mammograms",
    title="Mammograms (Kaggle breast-cancer-detection)",
    folder="mammography_hayder17",
    classes=CLASSES,
    groups="patients",
    read=read,
)
