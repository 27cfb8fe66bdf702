"""Judge a trained system on labelled images of one's own.

    python -m core.external DIR [--recipe ID] [--csv FILE] [--json]

DIR is a folder, or a ZIP archive of one, with a sub-folder of images for each class, named as the
system names it: DIR/benign/1.png, DIR/malignant/2.png. Beside 1.png, 1_mask.png outlines its
lesion for systems that need that. DIR/patients.csv may tell whose images these are, in rows such as
benign/1.png,A below image,patient. Images of one patient, and near-duplicates, found by content,
count as one group, over which the 95 % intervals are bootstrapped. Nothing is fitted to the images.
--csv writes the answer to each. The exit status is 0 if figures could be made, whatever they are.
"""

from __future__ import annotations

import argparse
import json
import sys

import pandas as pd
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from core import command
from core.checkpoints import Checkpoint, list_trained, open_chosen
from core.datasets import folder
from core.datasets.archive import ArchivedFolder
from core.external import External, grouped, judge_own, limits, told_unlike
from core.spreadsheet import safe_csv
from core.wording import counted, with_interval

SHOWN = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_auc": "Macro ROC-AUC",
    "macro_f1": "Macro F1",
    "sensitivity_malignant": "Malignant sensitivity",
    "specificity_malignant": "Malignant specificity",
}
LEFT_OUT_SHOWN = 10


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    return command.run(lambda: _judge(options))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m core.external",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "folder", type=command.path, metavar="DIR", help="a folder of classes, or a .zip"
    )
    trained = ", ".join(list_trained())
    parser.add_argument("--recipe", help=f"one of: {trained} (default: the first)")
    parser.add_argument(
        "--csv", type=command.path, metavar="FILE", help="write the answer to each image"
    )
    parser.add_argument("--json", action="store_true", help="all figures, for programs")
    return parser.parse_args(arguments)


def _judge(options: argparse.Namespace) -> None:
    checkpoint = open_chosen(options.recipe)
    archive = ArchivedFolder(options.folder.read_bytes()) if options.folder.is_file() else None
    table = archive.table if archive else folder.read(options.folder)
    beside = archive.left_out if archive else folder.left_out(options.folder, table)
    found = _watched(checkpoint, table)
    if options.json:
        print(json.dumps(_record(checkpoint, found, beside), allow_nan=False))
    else:
        _report(checkpoint, found, grouped(table), beside)
    if options.csv:  # last: if it cannot be written, all else was told
        options.csv.write_bytes(safe_csv(found.answers))


def _watched(checkpoint: Checkpoint, table: pd.DataFrame) -> External:
    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(f"Judging {counted(len(table), 'image')}", total=1.0)
        return judge_own(
            checkpoint,
            checkpoint.load(),
            table,
            progress=lambda share: bar.update(task, completed=share),
        )


def _record(checkpoint: Checkpoint, found: External, beside: str) -> dict:
    share, low, high = found.unlike
    point = {} if found.point is None else found.point
    return {
        "recipe": checkpoint.recipe.id,
        "weights": checkpoint.manifest["weights"],
        "protocol": "external",
        "classes": checkpoint.recipe.classes,
        **found.figures,
        "operating_point": {name: _plain(value) for name, value in point.items()} or None,
        "unlike": {"value": share, "low": low, "high": high},
        "familiar": found.familiar,
        "outlined": int(found.answers["outlined"].sum()),
        "left_out": [*found.left_out, *filter(None, [beside])],
    }


def _plain(value) -> float | None:
    return None if pd.isna(value) else float(value)


def _report(checkpoint: Checkpoint, found: External, groups: str, beside: str) -> None:
    # Names of files and classes are shown as they are, whatever brackets and colons they have.
    console = Console(soft_wrap=True, markup=False, emoji=False)
    recipe, figures = checkpoint.recipe, found.figures
    console.print(
        f"{recipe.title} on {counted(figures['n'], 'image')} in "
        f"{counted(figures['n_groups'], 'group')}. Nothing was fitted to them. {groups}"
    )
    console.print(_figures(checkpoint, found))
    console.print(_confusion(recipe.classes, figures["confusion"]))
    for sentence in (told_unlike(found), *limits(found, recipe), *_left_out(found), beside):
        if sentence:
            console.print(sentence)


def _figures(checkpoint: Checkpoint, found: External) -> Table:
    own = checkpoint.shipped_figures
    table = Table("Figure", "Here (95 % CI)", f"Its own {own['n']} unseen images (95 % CI)")
    for name, title in SHOWN.items():
        if name in own["values"]:
            here, there = (one["values"].get(name) for one in (found.figures, own))
            table.add_row(title, with_interval(here), with_interval(there))
    if found.point is not None:
        known = own["calibration"]["operating_point"]
        for name in ("sensitivity", "specificity"):
            bounds = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
            here = {part: _plain(found.point[column]) for part, column in bounds.items()}
            title = f"{name.capitalize()} at the operating point ({found.point['threshold']:.2f})"
            table.add_row(title, with_interval(here), with_interval(known[name]))
    return table


def _confusion(classes: tuple[str, ...], confusion: list[list[int]]) -> Table:
    table = Table("True class", *(f"called {name}" for name in classes), title="Confusion")
    for name, row in zip(classes, confusion, strict=True):
        table.add_row(name, *map(str, row))
    return table


def _left_out(found: External) -> list[str]:
    told = [f"Left out: {one}" for one in found.left_out[:LEFT_OUT_SHOWN]]
    more = len(found.left_out) - LEFT_OUT_SHOWN
    return [*told, f"Left out: {more} more."] if more > 0 else told


if __name__ == "__main__":
    sys.exit(main())
