"""Reader of BACH, 400 fields of H&E-stained breast histology, 2048 x 1536 pixels, four classes.

Aresta et al.: BACH: grand challenge on breast cancer histology images, Medical Image Analysis 56
(2019) 122-139. Folders with a hundred TIFF files each: `Normal/n001.tif`, `Benign/b001.tif`,
`InSitu/is001.tif`, `Invasive/iv001.tif`. The files tell no patients, so that a group is one image
with its copies, by content; two fields of one patient may lie on either side of a grouped split.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from core.datasets import duplicates
from core.datasets.base import DatasetReader, class_rows, locate, read_frames, table_of

CLASSES = ("Normal", "Benign", "InSitu", "Invasive")
_PHOTOS = "ICIAR2018_BACH_Challenge/Photos"
_BELOW = ("bach", "Photos", _PHOTOS, "bach/Photos", f"bach/{_PHOTOS}")
_IMAGE = re.compile(r"(?:n|b|is|iv)\d+", re.IGNORECASE)


def read(folder: Path) -> pd.DataFrame:
    """BACH as a table, one row an image; the group is the first of the copies of an image.

    Raises DatasetError if the folder is not BACH or an image is unreadable.
    """
    root = locate(folder, "BACH", _BELOW, [f"{label}/" for label in CLASSES])
    table = table_of(class_rows(root, {label: label for label in CLASSES}, "BACH", _IMAGE))
    pairs = duplicates.find_pairs(table["image_id"], read_frames(table["path"]))
    # Two fields of one stain and layout are no "frames" of one lesion: that rule is for ultrasound.
    copies = pairs[pairs["kind"] != duplicates.FRAME]
    return table.assign(group=duplicates.groups(table["image_id"], copies))


READER = DatasetReader(
    id="bach",
    title="BACH: breast cancer histology (H&E)",
    folder="bach",
    classes=CLASSES,
    groups="copies",
    read=read,
)
