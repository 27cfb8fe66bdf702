"""Where a system is wrong: its test images as one table that can be sorted, filtered and exported.

Loss, confusions and their order follow fastai's ``Interpretation`` (Howard and Gugger, 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.evaluation.calibration import Fitted, apply_temperature
from core.evaluation.label_errors import KEPT_LABEL, likely_labels
from core.evaluation.sample import read_sample
from core.recipe import Recipe
from core.statistics.bootstrap import mean_interval


@dataclass(frozen=True, eq=False)
class Judged:
    """A run on its test images: ``table`` as of ``mistakes_table``; the share of wrong answers
    ``error`` with the bounds ``low`` and ``high`` of its 95 % interval, bootstrapped over groups.
    """

    table: pd.DataFrame
    fitted: Fitted
    n_groups: int
    error: float
    low: float
    high: float


def judge(
    run: pd.DataFrame, recipe: Recipe, fitted: Fitted, unpredicted: pd.DataFrame | None = None
) -> Judged:
    """The test images of a run. Raises EvaluationError if they cannot be judged."""
    table = mistakes_table(run, recipe.classes, fitted.temperature, unpredicted)
    wrong = table["wrong"].to_numpy(float)
    low, high = mean_interval(wrong, pd.factorize(table["group"], sort=True)[0])
    return Judged(table, fitted, table["group"].nunique(), float(wrong.mean()), low, high)


def mistakes_table(
    run: pd.DataFrame,
    classes: Sequence[str],
    temperature: float = 1.0,
    unpredicted: pd.DataFrame | None = None,
) -> pd.DataFrame:
    """One row a test image of a run, in the order of ``run``.

    ``run`` holds the predictions of every split of one protocol and seed, ``unpredicted`` the
    images that have none (``Checkpoint.unpredicted``). Probabilities are calibrated by
    ``temperature``, which changes no decision. Columns: image_id, label, group, then

    - ``predicted``: the likeliest class; ``wrong``: bool, whether it is not the label
    - ``confidence``: its probability; ``margin``: how far it is ahead of the second, both in [0, 1]
    - ``loss``: -ln of the probability of the label, in nats, at most 36
    - ``similarity``: as of ``Checkpoint.predictions``
    - ``group_size``: images of its group in the whole data set, of the classes alone;
      ``trained_relatives``: those of them that the system was trained on (0 under a grouped split)
    - ``other_labels``: ids of its images of these classes with another label, joined by "; "
    - ``likely_label``: the class that confident learning suggests instead of the label, or ""
    - one column a class: its probability

    Raises EvaluationError if the table cannot be judged.
    """
    classes = list(classes)
    test = run[run["split"] == "test"].reset_index(drop=True)
    truth = read_sample(test, classes).truth
    shares = apply_temperature(test[classes].to_numpy(float), temperature)
    two_best = np.sort(shares, axis=1)[:, -2:]
    predicted = shares.argmax(axis=1)
    of_label = shares[np.arange(len(test)), truth]
    return test[["image_id", "label", "group"]].assign(
        predicted=np.array(classes, dtype=object)[predicted],
        wrong=predicted != truth,
        confidence=two_best[:, 1],
        margin=two_best[:, 1] - two_best[:, 0],
        loss=-np.log(np.maximum(of_label, np.finfo(float).eps)),
        similarity=test.get("similarity", np.nan),
        **_relatives(run if unpredicted is None else pd.concat([run, unpredicted]), test),
        likely_label=[
            "" if code == KEPT_LABEL else classes[code] for code in likely_labels(shares, truth)
        ],
        **dict(zip(classes, shares.T, strict=True)),
    )


def most_confused(table: pd.DataFrame) -> pd.DataFrame:
    """Pairs of label and wrong prediction: label, predicted, count, share of the label's images.

    The commonest first, then the larger share.
    """
    totals = table["label"].value_counts()
    pairs = table[table["wrong"]].groupby(["label", "predicted"]).size().rename("count")
    pairs = pairs.reset_index()
    pairs["share"] = pairs["count"] / totals.reindex(pairs["label"]).to_numpy()
    return pairs.sort_values(["count", "share"], ascending=False, ignore_index=True)


def confusion_counts(table: pd.DataFrame, classes: Sequence[str]) -> np.ndarray:
    """Confusion matrix of the table, int (C, C), rows true, columns predicted."""
    counts = pd.crosstab(table["label"], table["predicted"])
    return counts.reindex(index=classes, columns=classes, fill_value=0).to_numpy(int)


def _relatives(run: pd.DataFrame, test: pd.DataFrame) -> dict[str, list]:
    """``run`` holds all images of the groups of ``test``, and others."""
    by_group = dict(list(run[run["group"].isin(test["group"])].groupby("group")))
    related = [by_group[name] for name in test["group"]]
    return {
        "group_size": [len(rows) for rows in related],
        "trained_relatives": [int((rows["split"] == "train").sum()) for rows in related],
        "other_labels": [
            "; ".join(rows["image_id"][rows["label"] != label])
            for rows, label in zip(related, test["label"], strict=True)
        ],
    }
