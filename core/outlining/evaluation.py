"""How good the proposed outlines are, image by image and in figures with intervals."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from time import perf_counter

import numpy as np
import pandas as pd

from core.datasets import read_mask, read_pixels
from core.evaluation.localisation import localisation
from core.outlining.proposal import Outliner
from core.statistics.bootstrap import mean_interval

FOUND = 0.5  # intersection over union from which a lesion counts as found
SCANS = 30
_WARM_UP = 5


def judge(outliner: Outliner, table: pd.DataFrame) -> pd.DataFrame:
    """One row an image of a table with splits: image_id, label, group, split, ``dice`` and ``iou``
    (NaN without a lesion), ``proposed`` (whether an outline is), ``confidence``."""
    return pd.DataFrame([_row(outliner, row) for row in table.itertuples()])


def lesion_mask(row, shape: tuple[int, int]) -> np.ndarray:
    """The united masks of an image's lesions, bool (H, W); empty where it has none."""
    mask = read_mask(row)
    return np.zeros(shape, bool) if mask is None else mask


def figures(predictions: pd.DataFrame, lesion_classes: Sequence[str]) -> dict:
    """Figures of the images of one split, by ``lesions`` (all of them), by class, and of images
    without a lesion.

    Each entry holds ``n``, ``n_groups`` and ``values``: metric -> ``value``, ``low``, ``high``.
    Of lesions: means of ``dice`` and ``iou``, the share ``found`` (IoU at least 0.5) and the share
    ``not_proposed``, for which no outline is. Of others: the share with a ``false_proposal``. All
    have 95 % bootstrap intervals over groups.
    """
    with_lesion = predictions["label"].isin(lesion_classes)
    lesions = predictions[with_lesion]
    by_class = {label: lesions[lesions["label"] == label] for label in lesion_classes}
    parts = {"lesions": lesions} | by_class
    entries = {name: _lesion_figures(rows) for name, rows in parts.items() if len(rows)}
    others = predictions[~with_lesion]
    return entries | ({"without_lesion": _false_proposals(others)} if len(others) else {})


def milliseconds(outliner: Outliner, scans: int = SCANS) -> float:
    """Median time of a proposal for a phantom of 256 x 256, after a few that do not count."""
    from core.datasets.phantoms import PHANTOM_CLASSES, phantom

    taken = []
    for seed in range(_WARM_UP + scans):
        pixels, _ = phantom(PHANTOM_CLASSES[seed % len(PHANTOM_CLASSES)], seed)
        start = perf_counter()
        outliner.propose(pixels)
        taken.append(1000 * (perf_counter() - start))
    return round(statistics.median(taken[_WARM_UP:]), 1)


def entry(value: float, low: float, high: float) -> dict[str, float]:
    """A figure as ``metrics.json`` holds it."""
    return {"value": float(value), "low": float(low), "high": float(high)}


def mean_entry(values: Sequence[float], groups: Sequence) -> dict[str, float]:
    """A mean with its bootstrap interval over groups."""
    values = np.asarray(values, float)
    numbered = pd.factorize(np.asarray(groups), sort=True)[0]
    return entry(values.mean(), *mean_interval(values, numbered))


def _row(outliner: Outliner, row) -> dict:
    pixels = read_pixels(row)
    proposal = outliner.propose(pixels)
    mask = lesion_mask(row, pixels.shape[:2])
    overlap = localisation(proposal.mask.astype(np.float32), mask)
    return {
        "image_id": row.image_id,
        "label": row.label,
        "group": row.group,
        "split": row.split,
        "dice": overlap.dice,
        "iou": overlap.iou,
        "proposed": bool(proposal.mask.any()),
        "confidence": proposal.confidence,
    }


def _lesion_figures(rows: pd.DataFrame) -> dict:
    columns = {
        "dice": rows["dice"],
        "iou": rows["iou"],
        "found": rows["iou"] >= FOUND,
        "not_proposed": ~rows["proposed"],
    }
    values = {name: mean_entry(column, rows["group"]) for name, column in columns.items()}
    return {"n": len(rows), "n_groups": int(rows["group"].nunique()), "values": values}


def _false_proposals(rows: pd.DataFrame) -> dict:
    values = {"false_proposal": mean_entry(rows["proposed"], rows["group"])}
    return {"n": len(rows), "n_groups": int(rows["group"].nunique()), "values": values}
