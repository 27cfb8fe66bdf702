"""Do the shipped predictions give the shipped figures, and those the shipped card?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core import card
from core.checkpoints import CHECKPOINTS, Checkpoint, judged
from core.evaluation.run import evaluate_run
from core.recipe import Recipe

TOLERANCE = 1e-6


def check(root: Path = CHECKPOINTS) -> list[str]:
    """A sentence for every shipped figure that the shipped predictions do not give, and for every
    card that says something else."""
    return [
        f"{recipe_id}: {problem}"
        for recipe_id, checkpoint in judged(root).items()
        for problem in _problems(checkpoint)
    ]


def _problems(checkpoint: Checkpoint) -> list[str]:
    try:
        recipe, metrics = checkpoint.recipe, checkpoint.metrics
        told = checkpoint.card == card.render(recipe, metrics, checkpoint.pretrained)
        stale = [] if told else ["The card is not that of recipe and figures. Use --refresh."]
        predictions = checkpoint.predictions()
        lost = _lost(checkpoint.history(), predictions)
        return lost + differences(metrics, predictions, recipe) + stale
    except ValueError as error:
        return [str(error)]


def _lost(history: pd.DataFrame, predictions: pd.DataFrame) -> list[str]:
    """A sentence for every run that was trained and has no predictions, so that a figure that is
    unwelcome cannot be left out unseen."""
    run = ["protocol", "seed"]
    trained, known = (pd.MultiIndex.from_frame(table[run]) for table in (history, predictions))
    return [
        f"{protocol}, seed {seed} was trained and has no predictions."
        for protocol, seed in trained.unique().difference(known)
    ]


def differences(metrics: dict, predictions: pd.DataFrame, recipe: Recipe) -> list[str]:
    """What ``metrics`` says and ``predictions`` (all runs and splits) do not give, in sentences.

    Raises EvaluationError if the predictions cannot be judged.
    """
    unjudged = sorted(set(predictions["protocol"]) - set(metrics))
    problems = [f"{protocol} has predictions and no metrics." for protocol in unjudged]
    for protocol, entry in metrics.items():
        rows = predictions[predictions["protocol"] == protocol]
        stated, found = _flat(entry), _flat(evaluate_run(rows, recipe))
        problems += [
            f"{protocol}, {name}: {stated.get(name, 'nothing')} in metrics.json, "
            f"{found.get(name, 'nothing')} from the predictions."
            for name in dict.fromkeys([*stated, *found])
            if not _same(stated.get(name, "nothing"), found.get(name, "nothing"))
        ]
    return problems


def _flat(entry: dict) -> dict:
    """Every number of an entry of ``metrics.json`` by a name."""
    names = ("n", "n_groups", "seed", "split", "confusion")
    counts = {name: entry[name] for name in names if name in entry}
    over_seeds = entry.get("over_seeds", {})
    spread = {"seeds": over_seeds.get("seeds")} | {
        f"{metric} ({part} over seeds)": number
        for metric, figure in over_seeds.get("values", {}).items()
        for part, number in figure.items()
    }
    calibration = entry.get("calibration", {})
    point = calibration.get("operating_point", {})
    fitted = {
        "temperature": calibration.get("temperature"),
        "n_fitted": calibration.get("n_fitted"),
        "threshold of the operating point": point.get("threshold"),
    }
    reached = {name: figure for name, figure in point.items() if name != "threshold"}
    return (
        counts
        | _bounds(entry.get("values", {}))
        | spread
        | fitted
        | _bounds(calibration.get("values", {}), "calibrated ")
        | _bounds(reached, "at the operating point, ")
    )


def _bounds(figures: dict, before: str = "") -> dict:
    return {
        f"{before}{metric} ({bound})": number
        for metric, figure in figures.items()
        for bound, number in figure.items()
    }


def _same(stated: object, found: object) -> bool:
    if isinstance(stated, int | float) and isinstance(found, int | float):
        return abs(stated - found) <= TOLERANCE
    return stated == found
