"""The trained systems, loaded once and shared by all sessions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import streamlit as st

from core.checkpoints import (
    CHECKPOINTS,
    MANIFEST,
    METRICS,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    open_checkpoint,
)
from core.conformal import Conformal, of_checkpoint
from core.guard import Guard, load_guard
from core.outlining.proposal import FOLDER, Outliner, open_outliner
from core.outlining.recipe import BUSI_UNET
from core.recipes import load_recipe

MAX_SYSTEMS = 4
NO_SYSTEM = (
    "There is no trained system in the folder 'checkpoints'. Train one with "
    "`python train.py RECIPE`; `python train.py --list` names the recipes."
)

_log = logging.getLogger("lesionlens")


def version(recipe_id: str) -> int:
    """Tells what a system is now from what it was: when its manifest was written, in ns; 0 without
    one. What is kept of a system's answers is kept under it."""
    return _written(CHECKPOINTS / recipe_id)


def of_system(**limits) -> Callable:
    """Remember a function of a system and its version, ``f(recipe_id, version)``, which is called
    ``f(recipe_id)``: a command may add to a system, or train it again, while the server runs.

    ``limits`` are those of ``st.cache_resource``.
    """

    def decorate(function: Callable) -> Callable:
        settings = {"max_entries": 2 * MAX_SYSTEMS, "show_spinner": False, **limits}
        kept = st.cache_resource(**settings)(function)

        @wraps(function)
        def current(recipe_id: str):
            return kept(recipe_id, version(recipe_id))

        return current

    return decorate


@of_system()
def checkpoint(recipe_id: str, version: int) -> Checkpoint:
    """The checkpoint of a system. Raises CheckpointError."""
    return open_checkpoint(recipe_id)


@of_system()
def guard(recipe_id: str, version: int) -> Guard:
    """What tells whether a scan is like a system's training images. Raises CheckpointError."""
    return load_guard(checkpoint(recipe_id))


@of_system()
def conformal(recipe_id: str, version: int) -> Conformal:
    """The prediction sets of a system. Raises CheckpointError."""
    return of_checkpoint(checkpoint(recipe_id))


def outliner_version() -> int:
    """As ``version``, of the network that proposes outlines."""
    return _written(CHECKPOINTS / FOLDER / BUSI_UNET)


def _written(folder: Path) -> int:
    path = folder / MANIFEST
    return path.stat().st_mtime_ns if path.is_file() else 0


def classifier(recipe_id: str):
    """The classifier of a system, shared by all sessions. Raises CheckpointError."""
    found = checkpoint(recipe_id)
    parts = tuple(found.manifest["files"].get(name) for name in (WEIGHTS, METRICS))
    return _classifier(recipe_id, parts, found)


@st.cache_resource(max_entries=MAX_SYSTEMS, show_spinner="Loading the system …")
def _classifier(recipe_id: str, parts: tuple, _checkpoint: Checkpoint):
    """``parts``: the hashes of what it is made of, weights and temperature."""
    return _checkpoint.load()


def outliner() -> Outliner:
    """The network that proposes outlines, shared by all sessions. Raises CheckpointError."""
    return _outliner(outliner_version())


@st.cache_resource(max_entries=1, show_spinner=False)
def _outliner(version: int) -> Outliner:
    return open_outliner()


def proposes(recipe_id: str) -> bool:
    """Whether there is a network that proposes outlines on scans of a system's kind."""
    return "ultrasound" in load_recipe(recipe_id).modality and _is_there(outliner_version())


@st.cache_data(max_entries=1, show_spinner=False)
def _is_there(version: int) -> bool:
    try:
        outliner()
    except CheckpointError as error:
        _log.warning("No outlines are proposed: %s", error)
        return False
    return True
