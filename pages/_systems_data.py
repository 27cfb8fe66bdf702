"""What the Systems page asks of core, kept by content and within bounds."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.checkpoints import CHECKPOINTS
from core.evaluation import comparison, curves
from core.systems import Run, open_run, systems_table
from pages import _work as work

_BY_CONTENT = {Run: lambda run: (run.digest, run.protocol)}


def table() -> pd.DataFrame:
    """All systems, as ``core.systems.systems_table``. Raises CheckpointError."""
    files = (*CHECKPOINTS.glob("*/manifest.json"), *CHECKPOINTS.glob("*.json"))
    return _table(tuple(sorted((str(path), path.stat().st_mtime_ns) for path in files)))


@st.cache_data(max_entries=2, show_spinner=False)
def _table(files: tuple[tuple[str, int], ...]) -> pd.DataFrame:
    return systems_table()


@st.cache_resource(max_entries=32, show_spinner=False)
def run(recipe_id: str, protocol: str) -> Run:
    """A trained system under one protocol. Raises CheckpointError, EvaluationError."""
    return open_run(work.checkpoint(recipe_id), protocol)


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
