"""Test images of a data set that is present on this computer, with the outlines that it knows."""

from __future__ import annotations

import streamlit as st

from core.datasets import find_folder, read_mask, read_pixels
from core.png import png
from core.recipes import load_recipe
from pages._outlines import outline_of
from pages._scans import Item, item_of
from pages._shared import checkpoint, of_system
from pages._tables import rows_of
from pages._views import Outline


def offering(recipe_ids: tuple[str, ...]) -> list[str]:
    """Of the systems of each data set that is present, the first."""
    first: dict[str, str] = {}
    for one in recipe_ids:
        first.setdefault(load_recipe(one).data.dataset, one)
    return [recipe_id for dataset, recipe_id in first.items() if find_folder(dataset)]


def held_out(recipe_id: str) -> dict:
    """Rows, by image id, of the images that a system was tested on and never trained on.

    Raises CheckpointError or DatasetError.
    """
    splits = _splits(recipe_id)
    rows = rows_of(load_recipe(recipe_id).data.dataset)
    return {name: row for name, row in rows.items() if splits.get(name) == "test"}


def was_seen(recipe_id: str, item: Item) -> bool:
    """Whether a system was trained or calibrated on this image of a data set."""
    dataset, image_id = item.image or (None, None)
    return dataset == load_recipe(recipe_id).data.dataset and (
        _splits(recipe_id).get(image_id) in ("train", "validation")
    )


@of_system()
def _splits(recipe_id: str, version: int) -> dict[str, str]:
    """Image id -> the part it had in the making of the shipped weights."""
    run = checkpoint(recipe_id).shipped_run()
    return dict(zip(run["image_id"], run["split"], strict=True))


@st.cache_data(max_entries=16, max_size="64MiB", show_spinner=False)
def _content(path: str, _row) -> tuple[bytes, Outline | None]:
    mask = read_mask(_row)
    return png(read_pixels(_row)), None if mask is None else outline_of(mask)


def as_item(row, dataset: str) -> tuple[Item, Outline | None]:
    """A row of a data set as a scan, and the outline of its lesion if there is one.

    Raises DatasetError.
    """
    data, outline = _content(row.path, row)
    return item_of(row.image_id, data, image=(dataset, row.image_id)), outline
