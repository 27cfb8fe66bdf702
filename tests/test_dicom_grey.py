"""Grey DICOM: from stored values to greys, against values worked out by hand and pydicom's."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from dicoms import NOISE, dataset, dicom, grey_of, items, lut, refused, saved
from pydicom.pixels import apply_modality_lut, apply_voi_lut

from core.png import png
from core.scan_types import rgb
from core.scans import read_scan
from core.windowing import Window

# What pydicom warns of is silenced when core.dicom is imported, which pytest undoes.
pytestmark = pytest.mark.filterwarnings(r"ignore:::pydicom\..*")


def of_floats(values: np.ndarray, **elements) -> bytes:
    """A file whose pixels are float32."""
    made = dataset(np.zeros(values.shape, np.uint8), PixelData=None, **elements)
    made.FloatPixelData, made.BitsAllocated = values.astype("<f4").tobytes(), 32
    return saved(made)


def test_without_window_the_whole_range_is_shown():
    # (value - 10) * 255 / 100; 127.5 goes to the even neighbour
    assert grey_of(dicom(np.array([[10, 35, 60, 110]], np.uint16))) == [[0, 64, 128, 255]]
    assert grey_of(dicom(np.array([[10, 60, 110]], np.uint16), "MONOCHROME1")) == [[255, 127, 0]]
    assert grey_of(dicom(np.array([[7, 7]], np.uint16))) == [[0, 0]]


def test_bytes_without_window_are_the_greys_of_the_same_picture_as_png():
    """A.8.4.4 of PS3.3: without VOI LUT, stored values are P-values."""
    dark = np.array([[10, 35, 60, 67]], np.uint8)
    scan = read_scan(dicom(dark))
    assert np.array_equal(scan.pixels, read_scan(png(rgb(dark))).pixels)
    assert scan.grey.windows == ((Window(128, 256),),)
    assert grey_of(dicom(dark, "MONOCHROME1")) == (255 - dark).tolist()
    assert grey_of(dicom(dark // 8, bits=6)) == [[4, 16, 28, 32]], "of 0 to 63"
    assert grey_of(dicom(dark, WindowCenter="39", WindowWidth="58")) == [[0, 112, 224, 255]]
    assert grey_of(dicom(dark, RescaleSlope="2", RescaleIntercept="0")) == [[0, 112, 224, 255]]
    assert grey_of(dicom(dark.astype(np.int8))) == [[0, 112, 224, 255]], "signed"
    assert grey_of(dicom(dark.astype(np.uint16), bits=12)) == [[0, 112, 224, 255]], "deeper"


def test_a_window_of_8_bits_leaves_them():
    ramp = np.arange(256, dtype=np.uint8)[None]
    assert grey_of(dicom(ramp, WindowCenter="128", WindowWidth="256")) == ramp.tolist()


@pytest.mark.parametrize("shape", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize(("center", "width"), [(2048, 1000), (100.5, 3), (-500, 4096), (0, 1)])
def test_windows_are_as_pydicom_computes_them(shape, center, width):
    made = dataset(NOISE, bits=12, RescaleSlope="2", RescaleIntercept="-1024")
    made.WindowCenter, made.WindowWidth, made.VOILUTFunction = center, width, shape
    shown = apply_voi_lut(apply_modality_lut(NOISE, made), made)
    low, high = -1024, 4095 * 2 - 1024
    other = (shown - low) * 255 / (high - low)
    assert np.abs(np.array(grey_of(saved(made))) - other).max() <= 0.51


def test_the_first_of_several_windows_and_their_names():
    made = dataset(NOISE, bits=12, WindowCenter=[100, 3000], WindowWidth=[200, 500])
    made.WindowCenterWidthExplanation = ["SOFT", "BONE"]
    scan = read_scan(saved(made))
    windows = (Window(100, 200, name="SOFT"), Window(3000, 500, name="BONE"))
    assert scan.grey.windows == (windows,)
    assert np.array_equal(scan.view(0, windows[0]), scan.pixels[0])
    assert not np.array_equal(scan.view(0, windows[1]), scan.pixels[0])
    assert np.array_equal(scan.view(0, windows[0], inverted=True), 255 - scan.pixels[0])


def test_a_window_without_width_is_none():
    made = dicom(np.array([[10, 110]], np.uint16), WindowCenter="5", WindowWidth="0")
    assert grey_of(made) == [[0, 255]]


def test_a_window_that_is_no_number_is_none():
    made = dicom(np.array([[10, 110]], np.uint16), WindowCenter="5.25", WindowWidth="2")
    assert grey_of(made) == [[255, 255]]
    assert grey_of(made.replace(b"5.25", b"5,25")) == [[0, 255]]


def test_an_empty_entry_leaves_the_other_windows():
    values = np.array([[10, 110]], np.uint16)
    made = dataset(values, WindowCenter=["30", "", "60"], WindowWidth=["41", "9", "101"])
    made.WindowCenterWidthExplanation = ["A", "B", "C"]
    windows = (Window(30, 41, name="A"), Window(60, 101, name="C"))
    assert read_scan(saved(made)).grey.windows == (windows,)
    made.WindowCenter, made.WindowWidth = ["60", ""], ["101", ""]
    made.WindowCenterWidthExplanation = None
    assert read_scan(saved(made)).grey.windows == ((Window(60, 101),),)


@pytest.mark.parametrize(
    ("slope", "intercept", "kind"),
    [("1", "-1024", np.int16), ("1", "10", np.uint16), ("0.5", "3", np.float32)],
)
def test_values_are_rescaled_exactly(slope, intercept, kind):
    made = dataset(NOISE, bits=12, RescaleSlope=slope, RescaleIntercept=intercept)
    made.RescaleType = "HU"
    grey = read_scan(saved(made)).grey
    assert grey.values.dtype == kind
    assert np.array_equal(grey.values[0], NOISE * float(slope) + float(intercept))
    assert grey.unit == "HU"


def test_signed_values_with_unused_bits():
    values = np.array([[-2048, -1, 0, 2047]], np.int16)
    made = dataset(values, bits=12)
    made.PixelData = (values & 0x0FFF).astype(np.uint16).tobytes()  # the sign not repeated
    assert np.array_equal(read_scan(saved(made)).grey.values[0], values)


@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_values_in_the_upper_bits(kind):
    values = np.array([[5, 4095, 2048, 0]], np.uint16)
    made = dataset(values.astype(np.uint16), HighBit=15, BitsStored=12)
    made.PixelRepresentation = int(kind is np.int16)
    made.PixelData = (values << 4 | 0xB).tobytes()  # the lower four hold something else
    expected = [5, 4095, 2048, 0] if kind is np.uint16 else [5, -1, -2048, 0]
    assert read_scan(saved(made)).grey.values[0].tolist() == [expected]


def test_an_overlay_in_unused_bits_is_not_part_of_the_picture():
    made = dataset(NOISE, bits=12)
    made.PixelData = (NOISE | 0x8000).astype(np.uint16).tobytes()
    assert np.array_equal(read_scan(saved(made)).grey.values[0], NOISE)


def test_a_modality_table_and_a_voi_table():
    values = np.array([[0, 5, 6, 7, 8, 300]], np.uint16)
    table = lut(5, [10, 20, 40, 4095], 12)
    # below its first value the first entry, above its last the last
    expected = [10, 10, 20, 40, 4095, 4095]
    grey = read_scan(dicom(values, ModalityLUTSequence=[table])).grey
    assert grey.values[0].tolist() == [expected]
    shown = np.rint(np.array(expected) / 4095 * 255).astype(int).tolist()
    assert grey_of(dicom(values, VOILUTSequence=[table])) == [shown]
    assert grey_of(dicom(values, "MONOCHROME1", VOILUTSequence=[table])) == [
        [255 - one for one in shown]
    ]


def test_a_table_of_all_words_tells_no_length():
    table = lut(0, range(2**16), 16)
    table.LUTDescriptor = [0, 0, 16]  # C.11.1.1: 0 stands for 65536
    values = np.array([[0, 1000, 65535]], np.uint16)
    assert read_scan(dicom(values, ModalityLUTSequence=[table])).grey.values[0].tolist() == [
        [0, 1000, 65535]
    ]


def test_a_negative_first_value_that_was_written_as_unsigned():
    values = np.array([[-3, -2, -1, 0]], np.int16)
    table = lut(0, [10, 20, 30], 8)
    table.add_new("LUTDescriptor", "US", [3, 2**16 - 2, 8])  # -2
    grey = read_scan(dicom(values, ModalityLUTSequence=[table])).grey
    assert grey.values[0].tolist() == [[10, 10, 20, 30]]


def test_the_unit_of_values_is_told_unless_there_is_none():
    for told, unit in (("HU", "HU"), ("US", ""), (None, "")):  # US: unspecified
        elements = {"RescaleType": told} if told else {}
        assert read_scan(dicom(NOISE, **elements)).grey.unit == unit


def test_a_voi_table_of_8_bits_over_many_values():
    table = lut(0, [number // 16 for number in range(4096)], 8)
    assert np.array_equal(grey_of(dicom(NOISE, bits=12, VOILUTSequence=[table])), NOISE // 16)


def test_a_voi_table_with_a_byte_an_entry():
    """C.11.1.1.1: of 8 bits an entry takes a byte, or two in the files of some makers; the length
    tells which."""
    values = np.array([[0, 1, 2, 3]], np.uint8)
    table = lut(0, [0, 250, 100, 255], 8)
    assert grey_of(dicom(values, VOILUTSequence=[table])) == [[0, 250, 100, 255]]
    table.LUTData = bytes([0, 250, 100, 255])
    assert grey_of(dicom(values, VOILUTSequence=[table])) == [[0, 250, 100, 255]]


@pytest.mark.parametrize(
    "told",
    [{"WindowCenter": "nan", "WindowWidth": "9"}, {"WindowCenter": "9", "WindowWidth": "inf"}],
)
def test_a_window_of_no_numbers_is_none(told):
    values = np.array([[0, 51, 255]], np.uint8)
    assert grey_of(dicom(values, **told)) == [[0, 51, 255]]


@pytest.mark.parametrize("told", ["nan", "inf", "1e300"])
def test_values_rescaled_to_no_numbers_are_refused(told):
    refused(dicom(NOISE, bits=12, RescaleSlope=told, RescaleIntercept="0"), "damaged")
    refused(dicom(NOISE, bits=12, RescaleSlope="1", RescaleIntercept=told), "damaged")


def test_an_inverse_presentation_is_monochrome1():
    made = dicom(np.array([[0, 255]], np.uint8), PresentationLUTShape="INVERSE")
    assert grey_of(made) == [[255, 0]]
    assert read_scan(made).grey.inverted


def test_padding_does_not_stretch_the_window():
    values = np.array([[-2000, 0, 50, 100]], np.int16)
    assert grey_of(dicom(values, PixelPaddingValue=-2000)) == [[0, 0, 128, 255]]
    made = dataset(values)
    made.add_new("PixelPaddingValue", "US", 2**16 - 2000)  # the same in the wrong kind
    assert grey_of(saved(made)) == [[0, 0, 128, 255]]


@pytest.mark.parametrize(("bits", "limit"), [(16, None), (16, -1990), (8, None), (8, -10)])
def test_padding_of_unsigned_values_that_is_told_as_negative(bits, limit):
    first = {16: -2000, 8: -16}[bits]
    padding = [first % 2**bits, (first if limit is None else limit) % 2**bits]
    made = dataset(np.array([[*padding, 0, 50, 100]], f"u{bits // 8}"))
    made.PixelRepresentation, made.RescaleSlope, made.RescaleIntercept = 0, 2, 0
    made.add_new("PixelPaddingValue", "SS", first)
    if limit is not None:
        made.add_new("PixelPaddingRangeLimit", "SS", limit)
    assert read_scan(saved(made)).grey.extent == (0, 200)
    assert grey_of(saved(made)) == [[255, 255, 0, 128, 255]]


def test_padding_on_both_sides_of_zero():
    unsigned = dataset(np.array([[65535, 0, 1, 51, 101]], np.uint16))
    unsigned.add_new("PixelPaddingValue", "SS", -1)
    unsigned.add_new("PixelPaddingRangeLimit", "SS", 0)
    assert read_scan(saved(unsigned)).grey.extent == (1, 101)
    signed = dataset(np.array([[-2000, 0, 1, 51, 101]], np.int16))
    signed.add_new("PixelPaddingValue", "US", 2**16 - 2000)
    signed.add_new("PixelPaddingRangeLimit", "US", 0)
    assert read_scan(saved(signed)).grey.extent == (1, 101)


@pytest.mark.parametrize("highest", [0, 5, 16])
def test_greys_in_words_whose_highest_bit_cannot_be(highest):
    values = np.array([[0, 21, 42, 63]], np.uint16)
    made = dataset(values, BitsStored=8, HighBit=highest)
    assert grey_of(saved(made)) == values.tolist()


def test_padding_of_floats_does_not_stretch_the_window():
    values = np.array([[-1e6, 0, 0.5, 1]], np.float32)
    assert grey_of(of_floats(values, FloatPixelPaddingValue=-1e6)) == [[0, 0, 128, 255]]
    values = np.array([[-1e6, -1e5, 0, 1]], np.float32)
    told = {"FloatPixelPaddingValue": -1e6, "FloatPixelPaddingRangeLimit": -1e5}
    assert grey_of(of_floats(values, **told)) == [[0, 0, 0, 255]]


@pytest.mark.parametrize(("slope", "most"), [("1", 9), ("0.5", 13)])
def test_a_large_picture_takes_little_memory_beside_itself(slope, most):
    """In bytes a pixel: the values of the file (2), as they are held, their greys, and RGB (3)."""
    samples = np.tile(NOISE, (80, 80))
    data = dicom(samples, bits=12, RescaleSlope=slope, RescaleIntercept="0")
    tracemalloc.start()
    try:
        read_scan(data)
        assert tracemalloc.get_traced_memory()[1] < most * samples.size
    finally:
        tracemalloc.stop()


def test_a_picture_without_any_number_is_refused():
    assert grey_of(of_floats(np.array([[np.nan, 0, 1]], np.float32))) == [[0, 0, 255]]
    refused(of_floats(np.array([[np.nan, np.nan]], np.float32)), "damaged.*unusual kind")


def test_whole_numbers_of_32_bits_keep_their_low_bits():
    def made(values: list[int], **elements) -> bytes:
        one = dataset(np.zeros((1, len(values)), np.uint8), **elements)
        one.BitsAllocated, one.BitsStored, one.HighBit = 32, 32, 31
        one.PixelData = np.array(values, "<u4").tobytes()
        one["PixelData"].VR = "OW"
        return saved(one)

    high = 2**31
    for values in ([high, high + 51, high + 255], [high + 1, high + 2, high + 2**18]):
        grey = read_scan(made(values)).grey
        assert grey.values[0].tolist() == [values]
    assert grey_of(made([high, high + 51, high + 255])) == [[0, 51, 255]]
    doubled = read_scan(made([high, high + 51], RescaleSlope="2", RescaleIntercept="0")).grey
    assert doubled.values[0].tolist() == [[2 * high, 2 * high + 102]]


@pytest.mark.parametrize(
    ("told", "shape"), [("sigmoid ", "SIGMOID"), ("Linear_Exact", "LINEAR_EXACT"), ("?", "LINEAR")]
)
def test_the_shape_of_a_window_is_read_leniently(told, shape):
    elements = {"WindowCenter": "2048", "WindowWidth": "1000"}
    scan = read_scan(dicom(NOISE, bits=12, VOILUTFunction=told, **elements))
    assert scan.grey.windows == ((Window(2048, 1000, shape),),)
    other = read_scan(dicom(NOISE, bits=12, VOILUTFunction=shape, **elements))
    assert np.array_equal(scan.pixels, other.pixels)


def test_frames_share_one_window():
    frames = np.array([[[0, 51]], [[102, 255]]], np.uint16)
    assert read_scan(dicom(frames)).pixels[..., 0].tolist() == frames.tolist()


def test_functional_groups_tell_of_each_frame():
    made = dataset(np.array([[[1, 2]], [[1, 2]]], np.uint16))
    measures = items(PixelSpacing=["0.5", "0.25"])
    made.SharedFunctionalGroupsSequence = items(PixelMeasuresSequence=measures)
    made.PerFrameFunctionalGroupsSequence = [
        *items(
            PixelValueTransformationSequence=items(RescaleSlope="1", RescaleIntercept="0"),
            FrameVOILUTSequence=items(WindowCenter="2", WindowWidth="2"),
        ),
        *items(
            PixelValueTransformationSequence=items(RescaleSlope="100", RescaleIntercept="-50"),
            FrameVOILUTSequence=items(WindowCenter="100.5", WindowWidth="101"),
        ),
    ]
    scan = read_scan(saved(made))
    assert scan.grey.values.tolist() == [[[1, 2]], [[50, 150]]]
    assert scan.pixels[..., 0].tolist() == [[[0, 255]], [[0, 255]]]
    assert scan.grey.windows == ((Window(2, 2),), (Window(100.5, 101),))
    assert scan.spacing_mm == (0.5, 0.25)
