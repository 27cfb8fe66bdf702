"""Judge every explanation method of a trained system on test images with lesion masks.

    python -m core.evaluation.explanations --recipe ID [--data DIR] [--limit N] [--methods a,b]

The images are those of the grouped test split that have a lesion, in a seeded order; the class
explained is the predicted one. Where a map lies is measured on all of them, what takes many more
predictions on the first few if the method is dear (the examination's PLAN); --full judges the
faithfulness of all, --limit N looks at N images at most. --untimed keeps no times, for a machine
that is busy, or another than that of the times measured before. Ctrl-C loses one map at most: the
same command goes on. The result is kept in the checkpoint as explanations.parquet; maps measured
before are not measured again, unless --again asks for it.

DIR is the data set's folder. Without it the set is looked for below LESIONLENS_DATA, and where it
is not found phantoms take its place. These show that the figures can be computed; they are no
evidence of how good a method is, and so they are printed and stay out of the checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Container, Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from core import command
from core.checkpoints import (
    CHECKPOINTS,
    EXPLANATIONS,
    RUNS,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    list_trained,
    open_checkpoint,
    parquet,
    sha256,
    update_checkpoint,
)
from core.datasets import DatasetError, find_folder, fingerprint, load_table, read_mask
from core.evaluation.examination import SIGNS, System, Task, measure, tasks
from core.evaluation.journal import Journal
from core.explain import METHODS, Method
from core.statistics.bootstrap import mean_interval
from core.statistics.shares import share_intervals

COLUMNS = ["image_id", "group", "method", "metric", "value"]
PHANTOMS = "phantoms"
OUTLINED = ("busi", "mini-ddsm", PHANTOMS)
"""Data sets whose images come with outlines of lesions; there are no others to measure against."""


def journal_of(
    checkpoint: Checkpoint, dataset: str, again: Iterable[Task] = (), runs: Path = RUNS
) -> Journal:
    """The journal of these weights on this data, or that of measuring some tasks again; other
    weights have another, and so have other tasks."""
    weights = checkpoint.manifest["files"][WEIGHTS][:12]
    parts = [checkpoint.recipe.id, "explanations", dataset, weights]
    keys = [task.key for task in again]
    parts += ["again", sha256(repr(keys).encode())[:12]] if keys else []
    return Journal(runs / f"{'-'.join(parts)}.jsonl")


def images_of(checkpoint: Checkpoint, data: Path | None) -> tuple[str, pd.DataFrame]:
    """Name of the data set, and the rows of its test images that have a lesion.

    The rows are in a seeded order, so that the first few are a fair sample. Raises DatasetError
    if the data are not those that the system was trained on, or none of them has a lesion's mask.
    """
    recipe = checkpoint.recipe
    dataset = recipe.data.dataset
    if data is None and find_folder(dataset) is None:
        dataset, table = PHANTOMS, load_table(PHANTOMS)  # the class explained is the system's own
    else:
        table = load_table(dataset, data)
        table = table[table["label"].isin(recipe.classes)]
        if fingerprint(table) != checkpoint.manifest["data"]["fingerprint"]:
            raise DatasetError(
                f"The data are not those that {recipe.id} was trained on: its test images cannot "
                "be told. Give the folder it was trained with, or train it again."
            )
        table = table[table["image_id"].isin(checkpoint.shipped_run("test")["image_id"])]
    shuffled = table.sort_values("image_id").sample(frac=1, random_state=0)
    chosen = shuffled[np.array([_has_lesion(row) for row in shuffled.itertuples()], bool)]
    if chosen.empty:
        raise DatasetError(
            f"None of the test images of {recipe.id} here has the outline of a lesion, so there is "
            "nothing to measure its maps against. Choose another system."
        )
    return dataset, chosen


def _has_lesion(row) -> bool:
    mask = read_mask(row)
    return mask is not None and bool(mask.any())


def long_table(records: list[dict]) -> pd.DataFrame:
    """Records of a journal as rows of ``COLUMNS``; what is not defined is NaN."""
    rows = [
        (one["image_id"], one["group"], one["method"], metric, value)
        for one in records
        for metric, value in one["values"].items()
    ]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"value": "float64"})


def read(checkpoint: Checkpoint) -> pd.DataFrame:
    """The measured figures, one row an image, method and metric; empty if there are none."""
    if EXPLANATIONS not in checkpoint.manifest["files"]:
        return pd.DataFrame(columns=COLUMNS)
    return checkpoint.table(EXPLANATIONS)


def write(checkpoint: Checkpoint, measured: pd.DataFrame) -> pd.DataFrame:
    """Keep the figures in the checkpoint, beside those of other maps; returns all of them."""
    index = ["image_id", "method", "metric"]
    both = pd.concat([one for one in (read(checkpoint), measured) if len(one)])
    merged = both.drop_duplicates(index, keep="last").sort_values(index, ignore_index=True)
    update_checkpoint(checkpoint, {EXPLANATIONS: parquet(merged)})
    return merged


def without_delays(table: pd.DataFrame) -> pd.DataFrame:
    """The figures without the times over twice their method's median: the machine was busy then."""
    times = table[table["metric"] == "seconds"]
    usual = times.groupby("method")["value"].transform("median")
    late = (times["value"] > 2 * usual).reindex(table.index, fill_value=False)
    return table.assign(value=table["value"].mask(late))


