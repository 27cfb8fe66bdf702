"""The splits that a data set comes with, and those that the recipes make of it."""

from __future__ import annotations

import pandas as pd

from core.datasets.splits import PROTOCOLS, SPLITS, assign
from core.recipe import Recipe
from core.recipes import list_recipes

FOLDERS = "its own folders"
"""Name of the split that a data set's folders make."""
SPLIT_OF_FOLDER = {
    **dict.fromkeys(("train", "training"), SPLITS[0]),
    **dict.fromkeys(("val", "valid", "validation"), SPLITS[1]),
    **dict.fromkeys(("test", "testing"), SPLITS[2]),
}
"""Folder name in lower case -> "train", "validation" or "test"."""


def known_splits(table: pd.DataFrame, dataset_id: str | None = None) -> pd.DataFrame:
    """Splits of a data set's images, one column each, indexed by image_id.

    Values are "train", "validation", "test", or missing for images that a recipe leaves out. First
    the one that the folders make, if they do; then, with `dataset_id`, those of the recipes on that
    data set under both protocols, as `train.py` makes them with its first seed, each once.
    """
    splits = pd.DataFrame(index=pd.Index(table["image_id"], name="image_id"))
    folders = table["image_id"].str.partition("/")[0].str.lower().map(SPLIT_OF_FOLDER)
    if len(table) and folders.notna().all():
        splits[FOLDERS] = folders.to_numpy()
    all_labels = set(table["label"])
    for recipe in list_recipes():
        if recipe.data.dataset == dataset_id:
            left_out = sorted(all_labels - set(recipe.classes))
            shares = "/".join(f"{100 * share:.0f}" for share in recipe.data.fractions)
            without = f" without {', '.join(left_out)}" if left_out else ""
            for protocol in PROTOCOLS:
                name = f"{protocol} {shares}{without}"
                if name not in splits:
                    splits[name] = _of_recipe(table, recipe, protocol)
    return splits


def _of_recipe(table: pd.DataFrame, recipe: Recipe, protocol: str) -> pd.Series:
    used = table[table["label"].isin(recipe.classes)].reset_index(drop=True)
    split = assign(used, protocol, recipe.data.fractions, seed=0)
    return pd.Series(split.to_numpy(), index=used["image_id"])
