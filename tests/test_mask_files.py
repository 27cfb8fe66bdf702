"""Masks beside scans: which file is whose mask, and what they outline together."""

from __future__ import annotations

import numpy as np
import pytest

from core.mask_files import masks_beside, outline_in
from core.scans import ScanError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["benign (1).png", "benign (1)_mask.png", "benign (1)_mask_1.png"], {0: [1, 2]}),
        (["1_mask.png", "1.dcm", "2.png"], {1: [0]}),
        (["x/1.png", "y/1_mask.png", "1_mask.png"], {}),
        (["1.PNG", "1_MASK.tif"], {0: [1]}),
        (["v.nii.gz", "v_mask.nii.gz"], {0: [1]}),
        (["1.png", "1.tif", "1_mask.png"], {0: [2], 1: [2]}),
        (["1_mask.png", "1_mask_2.png"], {}),
        (["1.png", "1_masked.png", "1_mask_a.png", "mask.png", "_mask.png"], {}),
        (["a.b/1", "a.b/1_mask", "a.b"], {0: [1]}),
    ],
)
def test_a_mask_is_told_by_its_name_and_its_folder(names, expected):
    assert masks_beside(names) == expected


def grey(values: list[list[int]]) -> np.ndarray:
    return np.repeat(np.array(values, np.uint8)[..., None], 3, axis=-1)


def test_what_is_bright_in_any_mask_is_outlined():
    parts = [grey([[127, 128, 0]]), grey([[0, 0, 255]])]
    assert outline_in(parts, (1, 3)).tolist() == [[False, True, True]]
    assert not outline_in([], (1, 3)).any()


def test_a_mask_of_another_size_gets_its_sentence():
    with pytest.raises(ScanError, match="The mask is 3 x 1 pixels .* the scan 5 x 4"):
        outline_in([grey([[0, 0, 0]])], (4, 5))
