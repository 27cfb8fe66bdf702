"""Published figures beside measured ones, for every recipe.

python -m core.results              a table for the terminal
python -m core.results --json       every figure, for programs
python -m core.results --markdown   the page docs/results.md
python -m core.results --write      write that page
python -m core.results --check      recompute all figures of the systems, and of the network that
                                    proposes outlines, from the shipped predictions
python -m core.results --time       measure how fast the systems are, on a machine that is idle
"""

from __future__ import annotations

import argparse
import json
import sys

from rich.console import Console

from core import command
from core.results import tables
from core.results.page import PAGE, markdown
from core.results.reproduction import check, checked
from core.results.rows import Row, all_rows
from core.timing import write_timings


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
        console = Console(width=tables.WIDTH)
    console.print(tables.terminal_table(all_rows()))


def _print_json() -> None:
    print(json.dumps([_record(row) for row in all_rows()], indent=2, allow_nan=False))


def _print_markdown() -> None:
    print(markdown(), end="")


def _write() -> None:
    PAGE.write_text(markdown(), encoding="utf-8")
    print(f"Written: {PAGE.parent.name}/{PAGE.name}")


def _check() -> int | None:
    problems = check()
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    which = ", ".join(checked()) or "no trained system is here"
    print(f"Predictions reproduce all figures and cards: {which}.")
    return None


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
    "check": (_check, "fail if shipped predictions do not reproduce the shipped figures and cards"),
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
    return command.run(parser.parse_args(arguments).action)


if __name__ == "__main__":
    sys.exit(main())
