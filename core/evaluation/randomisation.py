"""The same network with random weights, for the sanity check of Adebayo et al. (NeurIPS 2018).

A map that stays the same when the weights are random explains the picture and not the network.
"""

from __future__ import annotations

import numpy as np

from core.architectures import build
from core.checkpoints import Checkpoint
from core.classifiers import Classifier, wrap
from core.recipe import Recipe

STAGES = {"head": 0.0, "half": 0.5, "all": 1.0}
"""How far the cascade has come from the logits towards the input: share of the layers, and
always the last one."""


def randomised(checkpoint: Checkpoint, stage: str, draw: int = 0) -> Classifier:
    """The trained system with random weights in the layers up to a stage of the cascade."""
    network = build(checkpoint.recipe)
    network.from_arrays(random_arrays(checkpoint, stage, draw))
    classifier = wrap(checkpoint.recipe, network)
    classifier.temperature = checkpoint.temperature
    return classifier


def random_arrays(checkpoint: Checkpoint, stage: str, draw: int = 0) -> dict[str, np.ndarray]:
    """Weights by name: those of an untrained network in the last layers, the trained elsewhere.

    It is not the one that the training started from, whose head fine-tuning hardly moves: that
    would be the trained head again. Sets the framework's global seed, as training does.
    """
    seed = np.random.SeedSequence([checkpoint.manifest["weights"]["seed"], draw])
    fresh = _untrained(checkpoint.recipe, int(seed.generate_state(1)[0]))
    redrawn = last_layers(list(fresh), STAGES[stage])
    return checkpoint.arrays() | {name: fresh[name] for name in redrawn}


def last_layers(names: list[str], share: float) -> list[str]:
    """Names of the arrays of the last layers, at least one: names run from input to output.

    A layer is what shares its name up to the last "." or "/".
    """
    layers = list(dict.fromkeys(map(_layer, names)))
    first = min(round(len(layers) * (1 - share)), len(layers) - 1)
    chosen = set(layers[first:])
    return [name for name in names if _layer(name) in chosen]


def _layer(name: str) -> str:
    return name.replace("/", ".").rpartition(".")[0]


def _untrained(recipe: Recipe, seed: int) -> dict[str, np.ndarray]:
    if recipe.architecture.framework == "torch":
        import torch

        torch.manual_seed(seed)
    else:
        import keras

        keras.utils.set_random_seed(seed)
    return build(recipe).to_arrays()
