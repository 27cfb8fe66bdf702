"""What a system finds and misses at every threshold of its malignant probability."""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.statistics.ratio import ratio
from core.statistics.shares import share_intervals

GRID = np.linspace(0, 1, 201)


def threshold_table(
    scores: np.ndarray, positive: np.ndarray, groups: np.ndarray, thresholds: np.ndarray = GRID
) -> pd.DataFrame:
    """One row a threshold: an image is called positive where its score is at least that.

    ``scores`` float (N,), ``positive`` bool (N,), ``groups`` (N,). Columns: threshold; tp, fp, fn,
    tn (images); sensitivity and specificity, each with the 95 % interval ``_low``, ``_high``
    (``share_intervals``); NaN where there are no images of that kind.
    """
    positive = np.asarray(positive, bool)
    called = np.asarray(scores, float) >= np.asarray(thresholds)[:, None]
    counts = {
        "tp": called & positive,
        "fp": called & ~positive,
        "fn": ~called & positive,
        "tn": ~called & ~positive,
    }
    table = pd.DataFrame(
        {"threshold": thresholds} | {name: cells.sum(axis=1) for name, cells in counts.items()}
    )
    for name, right, kind in (("sensitivity", "tp", positive), ("specificity", "tn", ~positive)):
        table[name] = ratio(table[right], kind.sum())
        table[f"{name}_low"], table[f"{name}_high"] = share_intervals(counts[right], kind, groups)
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
