"""What a system's guard says of its own test scans, of other kinds of image and of damaged scans.

    python -m core.evaluation.guard --recipe ID [--data DIR] [--limit N]

DIR holds the folders of the data sets, as LESIONLENS_DATA does; sets that are not there are left
out and named. Of each set at most N images are taken (100), in a seeded order and one of every
group first, and 200 of the shipped run's test images. The result is kept in the checkpoint as
guard_figures.parquet, one row an image.

A system that was trained on outlined lesions gets the outlines of its own test scans with images
that have none, in turn, so that only what is inside differs.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from core import command
from core.checkpoints import (
    CHECKPOINTS,
    Checkpoint,
    list_trained,
    open_checkpoint,
    parquet,
    update_checkpoint,
)
from core.classifiers import Classifier
from core.evaluation.guard_images import Shown, everything
from core.guard import FIGURES, Guard, Views, level_of, load_guard, looks
from core.preprocessing import to_batch

COLUMNS = ["set", "relation", "strength", "image_id", "group", "features", "picture", "level"]
LIMIT = 100
_BATCH = 8


def measure(checkpoint: Checkpoint, root: Path | None, limit: int = LIMIT) -> pd.DataFrame:
    """The guard's answer to every image: ``COLUMNS``.

    ``features`` and ``picture`` are its calibrated distances. Raises DatasetError if the system's
    own data are not below ``root``.
    """
    guard, classifier = load_guard(checkpoint), checkpoint.load()
    rows, waiting = [], []
    for shown in everything(checkpoint, root, limit):
        waiting.append(shown)
        if len(waiting) == _BATCH:
            rows += _judged(guard, classifier, waiting)
            waiting = []
    rows += _judged(guard, classifier, waiting) if waiting else []
    return pd.DataFrame(rows, columns=COLUMNS)


def _judged(guard: Guard, classifier: Classifier, shown: list[Shown]) -> list[tuple]:
    pixels, masks = [one.pixels for one in shown], [one.mask for one in shown]
    batch = to_batch(pixels, classifier.recipe.preprocessing, masks)
    pooled = classifier.features(batch).mean(axis=(1, 2))
    views = Views(pooled, np.stack([looks(frame, guard.dark_air) for frame in pixels]))
    return [
        (one.set, one.relation, one.strength, one.image_id, one.group, *map(float, d), level_of(d))
        for one, d in zip(shown, guard.distances(views), strict=True)
    ]


def read(checkpoint: Checkpoint) -> pd.DataFrame:
    """What was measured, one row an image; empty if nothing was."""
    if FIGURES not in checkpoint.manifest["files"]:
        return pd.DataFrame(columns=COLUMNS)
    return checkpoint.table(FIGURES)


def write(checkpoint: Checkpoint, figures: pd.DataFrame) -> None:
    """Keep it in the checkpoint."""
    update_checkpoint(checkpoint, {FIGURES: parquet(figures)})


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    return command.run(lambda: _measure(options), "Interrupted. Nothing was kept.")


def _measure(options: argparse.Namespace) -> None:
    started = time.monotonic()
    checkpoint = open_checkpoint(options.recipe, options.output)
    figures = measure(checkpoint, options.data, options.limit)
    write(checkpoint, figures)
    shares = pd.crosstab(figures["set"], figures["level"])
    print(f"{options.recipe}, {len(figures)} images, {time.monotonic() - started:.0f} s\n{shares}")


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", required=True, help=f"one of: {', '.join(list_trained())}")
    parser.add_argument(
        "--data", type=command.path, metavar="DIR", help="folder of the data sets' folders"
    )
    parser.add_argument(
        "--limit", type=command.whole(1), default=LIMIT, metavar="N", help="images a set"
    )
    parser.add_argument(
        "--output", type=command.path, default=CHECKPOINTS, help="folder of checkpoints"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
