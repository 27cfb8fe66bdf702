"""The images a system is judged on: a checked table as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core.refusal import Refusal

SUM_TOLERANCE = 1e-4  # of float32 softmax outputs, generously
_ONE_RUN = ("protocol", "seed", "split")


class EvaluationError(Refusal):
    """Predictions that cannot be judged; the text is a sentence that says why."""


@dataclass(frozen=True, eq=False)
class Sample:
    """N images of C classes: class indices (N,), probabilities float64 (N, C), groups int (N,)."""

    classes: tuple[str, ...]
    truth: np.ndarray
    probabilities: np.ndarray
    groups: np.ndarray

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.truth)

    @property
    def predicted(self) -> np.ndarray:
        """Index of the likeliest class (N,); in a tie the first of them."""
        return self.probabilities.argmax(axis=1)

    @property
    def onehot(self) -> np.ndarray:
        """The truth as probabilities (N, C)."""
        return np.eye(len(self.classes))[self.truth]


def read_sample(predictions: pd.DataFrame, classes: Sequence[str]) -> Sample:
    """Check a table of predictions. Raises EvaluationError with a sentence."""
    classes = tuple(classes)
    _check_table(predictions, classes)
    probabilities = _probabilities(predictions, classes)
    truth = pd.Index(classes).get_indexer(predictions["label"])
    if (truth < 0).any():
        unknown = sorted({str(label) for label in predictions["label"][truth < 0]})
        raise EvaluationError(
            f"The labels {_some(unknown)} are not among the classes {_some(classes)}."
        )
    # Groups are numbered by name, so that the order of the rows does not matter.
    groups = pd.factorize(predictions["group"], sort=True)[0]
    if (groups < 0).any():
        raise EvaluationError(f"{(groups < 0).sum()} rows have no group.")
    return Sample(classes, truth, probabilities, groups)


def _check_table(predictions: pd.DataFrame, classes: tuple[str, ...]) -> None:
    if len(classes) < 2 or len(set(classes)) < len(classes):
        raise EvaluationError(f"At least two different classes are needed, not {classes}.")
    missing = [name for name in ("label", "group", *classes) if name not in predictions]
    if missing:
        raise EvaluationError(f"The predictions lack the columns {_some(missing)}.")
    if predictions.empty:
        raise EvaluationError("There are no predictions to judge: the table has no rows.")
    for name in _ONE_RUN:
        if name in predictions and predictions[name].nunique() > 1:
            found = sorted(predictions[name].unique())
            raise EvaluationError(
                f"The predictions mix several runs: column {name} holds {_some(found)}. "
                "Select one protocol, one seed and one split."
            )


def _probabilities(predictions: pd.DataFrame, classes: tuple[str, ...]) -> np.ndarray:
    try:
        values = predictions[list(classes)].to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise EvaluationError("The class columns must hold numbers.") from error
    if not (np.isfinite(values).all() and (values >= 0).all() and (values <= 1).all()):
        raise EvaluationError("Probabilities must be numbers from 0 to 1.")
    sums = values.sum(axis=1)
    wrong = np.abs(sums - 1) > SUM_TOLERANCE
    if wrong.any():
        raise EvaluationError(
            f"In {wrong.sum()} rows the probabilities do not sum to 1; the first sum is "
            f"{sums[wrong][0]:.4f}. Are these logits, or is a class missing?"
        )
    return values


def _some(names: Sequence) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more"
