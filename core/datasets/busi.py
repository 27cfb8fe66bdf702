"""Reader of BUSI, the Breast Ultrasound Images dataset.

Al-Dhabyani, Gomaa, Khaled, Fahmy: Dataset of breast ultrasound images, Data in Brief 28 (2020)
104863. Three folders `benign`, `malignant`, `normal`; beside `benign (1).png` lies
`benign (1)_mask.png`, and where there are several lesions also `benign (1)_mask_1.png` and so on.
There are no patient ids: the groups are near-duplicate clusters, found by content.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.datasets import duplicates
from core.datasets.base import DatasetReader, class_rows, locate, read_frames, table_of
from core.mask_files import MASK_NAME

CLASSES = ("benign", "malignant", "normal")
_ROOT = "Dataset_BUSI_with_GT"
_BELOW = (_ROOT, f"busi/{_ROOT}", "busi")


def read(folder: Path) -> pd.DataFrame:
    """BUSI as a table, one row an image, in natural order; the group is the first image of the
    near-duplicate cluster. Raises DatasetError if the folder is not BUSI or a file is unreadable.
    """
    root = locate(folder, "BUSI", _BELOW, [f"{label}/" for label in CLASSES])
    table = table_of(class_rows(root, {label: label for label in CLASSES}, "BUSI", mask=MASK_NAME))
    pairs = duplicates.find_pairs(table["image_id"], read_frames(table["path"]))
    return table.assign(group=duplicates.groups(table["image_id"], pairs))


READER = DatasetReader(
    id="busi",
    title="BUSI: Breast Ultrasound Images",
    folder="busi",
    classes=CLASSES,
    groups="near-duplicates",
    read=read,
)
