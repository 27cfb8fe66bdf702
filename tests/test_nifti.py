"""NIfTI volumes: slices, orientation, scaling and refusals, of files that nibabel writes."""

from __future__ import annotations

import contextlib
import gzip

import nibabel as nib
import numpy as np
import pytest

from core.scans import ScanError, read_scan

VALUES = np.arange(5 * 6 * 3, dtype=np.int16).reshape(5, 6, 3)


def nifti(values, affine=None, kind=nib.Nifti1Image, unit="mm", **header) -> bytes:
    image = kind(values, np.diag([0.5, 0.7, 2, 1]) if affine is None else affine)
    image.header.set_xyzt_units(unit)
    for name, value in header.items():
        image.header[name] = value
    return image.to_bytes()


@pytest.mark.parametrize("kind", [nib.Nifti1Image, nib.Nifti2Image])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_volume_is_read_slice_by_slice(kind, pack):
    scan = read_scan(pack(nifti(VALUES, kind=kind)))
    assert scan.pixels.shape == (3, 6, 5, 3)
    # From below upwards; the patient's right on the left of the screen, the front at the top.
    assert np.array_equal(scan.grey.values[1], VALUES[::-1, ::-1, 1].T)
    assert scan.grey.values.dtype == np.int16
    assert scan.spacing_mm == pytest.approx((0.7, 0.5))
    assert scan.modality is None
    assert not scan.dicom


def test_the_orientation_is_that_of_the_patient_whatever_the_storage():
    turned = nib.Nifti1Image(VALUES, np.diag([0.5, 0.7, 2, 1]))
    stored = turned.as_reoriented(nib.orientations.axcodes2ornt("SAL"))
    data = nifti(np.asarray(stored.dataobj), stored.affine)
    assert np.array_equal(read_scan(data).grey.values, read_scan(nifti(VALUES)).grey.values)


def test_values_are_scaled_and_the_window_is_the_whole_range():
    data = bytearray(nib.Nifti1Image(VALUES, np.eye(4)).to_bytes())
    data[112:120] = np.array([2, -10], "<f4").tobytes()  # scl_slope, scl_inter
    scan = read_scan(bytes(data))
    assert np.array_equal(np.sort(scan.grey.values.ravel()), np.arange(90) * 2.0 - 10)
    assert (scan.pixels.min(), scan.pixels.max()) == (0, 255)
    assert np.array_equal(scan.view(1, scan.grey.windows_of(1)[0]), scan.pixels[1])


def test_what_is_no_number_is_black():
    values = np.array([[[1.0], [np.nan]], [[2.0], [3.0]]], np.float32)
    pixels = read_scan(nifti(values)).pixels[0, ..., 0]
    assert sorted(pixels.ravel().tolist()) == [0, 0, 128, 255]


def test_one_slice_and_colours():
    assert read_scan(nifti(VALUES[..., 0])).pixels.shape == (1, 6, 5, 3)
    colours = np.zeros((4, 5, 3), np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]))
    colours["G"] = 9
    assert read_scan(nifti(colours)).pixels[0, 0, 0].tolist() == [0, 9, 0]


def test_colours_with_transparency_are_over_black():
    colours = np.zeros((3, 1), np.dtype([(name, "u1") for name in "RGBA"]))
    colours["R"], colours["B"] = 200, 100
    assert read_scan(nifti(colours)).pixels[0].reshape(-1, 3).tolist() == [[200, 0, 100]] * 3
    colours["A"] = [[255], [51], [0]]  # of 51 a fifth is left
    shown = read_scan(nifti(colours)).pixels[0].reshape(-1, 3)
    assert sorted(shown.tolist()) == [[0, 0, 0], [40, 0, 20], [200, 0, 100]]


@pytest.mark.parametrize(("placed", "spacing"), [(0.504, (0.7, 0.5)), (0.51, None), (5, None)])
def test_sizes_that_contradict_each_other_give_no_millimetres(placed, spacing):
    data = nifti(VALUES, np.diag([placed, 0.7, 2, 1]), pixdim=[1, 0.5, 0.7, 2, 1, 1, 1, 1])
    scan = read_scan(data)
    assert scan.spacing_mm == (spacing and pytest.approx(spacing))
    assert np.array_equal(scan.grey.values, read_scan(nifti(VALUES)).grey.values)


