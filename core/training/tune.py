"""Search for better settings of a recipe, on validation images alone, with Optuna.

Searched are a factor on all learning rates and what the network's row in ``networks.toml`` offers
(the MobileNetV2 paper tuned rate, dropout, dense width and activation with Keras Tuner). A trial
trains as the recipe says and is judged by the validation loss of the weights that it keeps, the
lowest of its last phase; one that falls behind the median of the earlier trials is given up, and so
is one that diverges. The test images are never read.
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import optuna
import tomli_w

from core.checkpoints import RUNS
from core.networks import networks
from core.recipe import Recipe
from core.training.images import ImageSet, balance, digest, read_images, subset
from core.training.learner import create_learner
from core.training.loop import DivergedError, train
from core.training.run import Listener, read_table
from core.training.state import RunFolder

STUDIES = "tuning.sqlite3"
RATE = "learning_rate_factor"
_RATES = (0.1, 10.0)
_TRIALS_BEFORE_PRUNING = 5
_FINISHED = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)


@dataclass(frozen=True)
class Tuned:
    """The recipe with the best settings found, its validation loss, and how many were tried."""

    recipe: Recipe
    loss: float
    trials: int

    def toml(self) -> str:
        """The settings as the sections of a recipe file that they belong in."""
        sections = self.recipe.model_dump(mode="json", exclude_none=True)
        return tomli_w.dumps({name: sections[name] for name in ("architecture", "training")})


def tune(
    recipe: Recipe,
    data: Path | None,
    trials: int,
    protocol: str = "grouped",
    seed: int = 0,
    pretrained: bool = True,
    runs: Path = RUNS,
    listener: Listener = Listener(),  # noqa: B008  (frozen)
    on_trial: Callable[[dict, float | None], None] = lambda *_: None,
) -> Tuned:
    """Try settings until ``trials`` of them have been judged, and return the best.

    Trials are kept in ``runs``: the same call goes on where an interrupted one stopped, and finds
    the same as one that was not. ``on_trial`` gets the settings of each trial and its loss, None
    if it was given up. Raises DatasetError, or DivergedError if all were.
    """
    listener.message(f"Reading {recipe.data.dataset}")
    table = read_table(recipe, data, protocol, seed)
    table = table[table["split"] != "test"].reset_index(drop=True)
    images = read_images(table, recipe)
    split = table["split"].to_numpy()
    training = balance(subset(images, split == "train"), recipe, seed)
    validation = subset(images, split == "validation")

    def judge(trial: optuna.Trial) -> float:
        tried = apply(recipe, _suggest(trial, recipe))
        return _lowest_loss(trial, tried, training, validation, seed, pretrained, listener)

    question = [recipe.method(), digest(training, validation), seed, pretrained]
    study = _open_study(recipe, question, runs)
    while (number := len(study.get_trials(states=_FINISHED))) < trials:
        # Seeded anew for each trial, so that an interruption changes nothing.
        study.sampler = optuna.samplers.TPESampler(seed=1000 * seed + number)
        study.optimize(judge, n_trials=1)
        last = study.trials[-1]
        on_trial(last.params, last.value if last.state == _FINISHED[0] else None)
    if not study.get_trials(states=_FINISHED[:1]):
        raise DivergedError(
            f"None of the {number} settings could be trained: all diverged. Try more with --tune, "
            "or lower the learning rate in the recipe."
        )
    return Tuned(apply(recipe, study.best_params), study.best_value, number)


def apply(recipe: Recipe, settings: dict) -> Recipe:
    """The recipe with these settings: ``learning_rate_factor``, and parameters of the network."""
    parameters = recipe.architecture.parameters | {k: v for k, v in settings.items() if k != RATE}
    phases = tuple(
        phase.model_copy(
            update={"learning_rate": float(f"{phase.learning_rate * settings[RATE]:.3g}")}
        )
        for phase in recipe.training.phases
    )
    return recipe.model_copy(
        update={
            "architecture": recipe.architecture.model_copy(update={"parameters": parameters}),
            "training": recipe.training.model_copy(update={"phases": phases}),
        }
    )


def _suggest(trial: optuna.Trial, recipe: Recipe) -> dict:
    rate = trial.suggest_float(RATE, *_RATES, log=True)
    offered = networks()[recipe.architecture.name].search
    return {RATE: rate} | {k: trial.suggest_categorical(k, v) for k, v in offered.items()}


def _lowest_loss(
    trial: optuna.Trial,
    recipe: Recipe,
    training: ImageSet,
    validation: ImageSet,
    seed: int,
    pretrained: bool,
    listener: Listener,
) -> float:
    losses: dict[int, list[float]] = {}  # by phase

    def on_epoch(record: dict) -> None:
        listener.epoch(record)
        losses.setdefault(record["phase"], []).append(record["val_loss"])
        trial.report(min(map(min, losses.values())), step=record["epoch"])
        if trial.should_prune():
            raise optuna.TrialPruned

    learner = create_learner(recipe, seed, pretrained)
    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder))
        try:
            train(learner, recipe, training, validation, run, seed, listener.step, on_epoch)
        except DivergedError as error:
            raise optuna.TrialPruned from error
    return min(losses[max(losses)])


def _open_study(recipe: Recipe, question: list, runs: Path) -> optuna.Study:
    """The study of exactly this question: other settings, images or splits begin another."""
    asked = [*question, networks()[recipe.architecture.name].search]
    name = hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16]
    runs.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna.create_study(
        study_name=f"{recipe.id} {name}",
        storage=f"sqlite:///{(runs / STUDIES).resolve()}",
        direction="minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_TRIALS_BEFORE_PRUNING),
        load_if_exists=True,
    )
