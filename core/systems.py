"""All systems in one table, and the runs behind it: what the Systems page shows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from core.card import SPLIT_TITLES
from core.checkpoints import (
    CHECKPOINTS,
    WEIGHTS,
    Checkpoint,
    judged,
)
from core.evaluation.calibration import scaled
from core.evaluation.sample import EvaluationError, Sample, read_sample
from core.recipe import Recipe
from core.results.rows import PAPER, Row, all_rows, rows_of
from core.results.tables import CLASS_TITLES, TITLES, lowest
from core.timing import read_timings
from core.weights import learned

FIGURES = TITLES | {f"{kind}_{{malignant}}": f"{t}, malignant" for kind, t in CLASS_TITLES.items()}
"""Metric -> title. {malignant} stands for each malignant class of a system; the lowest counts."""


def systems_table(root: Path = CHECKPOINTS, comparisons: Path | None = None) -> pd.DataFrame:
    """One row a recipe and source of figures: ``paper``, ``published`` or ``grouped``. Runs in the
    folder ``comparisons`` follow, without a row of the paper, which did not train them.

    Columns: ``recipe``, ``title``, ``dataset``, ``modality``, ``classes`` (text), ``figures``,
    ``status`` (see ``core.results.rows.Row``), ``n`` images, ``n_groups``, ``seed``; every metric
    of ``FIGURES`` (without its braces) with ``_low`` and ``_high``; ``parameters``, ``megabytes``
    and ``milliseconds`` of a trained system, ``parameters`` alone of one whose figures alone are
    kept. What is not known is missing. Raises CheckpointError for a damaged checkpoint.
    """
    timings = read_timings(root).get("milliseconds", {})
    rows = all_rows(root) + (_compared(comparisons) if comparisons else [])
    known = judged(root) | (judged(comparisons) if comparisons else {})
    facts = {name: weights_facts(one.folder) for name, one in known.items()}
    return pd.DataFrame(
        [
            _described(row)
            | _figures(row)
            | facts.get(row.recipe.id, {})
            | {"milliseconds": timings.get(row.recipe.id)}
            for row in rows
        ]
    ).astype({"milliseconds": float})


def weights_facts(folder: Path) -> dict[str, float]:
    """``parameters`` learned and ``megabytes`` of a checkpoint's weights, from the file's header;
    where they were not kept their number alone, from the manifest."""
    path = folder / WEIGHTS
    if not path.is_file():
        return {"parameters": Checkpoint(folder).manifest["parameters"]}
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    shapes = {name: one["shape"] for name, one in header.items() if name != "__metadata__"}
    return {"parameters": learned(shapes), "megabytes": path.stat().st_size / 1e6}


@dataclass(frozen=True, eq=False)
class Run:
    """A trained system under one protocol: its first seed, the one whose figures are shown.

    ``digest`` is the sha256 of all its predictions: the same digest and protocol, the same run.
    """

    digest: str
    recipe: Recipe
    protocol: str
    metrics: dict
    predictions: pd.DataFrame
    history: pd.DataFrame

    @property
    def about(self) -> str:
        """Which images its figures are of, for a legend."""
        return f"{SPLIT_TITLES[self.protocol].lower()}, {self.n} images in {self.n_groups} groups"

    @property
    def n(self) -> int:
        """Number of test images."""
        return self.metrics["n"]

    @property
    def n_groups(self) -> int:
        """Number of groups among them."""
        return self.metrics["n_groups"]

    @property
    def n_validation(self) -> int:
        """Number of validation images."""
        return int((self.predictions["split"] == "validation").sum())

    @property
    def temperature(self) -> float:
        """Fitted on validation images; 1 changes nothing."""
        return self.metrics.get("calibration", {}).get("temperature", 1.0)

    @cached_property
    def test(self) -> pd.DataFrame:
        """Predictions of the test images, as for ``evaluate``."""
        return self.predictions[self.predictions["split"] == self.metrics["split"]]

    @cached_property
    def sample(self) -> Sample:
        """The test images as they were judged."""
        return read_sample(self.test, self.recipe.classes)

    @cached_property
    def calibrated(self) -> Sample:
        """The same with probabilities scaled by the temperature."""
        return read_sample(
            scaled(self.test, self.recipe.classes, self.temperature), self.recipe.classes
        )


def open_run(checkpoint: Checkpoint, protocol: str) -> Run:
    """What a checkpoint holds of one protocol. Raises EvaluationError if it has nothing of it."""
    metrics = checkpoint.metrics.get(protocol)
    if metrics is None:
        raise EvaluationError(f"{checkpoint.recipe.title} was not trained under this protocol.")
    return Run(
        checkpoint.manifest["files"]["predictions.parquet"],
        checkpoint.recipe,
        protocol,
        metrics,
        _of_run(checkpoint.predictions(), protocol, metrics["seed"]),
        _of_run(checkpoint.history(), protocol, metrics["seed"]),
    )


def _of_run(table: pd.DataFrame, protocol: str, seed: int) -> pd.DataFrame:
    chosen = (table["protocol"] == protocol) & (table["seed"] == seed)
    return table[chosen].reset_index(drop=True)


def _compared(root: Path) -> list[Row]:
    """The measured rows of every comparison run."""
    runs = judged(root).values()
    return [row for one in runs for row in rows_of(one.recipe, one.metrics) if row.figures != PAPER]


def _described(row: Row) -> dict:
    recipe = row.recipe
    return {
        "recipe": recipe.id,
        "title": recipe.title,
        "dataset": recipe.data.dataset,
        "modality": recipe.modality,
        "classes": ", ".join(recipe.classes),
        "figures": row.figures,
        "status": row.status,
        "n": row.n,
        "n_groups": row.n_groups,
        "seed": row.seed,
    }


def _figures(row: Row) -> dict[str, float | None]:
    found = {}
    for metric in FIGURES:
        name, figure = metric.format(malignant="malignant"), lowest(row, metric) or {}
        bounds = {"": "value", "_low": "low", "_high": "high"}
        found |= {f"{name}{end}": figure.get(key) for end, key in bounds.items()}
    return found
