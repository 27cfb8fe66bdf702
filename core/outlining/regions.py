"""What systems that look at the outlined lesion alone reach with the true outline, with the
proposed one, and without any."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint, list_trained, open_checkpoint
from core.classifiers import probabilities
from core.datasets import read_pixels
from core.evaluation import evaluate
from core.outlining.evaluation import lesion_mask, mean_entry
from core.outlining.proposal import Outliner
from core.preprocessing import to_batch

REGIONS = ("true", "proposed", "none")
_COLUMNS = ("recipe", "region", "image_id", "label", "group", "outlined")
FIGURES = ("accuracy", "macro_auc", "sensitivity_malignant", "specificity_malignant")


def systems_with_region(root: Path, dataset: str) -> list[Checkpoint]:
    """The trained systems of this data set whose preprocessing keeps the outlined region alone."""
    checkpoints = [open_checkpoint(name, root) for name in list_trained(root)]
    return [
        one
        for one in checkpoints
        if one.recipe.preprocessing.outlined and one.recipe.data.dataset == dataset
    ]


def answers(checkpoint: Checkpoint, outliner: Outliner, table: pd.DataFrame) -> pd.DataFrame:
    """Probabilities of one system for images unseen by it and by the outlining network.

    ``table`` holds images with their outlining split; those of them are taken that are test
    images of both and show a lesion. One row an image and region: recipe, region, image_id,
    label, group, ``outlined`` (whether an outline was at hand), and a column a class; these
    columns are there without any row, too. Where none is proposed, the system is given the whole
    image, as on the page.
    """
    table = _unseen_by_both(table, checkpoint, outliner.recipe.lesion_classes)
    classifier = checkpoint.load()
    rows = []
    for row in table.itertuples():
        pixels = read_pixels(row)
        masks = _masks(outliner, row, pixels)
        batch = to_batch([pixels] * len(masks), classifier.recipe.preprocessing, [*masks.values()])
        shares = probabilities(classifier.logits(batch)).astype(np.float32)
        rows += [
            {
                "recipe": checkpoint.recipe.id,
                "region": region,
                "image_id": row.image_id,
                "label": row.label,
                "group": row.group,
                "outlined": mask is not None,
                **dict(zip(checkpoint.recipe.classes, share, strict=True)),
            }
            for (region, mask), share in zip(masks.items(), shares, strict=True)
        ]
    return pd.DataFrame(rows, columns=[*_COLUMNS, *checkpoint.recipe.classes])


def region_figures(rows: pd.DataFrame, classes: tuple[str, ...]) -> dict:
    """Figures of one system: ``n``, ``n_groups``, ``not_proposed`` (images without a proposal),
    ``regions``: region -> metric -> value, low, high, and ``change``: region -> the paired change
    of the accuracy from that with the true outline, all with intervals over groups."""
    parts = {region: rows[rows["region"] == region] for region in REGIONS}
    measured = {region: evaluate(part, classes) for region, part in parts.items()}
    right = {
        region: (part.set_index("image_id")[list(classes)].idxmax(axis=1) == _labels(part))
        for region, part in parts.items()
    }
    groups = parts["true"].set_index("image_id")["group"]
    change = {
        region: mean_entry(right[region].astype(float) - right["true"].astype(float), groups)
        for region in REGIONS[1:]
    }
    return {
        "n": measured["true"]["n"],
        "n_groups": measured["true"]["n_groups"],
        "not_proposed": int((~parts["proposed"]["outlined"]).sum()),
        "regions": {
            region: {name: entry["values"][name] for name in FIGURES}
            for region, entry in measured.items()
        },
        "change": change,
    }


def _labels(rows: pd.DataFrame) -> pd.Series:
    return rows.set_index("image_id")["label"]


def _unseen_by_both(
    table: pd.DataFrame, checkpoint: Checkpoint, lesion_classes: Sequence[str]
) -> pd.DataFrame:
    unseen = table["image_id"].isin(checkpoint.shipped_run("test")["image_id"])
    wanted = table["label"].isin(set(lesion_classes) & set(checkpoint.recipe.classes))
    return table[(table["split"] == "test") & unseen & wanted]


def _masks(outliner: Outliner, row, pixels: np.ndarray) -> dict[str, np.ndarray | None]:
    proposed = outliner.propose(pixels).mask
    true = lesion_mask(row, pixels.shape[:2])
    return dict(zip(REGIONS, (true, proposed if proposed.any() else None, None), strict=True))
