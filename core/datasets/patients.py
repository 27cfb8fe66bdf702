"""Which images are of one patient, as a list beside the folders of the classes tells.

`patients.csv` has the columns image and patient; an image is named by its path below the list:

    image,patient
    benign/1.png,A
    benign/2.png,A
    malignant/1.png,B

What the patients are called is used to tell them apart, and kept nowhere.
"""

from __future__ import annotations

import csv
import io
import unicodedata
from pathlib import Path

import pandas as pd

from core.datasets.base import DatasetError

FILE = "patients.csv"
GROUPS = f"patients, by {FILE}"
MOST_BYTES = 5 * 2**20
_COLUMNS = ("image", "patient")
_SEPARATORS = "\t;,"  # spreadsheets write any of them
_LIKE_THIS = "Give it the columns image and patient, and rows such as benign/1.png,A."


def with_patients(table: pd.DataFrame, listed: Path) -> pd.DataFrame:
    """The table with the column `patient` (int, from 1 in the order of the rows), and with the
    images of a patient as one group, called by its first image.

    `listed` is the list's path. Its rows of other images count for nothing. Raises DatasetError,
    with a sentence, if it cannot be read, lacks an image, or tells two patients of one.
    """
    above = str(listed).removesuffix(listed.name)
    names = table["path"].str.removeprefix(above).map(_written)
    patients = names.map(_listed(listed.read_bytes()))
    lacking = names[patients.isna()]
    if len(lacking):
        raise DatasetError(
            f"{FILE} tells no patient of {len(lacking):,} of {len(names):,} images, such as "
            f"{lacking.iloc[0]}. Add them, or take {FILE} away."
        )
    first = table.groupby(patients.to_numpy())["image_id"].transform("first")
    return table.assign(group=first, patient=pd.factorize(patients)[0] + 1)


def _written(path: str) -> str:
    """A path as it is compared: computers separate folders and compose letters differently."""
    return unicodedata.normalize("NFC", path).replace("\\", "/")


def _listed(content: bytes) -> dict[str, str]:
    """Path of an image -> what its patient is called."""
    told: dict[str, str] = {}
    for row in _rows(content):
        image, patient = (row[name].strip() for name in _COLUMNS)
        image = _written(image).removeprefix("./")
        if patient and told.setdefault(image, patient) != patient:
            raise DatasetError(f"{FILE} tells two patients of {image}. Leave one of them.")
    return told


def _rows(content: bytes) -> list[dict[str, str]]:
    if len(content) > MOST_BYTES:
        raise DatasetError(f"{FILE} is larger than {MOST_BYTES // 2**20} MB. {_LIKE_THIS}")
    try:
        text = content.decode("utf-8-sig")
        header, _, _ = text.partition("\n")
        separator = next((one for one in _SEPARATORS if one in header), ",")
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=separator))
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(
            f"{FILE} cannot be read: it is no table in UTF-8. {_LIKE_THIS}"
        ) from error
    columns = [name.strip().casefold() for name in (rows or [[]])[0]]
    if not set(_COLUMNS) <= set(columns):
        raise DatasetError(f"{FILE} lacks the columns image and patient. {_LIKE_THIS}")
    return [dict.fromkeys(columns, "") | dict(zip(columns, row, strict=False)) for row in rows[1:]]
