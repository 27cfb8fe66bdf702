"""Figures from the order of the probabilities: each class against the rest, and their means."""

from __future__ import annotations

import numpy as np

from core.evaluation.sample import Sample
from core.statistics.areas import areas


def ranking_figures(weights: np.ndarray, sample: Sample) -> dict[str, np.ndarray]:
    """``auc_<class>``, ``pr_auc_<class>`` and their unweighted means ``macro_``, (R,) each.

    ``auc``: the chance that an image of the class scores higher than one of another class, half
    for ties (area under the ROC curve). ``pr_auc``: average precision, the sum of precision times
    gained recall over the thresholds, without interpolation. Both as scikit-learn defines them.
    """
    curves = [
        areas(weights, sample.truth == index, sample.probabilities[:, index])
        for index in range(len(sample.classes))
    ]
    figures = {}
    for name, values in zip(("auc", "pr_auc"), zip(*curves, strict=True), strict=True):
        figures[f"macro_{name}"] = np.mean(values, axis=0)
        named = zip(sample.classes, values, strict=True)
        figures |= {f"{name}_{label}": value for label, value in named}
    return figures
