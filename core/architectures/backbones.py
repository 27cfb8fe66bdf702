"""ImageNet starting weights: from the folder LESIONLENS_WEIGHTS if set, else from the hubs.

Array files follow Keras' layer names (``<layer>/<variable>``), so that one file serves both
frameworks: ``keras_arrays`` and ``torch_arrays`` copy them into a network.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from core.refusal import Refusal

WEIGHTS_SETTING = "LESIONLENS_WEIGHTS"


def find_arrays(filename: str) -> dict[str, np.ndarray] | None:
    """The arrays of one backbone, or None if the setting names no folder that holds it."""
    folder = os.environ.get(WEIGHTS_SETTING)
    path = Path(folder, filename) if folder else None
    if path is None or not path.is_file():
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return {name: arrays[name].astype(np.float32) for name in arrays.files}


class WeightsError(Refusal):
    """There are no ImageNet weights to start from."""

    def __init__(self, name: str):
        super().__init__(
            f"No ImageNet weights of {name} were found, neither below {WEIGHTS_SETTING} nor at "
            "their hub. Set it to a folder of backbone arrays, connect to the network once, or "
            "give --from-scratch to start from random weights."
        )