@pytest.mark.parametrize("slices", [4, 1])
def test_a_contradiction_between_slices_leaves_their_own_sizes(slices):
    """Of one slice the thickness is often told, and placed as if it were 1 mm."""
    volume = np.arange(20 * 30 * slices, dtype=np.int16).reshape(20, 30, slices)
    data = nifti(volume, np.diag([0.5, 0.6, 1, 1]), pixdim=[1, 0.5, 0.6, 5, 1, 1, 1, 1])
    assert read_scan(data).spacing_mm == pytest.approx((0.6, 0.5))


def test_half_of_a_pair_is_told():
    for kind in (nib.Nifti1Pair, nib.Nifti2Pair, nib.AnalyzeImage, nib.Spm99AnalyzeImage):
        for order in "<>":
            header = kind(VALUES, np.eye(4)).header.as_byteswapped(order)
            with pytest.raises(ScanError, match="in two files.*Convert both to one .nii"):
                read_scan(header.binaryblock)


@pytest.mark.parametrize("first", [0.5, -0.5])
def test_one_slice_is_turned_as_a_volume_is(first):
    picture = nifti(VALUES[..., 0], np.diag([first, 0.7, 1, 1]))
    volume = nifti(VALUES[..., :1], np.diag([first, 0.7, 1, 1]))
    scan, other = read_scan(picture), read_scan(volume)
    assert np.array_equal(scan.grey.values, other.grey.values)
    assert scan.spacing_mm == other.spacing_mm == pytest.approx((0.7, 0.5))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_one_slice_over_time_has_a_frame_a_time(axis):
    cine = np.arange(5 * 6 * 4, dtype=np.int16).reshape(5, 6, 4)
    scan = read_scan(nifti(np.expand_dims(cine, axis), np.eye(4)))
    assert np.array_equal(scan.grey.values, cine[::-1, ::-1].transpose(2, 1, 0))


def test_a_volume_may_have_axes_of_one_place_behind_it():
    data = nifti(VALUES[..., None, None])
    assert np.array_equal(read_scan(data).grey.values, read_scan(nifti(VALUES)).grey.values)


@pytest.mark.parametrize(("unit", "factor"), [("meter", 1000), ("mm", 1), ("micron", 0.001)])
def test_millimetres_of_every_unit(unit, factor):
    spacing = read_scan(nifti(VALUES, unit=unit)).spacing_mm
    assert spacing == pytest.approx((0.7 * factor, 0.5 * factor))


def test_without_a_unit_there_are_no_millimetres():
    scan = read_scan(nifti(VALUES, unit="unknown"))
    assert scan.spacing_mm is None
    assert scan.aspect == pytest.approx(0.7 / 0.5)


@pytest.mark.parametrize("size", [np.nan, np.inf, 0])
def test_a_size_that_is_none_gives_no_millimetres(size):
    data = nifti(VALUES, affine=np.eye(4), pixdim=[1, size, 1, 1, 1, 1, 1, 1])
    assert read_scan(data).spacing_mm is None
    assert read_scan(data).aspect == 1


def test_refusals_are_sentences():
    large = nifti(VALUES)
    for dim in ((3, 5000, 5000, 5000, 1, 1, 1, 1), (3, 999, 999, 999, 1, 1, 1, 1)):
        claims = large[:40] + np.array(dim, "<i2").tobytes() + large[56:]
        with pytest.raises(ScanError, match="limit of 80 million pixels"):
            read_scan(claims)
    with pytest.raises(ScanError, match="more than one volume"):
        read_scan(nifti(np.zeros((4, 4, 4, 2), np.int16)))
    for empty in (np.nan, np.inf):
        with pytest.raises(ScanError, match="holds no numbers"):
            read_scan(nifti(np.full((4, 4, 4), empty, np.float32)))
    with pytest.raises(ScanError, match="complex numbers"):
        read_scan(nifti(VALUES.astype(np.complex64)))
    with pytest.raises(ScanError, match="more frames than the limit"):
        read_scan(nifti(np.zeros((300, 300, 300), np.uint8)))


def test_a_truncated_or_damaged_file_raises_nothing_else():
    data = nifti(VALUES)
    for end in range(348, len(data), 7):
        with pytest.raises(ScanError, match="NIfTI file is damaged"):
            read_scan(data[:end])
    random = np.random.default_rng(0)
    for _ in range(200):
        damaged = bytearray(data)
        for place in random.integers(0, 344, 4):
            damaged[place] = random.integers(256)
        with contextlib.suppress(ScanError):
            assert read_scan(bytes(damaged)).pixels.dtype == np.uint8
