"""Images and lesion masks of a run: their split, and seeded batches in training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from core import preprocessing
from core.augmentation import augment_with_mask
from core.datasets import load_table
from core.datasets.splits import SPLITS, assign, too_few
from core.outlining.recipe import OutlineRecipe
from core.training.images import ImageSet


def read_table(recipe: OutlineRecipe, data: Path | None, seed: int) -> pd.DataFrame:
    """The data set's images with their split, grouped. Raises DatasetError, also where they are too
    few to learn from, to choose by or to test with, which would show after the training only."""
    table = split_table(load_table(recipe.data.dataset, data), recipe, seed)
    with_lesion = {*table["split"][table["label"].isin(recipe.lesion_classes)]}
    lacking = [split for split in SPLITS if split not in with_lesion]
    if lacking:
        raise too_few(table, f"none with a lesion is left for {' and '.join(lacking)}")
    learned, batch = (table["split"] == "train").sum(), recipe.training.batch_size
    if learned < batch:
        raise too_few(table, f"train has {learned} of them, and a batch takes {batch}")
    return table


def split_table(table: pd.DataFrame, recipe: OutlineRecipe, seed: int) -> pd.DataFrame:
    """Images with a lesion are split among themselves, as for the systems that classify outlined
    lesions, so that their test images are the test images here. The others are split alike; one
    that is a near-duplicate of an image with a lesion follows it. Adds the column ``split``.
    """
    table = table[table["label"].isin(recipe.classes)].reset_index(drop=True)
    with_lesion = table["label"].isin(recipe.lesion_classes)
    lesions = table[with_lesion].reset_index(drop=True)
    fractions = recipe.data.fractions
    split_of_group = dict(
        zip(lesions["group"], assign(lesions, "grouped", fractions, seed), strict=True)
    )
    split = table["group"].map(split_of_group)
    rest = table[split.isna()].reset_index()
    split[rest["index"]] = assign(rest, "grouped", fractions, seed).to_numpy()
    return table.assign(split=split)


def training_batches(
    images: ImageSet, recipe: OutlineRecipe, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Augmented batches of one epoch in random order: float32 (n, h, w, 3) and masks (n, h, w).

    What is drawn depends on the seed, the epoch and the image alone. The last batch is left out
    where it is not full, so that each weighs alike.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    size = recipe.training.batch_size
    for start in range(0, len(order) - size + 1, size):
        changed = [
            augment_with_mask(
                images.images[i],
                images.masks[i],
                recipe.augmentation,
                np.random.default_rng([seed, epoch, int(i)]),
            )
            for i in order[start : start + size]
        ]
        batch = np.stack([image for image, _ in changed])
        yield preprocessing.scale(batch, recipe.preprocessing), np.stack([m for _, m in changed])
