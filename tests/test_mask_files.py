"""Masks beside scans: which file is whose mask, and what they outline together."""

from __future__ import annotations

import numpy as np
import pytest

from core.mask_files import inside, masks_beside, outline_in
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
        (["1.2.5", "1.2.6", "masks/1.2.5", "masks/1.2.6"], {0: [2], 1: [3]}),
        (["1.2.5", "1.2.5_mask.png", "1.2.6.dcm", "masks/1.2.6.png"], {0: [1], 2: [3]}),
        (["1.2.5", "1.2.6", "1.2.5_mask", "1.2.6_mask_1"], {0: [2], 1: [3]}),
        (["scan.001", "scan_mask.png", "IM.1", "masks/IM.png"], {0: [1], 2: [3]}),
        (["L\u00e4sion.png", "La\u0308sion_mask.png"], {0: [1]}),
    ],
)
def test_a_mask_is_told_by_its_name_and_its_folder(names, expected):
    assert masks_beside(names) == expected


def grey(*frames: list[list[int]]) -> np.ndarray:
    return np.repeat(np.array(frames, np.uint8)[..., None], 3, axis=-1)


def test_what_is_bright_in_any_mask_is_outlined():
    parts = [grey([[127, 128, 0]]), grey([[0, 0, 255]])]
    assert outline_in(parts, (1, 1, 3)).tolist() == [[False, True, True]]
    assert not outline_in([], (1, 1, 3)).any()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 1, 1], [False, True, True]),
        ([0, 255, 0], [False, True, False]),
        ([200, 255, 200], [False, True, False]),
        ([0, 127, 129], [False, False, True]),
        ([0, 0, 0], [False, False, False]),
        ([255, 255, 255], [True, True, True]),
    ],
)
def test_of_two_values_the_larger_is_inside_and_of_more_what_is_bright(values, expected):
    assert inside(grey([values]))[0, 0].tolist() == expected
    coloured = np.array([values], np.uint8)[..., None] * np.array([0, 1, 0], np.uint8)
    assert inside(coloured)[0].tolist() == expected


def test_a_mask_of_as_many_frames_goes_frame_by_frame_and_one_of_one_for_all():
    volume = grey([[0, 0]], [[0, 1]], [[1, 1]])
    found = [outline_in([volume], (3, 1, 2), frame)[0].tolist() for frame in range(3)]
    assert found == [[False, False], [False, True], [True, True]]
    assert outline_in([volume, grey([[255, 0]])], (3, 1, 2), 0).tolist() == [[True, False]]


@pytest.mark.parametrize(
    ("mask", "shape", "sentence"),
    [
        (grey([[0, 0, 0]]), (1, 4, 5), "The mask is 3 x 1 pixels .* the scan 5 x 4"),
        (grey([[0]], [[1]]), (3, 1, 1), "The mask has 2 frames, the scan 3 frames"),
        (grey([[0]], [[1]]), (1, 1, 1), "The mask has 2 frames, the scan 1 frame"),
        (grey([[0, 1, 2]]), (1, 1, 3), "Nothing in the mask is bright"),
    ],
)
def test_a_mask_that_is_of_no_use_gets_its_sentence(mask, shape, sentence):
    with pytest.raises(ScanError, match=sentence):
        outline_in([mask], shape)
