"""Look for leakage in a data set: ``python -m core.datasets audit DIR [--csv FILE]``.

DIR is a folder with a sub-folder of images for each class, also inside folders train, validation
and test; or the id of a known data set, which is looked for below LESIONLENS_DATA:

    python -m core.datasets audit busi --csv pairs.csv
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import track
from rich.table import Table

from core import command
from core.datasets import READERS, DatasetError, folder, load_table, read_pixels
from core.datasets.audit import (
    NOTHING_TO_COMPARE,
    Audit,
    audit,
    crossings,
    nearest_neighbour,
    what_relatives_are,
)
from core.datasets.known_splits import known_splits
from core.spreadsheet import safe_csv
from core.wording import counted

SHOWN = 20
"""Pairs printed; the CSV file has all."""


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status: 0 if the audit was made, whatever it found."""
    options = _parse(arguments)
    return command.run(lambda: _audit(options))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m core.datasets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=["audit"])
    parser.add_argument(
        "dataset", type=_data_set, metavar="DIR", help="a folder of classes, or a data set's id"
    )
    parser.add_argument("--csv", type=command.path, metavar="FILE", help="write every pair there")
    return parser.parse_args(arguments)


def _data_set(text: str) -> str | Path:
    """The id of a known data set, or the path of a folder: ``./busi`` is one, and ``busi`` none."""
    return text if text in READERS else command.path(text)


def _audit(options: argparse.Namespace) -> None:
    # Names of files and classes are shown as they are, whatever brackets and colons they have.
    console = Console(soft_wrap=True, markup=False, emoji=False)
    known = options.dataset in READERS
    table = load_table(options.dataset) if known else folder.read(options.dataset)
    splits = known_splits(table, options.dataset if known else None)
    found = _watched(table)
    for name, sentence in found.unreadable.items():
        console.print(f"Left out: {name}. {sentence}")
    if len(found.labels) < 2:
        raise DatasetError(NOTHING_TO_COMPARE)
    _report(console, found, splits)
    if not known and (left := folder.left_out(options.dataset, table)):
        console.print(left)
    groups = READERS[options.dataset].groups if known else folder.groups_of(table)
    console.print(what_relatives_are(groups))
    if options.csv:
        options.csv.write_bytes(safe_csv(with_sides(found.pairs, splits)))
        console.print(f"{counted(len(found.pairs), 'pair')} written: {options.csv}")


def with_sides(pairs: pd.DataFrame, splits: pd.DataFrame) -> pd.DataFrame:
    """The pairs, with the sides of every split that their two images are on."""
    sides = {
        f"{name}: {letter}": splits[name].reindex(pairs[letter]).to_numpy()
        for name in splits
        for letter in ("a", "b")
    }
    return pairs.assign(**sides)


def _watched(table: pd.DataFrame) -> Audit:
    """The audit, with a bar of progress on the terminal's error output."""
    steps = track(
        range(100), "Looking", console=Console(stderr=True), transient=True, update_period=0.5
    )
    moved = iter(steps)
    done = 0

    def progress(share: float) -> None:
        nonlocal done
        while done < 100 * share:
            next(moved, None)
            done += 1

    return audit(table, read_pixels, progress)


def _report(console: Console, found: Audit, splits: pd.DataFrame) -> None:
    sizes = found.groups.value_counts()
    kinds = ", ".join(f"{n} {kind}" for kind, n in found.pairs["kind"].value_counts().items())
    console.print(
        f"{counted(len(found.groups), 'image')}, {counted(len(sizes), 'group')}. Copies or "
        f"near-duplicates: {counted(int(sizes[sizes > 1].sum()), 'image')} in "
        f"{counted(int((sizes > 1).sum()), 'group')} (pairs: {kinds or 'none'})."
    )
    console.print(_pairs("Pairs under two labels", found.conflicts))
    console.print(_pairs("Pairs, the most alike first", found.pairs))
    if len(splits.columns):
        console.print(_crossings(crossings(found, splits)))
    nearest = nearest_neighbour(found)
    console.print(
        f"1-nearest-neighbour on tiny thumbnails: {_percent(nearest['any'])} right; without "
        f"relatives {_percent(nearest['other group'])}; always the commonest label "
        f"{_percent(nearest['majority'])}."
    )


def _pairs(title: str, pairs: pd.DataFrame) -> Table:
    more = f", first {SHOWN} of {len(pairs)}" if len(pairs) > SHOWN else f" ({len(pairs)})"
    table = Table("image", "image", "similarity", "kind", title=title + more)
    for row in pairs.head(SHOWN).itertuples():
        table.add_row(row.a, row.b, f"{row.similarity:.2f}", row.kind)
    return table


def _crossings(rows: pd.DataFrame) -> Table:
    heads = ("split", "groups", "on two sides", "outside training", "relative in it", "1-NN right")
    table = Table(*heads, title="Groups that cross splits")
    for row in rows.itertuples(index=False):
        _, _, groups, crossing, tested, leaked, nearest = row
        numbers = (str(n) for n in (groups, crossing, tested, leaked))
        table.add_row(row[0], *numbers, _percent(nearest))
    return table


def _percent(share: float) -> str:
    return "–" if np.isnan(share) else f"{100 * share:.1f} %"


if __name__ == "__main__":
    sys.exit(main())
