"""Training speed: a fine-tuning step in bfloat16 against float32, and minutes of epochs a recipe.

    python -m tests.bench_training

``make bench`` prints the same. Images a second are those of one optimiser step on all layers, a
median of three after one to warm up; trust the ratio, on an idle machine. Minutes are those of the
epochs of every system that was trained, training steps and validation, as their histories tell:
each phase's median epoch times its epochs, since some epochs ran while the machine was busy with
other work. Reading and resampling images, building the network and predicting with it come on top.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from time import perf_counter
from unittest.mock import patch

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from core.architectures import build
from core.checkpoints import judged
from core.networks import networks
from core.preprocessing import scale
from core.processor import has_fast_bfloat16
from core.recipe import Phase, Recipe
from core.training.learner import Learner
from tests.networks import recipes_by_network

BATCH, STEPS = 16, 3
PHASE = Phase(trainable="all", epochs=1, learning_rate=1e-5)
LONGEST = 60
"""No recipe's epochs are to need more minutes on two cores."""


def tables() -> Iterator[Table]:
    """The two tables, each measured when it is asked for."""
    units = "with" if has_fast_bfloat16() else "without"
    title = f"A fine-tuning step, batch {BATCH}, {units} fast bfloat16"
    speed = Table(
        "Network", "Size", "float32, images/s", "bfloat16, images/s", "Ratio", title=title
    )
    for recipe in recipes_by_network():
        name = networks()[recipe.architecture.name].title
        slow, fast = (images_a_second(recipe, bfloat16) for bfloat16 in (False, True))
        side = f"{recipe.preprocessing.size[0]}"
        speed.add_row(name, side, f"{slow:.1f}", f"{fast:.1f}", f"{fast / slow:.2f}")
    yield speed
    title = "Epochs of the longest run, at each phase's median: training steps and validation"
    times = Table("System", "Protocol", "Minutes", f"At most {LONGEST}", title=title)
    for recipe_id, protocol, minutes in minutes_of_epochs():
        met = "yes" if minutes <= LONGEST else "NO"
        times.add_row(recipe_id, protocol, f"{minutes:.0f}", met)
    yield times


def images_a_second(recipe: Recipe, bfloat16: bool) -> float:
    """Median speed of a training step on noise, from random weights."""
    learner = {"torch": _torch, "keras": _keras}[recipe.architecture.framework](recipe, bfloat16)
    learner.start_phase(PHASE)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (BATCH, *recipe.preprocessing.size, 3))
    batch = scale(pixels, recipe.preprocessing)
    labels = np.arange(BATCH) % len(recipe.classes)
    times = []
    for _ in range(STEPS + 1):
        started = perf_counter()
        learner.step(batch, labels, PHASE.learning_rate)
        times.append(perf_counter() - started)
    return BATCH / statistics.median(times[1:])


def minutes_of_epochs() -> Iterator[tuple[str, str, float]]:
    """System, shipped or judged alone, protocol, and minutes of the epochs of its longest run, from
    ``history.csv``: not those before the first and after the last. An epoch counts as the median
    of its phase."""
    for recipe_id, checkpoint in judged().items():
        for protocol, seconds in seconds_of_epochs(checkpoint.history()).items():
            yield recipe_id, protocol, seconds / 60


def seconds_of_epochs(history: pd.DataFrame) -> pd.Series:
    """Those of the longest run of each protocol."""
    phases = history.groupby(["protocol", "seed", "phase"])["seconds"]
    runs = (phases.median() * phases.size()).groupby(["protocol", "seed"]).sum()
    return runs.groupby("protocol").max()


def _torch(recipe: Recipe, bfloat16: bool) -> Learner:
    from core.training.torch_learner import TorchLearner

    learner = TorchLearner(recipe, seed=0, pretrained=False)
    learner._bfloat16 = bfloat16
    return learner


def _keras(recipe: Recipe, bfloat16: bool) -> Learner:
    """A learner whose network is built under the policy asked for, not the one it would choose."""
    import keras

    from core.training import keras_learner

    usual = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16" if bfloat16 else "float32")
    try:
        with patch.object(keras_learner, "_build", build):
            return keras_learner.KerasLearner(recipe, seed=0, pretrained=False)
    finally:
        keras.config.set_dtype_policy(usual)


if __name__ == "__main__":
    for one in tables():
        Console().print(one)