def summary(checkpoint: Checkpoint) -> pd.DataFrame:
    """Mean of every figure: method, metric, mean, low, high, n images.

    The bounds are those of the 95 % interval, bootstrapped over groups. Images on which a figure
    is not defined do not count, nor do times ``without_delays``. Empty if nothing was measured.
    """
    return summarise(read(checkpoint))


def summarise(table: pd.DataFrame) -> pd.DataFrame:
    """``summary`` of a table of figures."""
    known = without_delays(table).dropna()
    rows = [
        (method, metric, *_mean(rows), len(rows))
        for (method, metric), rows in known.groupby(["method", "metric"], sort=False)
    ]
    return pd.DataFrame(rows, columns=["method", "metric", "mean", "low", "high", "n"])


def _mean(rows: pd.DataFrame) -> tuple[float, float, float]:
    values = rows["value"].to_numpy()
    groups = pd.factorize(rows["group"], sort=True)[0]
    if np.isin(values, (0, 1)).all():  # a share of images, which may be none or all
        low, high = share_intervals(values[None] == 1, np.ones(len(values), bool), groups)
        return float(values.mean()), float(low[0]), float(high[0])
    return float(values.mean()), *mean_interval(values, groups)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    stopped = "Interrupted. Every finished map is kept; the same command goes on."
    return command.run(lambda: _measure(options), stopped)


def _measure(options: argparse.Namespace) -> None:
    methods = _chosen(options.methods)
    checkpoint = open_checkpoint(options.recipe, options.output)
    if not checkpoint.has_weights:
        raise CheckpointError(
            f"The weights of {options.recipe} were not kept in {options.output}, so that nothing "
            "can be explained. Train it without --figures-only first."
        )
    dataset, table = images_of(checkpoint, options.data)
    journal = journal_of(checkpoint, dataset)
    wanted = tasks(table.head(options.limit or len(table)), methods, options.full)
    if options.again:
        fresh = journal_of(checkpoint, dataset, wanted)
        _run(checkpoint, _missing(wanted, fresh.read()), fresh, not options.untimed)
        fresh.hand_over(journal)
    else:
        todo = _missing(wanted, _known(checkpoint, journal))
        _run(checkpoint, todo, journal, not options.untimed)
    measured = long_table(list(journal.read().values()))
    if dataset != PHANTOMS:
        measured = write(checkpoint, measured)
    Console().print(_overview(summarise(measured), dataset))


def _missing(wanted: list[Task], known: Container) -> list[Task]:
    return [one for one in wanted if one.key not in known]


def _known(checkpoint: Checkpoint, journal: Journal) -> set[tuple[str, str, str]]:
    """What needs no second measurement: in the journal, or in the checkpoint."""
    table = read(checkpoint)
    parts = table["metric"].map(SIGNS)
    shipped = table.assign(part=parts).dropna(subset="part")
    return {*journal.read(), *shipped[["image_id", "method", "part"]].itertuples(index=False)}


def _run(checkpoint: Checkpoint, todo: list[Task], journal: Journal, timed: bool) -> None:
    if not todo:
        return
    system = System(checkpoint)
    _warm_up(system, todo)
    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*(TextColumn(c) if isinstance(c, str) else c for c in columns)) as progress:
        bar = progress.add_task(checkpoint.recipe.id, total=len(todo))
        for task in measure(system, todo, journal, timed):
            label = f"{task.row.image_id} · {task.method.name}"
            progress.update(bar, advance=1, description=f"{label:<44.44}")


def _warm_up(system: System, todo: list[Task]) -> None:
    """Run each method once, so that no map's time holds what a framework does but once."""
    case = system.case(todo[0].row)
    for method in dict.fromkeys(task.method for task in todo if task.method.cost != "minutes"):
        method.run(system.classifier, case.batch, case.target)


def _overview(figures: pd.DataFrame, dataset: str) -> Table:
    table = Table("method", *_SHOWN, "images", title=f"Means on {dataset}")
    means = figures.pivot(index="method", columns="metric", values="mean")
    counts = figures[figures["metric"] == "iou"].set_index("method")["n"]
    for method, row in means.iterrows():
        cells = [f"{row.get(name, np.nan):.3f}" for name in _SHOWN]
        table.add_row(method, *cells, str(counts[method]))
    return table


_SHOWN = ("iou", "dice", "energy_inside", "deletion", "insertion", "seconds")


def _chosen(names: str | None) -> list[Method]:
    chosen = names.split(",") if names else list(METHODS)
    unknown = [name for name in chosen if name not in METHODS]
    if unknown:
        raise ValueError(f"There is no method '{unknown[0]}'. Choose of: {', '.join(METHODS)}.")
    return [METHODS[name] for name in chosen]


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help=f"one of: {', '.join(list_trained())}")
    parser.add_argument("--data", type=command.path, metavar="DIR", help="folder of the data set")
    parser.add_argument("--limit", type=command.whole(1), metavar="N", help="at most N images")
    parser.add_argument("--methods", metavar="A,B", help=f"of: {', '.join(METHODS)}")
    parser.add_argument("--full", action="store_true", help="the faithfulness of every map: hours")
    parser.add_argument("--again", action="store_true", help="measure anew what is known already")
    parser.add_argument("--untimed", action="store_true", help="no times: this machine is busy")
    parser.add_argument(
        "--output", type=command.path, default=CHECKPOINTS, help="folder of checkpoints"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
