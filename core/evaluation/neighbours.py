"""The training images that a system finds most like a given one: what it was thinking of."""

from __future__ import annotations

import numpy as np

from core.statistics.cosine import unit_rows


def nearest(queries: np.ndarray, features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` most similar of N features for each of Q queries, the most similar first.

    ``queries`` (Q, K), ``features`` (N, K). Returns their indices, int (Q, count), and their cosine
    similarity, float32 (Q, count), in [-1, 1].
    """
    similarity = unit_rows(queries) @ unit_rows(features).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(similarity, order, axis=1)


def similarities(features: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Cosine similarity of each test image to the most similar of the training images given,
    float32 (N,).

    ``features`` (N, K) and ``split`` (N,) are those of all images; the others' is NaN.
    """
    found = np.full(len(features), np.nan, np.float32)
    test = split == "test"
    found[test] = nearest(features[test], features[split == "train"], 1)[1][:, 0]
    return found
