"""How much the figures depend on the split: trainings of other seeds, each with a split of its own.
Their weights are not kept."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from core.checkpoints import Checkpoint
from core.evaluation.seeds import spread
from core.outlining.evaluation import figures

SPLITS = "splits.parquet"


def further_splits(checkpoint: Checkpoint) -> pd.DataFrame | None:
    """Test images of the other trainings: the columns of ``judge``, and ``seed``. None if there
    are none."""
    return checkpoint.table(SPLITS) if SPLITS in checkpoint.manifest["files"] else None


def with_split(known: pd.DataFrame | None, found: pd.DataFrame, seed: int) -> pd.DataFrame:
    """The other trainings and this one, which takes the place of an earlier one of its seed."""
    found = found.assign(seed=seed)
    if known is not None:
        found = pd.concat([known[known["seed"] != seed], found])
    return found.sort_values("seed", kind="stable", ignore_index=True)


def over_splits(
    test: pd.DataFrame, further: pd.DataFrame | None, lesion_classes: Sequence[str]
) -> dict | None:
    """``n`` splits, the mean ``dice`` of each, and ``values``: mean and spread over them, as of
    ``core.evaluation.seeds``, of the figures of all lesions and of images without one. None without
    further splits. ``test`` holds the shipped network's test images; its split comes first.
    """
    if further is None:
        return None
    tables = [test, *(rows for _, rows in further.groupby("seed"))]
    runs = [_values(figures(rows, lesion_classes)) for rows in tables]
    spreads = spread(dict(enumerate(runs)))
    return {"n": len(runs), "dice": [run["dice"] for run in runs], "values": spreads}


def _values(found: dict) -> dict[str, float]:
    parts = (found["lesions"], found.get("without_lesion", {"values": {}}))
    return {name: one["value"] for part in parts for name, one in part["values"].items()}
