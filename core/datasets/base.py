"""What every dataset reader shares: its record and error, the columns of a table, finding the
folder and walking its class folders, natural order."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path

import numpy as np
import pandas as pd

from core.refusal import Refusal
from core.scans import ScanError, read_scan_file

COLUMNS = ("image_id", "path", "label", "masks", "group")
# What a table may hold beside COLUMNS, where the dataset has it.
EXTRA_COLUMNS = {
    "inverted": "bool: the file is a negative, `read_pixels` gives the positive",
    "source": "str: the image of another set that this one is a copy of",
    "patient": "int: whose images these are, from 1 in the order of the rows",
    "magnification": "int: of the objective, e.g. 40",
    "subtype": "str: histological subtype, as the file name abbreviates it",
}

SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".dcm"}
_ANY = re.compile(".+")


class DatasetError(Refusal):
    """A dataset cannot be read. The text is a sentence for the user: what is wrong, what to do."""


@dataclass(frozen=True)
class DatasetReader:
    """One published folder layout.

    `folder` is where the dataset lies below LESIONLENS_DATA, or None if it is generated.
    `groups` names what its groups are. `read` takes the folder (None if generated) and returns a
    table: one row an image, the columns of `COLUMNS`, then those of `EXTRA_COLUMNS` that the
    dataset has. It raises DatasetError if the folder is not this dataset. `copy_of` tells from an
    image_id which image of which other dataset it is a copy of, where all are copies.
    """

    id: str
    title: str
    folder: str | None
    classes: tuple[str, ...]
    groups: str
    read: Callable[[Path | None], pd.DataFrame]
    copy_of: Callable[[str], tuple[str, str]] | None = None


def natural_key(name: str) -> tuple:
    """Sort key under which 'benign (2)' comes before 'benign (10)'."""
    parts = re.split(r"(\d+)", name.casefold())
    return tuple(int(part) if index % 2 else part for index, part in enumerate(parts))


def locate(folder: Path, name: str, below: Sequence[str], needed: Sequence[str]) -> Path:
    """The first of `folder` and the places `below` it where every pattern of `needed` (folders or
    files, as for Path.glob) is found; absolute.

    Raises DatasetError, telling what was looked for and where.
    """
    for candidate in (folder, *(folder / place for place in below)):
        if all(next(candidate.glob(pattern), None) for pattern in needed):
            return candidate.resolve()
    raise DatasetError(
        f"{folder} does not hold {name}: {', '.join(needed)} were looked for there and in "
        f"{', '.join(below)} below it. Give the folder that the dataset was unpacked to."
    )


def is_picture(path: Path) -> bool:
    """Whether a path is an image file and not what an operating system left beside one."""
    # Names such as "._benign (1).png" are what macOS leaves beside every file of an archive.
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()


def class_rows(
    root: Path,
    folders: Mapping[str, str],
    name: str,
    image: re.Pattern[str] = _ANY,
    mask: re.Pattern[str] | None = None,
) -> Iterator[dict]:
    """Rows of the images in `folders` (path below `root` -> label), in natural order within each.

    `image` and `mask` match whole file stems; other files are ignored. The named groups of `image`
    become columns of the row, e.g. "group"; `mask` has one, "image", the stem it belongs to.
    An image_id is the path below `root` without suffix, which is kept (as "_jpg") only where two
    files have the same stem; where that is taken, a number follows. Raises DatasetError for a
    folder without images, or a mask without its image; `name` is the dataset's.
    """
    for below, label in folders.items():
        files = sorted(filter(is_picture, (root / below).iterdir()), key=_stem_key)
        _check_names(files)
        masks = defaultdict(list)
        images = {}
        for path in files:
            if mask and (belongs := mask.fullmatch(path.stem)):
                masks[belongs["image"]].append(str(path))
            elif match := image.fullmatch(path.stem):
                images[path] = match
        stems = Counter(path.stem for path in images)
        _check_complete(root / below, name, stems, masks)
        unique = _unique_names(images, stems)
        for (path, match), name_of_image in zip(images.items(), unique, strict=True):
            yield {
                "image_id": f"{below}/{name_of_image}",
                "path": str(path),
                "label": label,
                "masks": tuple(masks[path.stem]),
                **match.groupdict(),
            }


def _unique_names(paths: Iterable[Path], stems: Mapping[str, int]) -> Iterator[str]:
    """Names of the files of a folder, `stems` of which are so many: "1"; "1_jpg" and "1_png" of one
    stem; "1_jpg" and "1_jpg_2" of 1.JPG and 1.jpg."""
    taken = set()
    for path in paths:
        kept = f"_{path.suffix[1:].lower()}" if stems[path.stem] > 1 else ""
        name = f"{path.stem}{kept}"
        numbered = (f"{name}_{number}" for number in count(2))
        free = next(one for one in chain([name], numbered) if one not in taken)
        taken.add(free)
        yield free


def named_by_label(rows: Iterable[dict]) -> Iterator[dict]:
    """Rows whose image_id is label and file stem, wherever below the root the file lies."""
    for row in rows:
        yield row | {"image_id": f"{row['label']}/{row['image_id'].rpartition('/')[2]}"}


def _check_complete(folder: Path, name: str, images: Counter, masks: Mapping[str, list]) -> None:
    orphans = [image for image in masks if image not in images]
    if not images or orphans:
        missing = f"the image of {orphans[0]!r} is missing" if orphans else "it has no images"
        raise DatasetError(f"The folder {folder} is not a complete part of {name}: {missing}.")


def _check_names(files: Iterable[Path]) -> None:
    """Names of no text, as old archives leave them, fit into no table."""
    for path in map(str, files):
        readable = path.encode(errors="backslashreplace").decode()
        if readable != path:
            raise DatasetError(
                f"The name of {readable} is not text in UTF-8. Rename the file, or unpack it anew."
            )


def _stem_key(path: Path) -> tuple:
    return natural_key(path.stem), path.suffix


def read_frame(path: str | Path) -> np.ndarray:
    """First frame of an image file, uint8 (H, W, 3). Raises DatasetError naming the file."""
    try:
        return read_scan_file(path).pixels[0]
    except (ScanError, OSError) as error:
        raise DatasetError(f"The image {path} of the dataset cannot be read. {error}") from error


def read_frames(paths: Iterable[str | Path]) -> Iterator[np.ndarray]:
    """The first frames of image files, one at a time. Those that cannot be read are passed over,
    and named together in a DatasetError at the end."""
    refused = []
    for path in paths:
        try:
            yield read_frame(path)
        except DatasetError:
            refused.append(str(path))
    if refused:
        raise DatasetError(
            f"{len(refused)} of the dataset's images cannot be read. Copy them again or remove "
            f"them: {', '.join(refused)}."
        )


def table_of(rows: Iterable[dict], *extra: str) -> pd.DataFrame:
    """Rows (dicts with the keys of COLUMNS) as a table, with the columns `extra` behind; a group
    that is not known yet may be left out."""
    return pd.DataFrame(list(rows), columns=[*COLUMNS, *extra])
