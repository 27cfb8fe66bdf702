"""Shared fixtures: real data where LESIONLENS_DATA names it, a stated skip where it does not."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pandas as pd
import pytest
import streamlit as st
from networks import trained_classifier
from streamlit import config
from streamlit.runtime.caching import cache_data_api, cache_resource_api

from core.checkpoints import CHECKPOINTS, Checkpoint
from core.datasets import READERS, load_table
from core.datasets.phantoms import phantom_table

# After every run of a page Streamlit looks for garbage among all objects of the process, those of
# both frameworks too: a second a run. On a server they are frozen (``pages._warm_up``).
config.set_option("runner.postScriptGC", False)
# And so Python's own search, by far less often than for the small programs it is made for.
gc.set_threshold(50_000, 20, 100)


def _folder_from(setting: str, what: str) -> Path:
    value = os.environ.get(setting)
    if not value or not Path(value).is_dir():
        pytest.skip(f"{setting} names no folder of {what}")
    return Path(value)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    return _folder_from("LESIONLENS_DATA", "datasets")


@pytest.fixture(scope="session")
def tables(data_folder) -> Callable[[str], pd.DataFrame]:
    """``load_table`` of real data sets, each read once: looking for near-duplicates takes long."""
    return cache(load_table)


@pytest.fixture(scope="session")
def weights_folder() -> Path:
    return _folder_from("LESIONLENS_WEIGHTS", "ImageNet backbones")


@pytest.fixture
def loaded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shipped system is loaded once for all tests of the process, and its functions traced once:
    classifiers are pure functions, whoever asks."""
    load = Checkpoint.load

    def kept(self: Checkpoint):
        shipped = self.folder.parent == CHECKPOINTS
        return trained_classifier(self.recipe.id) if shipped else load(self)

    monkeypatch.setattr(Checkpoint, "load", kept)


@pytest.fixture
def in_a_session(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Scans and opinions are kept for a session, which without a page is not there."""
    for api in (cache_data_api, cache_resource_api):
        monkeypatch.setattr(api, "get_session_id_or_throw", lambda: "a session")
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def few_phantoms(monkeypatch: pytest.MonkeyPatch) -> None:
    """The data set of phantoms has 20 of each class: they are drawn whenever they are read."""
    reader = replace(READERS["phantoms"], read=lambda _: phantom_table(20))
    monkeypatch.setitem(READERS, "phantoms", reader)
