"""Arrays of a network: how many numbers were learned, and what is kept of them on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

_NOT_LEARNED = ("moving_mean", "moving_variance", "running_mean", "running_var")


def learned(shapes: Mapping[str, Sequence[int]]) -> int:
    """How many parameters of a network were learned, of the shapes of its arrays. Running means and
    variances of batch normalisation are not learned and do not count."""
    return sum(math.prod(s) for name, s in shapes.items() if not name.endswith(_NOT_LEARNED))


def shrink(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Kernels as float16 of 9 significant bits, which still compress; vectors (biases, batch norms,
    whose variances may exceed its range) stay float32. Raises ValueError if a kernel overflows."""
    with np.errstate(over="ignore"):  # found just below
        small = {n: _rounded(a.astype(np.float16)) if a.ndim > 1 else a for n, a in arrays.items()}
    lost = [name for name, a in small.items() if not np.isfinite(a).all()]
    if lost:
        raise ValueError(f"The weights {lost[:3]} do not fit into float16.")
    return small


def _rounded(kernel: np.ndarray) -> np.ndarray:
    """Float16 with the last 2 of its 11 significant bits rounded away."""
    bits = kernel.view(np.uint16)
    return ((bits + np.uint16(2)) & np.uint16(0xFFFC)).view(np.float16)
