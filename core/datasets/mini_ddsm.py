"""Reader of Mini-DDSM, mammograms of the Digital Database for Screening Mammography.

Lekamlage, Afzal, Westerberg, Cheddad: Mini-DDSM: mammography-based automatic age estimation,
International Conference on Digital Medicine and Image Processing 2020. Published as
`MINI-DDSM-Complete-JPEG-8` and `MINI-DDSM-Complete-PNG-16`; in either a case is a folder with four
views, `Cancer/0029/C_0029_1.LEFT_CC.jpg`, and lesion masks, `C_0029_1.LEFT_CC_Mask.jpg`.
The group is the case, whatever class folder it is in.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from core.datasets.base import DatasetReader, class_rows, locate, natural_key, table_of

CLASSES = ("Normal", "Benign", "Cancer")
_NAME = "Mini-DDSM"
_COMPLETE = "MINI-DDSM-Complete-*"
_IMAGE = re.compile(r".*(?:LEFT|RIGHT)_(?:CC|MLO)", re.IGNORECASE)
_MASK = re.compile(r"(?P<image>.+)_mask_?\d*", re.IGNORECASE)


def read(folder: Path) -> pd.DataFrame:
    """Mini-DDSM as a table, one row a view; of several copies (8 and 16 bit) the first by name.

    Raises DatasetError if the folder is not Mini-DDSM or a part of it is missing.
    """
    copies = [*folder.glob(_COMPLETE), *folder.glob(f"mini_ddsm/{_COMPLETE}")]
    below = [str(path.relative_to(folder)) for path in sorted(copies)] or [_COMPLETE]
    root = locate(folder, _NAME, [*below, "mini_ddsm"], [f"{label}/*/" for label in CLASSES])
    cases = {f"{label}/{case}": label for label in CLASSES for case in _cases(root / label)}
    table = table_of(class_rows(root, cases, _NAME, _IMAGE, _MASK))
    return table.assign(group=table["image_id"].str.split("/").str[1])


def _cases(folder: Path) -> list[str]:
    names = (path.name for path in folder.iterdir() if path.is_dir())
    return sorted((name for name in names if name.isdigit()), key=natural_key)


READER = DatasetReader(
    id="mini-ddsm",
    title="Mini-DDSM mammograms",
    folder="mini_ddsm",
    classes=CLASSES,
    groups="cases",
    read=read,
)
