"""One run from data folder to checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.checkpoints import CHECKPOINTS, RUNS
from core.datasets import DatasetError, fingerprint, load_table
from core.datasets.splits import SPLITS, assign
from core.recipe import Recipe
from core.refusal import Refusal
from core.training.images import balance, read_images, subset
from core.training.learner import create_learner
from core.training.loop import Report, train
from core.training.result import add_to_checkpoint, make_result
from core.training.state import RunFolder

METHOD = "method.json"


class ResumeError(Refusal):
    """There is no state to resume, or it belongs to other settings."""


@dataclass(frozen=True)
class Listener:
    """What a run tells whoever watches it."""

    message: Callable[[str], None] = lambda _: None
    step: Report = lambda *_: None
    epoch: Callable[[dict], None] = lambda _: None


def train_recipe(
    recipe: Recipe,
    data: Path | None,
    protocol: str = "grouped",
    seed: int = 0,
    resume: bool = False,
    pretrained: bool = True,
    output: Path = CHECKPOINTS,
    figures_only: bool = False,
    runs: Path = RUNS,
    listener: Listener = Listener(),  # noqa: B008  (frozen)
) -> Path:
    """Train one recipe under one protocol and add the result to its checkpoint folder.

    ``data`` is the data set's folder (None: found by its setting, or generated); ``pretrained``
    starts from ImageNet weights; ``figures_only`` keeps no weights. Returns the checkpoint folder.
    Raises DatasetError or ResumeError; after a KeyboardInterrupt the state of the last full epoch
    is in ``runs``. An earlier run is forgotten only when everything is there to train anew.
    """
    run = RunFolder(runs / f"{recipe.id}-{protocol}-{seed}")
    if resume:
        check_interrupted(run, recipe.method())
    listener.message(f"Reading {recipe.data.dataset}")
    table = read_table(recipe, data, protocol, seed)
    images = read_images(table, recipe)
    split = table["split"].to_numpy()
    listener.message(_describe(table))
    training = balance(subset(images, split == "train"), recipe, seed)
    validation = subset(images, split == "validation")
    learner = create_learner(recipe, seed, pretrained)
    if not resume:
        start_anew(run, recipe.method())
    history = train(learner, recipe, training, validation, run, seed, listener.step, listener.epoch)
    listener.message("Predicting every image with the best weights")
    result = make_result(learner.trained(), recipe, protocol, seed, history, table, images)
    folder = output / recipe.id
    add_to_checkpoint(result, folder, fingerprint(table), figures_only)
    return folder


def read_table(recipe: Recipe, data: Path | None, protocol: str, seed: int) -> pd.DataFrame:
    """The data set's images of the recipe's classes, with their split. Raises DatasetError."""
    table = load_table(recipe.data.dataset, data)
    table = table[table["label"].isin(recipe.classes)].reset_index(drop=True)
    table = table.assign(split=assign(table, protocol, recipe.data.fractions, seed))
    empty = [split for split in SPLITS if split not in set(table["split"])]
    if empty:
        raise DatasetError(
            f"{len(table)} images in {table['group'].nunique()} groups are too few to split: none "
            f"is left for {' and '.join(empty)}. Give the whole data set."
        )
    return table


def shorten(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with at most this many epochs in each phase."""
    phases = tuple(
        p.model_copy(update={"epochs": min(p.epochs, epochs)}) for p in recipe.training.phases
    )
    training = recipe.training.model_copy(update={"phases": phases})
    return recipe.model_copy(update={"training": training})


def check_interrupted(run: RunFolder, method: dict) -> None:
    """Raise ResumeError unless there is a run of this method to go on with."""
    settings = run.folder / METHOD
    if not settings.is_file() or run.load() is None:
        raise ResumeError("There is no interrupted run to resume. Start it without --resume.")
    if settings.read_text(encoding="utf-8") != _written(method):
        raise ResumeError(
            "The recipe has changed since the run was interrupted. Start it without --resume."
        )


def start_anew(run: RunFolder, method: dict) -> None:
    """Forget the run, and keep the method of the one that starts."""
    run.clear()
    (run.folder / METHOD).write_text(_written(method), encoding="utf-8")


def _written(method: dict) -> str:
    return json.dumps(method, sort_keys=True)


def _describe(table: pd.DataFrame) -> str:
    counts = pd.crosstab(table["split"], table["label"])
    parts = [
        f"{name} " + "/".join(str(n) for n in counts.loc[name])
        for name in ("train", "validation", "test")
    ]
    return f"Images by {'/'.join(counts.columns)}: " + ", ".join(parts)
