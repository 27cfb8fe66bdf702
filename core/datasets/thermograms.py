"""Reader of "Breast Cancer Patients MRI's" (Kaggle, U. Khan 2021): infrared thermograms, NOT MRI.

The 1480 images, 540 x 250 grey, are segmented frontal thermograms of the breasts: nipples and
surface veins are visible. Folders `train` (700 + 700) and `validation` (40 + 40) with `Healthy` and
`Sick`; images are numbered, `H_1.jpg`, `S_1.jpg`, and `validation/Healthy` has names in `S_` too.

They are frames of about 80 women. The numbers run through series of 21 frames, most often 20 of
one pose and one taken apart, with four shorter series, and images missing. `_SERIES` has the number
at which each series starts. It was read off the images, by correlating the texture of the skin
(`_texture`), which is a woman's veins:

- Of the pairs of frames within a series 61 % correlate above 0.35; of those between series (but for
  the two below) 6 in 10,000 above 0.22. Wherever frames above 0.35 are connected, their numbers
  fill the series; what they leave are single frames in another pose, and series in which a woman
  moved.
- Two series alone are one woman: the 21 frames from train/Healthy/H_150 and those from H_696, 20 of
  them pixel for pixel. No other pair between series is above 0.39. Images that correlate by 0.4 or
  more share a group too, for these two and for files with other numbers.

No group has two labels or lies in both `train` and `validation`. Of 42 sets of identical images,
20 are that pair and 22 lie within a series. Two visits of a woman with little in common would not
be found.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from core.datasets import duplicates
from core.datasets.base import DatasetReader, class_rows, locate, read_frames, table_of

CLASSES = ("Healthy", "Sick")
_NAME = "the thermograms of 'Breast Cancer Patients MRI's'"
_FOLDERS = {f"{part}/{label}": label for part in ("train", "validation") for label in CLASSES}
_IMAGE = re.compile(r"[A-Z]_(?P<number>\d+)", re.IGNORECASE)
_SERIES = {
    "train/Healthy": (*range(1, 148, 21), 148, *range(150, 801, 21)),
    "train/Sick": (*range(1, 652, 21), 652, *range(666, 801, 21)),
    "validation/Healthy": (1, 22, 26, 47, 55),
    "validation/Sick": (1, 34, 55),
}
_SIZE = (96, 48)  # of a thumbnail: width, height
_BACKGROUND = 20  # the brightest grey around the body
_BLUR, _RIM = 4, 5  # pixels of a thumbnail: what is texture, and how close to the outline it ends
_SAME_WOMAN = 0.4


def read(folder: Path) -> pd.DataFrame:
    """The set as a table, one row an image; the group is the first image of the same woman.

    Raises DatasetError if the folder is not this set or an image is unreadable.
    """
    root = locate(
        folder, _NAME, ("breast_cancer_patients_mri",), [f"{below}/" for below in _FOLDERS]
    )
    rows = list(class_rows(root, _FOLDERS, _NAME, _IMAGE))
    table = table_of(rows)
    alike = _alike([_texture(pixels) for pixels in read_frames(table["path"])])
    pairs = pd.DataFrame([*alike, *_in_series(rows)], columns=["a", "b"])
    pairs = pairs.apply(lambda positions: positions.map(table["image_id"]))
    return table.assign(group=duplicates.groups(table["image_id"], pairs))


def _in_series(rows: list[dict]) -> list[tuple[int, int]]:
    """Every image with the first of its series, as positions."""
    first: dict[tuple[str, int], int] = {}
    pairs = []
    for position, row in enumerate(rows):
        folder = row["image_id"].rpartition("/")[0]
        series = folder, bisect_right(_SERIES[folder], int(row["number"]))
        pairs.append((first.setdefault(series, position), position))
    return pairs


def _alike(textures: list[np.ndarray]) -> list[tuple[int, int]]:
    """Images whose textures correlate, as pairs of positions."""
    features = np.stack(textures)
    correlations = np.triu(features @ features.T, 1)
    return list(zip(*np.nonzero(correlations >= _SAME_WOMAN), strict=True))


def _texture(pixels: np.ndarray) -> np.ndarray:
    """What the skin shows beside its mean temperature and outline: the grey thumbnail less its
    blur over the body alone, zero near the outline; flat, mean 0, length 1 (or all 0)."""
    grey = cv2.resize(pixels[..., 0], _SIZE, interpolation=cv2.INTER_AREA).astype(np.float32)
    body = (grey > _BACKGROUND).astype(np.float32)
    weight = np.maximum(cv2.GaussianBlur(body, (0, 0), _BLUR), 1e-3)
    detail = grey - cv2.GaussianBlur(grey * body, (0, 0), _BLUR) / weight
    detail *= cv2.erode(body, np.ones((_RIM, _RIM)))
    detail = (detail - detail.mean()).ravel()
    return detail / max(float(np.linalg.norm(detail)), 1e-6)


READER = DatasetReader(
    id="thermograms",
    title="Breast infrared thermograms (published as 'Breast Cancer Patients MRI's')",
    folder="breast_cancer_patients_mri",
    classes=CLASSES,
    groups="women",
    read=read,
)
