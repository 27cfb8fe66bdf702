"""Reader of any folder that has a sub-folder for each class, also inside train, validation, test.

`DIR/benign/1.png`, `DIR/train/benign/1.png` and `DIR/anything/benign/1.png` are all understood;
what lies deeper in the folder of a class belongs to that class, and folders whose names differ in
upper and lower case alone are of one class. Masks are told by their names, as in BUSI, `1_mask.png`
beside `1.png`, or lie in a folder `masks` (`core.mask_files`). Images of one patient are a group if
a list beside the folders tells them (`core.datasets.patients`); without it every image is a group
of its own. `core.datasets.audit` finds near-duplicates.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from core.archives import is_side_file
from core.datasets.base import DatasetError, class_rows, is_picture, natural_key, table_of
from core.datasets.known_splits import SPLIT_OF_FOLDER
from core.datasets.patients import FILE, GROUPS, with_patients
from core.mask_files import MASK_NAME, is_mask_folder, masks_beside
from core.wording import counted

MAX_IMAGES = 20_000
LAYOUT = (
    "It must hold a folder for each class with that class's images inside, such as benign/1.png "
    "and malignant/1.png, or folders train, validation and test with such folders in them."
)
_DEEPEST = 6
_HIDDEN = ("__MACOSX",)


def read(folder: Path) -> pd.DataFrame:
    """The folder as a table with the columns of every data set, one row an image; also `patient`
    if a list tells them.

    `folder` is a pathlib.Path, or a place in an archive. Raises DatasetError, with a sentence, if
    it is no folder of class folders, holds more than MAX_IMAGES images, or has a list of patients
    that cannot be used.
    """
    if not folder.is_dir():
        raise DatasetError(f"{folder} is not a folder. Give one that exists on this computer.")
    root = _without_wrapping(folder)
    class_of = _class_folders(root)
    if len(set(class_of.values())) < 2:
        raise DatasetError(f"Two classes with images or more were not found there. {LAYOUT}")
    rows = []
    for row in class_rows(root, class_of, "a folder of classes", mask=MASK_NAME):
        rows.append(row | {"group": row["image_id"]})
        if len(rows) > MAX_IMAGES:
            raise DatasetError(
                f"There are more than {MAX_IMAGES:,} images. Take a part of them at a time."
            )
    _add_masks(rows, folder)
    table, lists = table_of(rows), patient_lists(folder)
    return with_patients(table, lists[0]) if lists else table


def _add_masks(rows: list[dict], folder: Path) -> None:
    """What lies in folders of masks goes to the images that it outlines."""
    masks = _in_mask_folders(folder)
    beside = masks_beside([row["path"] for row in rows] + masks)
    for index, found in beside.items():
        if index < len(rows):
            more = [masks[one - len(rows)] for one in found if one >= len(rows)]
            rows[index]["masks"] += tuple(more)


def patient_lists(folder: Path) -> list[Path]:
    """The lists of patients in a folder; the first is the one that counts."""
    places = dict.fromkeys((_without_wrapping(folder), folder))
    inside = (path for place in places for path in place.iterdir())
    return [path for path in inside if path.name.casefold() == FILE and path.is_file()]


def groups_of(table: pd.DataFrame) -> str | None:
    """What the groups of a table of `read` are, as in a DatasetReader; None if nothing is known."""
    return GROUPS if "patient" in table else None


def left_out(folder: Path, table: pd.DataFrame) -> str:
    """Sentences on what `read`, which made the table, left out of a folder: files of other kinds
    than it reads, masks that outline none of its images, and images beside the folders of the
    classes; empty if there are none."""
    others = sum(not is_picture(path) and path.name.casefold() != FILE for path in _files(folder))
    idle = len(set(_in_mask_folders(folder)).difference(*table["masks"]))
    told = (
        others and f"{counted(others, 'file')} left out, of a kind that is not read here.",
        idle and f"{counted(idle, 'mask')} left out, in folders of masks but of no image.",
        _left_beside(_without_wrapping(folder)),
    )
    return " ".join(filter(None, told))


def _in_mask_folders(folder: Path) -> list[str]:
    """Paths of the pictures in all folders of masks, and below those."""
    top = len(Path(str(folder)).parts)
    below = (path for path in _files(folder) if is_picture(path))
    return sorted(
        str(path) for path in below if any(map(is_mask_folder, Path(str(path)).parts[top:-1]))
    )


def _left_beside(root: Path) -> str:
    """The images that lie beside the folders of the classes, in a sentence."""
    places = {"at the top": root} | {
        f"in {inside.name}": inside for inside in _folders(root) if _is_split(inside)
    }
    counts = {where: sum(map(is_picture, place.iterdir())) for where, place in places.items()}
    total = sum(counts.values())
    if not total:
        return ""
    told = ", ".join(f"{count:,} {where}" for where, count in counts.items() if count)
    return f"{counted(total, 'image')} left out, in no folder of a class: {told}."


def _without_wrapping(folder: Path) -> Path:
    """The folder, or the only one inside it, as long as that alone holds further folders."""
    for _ in range(_DEEPEST):
        inside = _folders(folder)
        wraps = len(inside) == 1 and _folders(inside[0]) and not _has_pictures(folder)
        if not wraps:
            break
        folder = inside[0]
    return folder


def _class_folders(root: Path) -> dict[str, str]:
    """Every folder that holds images, as its path below the root -> the class it belongs to."""
    found, named = {}, {}
    for folder in _folders(root):
        is_split = _is_split(folder)
        for top in _folders(folder) if is_split else [folder]:
            below = f"{folder.name}/{top.name}" if is_split else top.name
            label = named.setdefault(top.name.strip().casefold(), top.name)
            found |= dict.fromkeys(_with_pictures(top, below), label)
    return found


def _is_split(folder: Path) -> bool:
    return folder.name.lower() in SPLIT_OF_FOLDER


def _with_pictures(folder: Path, below: str, depth: int = 0) -> Iterator[str]:
    if _has_pictures(folder):
        yield below
    if depth < _DEEPEST:
        for inside in _folders(folder):
            yield from _with_pictures(inside, f"{below}/{inside.name}", depth + 1)


def _has_pictures(folder: Path) -> bool:
    return any(is_picture(path) for path in folder.iterdir())


def _files(folder: Path, depth: int = 0) -> Iterator[Path]:
    """The files below a folder, as deep as classes are looked for; none that is hidden or that
    operating systems leave beside others."""
    for path in folder.iterdir():
        if path.is_file() and not path.name.startswith(".") and not is_side_file(Path(path.name)):
            yield path
    if depth < _DEEPEST:
        for inside in (*_folders(folder), *_folders(folder, masks=True)):
            yield from _files(inside, depth + 1)


def _leads_back(path: Path) -> bool:
    """Whether a folder is a link to one that it was reached through, or to one that holds such a
    one, whose images would be counted again."""
    if not isinstance(path, Path) or not path.is_symlink():  # in an archive nothing is
        return False
    target = path.resolve()
    return any(parent.resolve().is_relative_to(target) for parent in path.parents)


def _folders(folder: Path, masks: bool = False) -> list[Path]:
    """The folders in one, but for hidden ones; those of masks, or all others."""
    inside = (
        path
        for path in folder.iterdir()
        if path.is_dir() and not path.name.startswith(".") and path.name not in _HIDDEN
        if not _leads_back(path)
    )
    wanted = (path for path in inside if is_mask_folder(path.name) == masks)
    return sorted(wanted, key=lambda path: (natural_key(path.name), path.name))
