"""One run from data folder to checkpoint."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from core.checkpoints import CHECKPOINTS, RUNS, CheckpointError
from core.datasets import fingerprint, load_table
from core.datasets.splits import SPLITS, assign, too_few
from core.recipe import Recipe
from core.refusal import Refusal
from core.training.images import balance, digest, read_images, subset
from core.training.learner import create_learner
from core.training.loop import Report, train
from core.training.result import add_to_checkpoint, check_kept, make_result
from core.training.state import RunFolder

START = "start.json"
_CHANGED = {
    "method": "The recipe has changed since the run was interrupted. Undo the change.",
    "pretrained": "The interrupted run began from other weights: --from-scratch was given to one "
    "of the two alone. Give it to both or to neither.",
    "data": "The images, masks, labels or their split are not those that the interrupted run began "
    "with. Give the same data.",
}
"""What a run began with -> what is said where it is another."""


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
    Raises CheckpointError, DatasetError, BusyError, ResumeError or DivergedError; after a
    KeyboardInterrupt the state of the last full epoch is in ``runs``. An earlier run is forgotten
    only when everything is there to train anew.
    """
    folder = output / recipe.id
    check_kept(folder, recipe, protocol, seed, pretrained, figures_only)
    run = RunFolder(runs / f"{recipe.id}-{protocol}-{seed}")
    with run.held():
        start = {"method": recipe.method(), "pretrained": pretrained}
        if resume:
            check_interrupted(run, start)
        listener.message(f"Reading {recipe.data.dataset}")
        table = read_table(recipe, data, protocol, seed)
        images = read_images(table, recipe)
        split = table["split"].to_numpy()
        listener.message(_describe(table))
        training = balance(subset(images, split == "train"), recipe, seed)
        validation = subset(images, split == "validation")
        learner = create_learner(recipe, seed, pretrained)
        begin(run, start | {"data": digest(training, validation)}, resume)
        history = train(
            learner, recipe, training, validation, run, seed, listener.step, listener.epoch
        )
        listener.message("Predicting every image with the best weights")
        result = make_result(learner.trained(), recipe, protocol, seed, history, table, images)
        with _kept_if_unwritten(folder):
            add_to_checkpoint(result, folder, fingerprint(table), figures_only, pretrained)
    return folder


@contextmanager
def _kept_if_unwritten(folder: Path) -> Iterator[None]:
    """Tell whoever trained for hours that only the last step has to be done again."""
    try:
        yield
    except OSError as error:
        raise CheckpointError(
            f"The result could not be written to {folder}: {error.strerror or error}. The training "
            "is kept: give --resume to write it there after all, with another --output elsewhere."
        ) from error


def read_table(recipe: Recipe, data: Path | None, protocol: str, seed: int) -> pd.DataFrame:
    """The data set's images of the recipe's classes, with their split.

    Raises DatasetError, also where a part of the split has no image of a class: such a class could
    not be learned, calibrated or judged, which would show after the training only.
    """
    table = load_table(recipe.data.dataset, data)
    table = table[table["label"].isin(recipe.classes)].reset_index(drop=True)
    table = table.assign(split=assign(table, protocol, recipe.data.fractions, seed))
    found = set(zip(table["split"], table["label"], strict=True))
    lacking = {
        split: [label for label in recipe.classes if (split, label) not in found]
        for split in SPLITS
    }
    if any(lacking.values()):
        told = (f"{split} ({', '.join(labels)})" for split, labels in lacking.items() if labels)
        raise too_few(table, f"none is left for {' and '.join(told)}")
    return table


def shorten(recipe: Recipe, epochs: int) -> Recipe:
    """The recipe with at most this many epochs in each phase."""
    phases = tuple(
        p.model_copy(update={"epochs": min(p.epochs, epochs)}) for p in recipe.training.phases
    )
    training = recipe.training.model_copy(update={"phases": phases})
    return recipe.model_copy(update={"training": training})


def check_interrupted(run: RunFolder, start: dict) -> None:
    """Raise ResumeError unless there is a run to go on with that began with all that ``start``
    names: ``method``, ``pretrained``, ``data``."""
    path = run.folder / START
    if not path.is_file() or run.load() is None:
        raise ResumeError("There is no interrupted run to resume. Start it without --resume.")
    began = json.loads(path.read_text(encoding="utf-8"))
    for name, value in start.items():
        if began.get(name) != value:
            raise ResumeError(f"{_CHANGED[name]} Or start anew, without --resume.")
    run.ours = True


def begin(run: RunFolder, start: dict, resume: bool) -> None:
    """Let a run go on, or start anew. Raises ResumeError as ``check_interrupted``."""
    if resume:
        check_interrupted(run, start)
    else:
        start_anew(run, start)


def start_anew(run: RunFolder, start: dict) -> None:
    """Forget the run, and keep what the one that starts begins with."""
    run.clear()
    (run.folder / START).write_text(json.dumps(start), encoding="utf-8")


def _describe(table: pd.DataFrame) -> str:
    counts = pd.crosstab(table["split"], table["label"])
    parts = [
        f"{name} " + "/".join(str(n) for n in counts.loc[name])
        for name in ("train", "validation", "test")
    ]
    return f"Images by {'/'.join(counts.columns)}: " + ", ".join(parts)
