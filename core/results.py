"""Published figures beside measured ones, for every recipe.

python -m core.results              a table for the terminal
python -m core.results --json       every figure, for programs
python -m core.results --markdown   the page docs/results.md
python -m core.results --write      write that page
python -m core.results --check      recompute all figures from the shipped predictions
python -m core.results --time       measure how fast the systems are, on a machine that is idle
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
from rich.console import Console

from core import (
    conformal_tables,
    explanations_tables,
    guard_tables,
    outlining_tables,
    results_tables,
    timing_table,
)
from core.card import PROTOCOLS
from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint
from core.evaluation import evaluate
from core.evaluation.explanations import read
from core.evaluation.guard import read as read_guard
from core.evaluation.seeds import over_seeds
from core.recipe import Recipe, list_recipes
from core.timing import write_timings

PAGE = Path(__file__).parents[1] / "docs" / "results.md"
PAPER = "paper"
_KNOWN = ("n", "n_groups", "seed", "confusion", "over_seeds")
TOLERANCE = 1e-6


@dataclass(frozen=True)
class Row:
    """Figures of one recipe: those of its ``paper``, or those measured under one protocol.

    ``values`` is metric -> value, low, high; a paper's figures have no bounds. ``n``, ``n_groups``,
    ``seed`` and ``confusion`` are None where they are not known; a protocol under which the system
    was not trained has none of them.
    """

    recipe: Recipe
    figures: str
    n: int | None = None
    n_groups: int | None = None
    seed: int | None = None
    confusion: tuple | list | None = None
    values: dict[str, dict[str, float | None]] = field(default_factory=dict)
    over_seeds: dict | None = None

    @property
    def status(self) -> str:
        """Where the figures come from: "paper", "measured", or "not trained" (there are none)."""
        if self.figures == PAPER:
            return PAPER
        return "not trained" if self.n is None else "measured"


def rows_of(recipe: Recipe, metrics: dict) -> list[Row]:
    """The paper's row and one a protocol. ``metrics`` as in ``metrics.json``; {} if untrained."""
    return [_paper_row(recipe), *(_measured_row(recipe, p, metrics) for p in reversed(PROTOCOLS))]


def all_rows(root: Path = CHECKPOINTS) -> list[Row]:
    """Rows of all recipes, sorted by id. Raises CheckpointError for a damaged checkpoint."""
    trained = list_trained(root)
    rows = []
    for recipe in list_recipes():
        metrics = open_checkpoint(recipe.id, root).metrics if recipe.id in trained else {}
        rows += rows_of(recipe, metrics)
    return rows


def markdown(root: Path = CHECKPOINTS) -> str:
    """The text of docs/results.md."""
    trained = {recipe_id: open_checkpoint(recipe_id, root) for recipe_id in list_trained(root)}
    explained, guarded = (
        {name: table for name, one in trained.items() if len(table := reader(one))}
        for reader in (read, read_guard)
    )
    parts = [
        results_tables.page(all_rows(root)),
        conformal_tables.section(trained.values()),
        guard_tables.section(guarded),
        outlining_tables.section(root),
        explanations_tables.section(explained),
        timing_table.section(root),
    ]
    return "\n".join(filter(None, parts))


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


def _paper_row(recipe: Recipe) -> Row:
    confusion = recipe.published_confusion
    values = {name: {"value": x, "low": None, "high": None} for name, x in recipe.published.items()}
    images = None if confusion is None else sum(map(sum, confusion))
    return Row(recipe, PAPER, n=images, confusion=confusion, values=values)


def _measured_row(recipe: Recipe, protocol: str, metrics: dict) -> Row:
    entry = metrics.get(protocol, {})
    known = {key: entry[key] for key in _KNOWN if key in entry}
    return Row(recipe, protocol, values=entry.get("values", {}), **known)


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


def _record(row: Row) -> dict:
    return {
        "recipe": row.recipe.id,
        "title": row.recipe.title,
        "dataset": row.recipe.data.dataset,
        "classes": row.recipe.classes,
        "figures": row.figures,
        "status": row.status,
        "n": row.n,
        "n_groups": row.n_groups,
        "seed": row.seed,
        "confusion": row.confusion,
        "values": row.values,
        "over_seeds": row.over_seeds,
    }


def _print_table() -> None:
    console = Console()
    if not console.is_terminal:
        console = Console(width=results_tables.WIDTH)
    console.print(results_tables.terminal_table(all_rows()))


def _print_json() -> None:
    print(json.dumps([_record(row) for row in all_rows()], indent=2, allow_nan=False))


def _print_markdown() -> None:
    print(markdown(), end="")


def _write() -> None:
    PAGE.write_text(markdown(), encoding="utf-8")
    print(f"Written: {PAGE.parent.name}/{PAGE.name}")


def _check() -> None:
    problems = check()
    if problems:
        raise ValueError("\n".join(problems))
    checked = ", ".join(list_trained()) or "no trained system is here"
    print(f"Predictions reproduce all figures: {checked}.")


def _time() -> None:
    measured = write_timings()
    for recipe_id, taken in measured["milliseconds"].items():
        rates = [measured[kind][recipe_id] for kind in ("opinions_a_second", "batch_a_second")]
        print(f"{recipe_id}: {taken} ms; {rates[0]} opinions a second, {rates[1]} in a batch")
    print(f"Of {measured['scans']} scans, {measured['processor']}.")


_ACTIONS = {
    "json": (_print_json, "print every figure as JSON"),
    "markdown": (_print_markdown, "print the page docs/results.md"),
    "write": (_write, "write docs/results.md"),
    "check": (_check, "fail if shipped predictions do not reproduce the shipped figures"),
    "time": (_time, "measure how fast every system is, on a machine that is idle"),
}


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choice = parser.add_mutually_exclusive_group()
    for name, (action, text) in _ACTIONS.items():
        choice.add_argument(
            f"--{name}", dest="action", action="store_const", const=action, help=text
        )
    parser.set_defaults(action=_print_table)
    try:
        parser.parse_args(arguments).action()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
