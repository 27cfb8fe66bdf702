"""The training images that a system finds most like a given one: what it was thinking of."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint
from core.evaluation.sample import EvaluationError


def training_images(checkpoint: Checkpoint) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the predictions that the shipped weights were trained on, and their features.

    The features, float32 (N, K), are pooled over the picture, in the order of the rows. Raises
    EvaluationError if the two do not belong together, CheckpointError for a damaged file.
    """
    rows = checkpoint.shipped_run("train")
    guard = checkpoint.guard()
    codes = pd.Index(checkpoint.recipe.classes).get_indexer(rows["label"])
    if not np.array_equal(codes, guard["labels"]):
        raise EvaluationError(
            f"The guard features of {checkpoint.recipe.id} are not those of its training images. "
            "Train the system again."
        )
    return rows, guard["features"].astype(np.float32)


def nearest(queries: np.ndarray, features: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` most similar of N features for each of Q queries, the most similar first.

    ``queries`` (Q, K), ``features`` (N, K). Returns their indices, int (Q, count), and their cosine
    similarity, float32 (Q, count), in [-1, 1].
    """
    similarity = _unit(queries) @ _unit(features).T
    order = np.argsort(-similarity, axis=1, kind="stable")[:, :count]
    return order, np.take_along_axis(similarity, order, axis=1)


def similarities(features: np.ndarray, split: np.ndarray) -> np.ndarray:
    """Cosine similarity of each test image to the training image most like it, float32 (N,).

    ``features`` (N, K) and ``split`` (N,) are those of all images; the others' is NaN.
    """
    found = np.full(len(features), np.nan, np.float32)
    test = split == "test"
    found[test] = nearest(features[test], features[split == "train"], 1)[1][:, 0]
    return found


def _unit(rows: np.ndarray) -> np.ndarray:
    rows = np.asarray(rows, np.float32)
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
