"""Sets of classes that hold the true one for nine scans in ten: split conformal prediction.

A probability says which class is likelier; a set says which classes cannot be ruled out. The
threshold comes from validation images, which the weights have not seen (Vovk et al., Algorithmic
Learning in a Random World, 2005; Sadinle, Lei and Wasserman, JASA 114, 2019: least ambiguous sets).
The promise holds for scans that are drawn as the validation images were, on average over them, and
not for each class or hospital by itself; near-duplicates among them, and the temperature fitted on
the same images, make it hold a little less exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.checkpoints import Checkpoint
from core.evaluation.calibration import scaled

COVERAGE = 0.9


def conformal_threshold(
    probabilities: np.ndarray, labels: np.ndarray, coverage: float = COVERAGE
) -> float:
    """How improbable a class may be, as ``1 - probability``, and still be in the set; 0 to 1.

    ``probabilities`` (N, C) and class indices ``labels`` (N,) of images that were not trained on.
    It is the ``ceil((N + 1) coverage)``-th smallest of the N scores ``1 - p_true``: a new scan of
    their kind is then covered with a chance of at least ``coverage``. With too few images for
    that rank it is 1, and every class is in every set. Raises ValueError without images, or for
    a coverage that is not between 0 and 1.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"The coverage must lie between 0 and 1, not at {coverage:g}.")
    labels = np.asarray(labels, int)
    if not len(labels):
        raise ValueError("Prediction sets need validation images; there are none.")
    scores = np.sort(1 - np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels])
    # 10 * 0.9 is meant to be 9 exactly, whatever binary fractions make of it.
    rank = math.ceil((len(scores) + 1) * coverage - 1e-9)
    return float(scores[rank - 1]) if rank <= len(scores) else 1.0


def prediction_set(probabilities: np.ndarray, threshold: float) -> tuple[int, ...]:
    """Indices of the classes with ``1 - p <= threshold``, the likeliest first.

    ``probabilities`` (C,). The likeliest class is always among them, which can only add to the
    coverage: an empty set would say that no class fits, and that is the guard's to say.
    """
    probabilities = np.asarray(probabilities, np.float64)
    order = np.argsort(-probabilities, kind="stable")
    likely = [int(index) for index in order if 1 - probabilities[index] <= threshold]
    return tuple(likely or [int(order[0])])


@dataclass(frozen=True)
class Conformal:
    """The prediction sets of one system.

    ``coverage`` is the share of scans that was asked for, ``n`` the validation images that the
    ``threshold`` comes from. ``sentence`` says what a set means.
    """

    classes: tuple[str, ...]
    threshold: float
    coverage: float
    n: int

    def classes_in(self, probabilities: np.ndarray) -> tuple[str, ...]:
        """The classes that cannot be ruled out, the likeliest first; ``probabilities`` (C,) are
        calibrated, as ``Opinion.probabilities`` are. Raises ValueError for another number."""
        if np.shape(probabilities) != (len(self.classes),):
            raise ValueError(
                f"{len(self.classes)} probabilities are needed, one a class, not an array of "
                f"shape {np.shape(probabilities)}."
            )
        return tuple(self.classes[i] for i in prediction_set(probabilities, self.threshold))

    @property
    def informative(self) -> bool:
        """Whether there were enough validation images for a set to leave any class out."""
        return self.threshold < 1

    @property
    def sentence(self) -> str:
        """What a set of this system means, for the user."""
        asked = f"{100 * self.coverage:.0f} %"
        if not self.informative:
            return (
                f"{self.n} validation images are too few for sets that hold the true class in "
                f"{asked} of scans, so that no class is ever ruled out."
            )
        return (
            f"Such sets are made to hold the true class in {asked} of scans like the {self.n} "
            "validation images that they were fitted on, on average over all classes: of one class "
            "it may be less."
        )


def of_checkpoint(checkpoint: Checkpoint, coverage: float = COVERAGE) -> Conformal:
    """The sets of the shipped weights, from the validation rows of their run, calibrated with the
    checkpoint's temperature. Raises CheckpointError for a damaged file."""
    classes, rows = checkpoint.recipe.classes, checkpoint.shipped_run("validation")
    shares = scaled(rows, classes, checkpoint.temperature)[list(classes)].to_numpy()
    labels = rows["label"].map(list(classes).index).to_numpy()
    threshold = conformal_threshold(shares, labels, coverage)
    return Conformal(classes, threshold, coverage, len(rows))
