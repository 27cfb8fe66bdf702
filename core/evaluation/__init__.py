"""How good a system is, from its predictions alone, and how sure one can be of that.

``evaluate`` gives every figure with a 95 % interval. The figures themselves are defined in
``classification`` (from the confusion matrix), ``ranking`` (ROC and precision-recall) and
``errors`` (from the probabilities); the intervals in ``bootstrap``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from core.evaluation.classification import classification_figures, confusion
from core.evaluation.errors import error_figures
from core.evaluation.ranking import ranking_figures
from core.evaluation.sample import EvaluationError, Sample, read_sample
from core.statistics.bootstrap import interval, resample_weights

__all__ = ["EvaluationError", "evaluate"]


def evaluate(
    predictions: pd.DataFrame, classes: Sequence[str], resamples: int = 1000, seed: int = 0
) -> dict:
    """Figures of one run on its test images, as one entry of ``metrics.json``.

    ``predictions`` has one row an image: ``label``, ``group``, and one column a class with its
    probability; ``classes`` are in the recipe's order. The predicted class is the likeliest one,
    the first of them in a tie. The result holds

    - ``n`` images and ``n_groups`` groups
    - ``confusion``: counts, rows true, columns predicted, in the order of ``classes``
    - ``values``: metric -> ``value``, ``low``, ``high``, the last two the bounds of the 95 %
      percentile interval over ``resamples`` bootstrap samples of groups. A figure that is not
      defined (the ROC-AUC of a class without images) is None; samples in which it is not
      defined do not count for its interval.

    The same arguments give the same result, in whatever order the rows stand. Raises
    EvaluationError if the table cannot be judged.
    """
    if resamples < 1:
        raise EvaluationError(f"The bootstrap needs at least 1 resample, not {resamples}.")
    sample = read_sample(predictions, classes)
    whole = np.ones((1, sample.n))
    point = _figures(sample, whole)
    parts = [_figures(sample, w) for w in resample_weights(sample.groups, resamples, seed)]
    return {
        "n": sample.n,
        "n_groups": len(np.unique(sample.groups)),
        "confusion": confusion(whole, sample)[0].astype(int).tolist(),
        "values": {
            name: _entry(value[0], np.concatenate([part[name] for part in parts]))
            for name, value in point.items()
        },
    }


def _figures(sample: Sample, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Every figure (R,) for R weightings (R, N) of the images."""
    return {
        **classification_figures(confusion(weights, sample), sample.classes),
        **ranking_figures(weights, sample),
        **error_figures(weights, sample),
    }


def _entry(value: float, resampled: np.ndarray) -> dict[str, float | None]:
    low, high = interval(resampled)
    bounds = {"value": value, "low": low, "high": high}
    return {key: float(x) if np.isfinite(x) else None for key, x in bounds.items()}
