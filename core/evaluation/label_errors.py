"""Labels that are probably wrong, by confident learning.

Northcutt, Jiang, Chuang: Confident Learning: Estimating Uncertainty in Dataset Labels, JAIR 70
(2021) 1373-1411.
"""

from __future__ import annotations

import numpy as np

KEPT_LABEL = -1


def likely_labels(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The class that an image more likely is, int (N,), or KEPT_LABEL where its label stands.

    ``probabilities`` float (N, C) of images that the system was not trained on, ``labels`` int
    (N,). An image is counted off the diagonal of the confident joint (equation 1 of the paper) if
    the probability of another class reaches that class's threshold, the mean probability among the
    images so labelled; of several such classes the likeliest counts. As in the authors' own
    implementation, the label also stands where it is the likeliest class after all. A class without
    images has no threshold and is never suggested.
    """
    probabilities, labels = np.asarray(probabilities, float), np.asarray(labels, int)
    thresholds = _self_confidence(probabilities, labels)
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested = confident.argmax(axis=1)
    other = (confident.max(axis=1) >= 0) & (suggested != labels)
    rows = np.arange(len(labels))
    outdone = probabilities.max(axis=1) > probabilities[rows, labels]
    return np.where(other & outdone, suggested, KEPT_LABEL)


def _self_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Mean probability of each class among the images that carry its label (C,)."""
    own = np.eye(probabilities.shape[1], dtype=bool)[labels]
    counts = own.sum(axis=0)
    sums = np.where(own, probabilities, 0.0).sum(axis=0)
    return np.divide(sums, counts, out=np.full(len(counts), np.inf), where=counts > 0)
