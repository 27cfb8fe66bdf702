"""What the guard keeps of the data set: made after training, or again from the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint, update_checkpoint
from core.classifiers.answers import answers
from core.datasets import DatasetError, fingerprint, load_table, read_mask, read_pixels
from core.guard import looks
from core.recipe import Recipe

KEPT = 250
"""Validation images that are kept, at most: as many groups as can be are among them."""
_SEED = 0


def guard_arrays(
    recipe: Recipe, training: pd.DataFrame, features: np.ndarray, held: pd.DataFrame, of_held
) -> dict[str, np.ndarray]:
    """The arrays of ``guard.safetensors``.

    ``training`` and ``held`` (see ``held_out``) are rows of a data set's table with their pooled
    ``features`` (N, K) and ``of_held`` (V, K). Returns ``features`` float16 (N, K), ``labels``
    int64 (N,), ``groups`` int32 (N,) and ``pictures`` float32 (N, P) of the training images, and
    ``held_out_features``, ``held_out_pictures`` of the others.
    """
    return {
        "features": features.astype(np.float16),
        "labels": training["label"].map(list(recipe.classes).index).to_numpy(np.int64),
        "groups": pd.factorize(training["group"], sort=True)[0].astype(np.int32),
        "pictures": _pictures(training, recipe),
        "held_out_features": of_held.astype(np.float16),
        "held_out_pictures": _pictures(held, recipe),
    }


def held_out(validation: pd.DataFrame) -> np.ndarray:
    """Which validation rows are kept, bool (V,), by their group and place."""
    shuffled = validation.reset_index(drop=True).sample(frac=1, random_state=_SEED)
    nth_of_group = shuffled.groupby("group").cumcount().sort_values(kind="stable")
    kept = np.zeros(len(validation), bool)
    kept[nth_of_group.index[:KEPT]] = True
    return kept


def images_of(checkpoint: Checkpoint, data: Path | None) -> pd.DataFrame:
    """The data set's table with the split and group of the shipped run, in its order.

    Images that the run did not predict are left out. Raises DatasetError if the data are not those
    that the system was trained on.
    """
    recipe = checkpoint.recipe
    table = load_table(recipe.data.dataset, data)
    table = table[table["label"].isin(recipe.classes)]
    if fingerprint(table) != checkpoint.manifest["data"]["fingerprint"]:
        raise DatasetError(
            f"The data are not those that {recipe.id} was trained on. Give the folder it was "
            "trained with, or train it again."
        )
    rows = checkpoint.shipped_run()
    apart = table.drop(columns=["label", "group"])
    return rows[["image_id", "split", "label", "group"]].merge(apart, on="image_id", how="left")


def remake(checkpoint: Checkpoint, data: Path | None) -> dict[str, np.ndarray]:
    """Make the guard's arrays again from the data, keep them in the checkpoint, return them.

    The training features stay as they are. Raises DatasetError or CheckpointError.
    """
    recipe, table = checkpoint.recipe, images_of(checkpoint, data)
    _, features = checkpoint.training_images()
    training, validation = (table[table["split"] == split] for split in ("train", "validation"))
    held = validation[held_out(validation)]
    pictures = [lambda row=row: (read_pixels(row), read_mask(row)) for row in held.itertuples()]
    _, of_held = answers(checkpoint.load(), pictures)
    arrays = guard_arrays(recipe, training, features, held, of_held)
    keep(checkpoint, arrays)
    return arrays


def keep(checkpoint: Checkpoint, arrays: dict[str, np.ndarray]) -> None:
    """Replace the checkpoint's guard."""
    from safetensors.numpy import save

    update_checkpoint(checkpoint, {"guard.safetensors": save(arrays)})


def _pictures(table: pd.DataFrame, recipe: Recipe) -> np.ndarray:
    dark_air = recipe.preprocessing.dark_air
    return np.stack([looks(read_pixels(row), dark_air) for row in table.itertuples()])
