"""What the Systems page asks of core, kept by content and within bounds."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.checkpoints import (
    CHECKPOINTS,
    COMPARISONS,
    MANIFEST,
    Checkpoint,
    judged,
    list_trained,
)
from core.evaluation import comparison, curves
from core.systems import Run, open_run, systems_table
from pages import _shared as shared

_BY_CONTENT = {Run: lambda run: (run.digest, run.protocol)}


def table() -> pd.DataFrame:
    """All systems, as ``core.systems.systems_table``. Raises CheckpointError."""
    files = [*CHECKPOINTS.glob("*.json"), *(one.folder / MANIFEST for one in _known().values())]
    return _table(tuple(sorted((str(path), path.stat().st_mtime_ns) for path in files)))


@st.cache_data(max_entries=2, show_spinner=False)
def _table(files: tuple[tuple[str, int], ...]) -> pd.DataFrame:
    return systems_table(comparisons=COMPARISONS)


def trained() -> tuple[str, ...]:
    """Ids of the shipped systems, of those whose figures alone are kept, and of comparison runs."""
    return tuple(_known())


def checkpoint(recipe_id: str) -> Checkpoint:
    """The checkpoint of a system or of another run. Raises CheckpointError."""
    if recipe_id in list_trained():
        return shared.checkpoint(recipe_id)
    # Such a run may be trained again, under the other protocol, while the server runs.
    found = _known()[recipe_id]
    return _other(recipe_id, (found.folder / MANIFEST).stat().st_mtime_ns, found)


@st.cache_resource(max_entries=32, show_spinner=False)
def _other(recipe_id: str, changed: int, _found: Checkpoint) -> Checkpoint:
    return _found


def _known() -> dict[str, Checkpoint]:
    return judged() | judged(COMPARISONS)


def title(recipe_id: str) -> str:
    """The name of a system. Raises CheckpointError."""
    return checkpoint(recipe_id).recipe.title


def run(recipe_id: str, protocol: str) -> Run:
    """A trained system under one protocol. Raises CheckpointError, EvaluationError."""
    found = checkpoint(recipe_id)
    return _run(recipe_id, found.manifest["files"]["predictions.parquet"], protocol, found)


@st.cache_resource(max_entries=32, show_spinner=False)
def _run(recipe_id: str, digest: str, protocol: str, _checkpoint: Checkpoint) -> Run:
    return open_run(_checkpoint, protocol)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=_BY_CONTENT)
def roc_curve(one: Run, label: str) -> curves.Curve:
    """With its band. Raises EvaluationError if no test image is of the class."""
    return curves.roc_curve(one.sample, label)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=_BY_CONTENT)
def precision_recall_curve(one: Run, label: str) -> curves.Curve:
    """With its band. Raises EvaluationError if no test image is of the class."""
    return curves.precision_recall_curve(one.sample, label)


@st.cache_data(max_entries=256, show_spinner=False, hash_funcs=_BY_CONTENT)
def differences(first: Run, second: Run) -> dict[str, comparison.Difference]:
    """Of two runs on the images they share. Raises EvaluationError if there are none."""
    return comparison.differences(pair(first, second))


@st.cache_resource(max_entries=32, show_spinner=False, hash_funcs=_BY_CONTENT)
def pair(first: Run, second: Run) -> comparison.Pair:
    """The test images that two runs share. Raises EvaluationError if there are none."""
    return comparison.pair(first.test, second.test, first.recipe.classes, second.recipe.classes)
