"""Tables of the data sets on this computer, read once and again only when their files changed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import pandas as pd
import streamlit as st

from core.datasets import find_folder, load_table


def table_of(dataset_id: str) -> pd.DataFrame:
    """One row an image; see ``core.datasets.load_table``. Raises DatasetError."""
    return _table(dataset_id, version(dataset_id))


def rows_of(dataset_id: str) -> dict[str, object]:
    """The rows by image id. Raises DatasetError."""
    return _rows(dataset_id, version(dataset_id))


def version(dataset_id: str) -> str:
    """What tells the present files of a data set from others; empty if it is not a folder here."""
    place = find_folder(dataset_id)
    return _stamp_below(str(place)) if place else ""


def stamp(files: Iterable[Path | str]) -> str:
    """Hash of the names, sizes and times of files: of their content, and of what is known of them,
    such as who may read them."""
    digest = hashlib.sha256()
    for file in files:
        status = Path(file).stat()
        times = f"{status.st_mtime_ns}\0{status.st_ctime_ns}"
        digest.update(os.fsencode(f"{file}\0{status.st_size}\0{times}\n"))
    return digest.hexdigest()


@st.cache_data(max_entries=32, ttl=60, show_spinner=False)
def _stamp_below(folder: str) -> str:
    # Links may lead nowhere.
    return stamp(filter(os.path.exists, sorted(Path(folder).rglob("*"))))


@st.cache_data(max_entries=8, show_spinner="Reading the data set …")
def _table(dataset_id: str, version: str) -> pd.DataFrame:
    return load_table(dataset_id)


@st.cache_resource(max_entries=8, show_spinner="Reading the data set …")
def _rows(dataset_id: str, version: str) -> dict[str, object]:
    return {row.image_id: row for row in _table(dataset_id, version).itertuples(index=False)}
