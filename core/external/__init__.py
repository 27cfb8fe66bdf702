"""How a trained system does on labelled images of one's own, which no paper's figure tells.

Nothing is fitted to them: weights, temperature, operating point and guard are those shipped.
``python -m core.external`` is the command.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.checkpoints import REMEMBERED, Checkpoint
from core.classifiers.base import Classifier
from core.datasets import DatasetError, read_mask, read_pixels
from core.datasets.audit import Audit, Progress, audit
from core.datasets.folder import groups_of
from core.datasets.patients import FILE
from core.evaluation import evaluate
from core.evaluation.neighbours import nearest
from core.evaluation.thresholds import threshold_table
from core.findings import NO_REGION
from core.guard import load_guard
from core.predict import BATCH, classify_frames
from core.recipe import Recipe
from core.statistics.shares import share_intervals
from core.wording import counted, in_percent

FAMILIAR = 0.999
"""Similarity of features from which an image is one that the system was trained on, or all but the
same. With the default system unseen images reach 0.995 (median 0.97). Of the near-duplicates of
training images, cropped or drawn on, among its published test images a third reach it."""
_GROUPED = (
    "Near-duplicates count as one group, over which the 95 % intervals are bootstrapped. Nothing "
    "is known of patients: with several images of one, the intervals are too narrow. A file "
    f"{FILE} beside the folders of the classes (columns image and patient) tells them."
)
_GROUPED_BY_PATIENT = (
    "Images of one patient, and near-duplicates, count as one group, over which the 95 % intervals "
    "are bootstrapped."
)
_AUDITED = 0.3  # of all the work, for the progress


@dataclass(frozen=True, eq=False)
class External:
    """What was found.

    ``answers`` has one row an image: image_id, label, group (relatives, as of the audit, are one),
    predicted, wrong, one column a class with its calibrated probability, guard (level), outlined
    (whether it was seen within its mask), similarity (to the nearest training image, in [-1, 1]).
    ``figures`` are as of ``evaluate``, of the calibrated probabilities (those of ``metrics.json``
    are of the others). ``point`` is the row of ``threshold_table`` at the system's
    operating point, None without malignant classes. ``unlike``: share of the images that the guard
    marks, with its 95 % interval. ``remembered``: how many training images the similarity was
    looked for among. ``left_out``: sentences.
    """

    answers: pd.DataFrame
    figures: dict
    point: pd.Series | None
    unlike: tuple[float, float, float]
    remembered: int
    left_out: tuple[str, ...]

    @property
    def mistakes(self) -> pd.DataFrame:
        """The rows of ``answers`` that are wrong."""
        return self.answers[self.answers["wrong"]]

    @property
    def familiar(self) -> int:
        """How many images the system was trained on, or on all but the same."""
        return int((self.answers["similarity"] >= FAMILIAR).sum())


def judge_own(
    checkpoint: Checkpoint,
    classifier: Classifier,
    table: pd.DataFrame,
    known: Audit | None = None,
    progress: Progress = lambda share: None,
) -> External:
    """Judge a system, whose classifier this is, on the images of a table, as of
    ``core.datasets.folder``.

    Labels are the system's classes, in upper or lower case; images of other classes, and those
    that cannot be read, are left out and told. ``known``: the audit of the table, if it was made
    before. Raises DatasetError if none remains.
    """
    mine, others = of_classes(table, checkpoint.recipe)
    done = 0.0 if known else _AUDITED
    known = known or audit(mine, read_pixels, lambda share: progress(done * share))
    readable = mine[mine["image_id"].isin(known.groups.index)]
    _, trained = checkpoint.training_images()
    answers, unread = _answers(
        checkpoint, classifier, trained, readable, lambda share: progress(done + (1 - done) * share)
    )
    if answers.empty:
        raise DatasetError("None of the images can be read. Save them as PNG and try again.")
    answers.insert(2, "group", answers["image_id"].map(known.relatives))
    unlike = (answers["guard"] != "like").to_numpy()
    low, high = share_intervals(unlike[None], np.ones_like(unlike), answers["group"].to_numpy())
    unreadable = {name: known.unreadable.get(name) for name in mine["image_id"]}
    problems = {name: why for name, why in unreadable.items() if why} | unread
    return External(
        answers,
        evaluate(answers, checkpoint.recipe.classes),
        _at_point(checkpoint, answers),
        (float(unlike.mean()), float(low[0]), float(high[0])),
        len(trained),
        (*others, *(f"{name}: {sentence}" for name, sentence in problems.items())),
    )


def grouped(table: pd.DataFrame) -> str:
    """What counts as one group of the images of a table, in sentences."""
    return _GROUPED_BY_PATIENT if groups_of(table) else _GROUPED


def told_unlike(found: External) -> str:
    """How many images the guard marks, a sentence."""
    share, low, high = (in_percent(one, 1) for one in found.unlike)
    return f"Unlike the training images, by the guard: {share} (95 % CI {low} to {high})."


def limits(found: External, recipe: Recipe) -> list[str]:
    """Why the figures mean little, in sentences; empty if nothing is known to be wrong."""
    told = []
    if found.familiar:
        told.append(
            f"The system was trained on {found.familiar:,} of these images, or on all but the same "
            f"(similarity of at least {FAMILIAR}). Take them out: nothing can be learned from "
            "figures with them. Of copies that were cropped, turned, sharpened or drawn on only a "
            "part is recognised: where some images are known, look for the others too."
        )
    if found.remembered >= REMEMBERED:
        told.append(
            f"Of the images that the system was trained on {found.remembered:,} are known here: "
            "others among these images are not recognised."
        )
    bare = int((~found.answers["outlined"]).sum())
    if recipe.preprocessing.outlined and bare:
        told.append(f"{counted(bare, 'image')} without a mask. {NO_REGION}")
    return told


def of_classes(table: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """The images of the system's classes, labelled as it names them; and what was left out.

    Raises DatasetError if there are none.
    """
    labels = table["label"].map(classes_named(table["label"].unique(), recipe))
    others = table.loc[labels.isna(), "label"].value_counts(sort=False)
    known = ", ".join(recipe.classes)
    if labels.isna().all():
        raise DatasetError(
            f"None of the folders is named after a class of {recipe.id} ({known}); there are "
            f"{', '.join(map(str, others.index))}. Rename them."
        )
    told = tuple(
        f"{counted(number, 'image')} of '{name}', which is no class of the system ({known})."
        for name, number in others.items()
    )
    return table.assign(label=labels)[labels.notna()], told


def classes_named(labels: Iterable[str], recipe: Recipe) -> dict[str, str]:
    """Label -> the class of the system that it names, in upper or lower case; without others."""
    names = {name.casefold(): name for name in recipe.classes}
    found = {label: names.get(label.strip().casefold()) for label in labels}
    return {label: name for label, name in found.items() if name}


def _answers(
    checkpoint: Checkpoint,
    classifier: Classifier,
    trained: np.ndarray,
    table: pd.DataFrame,
    progress: Progress,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Rows of ``External.answers`` but for the group, and why some images have none. ``trained``
    are the features of the training images."""
    guard, classes = load_guard(checkpoint), checkpoint.recipe.classes
    rows, unread = [], {}
    for first in range(0, len(table), BATCH):
        seen = {}
        for row in table[first : first + BATCH].itertuples(index=False):
            try:
                seen[row] = _picture(row, checkpoint.recipe)
            except DatasetError as error:
                unread[row.image_id] = str(error)
        if seen:
            shares, features = classify_frames(classifier, *zip(*seen.values(), strict=True))
            _, similarity = nearest(features.mean(axis=(1, 2)), trained, 1)
            for at, (row, (pixels, mask)) in enumerate(seen.items()):
                rows.append(
                    {
                        "image_id": row.image_id,
                        "label": row.label,
                        "predicted": (predicted := classes[shares[at].argmax()]),
                        "wrong": predicted != row.label,
                        **dict(zip(classes, map(float, shares[at]), strict=True)),
                        "guard": guard.judge(features[at], pixels).level,
                        "outlined": mask is not None,
                        "similarity": float(similarity[at, 0]),
                    }
                )
        progress(min(1.0, (first + BATCH) / len(table)))
    return pd.DataFrame(rows), unread


def _picture(row, recipe: Recipe) -> tuple[np.ndarray, np.ndarray | None]:
    """Pixels, and the lesion's mask if the system needs one and there is one. Raises
    DatasetError."""
    mask = read_mask(row) if recipe.preprocessing.outlined else None
    return read_pixels(row), mask if mask is not None and mask.any() else None


def _at_point(checkpoint: Checkpoint, answers: pd.DataFrame) -> pd.Series | None:
    point = checkpoint.shipped_figures["calibration"].get("operating_point")
    if point is None:
        return None
    malignant = list(checkpoint.recipe.malignant_classes)
    table = threshold_table(
        answers[malignant].sum(axis=1).to_numpy(),
        answers["label"].isin(malignant).to_numpy(),
        answers["group"].to_numpy(),
        np.array([point["threshold"]]),
    )
    return table.iloc[0]
