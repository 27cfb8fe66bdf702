"""The training loop: phases, learning-rate steps, early stopping, resuming."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice
from time import perf_counter

import numpy as np
from sklearn.metrics import accuracy_score, log_loss, precision_score, recall_score

from core.classifiers.base import probabilities
from core.recipe import Phase, Recipe
from core.refusal import Refusal
from core.training.images import ImageSet, evaluation_batches, training_batches
from core.training.learner import Learner
from core.training.schedule import learning_rate
from core.training.state import Progress, RunFolder

Report = Callable[[int, int, float], None]
"""Called after each step with steps done, steps in the epoch and the mean loss so far."""


class DivergedError(Refusal):
    """A network whose weights are no numbers any more."""


def train(
    learner: Learner,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet,
    run: RunFolder,
    seed: int,
    on_step: Report = lambda *_: None,
    on_epoch: Callable[[dict], None] = lambda _: None,
) -> list[dict]:
    """Train to the end of the last phase and leave that phase's best weights in the learner.

    A phase starts from the best weights of the one before, and only its own epochs compete for
    its best: what an earlier phase kept frozen is so always learned where the last one trains it.
    Continues where the run folder left off, and then ends as a run that was never interrupted.
    Raises DivergedError. Returns the history, one record an epoch: phase,
    epoch, learning_rate, seconds, loss, val_loss, val_accuracy, val_precision, val_recall
    (precision and recall are macro averages).
    """
    progress = _resume(learner, recipe, run)
    while not progress.finished:
        phase = recipe.training.phases[progress.phase]
        record = _epoch(learner, recipe, phase, training, validation, progress, seed, on_step)
        progress.history.append(record)
        _note_gain(progress, record["val_loss"], learner, run)
        progress.epoch += 1
        progress.epoch_of_phase += 1
        if _phase_is_over(progress, phase):
            _next_phase(learner, recipe, progress, run)
        run.save(progress, learner.network.to_arrays(), learner.optimizer_arrays())
        on_epoch(record)
    learner.kept.from_arrays(run.load_best())
    return progress.history


def _resume(learner: Learner, recipe: Recipe, run: RunFolder) -> Progress:
    saved = run.load()
    progress = saved[0] if saved else Progress()
    learner.start_phase(recipe.training.phases[progress.phase])
    if saved:
        learner.network.from_arrays(saved[1])
        learner.restore_optimizer(saved[2])
    return progress


def _epoch(
    learner: Learner,
    recipe: Recipe,
    phase: Phase,
    training: ImageSet,
    validation: ImageSet,
    progress: Progress,
    seed: int,
    on_step: Report,
) -> dict:
    started = perf_counter()
    steps = -(-len(training) // recipe.training.batch_size)
    steps = min(steps, phase.steps or steps)
    losses = []
    learner.reseed(seed, progress.epoch)
    batches = training_batches(training, recipe, seed, progress.epoch)
    for batch, labels, masks in islice(batches, steps):
        rate = learning_rate(phase, progress.epoch_of_phase, (len(losses) + 0.5) / steps)
        losses.append(learner.step(batch, labels, rate, masks))
        on_step(len(losses), steps, float(np.mean(losses)))
    return {
        "phase": progress.phase,
        "epoch": progress.epoch,
        "learning_rate": rate,
        "loss": float(np.mean(losses)),
        **validate(learner, recipe, validation),
        "seconds": round(perf_counter() - started, 1),
    }


def validate(learner: Learner, recipe: Recipe, images: ImageSet) -> dict[str, float]:
    """Loss, accuracy and macro precision and recall on unchanged images. Raises DivergedError."""
    logits = answers(learner, recipe, images)
    classes = np.arange(len(recipe.classes))
    predicted = logits.argmax(axis=1)
    macro = {"labels": classes, "average": "macro", "zero_division": 0}
    return {
        "val_loss": float(log_loss(images.labels, probabilities(logits), labels=classes)),
        "val_accuracy": float(accuracy_score(images.labels, predicted)),
        "val_precision": float(precision_score(images.labels, predicted, **macro)),
        "val_recall": float(recall_score(images.labels, predicted, **macro)),
    }


def answers(learner: Learner, recipe: Recipe, images: ImageSet) -> np.ndarray:
    """The learner's logits for unchanged images, (N, ...). Raises DivergedError."""
    logits = np.concatenate([learner.logits(b) for b in evaluation_batches(images, recipe)])
    if not np.isfinite(logits).all():
        raise DivergedError(
            "The network's answers are no numbers any more: the training has diverged. Lower the "
            "learning rate in the recipe, and start anew."
        )
    return logits


def _note_gain(progress: Progress, loss: float, learner: Learner, run: RunFolder) -> None:
    if loss < progress.best_loss:
        progress.best_loss = loss
        progress.epochs_without_gain = 0
        run.save_best(learner.kept.to_arrays())
    else:
        progress.epochs_without_gain += 1


def _phase_is_over(progress: Progress, phase: Phase) -> bool:
    out_of_patience = phase.patience is not None and progress.epochs_without_gain >= phase.patience
    return out_of_patience or progress.epoch_of_phase >= phase.epochs


def _next_phase(learner: Learner, recipe: Recipe, progress: Progress, run: RunFolder) -> None:
    phases = recipe.training.phases
    progress.finished = progress.phase + 1 == len(phases)
    progress.epoch_of_phase = 0
    progress.epochs_without_gain = 0
    progress.best_loss = np.inf
    if not progress.finished:
        progress.phase += 1
        learner.network.from_arrays(run.load_best())
        learner.start_phase(phases[progress.phase])
