"""Test images of a data set that is present on this computer, with the outlines that it knows."""

from __future__ import annotations

import streamlit as st

from core.datasets import find_folder, origin, read_mask, read_pixels
from core.png import png
from core.recipes import load_recipe
from pages._outlines import outline_of
from pages._scans import Item, item_of
from pages._shared import checkpoint, of_system
from pages._tables import rows_of, version
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
    tested = _tested(recipe_id)
    rows = rows_of(load_recipe(recipe_id).data.dataset)
    return {name: row for name, row in rows.items() if name in tested}


def was_seen(recipe_id: str, item: Item) -> bool:
    """Whether a system was trained or calibrated on this image of a data set, or a copy of it."""
    return item.image is not None and origin(*item.image) in _learned(recipe_id)


@of_system()
def _tested(recipe_id: str, version: int) -> set[str]:
    """Ids of the images that the shipped weights were tested on."""
    return {*checkpoint(recipe_id).shipped_run("test")["image_id"]}


@of_system()
def _learned(recipe_id: str, version: int) -> set[tuple[str, str]]:
    """Data set and id of all that the shipped weights learned from; of a copy, the original's."""
    dataset = load_recipe(recipe_id).data.dataset
    return {origin(dataset, one) for one in checkpoint(recipe_id).learned_from()}


@st.cache_data(max_entries=16, max_size="64MiB", show_spinner=False)
def _content(path: str, files: str, _row) -> tuple[bytes, Outline | None]:
    mask = read_mask(_row)
    return png(read_pixels(_row)), None if mask is None else outline_of(mask)


def as_item(row, dataset: str) -> tuple[Item, Outline | None]:
    """A row of a data set as a scan, and the outline of its lesion if there is one.

    Raises DatasetError.
    """
    data, outline = _content(row.path, version(dataset), row)
    return item_of(row.image_id, data, image=(dataset, row.image_id)), outline
