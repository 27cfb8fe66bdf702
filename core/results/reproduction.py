"""Do the shipped predictions give the shipped figures?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint
from core.evaluation import evaluate
from core.evaluation.seeds import over_seeds

TOLERANCE = 1e-6


def check(root: Path = CHECKPOINTS) -> list[str]:
    """A sentence for every shipped figure that the shipped predictions do not give."""
    problems = []
    for recipe_id in list_trained(root):
        try:
            checkpoint = open_checkpoint(recipe_id, root)
            classes = checkpoint.recipe.classes
            found = differences(checkpoint.metrics, checkpoint.predictions(), classes)
        except ValueError as error:
            found = [str(error)]
        problems += [f"{recipe_id}: {problem}" for problem in found]
    return problems


def differences(metrics: dict, predictions: pd.DataFrame, classes: tuple[str, ...]) -> list[str]:
    """What ``metrics`` says and ``predictions`` (all runs and splits) do not give, in sentences.

    Raises EvaluationError if the predictions cannot be judged.
    """
    unjudged = sorted(set(predictions["protocol"]) - set(metrics))
    problems = [f"{protocol} has predictions and no metrics." for protocol in unjudged]
    for protocol, entry in metrics.items():
        run = {"protocol": protocol, "seed": entry["seed"], "split": entry["split"]}
        chosen = (predictions[list(run)] == list(run.values())).all(axis=1)
        tested = predictions[["protocol", "split"]].eq([protocol, entry["split"]]).all(axis=1)
        spread = over_seeds(predictions[tested], classes)
        stated = _flat(entry)
        found = _flat(evaluate(predictions[chosen], classes) | {"over_seeds": spread})
        problems += [
            f"{protocol}, {name}: {stated.get(name, 'nothing')} in metrics.json, "
            f"{found.get(name, 'nothing')} from the predictions."
            for name in dict.fromkeys([*stated, *found])
            if not _same(stated.get(name, "nothing"), found.get(name, "nothing"))
        ]
    return problems


def _flat(entry: dict) -> dict:
    """Every number of an entry of ``metrics.json`` by a name."""
    counts = {key: entry[key] for key in ("n", "n_groups", "confusion") if key in entry}
    bounds = {
        f"{metric} ({bound})": number
        for metric, figure in entry.get("values", {}).items()
        for bound, number in figure.items()
    }
    spread = {
        f"{metric} ({part} over seeds)": number
        for metric, figure in (entry.get("over_seeds") or {"values": {}})["values"].items()
        for part, number in figure.items()
    }
    return counts | bounds | spread


def _same(stated: object, found: object) -> bool:
    if isinstance(stated, int | float) and isinstance(found, int | float):
        return abs(stated - found) <= TOLERANCE
    return stated == found
