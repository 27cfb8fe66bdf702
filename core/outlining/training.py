"""The training loop of the outlining network: seeded, resumable, the best weights kept."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import numpy as np

from core.checkpoints import RUNS
from core.evaluation.localisation import localisation
from core.outlining.images import training_batches
from core.outlining.learner import OutlineLearner
from core.outlining.recipe import OutlineRecipe
from core.training import schedule
from core.training.images import ImageSet, digest
from core.training.loop import Report, answers
from core.training.state import Progress, RunFolder


def run_folder(recipe: OutlineRecipe, seed: int, runs: Path = RUNS) -> RunFolder:
    """Where a run keeps its state and its best weights."""
    return RunFolder(runs / f"outlining-{recipe.id}-{seed}")


def start_of(
    recipe: OutlineRecipe, training: ImageSet, validation: ImageSet, pretrained: bool
) -> dict:
    """All that a run begins with, as its folder keeps it."""
    data = digest(training, validation)
    return {"method": recipe.method(), "pretrained": pretrained, "data": data}


def train(
    learner: OutlineLearner,
    recipe: OutlineRecipe,
    training: ImageSet,
    validation: ImageSet,
    run: RunFolder,
    seed: int,
    on_step: Report = lambda *_: None,
    on_epoch: Callable[[dict], None] = lambda _: None,
) -> list[dict]:
    """Train all epochs and leave the weights with the highest validation Dice in the learner.

    Continues where the run folder left off. Raises DivergedError. Returns the history, one record
    an epoch: epoch, learning_rate, loss, val_dice, val_false, seconds.
    """
    progress = _resume(learner, run)
    while progress.epoch < epochs_of(recipe):
        record = _epoch(learner, recipe, training, validation, progress.epoch, seed, on_step)
        progress.history.append(record)
        if 1 - record["val_dice"] < progress.best_loss:
            progress.best_loss = 1 - record["val_dice"]
            run.save_best(learner.kept.to_arrays())
        progress.epoch += 1
        progress.finished = progress.epoch == epochs_of(recipe)
        run.save(progress, learner.network.to_arrays(), learner.optimizer_arrays())
        on_epoch(record)
    learner.kept.from_arrays(run.load_best())
    return progress.history


def epochs_of(recipe: OutlineRecipe) -> int:
    """Epochs of all phases together."""
    return sum(phase.epochs for phase in recipe.training.phases)


def learning_rate(recipe: OutlineRecipe, epoch: int, share: float) -> float:
    """The rate after ``share`` (0 to 1) of an epoch (from 0 over all phases); a further phase is a
    warm restart (Loshchilov and Hutter, ICLR 2017)."""
    for phase in recipe.training.phases:
        if epoch < phase.epochs:
            break
        epoch -= phase.epochs
    return schedule.learning_rate(phase, epoch, share)


def validate(learner: OutlineLearner, recipe: OutlineRecipe, images: ImageSet) -> dict[str, float]:
    """Mean Dice over the images with a lesion, and the share of the others in which more than
    0.5 % of the pixels are marked; at the network's size, from p = 0.5 on. Raises DivergedError."""
    marked = (answers(learner, recipe, images)[:, 0] > 0).astype(np.float32)
    with_lesion = images.masks.any(axis=(1, 2))
    pairs = zip(marked[with_lesion], images.masks[with_lesion], strict=True)
    false = marked[~with_lesion].mean(axis=(1, 2)) > 0.005
    return {
        "val_dice": float(np.mean([localisation(found, mask).dice for found, mask in pairs])),
        "val_false": float(false.mean()) if len(false) else 0.0,
    }


def _resume(learner: OutlineLearner, run: RunFolder) -> Progress:
    saved = run.load()
    if saved is None:
        return Progress()
    progress, weights, optimizer = saved
    learner.network.from_arrays(weights)
    learner.restore_optimizer(optimizer)
    return progress


def _epoch(
    learner: OutlineLearner,
    recipe: OutlineRecipe,
    training: ImageSet,
    validation: ImageSet,
    epoch: int,
    seed: int,
    on_step: Report,
) -> dict:
    started = perf_counter()
    steps = len(training) // recipe.training.batch_size
    losses, rate = [], 0.0
    for batch, masks in training_batches(training, recipe, seed, epoch):
        rate = learning_rate(recipe, epoch, (len(losses) + 0.5) / steps)
        losses.append(learner.step(batch, masks, rate))
        on_step(len(losses), steps, float(np.mean(losses)))
    return {
        "epoch": epoch,
        "learning_rate": rate,
        "loss": float(np.mean(losses)),
        **validate(learner, recipe, validation),
        "seconds": round(perf_counter() - started, 1),
    }
