"""A generated folder in the layout of BreaKHis, small enough to train on in a test."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

PATIENTS, FIELDS = 20, 2


def write_breakhis(folder: Path, patients: int = PATIENTS, magnification: int = 40) -> Path:
    """Patients, every other of them with bright fields called malignant, two fields each."""
    rng = np.random.default_rng(0)
    for patient in range(patients):
        label, code = (("benign", "B_A"), ("malignant", "M_DC"))[patient % 2]
        (folder / label).mkdir(parents=True, exist_ok=True)
        for field in range(FIELDS):
            image = rng.integers(0, 80, (40, 60, 3)) + 150 * (patient % 2)
            name = f"SOB_{code}-14-{1000 + patient}-{magnification}-{field:03d}.png"
            cv2.imwrite(str(folder / label / name), image.astype(np.uint8))
    return folder
