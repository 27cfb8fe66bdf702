"""What the prediction sets of the systems are worth, as a part of the page docs/results.md."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint
from core.conformal import COVERAGE, Conformal, of_checkpoint
from core.evaluation.calibration import scaled
from core.markdown import markdown_table
from core.statistics.bootstrap import mean_interval
from core.wording import in_percent, usable

_READING = (
    f"Sets of classes that are to hold the true one in {in_percent(COVERAGE)} of scans: split "
    "conformal prediction (least ambiguous sets; Sadinle et al., 2019) on calibrated "
    "probabilities, the threshold from validation images of the shipped run, judged on its test "
    "images. Intervals are bootstrapped over groups. The promise is an average over scans drawn "
    "alike; validation and test groups differ, and both are few, so that a test coverage within a "
    "few points of "
    f"{in_percent(COVERAGE)} is what can be expected."
)


@dataclass(frozen=True)
class SetFigures:
    """Of N test images in G groups: the share whose set holds the true class, with its interval,
    the mean number of classes in a set, the share of sets of one class, and the coverage by class
    (name, share, images)."""

    n: int
    n_groups: int
    coverage: tuple[float, float, float]
    size: float
    single: float
    by_class: tuple[tuple[str, float, int], ...]


def judge(sets: Conformal, test: pd.DataFrame) -> SetFigures:
    """``test`` has one row an image: label, group and the calibrated probability of each class."""
    named = [sets.classes_in(row) for row in test[list(sets.classes)].to_numpy()]
    held = np.array([label in one for label, one in zip(test["label"], named, strict=True)])
    sizes = np.array([len(one) for one in named])
    groups = pd.factorize(test["group"], sort=True)[0]
    labels = test["label"].to_numpy()
    return SetFigures(
        n=len(test),
        n_groups=len(np.unique(groups)),
        coverage=(float(held.mean()), *map(float, mean_interval(held, groups))),
        size=float(sizes.mean()),
        single=float((sizes == 1).mean()),
        by_class=tuple(
            (name, float(held[labels == name].mean()), int((labels == name).sum()))
            for name in sets.classes
            if (labels == name).any()
        ),
    )


def judged(checkpoint: Checkpoint) -> tuple[Conformal, SetFigures]:
    """The sets of a system and what they do on the test images of its shipped run."""
    sets, test = of_checkpoint(checkpoint), checkpoint.shipped_run("test")
    return sets, judge(sets, scaled(test, sets.classes, checkpoint.temperature))


def section(checkpoints: Iterable[Checkpoint]) -> str:
    """Markdown on the systems; "" if there are none."""
    lines = [_line(checkpoint) for checkpoint in checkpoints]
    if not lines:
        return ""
    heads = [
        "System", "Validation images", "Test images (groups)", "Coverage ↑", "By class",
        "Classes a set ↓", "Sets of one class ↑",
    ]  # fmt: skip
    return f"## Prediction sets\n\n{_READING}\n\n{markdown_table(heads, lines)}\n"


def _line(checkpoint: Checkpoint) -> list[str]:
    sets, found = judged(checkpoint)
    value, low, high = found.coverage
    few = "" if sets.informative else ": too few, every set holds all classes"
    return [
        f"`{checkpoint.recipe.id}`",
        f"{sets.n}{few}",
        f"{found.n} ({found.n_groups})",
        f"{value:.3f} ({usable(low, high, f'{low:.3f} to {high:.3f}')})",
        ", ".join(f"{name} {share:.3f} (n {n})" for name, share, n in found.by_class),
        f"{found.size:.2f} of {len(sets.classes)}",
        f"{in_percent(found.single)}",
    ]
