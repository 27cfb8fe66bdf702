"""Do the shipped predictions give the shipped figures, and those the shipped card?"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from core import card
from core.checkpoints import CHECKPOINTS, Checkpoint, CheckpointError, judged, open_checkpoint
from core.evaluation.run import evaluate_run
from core.outlining import card as outlining_card
from core.outlining.proposal import outlines_checkpoint
from core.outlining.splits import further_splits
from core.recipe import Recipe

TOLERANCE = 1e-6
_STALE = "The card is not that of recipe and figures. Use {}."
_FROM_TABLES = ("validation", "test", "regions", "over_splits")
"""Figures of the network that proposes outlines that its tables give; the others were measured, or
chosen, when it was shipped."""


def check(root: Path = CHECKPOINTS) -> list[str]:
    """A sentence for every shipped figure that the shipped predictions do not give, and for every
    card that says something else: of the systems, and of the network that proposes outlines."""
    found = {name: _problems(one) for name, one in judged(root).items()}
    outlines = _outlines(root)
    if outlines:
        found[outlines.folder.name] = _of_outlines(outlines, root)
    return [f"{name}: {problem}" for name, problems in found.items() for problem in problems]


def checked(root: Path = CHECKPOINTS) -> list[str]:
    """What ``check`` looks at, by name."""
    outlines = _outlines(root)
    return [*judged(root), *([outlines.folder.name] if outlines else [])]


def _outlines(root: Path) -> Checkpoint | None:
    """The checkpoint of the network that proposes outlines, if there is one."""
    try:
        return outlines_checkpoint(root)
    except CheckpointError:
        return None


def _problems(checkpoint: Checkpoint) -> list[str]:
    try:
        recipe, metrics = checkpoint.recipe, checkpoint.metrics
        told = checkpoint.card == card.render(recipe, metrics, checkpoint.pretrained)
        predictions = checkpoint.predictions()
        lost = _lost(checkpoint.history(), predictions)
        return lost + differences(metrics, predictions, recipe) + _stale(told, "--refresh")
    except ValueError as error:
        return [str(error)]


def _of_outlines(checkpoint: Checkpoint, root: Path) -> list[str]:
    from core.outlining.result import metrics_of  # it needs PyTorch

    try:
        recipe, metrics = checkpoint.recipe, checkpoint.metrics
        predictions, regions = checkpoint.predictions(), checkpoint.table("regions.parquet")
        names = regions["recipe"].unique()
        systems = {name: open_checkpoint(name, root).recipe.classes for name in names}
        found = metrics_of(predictions, regions, recipe, systems, further_splits(checkpoint))
        stated = {name: metrics[name] for name in metrics if name in _FROM_TABLES}
        lost = _unlike(_leaves(stated), _leaves(found))
        if {*found} - {*stated}:  # the card cannot be written without
            return lost
        told = checkpoint.card == outlining_card.render(recipe, metrics)
        return lost + _stale(told, "python -m core.outlining evaluate --shipped")
    except ValueError as error:
        return [str(error)]


def _stale(told: bool, command: str) -> list[str]:
    return [] if told else [_STALE.format(command)]


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
        problems += _unlike(_flat(entry), _flat(evaluate_run(rows, recipe)), f"{protocol}, ")
    return problems


def _unlike(stated: dict, found: dict, before: str = "") -> list[str]:
    """A sentence for every number, by its name, that is stated and not found, or otherwise."""
    return [
        f"{before}{name}: {stated.get(name, 'nothing')} in metrics.json, "
        f"{found.get(name, 'nothing')} from the predictions."
        for name in dict.fromkeys([*stated, *found])
        if not _same(stated.get(name, "nothing"), found.get(name, "nothing"))
    ]


def _leaves(entry: dict | list, before: str = "") -> dict:
    """Every number of nested figures by the names that lead to it."""
    parts = entry.items() if isinstance(entry, dict) else enumerate(entry)
    leaves = {}
    for name, part in parts:
        path = f"{before}{name}"
        leaves |= _leaves(part, f"{path}, ") if isinstance(part, dict | list) else {path: part}
    return leaves


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
