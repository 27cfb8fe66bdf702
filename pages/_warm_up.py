"""What a server reads in the background when it starts, so that no visitor need wait for it."""

from __future__ import annotations

import gc
import logging
import threading

import streamlit as st

from core.checkpoints import list_trained
from core.datasets import find_folder
from core.predict import classify
from core.recipes import load_recipe
from core.samples import SAMPLES
from core.scans import read_scan
from pages import _shared as shared
from pages._samples import sample_png
from pages._tables import table_of

_log = logging.getLogger("lesionlens")


@st.cache_resource(show_spinner=False)
def warm_up() -> threading.Thread:
    """Load the systems in the background, once a server, so that the first upload need not wait."""
    thread = threading.Thread(target=_load_systems, name="warm-up", daemon=True)
    thread.start()
    return thread


def _load_systems() -> None:
    scan = read_scan(sample_png(next(iter(SAMPLES))))
    for recipe_id in list_trained()[: shared.MAX_SYSTEMS]:
        try:
            classify(shared.classifier(recipe_id), scan)
            for loaded in (shared.guard, shared.conformal, shared.proposes):
                loaded(recipe_id)
        except Exception:
            _log.exception("The system %s could not be warmed up", recipe_id)
    # Streamlit collects garbage after every run of a page. The frameworks and systems loaded here
    # stay; frozen, their millions of objects are not searched each time.
    gc.collect()
    gc.freeze()
    _read_tables()


def _read_tables() -> None:
    """The data sets here that systems were tested on, so that no page need wait for them."""
    for dataset in {load_recipe(one).data.dataset for one in list_trained()}:
        try:
            if find_folder(dataset):
                table_of(dataset)
        except Exception:
            _log.exception("The data set %s could not be read", dataset)
