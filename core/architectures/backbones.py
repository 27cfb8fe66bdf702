"""ImageNet starting weights: from the folder LESIONLENS_WEIGHTS if set, else from the hubs.

Array files follow Keras' layer names (``<layer>/<variable>``), so that one file serves both
frameworks: ``keras_arrays`` and ``torch_arrays`` copy them into a network.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np

log = logging.getLogger(__name__)

WEIGHTS_SETTING = "LESIONLENS_WEIGHTS"


def find_arrays(filename: str) -> dict[str, np.ndarray] | None:
    """The arrays of one backbone, or None if the setting names no folder that holds it."""
    folder = os.environ.get(WEIGHTS_SETTING)
    path = Path(folder, filename) if folder else None
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}


def warn_random_start(name: str, reason: object) -> None:
    """Say that a network starts from random weights, and what to do about it."""
    log.warning(
        "%s starts from random weights: no ImageNet weights were found (%s). Set %s to a folder "
        "of backbone arrays, or run once with a network connection.",
        name,
        reason,
        WEIGHTS_SETTING,
    )
