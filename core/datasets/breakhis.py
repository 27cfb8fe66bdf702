"""Reader of BreaKHis, 7,909 fields of H&E-stained breast tumours at four magnifications.

Spanhol, Oliveira, Petitjean, Heutte: A dataset for breast cancer histopathological image
classification, IEEE Transactions on Biomedical Engineering 63 (2016) 1455-1462. A name such as
`SOB_B_A-14-22549AB-40-001` tells class (B, M), subtype, patient (year and slide), magnification and
number, so that any folder tree will do; published is
`BreaKHis_v1/histology_slides/breast/benign/SOB/adenosis/SOB_B_A_14-22549AB/40X`. The group is the
patient, as the authors count them, e.g. `14-22549AB`. Papers judge each magnification by itself,
so each is a dataset here: "breakhis-40" and so on. Patients whose slide differs in its letters
alone (`14-22549AB`, `14-22549CD`) may be one woman; the authors count them as two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pandas as pd

from core.datasets.base import (
    DatasetReader,
    class_rows,
    is_picture,
    locate,
    named_by_label,
    natural_key,
    table_of,
)

CLASSES = ("benign", "malignant")
MAGNIFICATIONS = (40, 100, 200, 400)
_IMAGE = r"SOB_{}_(?P<subtype>[A-Z]+)-(?P<group>\d+-\w+)-{}-\d+"


def read(folder: Path, magnification: int) -> pd.DataFrame:
    """The images of one magnification as a table, with the extra columns magnification and subtype.

    Raises DatasetError if there are none of a class below the folder.
    """
    name = f"BreaKHis at {magnification}X"
    needed = [_pattern(label, magnification) for label in CLASSES]
    root = locate(folder, name, ("breakhis", "BreaKHis_v1"), needed)
    rows = (row for label in CLASSES for row in _rows(root, label, magnification, name))
    table = table_of(rows, "subtype").assign(magnification=magnification)
    return table.drop_duplicates("image_id", ignore_index=True)


def _pattern(label: str, magnification: int) -> str:
    return f"**/SOB_{label[0].upper()}_*-{magnification}-*.*"


def _rows(root: Path, label: str, magnification: int, name: str) -> Iterator[dict]:
    found = filter(is_picture, root.glob(_pattern(label, magnification)))
    folders = sorted({str(path.parent.relative_to(root)) for path in found}, key=natural_key)
    image = re.compile(_IMAGE.format(label[0].upper(), magnification))
    return named_by_label(class_rows(root, dict.fromkeys(folders, label), name, image))


READERS = tuple(
    DatasetReader(
        id=f"breakhis-{magnification}",
        title=f"BreaKHis at {magnification}X (H&E histology)",
        folder="breakhis",
        classes=CLASSES,
        groups="patients",
        read=partial(read, magnification=magnification),
    )
    for magnification in MAGNIFICATIONS
)
