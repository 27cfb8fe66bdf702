"""Slices of one series: which belong together, in which order, and what is refused."""

from __future__ import annotations

import gzip
import re

import numpy as np
import pytest
from dicoms import NOISE, add_overlay, dataset, dicom, lut, saved, slices

from core.dicom.deidentify import deidentify
from core.dicom.personal import BURNED_IN
from core.dicom.reading import read_dicom
from core.dicom.series import group_slices, read_series, slice_of
from core.scans import ScanError
from core.windowing import Window


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


def test_packed_slices_go_together_and_have_copies():
    files = [gzip.compress(one) for one in slices(3)]
    assert grouped(files) == [[0, 2, 1]]
    copies = deidentify(files)
    assert [read_dicom(one).grey.values[0, 0, 0] for one in copies] == [0, 2, 1]


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


def test_slices_of_the_other_polarity_are_another_volume():
    files = [
        dicom(
            NOISE,
            kind,
            SeriesInstanceUID="1.2.3",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, position],
        )
        for position, kind in enumerate(["MONOCHROME1", "MONOCHROME2", "MONOCHROME1"])
    ]
    assert grouped(files) == [[0, 2], [1]]


def turned(*position: float, **elements) -> bytes:
    place = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "SeriesInstanceUID": "1.2.3"}
    return dicom(NOISE, ImagePositionPatient=[0, 0, *position], **(place | elements))


def test_a_sign_of_zero_parts_no_volume():
    directions = ([1, 1e-7, 0, 0, 1, 0], [1, -1e-7, 0, 0, 1, 0], [1, 0, 0, 0, 1, -0.0])
    files = [turned(at, ImageOrientationPatient=one) for at, one in enumerate(directions)]
    assert grouped(files) == [[0, 1, 2]]


@pytest.mark.parametrize(
    "told", [{"StudyInstanceUID": "1.2.4"}, {"PresentationLUTShape": "INVERSE"}]
)
def test_slices_of_another_study_or_shape_are_another_volume(told):
    assert grouped([turned(0), turned(1, **told), turned(2)]) == [[0, 2], [1]]
    assert grouped([turned(0), turned(1, PresentationLUTShape="IDENTITY")]) == [[0, 1]]


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


def test_what_is_there_twice_goes_into_a_second_volume():
    first = slices(3)  # 0 2 1
    assert grouped([*first, *first]) == [[0, 2, 1], [3, 5, 4]]
    # A damaged copy, saved anew under the same identifier, takes no whole one with it.
    whole = slices(1, SOPInstanceUID="1.2.3.4")[0]
    assert grouped([whole, whole[:-1]]) == [[0], [1]]


def test_slices_that_share_one_identifier_are_one_volume():
    assert grouped(slices(3, SOPInstanceUID="1.2.3.4")) == [[0, 2, 1]]


def test_slices_that_cannot_be_read_are_left_out_and_named():
    first, third, fifth, second, fourth = slices(5)
    assert grouped([first, third, second[:-4]]) == [[0, 2, 1]]
    scan = read_series([first, second[:-4], third])
    assert scan.grey.values[:, 0, 0].tolist() == [0, 2]
    assert scan.files == (0, 2)
    assert re.match("Slice 2 of 3 of this series cannot be read and is left out. .* cut", scan.gap)
    scan = read_series([first[:-4], second[:-4], third, fourth[:-4], fifth])
    assert scan.grey.values[:, 0, 0].tolist() == [2, 4]
    assert scan.gap.startswith("Slices 1, 2 and 4 of 5 of this series cannot be read and are left")
    whole = read_series([first, second, third])
    assert (whole.files, whole.gap) == ((0, 1, 2), None)


def test_acquisitions_are_volumes_of_their_own_only_where_slices_coincide():
    def made(acquisition: int, position: float) -> bytes:
        return dicom(
            NOISE,
            SeriesInstanceUID="1.2.3",
            ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
            ImagePositionPatient=[0, 0, position],
            AcquisitionNumber=acquisition,
        )

    assert grouped([made(1, 2), made(2, 0), made(3, 1)]) == [[1, 2, 0]]
    again = [made(1, 1), made(2, 1), b"no image", made(2, 0), made(1, 0)]
    assert grouped(again) == [[4, 0], [3, 1], [2]]
    # Where each slice has a number of its own, the second of a place is left over.
    single = [made(number, place) for number, place in enumerate([0, 1, 2, 2, 3])]
    assert grouped(single) == [[0, 1, 2, 4], [3]]


