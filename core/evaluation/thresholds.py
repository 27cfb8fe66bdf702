"""What a system finds and misses at every threshold of its malignant probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.statistics.ratio import ratio
from core.statistics.wilson import wilson

GRID = np.linspace(0, 1, 201)


def threshold_table(
    scores: np.ndarray, positive: np.ndarray, thresholds: np.ndarray = GRID
) -> pd.DataFrame:
    """One row a threshold: an image is called positive where its score is at least that.

    ``scores`` float (N,), ``positive`` bool (N,). Columns: threshold; tp, fp, fn, tn (images);
    sensitivity and specificity, each with the 95 % interval ``_low``, ``_high`` (Wilson); NaN where
    there are no images of that kind.
    """
    scores, positive = np.asarray(scores, float), np.asarray(positive, bool)
    found, alarms = (_at_least(scores[kind], thresholds) for kind in (positive, ~positive))
    sick, well = int(positive.sum()), int((~positive).sum())
    table = pd.DataFrame(
        {
            "threshold": thresholds,
            "tp": found,
            "fp": alarms,
            "fn": sick - found,
            "tn": well - alarms,
        }
    )
    for name, part, whole in (("sensitivity", found, sick), ("specificity", well - alarms, well)):
        table[name] = ratio(part, whole)
        table[f"{name}_low"], table[f"{name}_high"] = wilson(part, np.full(len(part), whole))
    return table


def predictive_values(
    sensitivity: float, specificity: float, prevalence: float
) -> tuple[float, float]:
    """Positive and negative predictive value by Bayes' theorem; NaN if nobody is called so.

    All three arguments are shares in [0, 1]. Both results rise with sensitivity and with
    specificity, so that the bounds of the two give bounds, on the careful side, of each value.
    """
    sick, well = prevalence, 1 - prevalence
    ppv = ratio(sick * sensitivity, sick * sensitivity + well * (1 - specificity))
    npv = ratio(well * specificity, well * specificity + sick * (1 - sensitivity))
    return float(ppv), float(npv)


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """How many scores reach each threshold."""
    return len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
