"""Division in which nothing divided by nothing is undefined, silently."""

from __future__ import annotations

import numpy as np


def ratio(part: np.ndarray, whole: np.ndarray, otherwise: float = np.nan) -> np.ndarray:
    """``part / whole``, and ``otherwise`` where ``whole`` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    result = np.full(part.shape, float(otherwise))
    return np.divide(part, whole, out=result, where=whole != 0)