@pytest.mark.parametrize("told", [{"PixelPaddingValue": -2000}, {}])
def test_padding_does_not_part_the_windows_of_slices(told):
    ramp = np.arange(0, 1001, 100, dtype=np.int16)[None]
    border = np.full_like(ramp, told.get("PixelPaddingValue", 0))
    slabs = [np.concatenate([border, ramp * times]) for times in (1, 2, 3)]
    scan = read_series([dicom(one, **told) for one in slabs])
    assert scan.pixels.max(axis=(1, 2, 3)).tolist() == [85, 170, 255]
    assert all(
        np.array_equal(scan.view(i, scan.grey.windows_of(i)[0]), scan.pixels[i]) for i in range(3)
    )


def test_each_slice_keeps_the_window_it_proposes():
    ramp = np.arange(0, 1001, 100, dtype=np.uint16)[None]
    told = [(100, 201), (500, 1001)]
    scan = read_series([dicom(ramp, WindowCenter=str(c), WindowWidth=str(w)) for c, w in told])
    assert scan.grey.windows == tuple((Window(c, w),) for c, w in told)
    assert all(
        np.array_equal(scan.view(i, scan.grey.windows_of(i)[0]), scan.pixels[i]) for i in (0, 1)
    )
    assert not np.array_equal(scan.pixels[0], scan.pixels[1])


def test_a_curve_that_each_file_proposes_is_kept():
    values = np.array([[0, 1, 2, 3]], np.uint8)
    table = lut(0, [0, 250, 100, 255], 8)
    scan = read_series([dicom(values, VOILUTSequence=[table])] * 2)
    assert scan.pixels[:, 0, :, 0].tolist() == [[0, 250, 100, 255]] * 2
    window = dicom(values, WindowCenter="2", WindowWidth="4")
    mixed = read_series([window, dicom(values, VOILUTSequence=[table])])
    assert mixed.pixels[1, 0, :, 0].tolist() == [0, 250, 100, 255]
    assert [mixed.grey.is_curved(frame) for frame in (0, 1)] == [False, True]


def test_slices_of_other_spacings_have_no_millimetres():
    def spacing(*told: list | None) -> tuple[float, float] | None:
        elements = [{"PixelSpacing": one} if one else {} for one in told]
        return read_series([dicom(NOISE, **one) for one in elements]).spacing_mm

    assert spacing([0.5, 0.5], [0.5, 0.5]) == (0.5, 0.5)
    assert spacing([0.5, 0.5], [1, 1]) is None
    assert spacing([0.5, 0.5], None) is None


def test_slices_of_other_spacings_keep_the_shape_of_their_pixels():
    def aspect(*told: list) -> float:
        return read_series([dicom(NOISE, PixelSpacing=one) for one in told]).aspect

    assert aspect([0.5, 0.25], [0.6, 0.3]) == pytest.approx(2)
    assert aspect([0.5, 0.25], [0.6, 0.6]) == 1


def test_what_one_file_tells_of_a_person_is_told_of_the_volume():
    told = {"PatientName": "Doe^Jane", "BurnedInAnnotation": "YES"}
    scan = read_series([dicom(NOISE, Modality="MR"), dicom(NOISE, Modality="MR", **told)])
    assert scan.personal == ("name",)
    assert scan.text_risk == BURNED_IN
    silent = dicom(NOISE, Modality="US")
    assert read_dicom(silent).text_risk not in (None, BURNED_IN)
    assert read_series([silent, dicom(NOISE, Modality="US", **told)]).text_risk == BURNED_IN


def test_drawings_of_all_slices_are_kept():
    files = []
    for row in range(2):
        made = dataset(NOISE[:4, :4])
        add_overlay(made, 0x6000, [1, 1], (row, 0))
        files.append(saved(made))
    assert np.argwhere(read_series(files).overlay).tolist() == [[0, 0, 0], [1, 1, 0]]
    bare = dicom(NOISE[:4, :4])
    some = read_series([bare, *files]).overlay
    assert np.argwhere(some).tolist() == [[1, 0, 0], [2, 1, 0]] and len(some) == 3
    assert read_series([bare, bare]).overlay is None


def test_a_file_of_several_frames_is_no_slice():
    place = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0]}
    assert slice_of(dicom(NOISE, SeriesInstanceUID="1.2.3", **place))
    assert slice_of(dicom(np.stack([NOISE] * 2), SeriesInstanceUID="1.2.3", **place)) is None


def test_files_that_do_not_go_together_are_refused():
    with pytest.raises(ScanError, match="differ in size"):
        read_series([dicom(NOISE), dicom(NOISE[:5])])
    with pytest.raises(ScanError, match="damaged|cut short"):
        read_series([dicom(NOISE)[:-100]] * 2)
    with pytest.raises(ScanError, match="more frames"):
        read_series([b""] * 257)
    with pytest.raises(ScanError, match="80 million"):
        read_series([dicom(np.zeros((2000, 2000), np.uint8))] * 21)
