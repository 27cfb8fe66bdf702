"""What is kept of a network's arrays."""

from __future__ import annotations

import numpy as np
import pytest

from core.weights import shrink


def test_shrink_keeps_vectors_and_refuses_overflow():
    arrays = {"kernel": np.full((2, 2), 1 / 3, np.float32), "variance": np.array([1e6], np.float32)}
    small = shrink(arrays)
    assert small["kernel"].dtype == np.float16
    assert small["variance"].dtype == np.float32
    assert small["variance"][0] == 1e6
    with pytest.raises(ValueError, match="wide"):
        shrink({"wide": np.full((1, 1), 1e6, np.float32)})


def test_kernels_keep_nine_significant_bits():
    # Of the nine, 1 is the first and 2^-8 the last; half of that is rounded up.
    kernel = np.array([[1 + 2**-8, 1 + 2**-9, 1 + 2**-10]], np.float32)
    assert shrink({"kernel": kernel})["kernel"].tolist() == [[1 + 2**-8, 1 + 2**-8, 1]]
