"""Is one system better than another, judged on the same images?

McNemar's and DeLong's tests take images to be independent. Images of one patient, or
near-duplicates, are not, and make both p values too small; ``differences`` draws whole groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.stats import binomtest, norm, rankdata

from core.evaluation.classification import classification_figures, confusion
from core.evaluation.ranking import ranking_figures
from core.evaluation.sample import EvaluationError, Sample, read_sample
from core.statistics.bootstrap import LEVEL, interval, resample_weights

_KEY = ["image_id", "label"]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two systems on the same N images, in the same order and the same groups."""

    first: Sample
    second: Sample

    @property
    def n(self) -> int:
        """Number of images."""
        return self.first.n

    @property
    def n_groups(self) -> int:
        """Number of groups."""
        return len(np.unique(self.first.groups))

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """Classes that both systems know and that some of the images are of, but not all."""
        shared = [name for name in self.first.classes if name in self.second.classes]
        counts = [(self.first.truth == self.first.classes.index(name)).sum() for name in shared]
        return tuple(name for name, count in zip(shared, counts, strict=True) if 0 < count < self.n)


@dataclass(frozen=True)
class McNemar:
    """How often both, one or none was right, and the p value of "both err as often"."""

    both_right: int
    only_first: int
    only_second: int
    both_wrong: int
    p: float


@dataclass(frozen=True)
class Difference:
    """A figure of the first and the second system, and first minus second with its interval."""

    first: float
    second: float
    low: float
    high: float

    @property
    def value(self) -> float:
        """First minus second."""
        return self.first - self.second


@dataclass(frozen=True)
class DeLong(Difference):
    """Two ROC-AUCs; ``p`` of "they are the same", None if the test has no answer."""

    p: float | None


def pair(
    first: pd.DataFrame,
    second: pd.DataFrame,
    first_classes: tuple[str, ...],
    second_classes: tuple[str, ...],
) -> Pair:
    """The images that both systems were tested on under the same label.

    Tables as for ``evaluate``, one run each, of the same data set, with ``image_id``. Raises
    EvaluationError if they share no image.
    """
    first, second = first.set_index(_KEY), second.set_index(_KEY)
    shared = first.index.intersection(second.index)
    if shared.empty:
        raise EvaluationError("The two systems have no test image in common.")
    first, second = first.loc[shared].reset_index(), second.loc[shared].reset_index()
    second["group"] = first["group"]
    return Pair(read_sample(first, first_classes), read_sample(second, second_classes))


def mcnemar(both: Pair) -> McNemar:
    """McNemar's exact test (1947): of the images that only one system gets right, is it a coin's
    toss which one? Two-sided; p is 1 where the two never differ."""
    first, second = (one.predicted == one.truth for one in (both.first, both.second))
    only_first, only_second = int((first & ~second).sum()), int((~first & second).sum())
    differing = only_first + only_second
    p = binomtest(only_first, differing).pvalue if differing else 1.0
    return McNemar(
        int((first & second).sum()), only_first, only_second, int((~first & ~second).sum()), p
    )


def delong(both: Pair, label: str) -> DeLong:
    """DeLong's test of two correlated ROC-AUCs of ``label`` against the rest, two-sided.

    DeLong, DeLong and Clarke-Pearson (Biometrics 1988), by the ranks of Sun and Xu (IEEE Signal
    Processing Letters 2014, algorithm 2). The interval is that of the normal approximation. Raises
    EvaluationError with fewer than two images of the class, or of the rest.
    """
    positive = both.first.truth == both.first.classes.index(label)
    if min(positive.sum(), (~positive).sum()) < 2:
        raise EvaluationError(
            f"DeLong's test needs two images of '{label}' and two of another class."
        )
    scores = np.stack(
        [one.probabilities[:, one.classes.index(label)] for one in (both.first, both.second)]
    )
    areas, covariance = _delong_covariance(scores, positive)
    difference = float(areas[0] - areas[1])
    error = float(np.sqrt(max(np.array([1, -1]) @ covariance @ np.array([1, -1]), 0)))
    half = float(norm.ppf((1 + LEVEL) / 2)) * error
    return DeLong(
        *areas.tolist(), difference - half, difference + half, _two_sided(difference, error)
    )


def differences(both: Pair, resamples: int = 1000, seed: int = 0) -> dict[str, Difference]:
    """``accuracy``, and ``auc_<class>`` of each of ``both.labels``, of both systems.

    The bounds are those of the bootstrapped 95 % interval: groups are drawn, the same for both.
    """
    names = ["accuracy", *(f"auc_{label}" for label in both.labels)]
    whole = np.ones((1, both.n))
    first, second = (_figures(one, whole) for one in (both.first, both.second))
    drawn = [
        (_figures(both.first, weights), _figures(both.second, weights))
        for weights in resample_weights(both.first.groups, resamples, seed)
    ]
    found = {}
    for name in names:
        gaps = np.concatenate([one[name] - other[name] for one, other in drawn])
        values = first[name][0], second[name][0], *interval(gaps)
        found[name] = Difference(*map(float, values))
    return found


def _figures(sample: Sample, weights: np.ndarray) -> dict[str, np.ndarray]:
    matrices = confusion(weights, sample)
    return classification_figures(matrices, sample.classes) | ranking_figures(weights, sample)


def _delong_covariance(scores: np.ndarray, positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """AUCs (S,) of scores (S, N) and their covariance (S, S)."""
    hits, rest = scores[:, positive], scores[:, ~positive]
    m, n = hits.shape[1], rest.shape[1]
    ranks = rankdata(np.hstack([hits, rest]), axis=1)
    beaten = (ranks[:, :m] - rankdata(hits, axis=1)) / n  # share of the rest below each positive
    beating = 1 - (ranks[:, m:] - rankdata(rest, axis=1)) / m  # of the positives above each rest
    return beaten.mean(axis=1), np.cov(beaten) / m + np.cov(beating) / n


def _two_sided(difference: float, error: float) -> float | None:
    if error < 1e-12:
        return 1.0 if abs(difference) < 1e-12 else None
    return float(2 * norm.sf(abs(difference) / error))
