"""The interval of a share that was counted: good for few images, and for none or all of them."""

from __future__ import annotations

import numpy as np
from scipy.stats import norm

from core.statistics.bootstrap import LEVEL
from core.statistics.ratio import ratio


def wilson(part: np.ndarray, whole: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Bounds of the 95 % score interval of ``part / whole`` (Wilson, 1927); NaN where whole is 0.

    It takes trials as independent: where groups hold several images, the groups are the trials.
    """
    z = norm.ppf((1 + LEVEL) / 2)
    whole = np.asarray(whole, float)
    share = ratio(part, whole)
    spread = z * np.sqrt(share * (1 - share) * whole + z**2 / 4)
    centre = share * whole + z**2 / 2
    low, high = ((centre + sign * spread) / (whole + z**2) for sign in (-1, 1))
    return np.maximum(low, 0.0), np.minimum(high, 1.0)
