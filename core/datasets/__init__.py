"""Published datasets, each read into one table: `load_table`, then pixels and masks by row.

A reader is one file with a `READER` record; listing it in `_RECORDS` is all it takes to add one.
"""

from __future__ import annotations

import hashlib
import os
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from core.datasets import (
    archive,
    bach,
    breakhis,
    busi,
    mammograms,
    mini_ddsm,
    phantoms,
    thermograms,
    ucsb,
    ultrasound_9016,
)
from core.datasets.base import DatasetError, DatasetReader, read_frame
from core.mask_files import EMPTY, OTHER_SIZE, inside
from core.preprocessing import resized_mask
from core.scan_types import ScanError

__all__ = [
    "READERS",
    "DatasetError",
    "DatasetReader",
    "find_folder",
    "fingerprint",
    "load_table",
    "origin",
    "read_mask",
    "read_pixels",
    "usable_mask",
]

_PHANTOM = "phantom:"
_RECORDS = (
    busi.READER,
    phantoms.READER,
    thermograms.READER,
    ultrasound_9016.READER,
    mammograms.READER,
    ucsb.READER,
    *breakhis.READERS,
    bach.READER,
    mini_ddsm.READER,
)
READERS: dict[str, DatasetReader] = {reader.id: reader for reader in _RECORDS}


def find_folder(dataset_id: str) -> Path | None:
    """Folder of a dataset below LESIONLENS_DATA, or None if it is not there or is generated."""
    reader, root = _reader(dataset_id), os.environ.get("LESIONLENS_DATA")
    if reader.folder is None or not root:
        return None
    folder = Path(root) / reader.folder
    return folder if folder.is_dir() else None


def origin(dataset_id: str, image_id: str) -> tuple[str, str]:
    """Dataset and id of the image that an image is a copy of; its own if it is of none."""
    copy_of = _reader(dataset_id).copy_of
    return copy_of(image_id) if copy_of else (dataset_id, image_id)


def load_table(dataset_id: str, folder: Path | None = None) -> pd.DataFrame:
    """The images of a dataset, one row each, in an order that the files alone decide.

    Columns: image_id (str, unique), path (str, absolute, or "phantom:<label>/<seed>"), label (str),
    masks (tuple of str paths), group (str: near-duplicate cluster, patient or source, to be kept on
    one side of a split), and of `base.EXTRA_COLUMNS` those that the dataset has. Without `folder`
    the dataset is looked for below LESIONLENS_DATA; one that is generated needs none. Raises
    DatasetError if it is not found, is something else, or holds unreadable images.
    """
    reader = _reader(dataset_id)
    if reader.folder is None:
        return reader.read(None)
    folder = folder or find_folder(dataset_id)
    if folder is None:
        raise DatasetError(
            f"{reader.title} was not found. Set LESIONLENS_DATA to a folder that holds "
            f"{reader.folder!r}, or give the folder of the dataset."
        )
    return reader.read(Path(folder))


def read_pixels(row) -> np.ndarray:
    """Image of a table row (anything with .path), uint8 (H, W, 3); it may be read-only. A row that
    is marked as a negative (.inverted) gives the positive.

    Raises DatasetError naming the file if it cannot be read.
    """
    if row.path.startswith(_PHANTOM):
        return _phantom(row.path)[0]
    pixels = _frame(row.path)
    return 255 - pixels if getattr(row, "inverted", False) else pixels


def read_mask(row) -> np.ndarray | None:
    """Lesion mask of a table row (anything with .path and .masks), bool (H, W), the size of the
    image; several masks are united. None if the dataset has no mask for this image.

    Raises DatasetError naming the file if one cannot be read, is neither black nor bright anywhere,
    or is of other proportions than the image.
    """
    if row.path.startswith(_PHANTOM):
        return _phantom(row.path)[1]
    if not row.masks:
        return None
    size = _frame(row.path).shape[:2]
    return np.logical_or.reduce([_outline(path, *size) for path in row.masks])


def usable_mask(row) -> tuple[np.ndarray | None, str]:
    """The mask of a table row as ``read_mask`` gives it; or None, and the sentence why it cannot be
    used, for those who have a use for the image without."""
    try:
        return read_mask(row), ""
    except DatasetError as error:
        return None, str(error)


def _outline(path: str, height: int, width: int) -> np.ndarray:
    """What a mask outlines of an image of this size, bool (height, width). Raises DatasetError."""
    mask = _frame(path)
    found = inside(mask)
    if mask.any() and not found.any():
        raise DatasetError(f"{path}: {EMPTY}")
    if abs(mask.shape[0] * width - mask.shape[1] * height) > max(height, width):
        sizes = f"{mask.shape[1]} x {mask.shape[0]}", f"{width} x {height}"
        raise DatasetError(f"{path}: {OTHER_SIZE.format(*sizes)}")
    return resized_mask(found, height, width)


def fingerprint(table: pd.DataFrame) -> str:
    """sha256 (hexadecimal) over the images of a table: ids and file bytes, whatever the order of
    the rows and wherever the files lie; not over labels and masks. A phantom is told by its id and
    path alone."""
    digest = hashlib.sha256()
    for row in table.sort_values("image_id").itertuples(index=False):
        phantom = row.path.startswith(_PHANTOM)
        content = row.path.encode() if phantom else Path(row.path).read_bytes()
        digest.update(f"{row.image_id}\0".encode())
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()


def _reader(dataset_id: str) -> DatasetReader:
    if dataset_id not in READERS:
        raise DatasetError(f"Unknown dataset {dataset_id!r}: choose one of {', '.join(READERS)}.")
    return READERS[dataset_id]


def _frame(path: str) -> np.ndarray:
    """First frame of an image file, on disk or inside an open archive."""
    if not path.startswith(archive.SCHEME):
        return read_frame(path)
    try:
        return archive.scan_at(path).pixels[0]
    except ScanError as error:
        name = path.partition("/")[2]
        raise DatasetError(f"The image {name} of the archive cannot be read. {error}") from error


@lru_cache(maxsize=192)  # the data set's 180; 0.3 MB each
def _phantom(path: str) -> tuple[np.ndarray, np.ndarray]:
    label, seed = path.removeprefix(_PHANTOM).split("/")
    parts = phantoms.phantom(label, int(seed))
    for part in parts:
        part.flags.writeable = False
    return parts
