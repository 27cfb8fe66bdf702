"""Reader of the UCSB breast cancer cell benchmark: 58 fields of H&E-stained histology.

Gelasca, Byun, Obara, Manjunath: Evaluation and benchmark for biological image segmentation, IEEE
International Conference on Image Processing 2008. One folder; slide, class and number are in the
name: `ytma10_010704_benign1_ccd`. The published masks (without `_ccd`) outline cell nuclei, not
lesions, and are left out. The group is the slide, e.g. `ytma10_010704`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pandas as pd

from core.datasets.base import DatasetReader, class_rows, locate, named_by_label, table_of

CLASSES = ("benign", "malignant")
_NAME = "the UCSB breast cancer cell set"
_IMAGE = r"(?P<group>ytma\d+_\d+)_{}\d+_ccd"


def read(folder: Path) -> pd.DataFrame:
    """The set as a table, one row an image. Raises DatasetError if the folder is not this set."""
    needed = [f"*_{label}*_ccd.*" for label in CLASSES]
    root = locate(folder, _NAME, ("ucsb_histology", "Images"), needed)
    rows = (
        row
        for label in CLASSES
        for row in class_rows(root, {".": label}, _NAME, re.compile(_IMAGE.format(label)))
    )
    return table_of(named_by_label(rows))


READER = DatasetReader(
    id="ucsb",
    title="UCSB breast cancer cells (H&E histology)",
    folder="ucsb_histology",
    classes=CLASSES,
    groups="slides",
    read=read,
)
