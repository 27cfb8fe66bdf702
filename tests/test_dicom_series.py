"""Slices of one series: which belong together, in which order, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
from dicoms import NOISE, dicom, slices

from core.dicom.series import group_slices, read_series, slice_of
from core.scans import ScanError


def grouped(files: list[bytes]) -> list[list[int]]:
    return group_slices([slice_of(data) for data in files])


def test_slices_are_sorted_by_position_and_others_stay_alone():
    first, second = slices(5), slices(3)  # 0 2 4 1 3, and 0 2 1
    files = [first[0], dicom(NOISE), *first[1:], *second, b"no image"]
    groups = grouped(files)
    assert groups == [[0, 4, 2, 5, 3], [1], [6, 8, 7], [9]]
    scan = read_series([files[index] for index in groups[0]])
    assert scan.grey.values[:, 0, 0].tolist() == [0, 1, 2, 3, 4]
    assert scan.pixels.shape == (5, 4, 5, 3)
    assert scan.modality == "MR"
    # One window for all, from 0 to 4: each slice by itself is of one value, and would be black.
    assert scan.pixels[:, 0, 0, 0].tolist() == [0, 64, 128, 191, 255]


def test_slices_without_preamble_go_together():
    assert grouped([one[132:] for one in slices(5)]) == [[0, 3, 1, 4, 2]]


def test_the_position_is_measured_along_the_volume():
    # Sagittal slices: rows run to the back, columns downwards; their cross product points left
    # to right along -x, so that the slices come from larger x to smaller.
    def at(x: float) -> bytes:
        return dicom(
            NOISE,
            SeriesInstanceUID="1.2.3",
            ImageOrientationPatient=[0, 1, 0, 0, 0, -1],
            ImagePositionPatient=[x, 99 - x, 7],
        )

    assert grouped([at(3), at(1), at(2)]) == [[0, 2, 1]]


def test_other_sizes_and_echoes_are_other_volumes():
    files = [*slices(2), *slices(2, SeriesInstanceUID="1.2.3", EchoNumbers=1)]
    files += slices(2, SeriesInstanceUID="1.2.3", EchoNumbers=2)
    assert grouped(files) == [[0, 1], [2, 3], [4, 5]]


def test_two_slices_of_one_place_keep_the_order_of_their_numbers():
    files = [
        dicom(
            NOISE,
            SeriesInstanceUID="1.2.3",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, 0],
            InstanceNumber=number,
        )
        for number in (2, 1)
    ]
    assert grouped(files) == [[1, 0]]


def test_files_that_do_not_go_together_are_refused():
    with pytest.raises(ScanError, match="differ in size"):
        read_series([dicom(NOISE), dicom(NOISE[:5])])
    with pytest.raises(ScanError, match="damaged|cut short"):
        read_series([dicom(NOISE), dicom(NOISE)[:-100]])
    with pytest.raises(ScanError, match="more frames"):
        read_series([b""] * 257)
    with pytest.raises(ScanError, match="80 million"):
        read_series([dicom(np.zeros((2000, 2000), np.uint8))] * 21)
