"""DICOM: pixels against values worked out by hand and what other readers give; every refusal."""

from __future__ import annotations

import io
import re
import struct
import subprocess
import sys
import tracemalloc
import zlib
from pathlib import Path
from time import process_time

import cv2
import numpy as np
import pydicom
import pytest
from dicoms import NOISE, dataset, dicom, items, refused, saved
from PIL import Image
from pydicom.encaps import encapsulate, generate_frames
from pydicom.pixels import apply_color_lut, apply_modality_lut, convert_color_space
from pydicom.uid import (
    JPEG2000MC,
    MPEG2MPML,
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEG2000MCLossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSLossless,
    RLELossless,
)

from core.dicom.deidentify import deidentify
from core.dicom.reading import is_dicom
from core.dicom.series import slice_of
from core.dicom.unpacking import WORTH_A_PROCESS
from core.scan_types import MAX_BYTES, MAX_FRAMES, MAX_PIXELS
from core.scans import Scan, ScanError, read_scan, read_scan_file

# What pydicom warns of is silenced when core.dicom is imported, which pytest undoes.
pytestmark = pytest.mark.filterwarnings(r"ignore:::pydicom\..*")

COLOURS = np.random.default_rng(3).integers(0, 256, (3, 40, 48, 3)).astype(np.uint8)
PLAIN = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian)
SPECTRAL, PROGRESSIVE = (UID(f"1.2.840.10008.1.2.4.{number}") for number in (53, 55))
LOSSLESS = (*PLAIN, DeflatedExplicitVRLittleEndian, JPEG2000Lossless, RLELossless)


def of_syntax(made: pydicom.Dataset, syntax: UID) -> bytes:
    """The data set as a file of a syntax, deflated or big-endian ones included."""
    if syntax == ExplicitVRBigEndian:
        made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
        made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = syntax
    return saved(made)


# ---------------------------------------------------------------- how it is written


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda one: one.name)
def test_grey_of_every_lossless_syntax(syntax):
    samples = np.stack([NOISE, NOISE[::-1]])
    if syntax in (JPEG2000Lossless, RLELossless):
        data = dicom(samples, bits=12, syntax=syntax)
    else:
        data = of_syntax(dataset(samples, bits=12), syntax)
    scan = read_scan(data)
    assert np.array_equal(scan.grey.values, samples)
    assert scan.pixels.shape == (2, 40, 48, 3)
    assert scan.modality == "US"
    assert scan.dicom


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless, RLELossless])
def test_colours_of_every_lossless_syntax(syntax):
    scan = read_scan(dicom(COLOURS, "RGB", syntax=syntax))
    assert np.array_equal(scan.pixels, COLOURS)
    assert scan.grey is None


@pytest.mark.parametrize(
    "syntax", [JPEG2000Lossless, JPEGLSLossless, RLELossless], ids=lambda one: one.name
)
def test_how_compressed_colours_lie_is_told_by_the_frame_alone(syntax):
    made = dataset(COLOURS, "RGB", syntax=syntax, PlanarConfiguration=1)
    assert np.array_equal(read_scan(saved(made)).pixels, COLOURS)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda one: one.name)
@pytest.mark.parametrize("count", [2 * WORTH_A_PROCESS + 3, WORTH_A_PROCESS + 1])
def test_frames_that_processes_share_come_back_in_order(syntax, count):
    numbers = np.arange(count, dtype=np.uint16)[:, None, None]
    greys = NOISE[None] // 2 + numbers * 7
    scan = read_scan(dicom(greys.astype(np.uint16), bits=12, syntax=syntax))
    assert np.array_equal(scan.grey.values, greys)
    colours = COLOURS[0][None] ^ numbers[..., None].astype(np.uint8)
    scan = read_scan(dicom(colours, "RGB", syntax=syntax))
    assert np.array_equal(scan.pixels, colours)


def test_one_bad_frame_among_many_is_told():
    made = dataset(np.stack([NOISE] * 20), bits=12, syntax=JPEG2000Lossless)
    frames = list(generate_frames(made.PixelData, number_of_frames=20))
    frames[13] = frames[13][:60]
    made.PixelData = encapsulate(frames)
    refused(saved(made), "damaged")


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, SPECTRAL, PROGRESSIVE], ids=str)
@pytest.mark.parametrize("told", ["YBR_FULL_422", "YBR_FULL", "MONOCHROME2"])
def test_jpeg_is_as_pillow_reads_it(syntax, told):
    smooth = cv2.GaussianBlur(COLOURS[0], (0, 0), 3)
    smooth = smooth[..., 0] if told == "MONOCHROME2" else smooth
    frames = []
    made = dataset(np.stack([smooth] * 2), "MONOCHROME2" if smooth.ndim == 2 else "RGB")
    for picture in (smooth, smooth[::-1]):
        file = io.BytesIO()
        progressive = syntax != JPEGBaseline8Bit
        Image.fromarray(picture).save(file, "JPEG", quality=95, progressive=progressive)
        frames.append(file.getvalue())
    made.PixelData = encapsulate(frames)
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = syntax
    made.PhotometricInterpretation = told
    scan = read_scan(saved(made))
    for frame, data in zip(scan.pixels, frames, strict=True):
        other = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.abs(frame.astype(int) - other).max() <= 2


def test_jpeg_2000_part_2_that_needs_no_more_than_part_1():
    """The same codestreams by another name; and one that says it does need more (A.5.1 of ISO/IEC
    15444-2)."""
    for samples, kind in ((NOISE, "MONOCHROME2"), (COLOURS[0], "RGB")):
        made = dataset(np.stack([samples] * 2), kind, syntax=JPEG2000Lossless)
        plain = read_scan(saved(made))
        for syntax in (JPEG2000MCLossless, JPEG2000MC):
            made.file_meta.TransferSyntaxUID = syntax
            assert np.array_equal(read_scan(saved(made)).pixels, plain.pixels)
        made.PixelData = re.sub(rb"(\xff\x4f\xff\x51..)\0\0", b"\\1\x81\0", made.PixelData)
        refused(saved(made), "part 2, which cannot be read here")


BY_GDCM = ("JPEGLosslessProcess14_1", "JPEGLSLossless", "JPEGExtendedProcess2_4")
SMOOTH = cv2.GaussianBlur(NOISE, (0, 0), 5)


def by_gdcm(folder: Path, data: bytes, kind: str) -> bytes:
    """A file in a packing that only gdcm writes."""
    gdcm = pytest.importorskip("gdcm")
    source = folder / "source.dcm"
    source.write_bytes(data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(source))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(getattr(gdcm.TransferSyntax, kind)))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    writer.SetFileName(str(folder / kind))
    assert writer.Write()
    return (folder / kind).read_bytes()


@pytest.fixture(scope="module")
def packed(tmp_path_factory) -> dict[str, bytes]:
    """SMOOTH in 12 bits as files of the kinds that only gdcm writes."""
    folder = tmp_path_factory.mktemp("gdcm")
    return {kind: by_gdcm(folder, dicom(SMOOTH, bits=12), kind) for kind in BY_GDCM}


@pytest.mark.parametrize("kind", BY_GDCM)
def test_jpeg_of_12_bits_and_lossless_and_ls(packed, kind):
    found = read_scan(packed[kind]).grey.values[0].astype(int)
    assert np.abs(found - SMOOTH).max() <= (20 if "Extended" in kind else 0)


@pytest.mark.parametrize("kind", BY_GDCM[:2])
def test_compressed_values_in_the_upper_bits(tmp_path, kind):
    made = pydicom.dcmread(io.BytesIO(by_gdcm(tmp_path, dicom(NOISE << 4, bits=16), kind)))
    made.BitsStored, made.HighBit = 12, 15
    assert np.array_equal(read_scan(saved(made)).grey.values[0], NOISE)


def test_luminance_and_chrominance_that_gdcm_unpacks():
    stored = convert_color_space(COLOURS, "RGB", "YBR_FULL")
    made = dataset(stored, "RGB", syntax=JPEGLSLossless, PhotometricInterpretation="YBR_FULL")
    assert np.abs(read_scan(saved(made)).pixels.astype(int) - COLOURS).max() <= 2


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda one: one.name)
@pytest.mark.parametrize("count", [2, WORTH_A_PROCESS + 1])
def test_frames_less_deep_than_the_header_says(syntax, count):
    greys = COLOURS[0, ..., 0] ^ np.arange(count, dtype=np.uint8)[:, None, None]
    made = dataset(greys, syntax=syntax)
    made.BitsAllocated, made.BitsStored, made.HighBit = 16, 12, 11
    assert np.array_equal(read_scan(saved(made)).grey.values, greys)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda one: one.name)
@pytest.mark.parametrize("count", [1, WORTH_A_PROCESS + 1])
@pytest.mark.parametrize(
    ("packed", "told", "highest", "signed"),
    [(16, 12, 11, 0), (16, 12, 11, 1), (12, 12, 15, 0), (12, 16, 15, 0), (16, 8, 7, 0)],
)
def test_frames_that_contradict_the_header_are_believed(
    packed, told, highest, signed, count, syntax
):
    if signed and syntax == JPEGLSLossless:
        pytest.skip("pydicom packs no signed numbers so")
    values = np.stack([NOISE << (packed - 12)] * count).view(np.int16 if signed else np.uint16)
    made = dataset(values, bits=packed, syntax=syntax)
    made.BitsStored, made.HighBit = told, highest
    scan = read_scan(saved(made))
    assert np.array_equal(scan.grey.values, values)
    copy = read_scan(deidentify([saved(made)])[0])
    assert np.array_equal(copy.grey.values, values)
    assert np.array_equal(copy.pixels, scan.pixels)


@pytest.mark.parametrize("order", [1, -1])
def test_frames_of_several_depths(order):
    low, deep = NOISE >> 4, NOISE
    frames = []
    for samples, bits in ((low.astype(np.uint8), 8), (deep, 12))[::order]:
        packed = dataset(samples, bits=bits, syntax=JPEG2000Lossless)
        frames += generate_frames(packed.PixelData, number_of_frames=1)
    made = dataset(np.stack([low, deep][::order]), bits=12, syntax=JPEG2000Lossless)
    made.PixelData = encapsulate(frames)
    assert np.array_equal(read_scan(saved(made)).grey.values, [low, deep][::order])


def test_words_that_were_packed_whole_hold_what_the_header_says():
    """Signs that are not repeated in the bits above, and an overlay there."""
    made = dataset(NOISE, bits=16, syntax=JPEG2000Lossless)
    made.BitsStored, made.HighBit, made.PixelRepresentation = 12, 11, 1
    signed = np.where(NOISE > 2047, NOISE.astype(int) - 4096, NOISE)
    assert np.array_equal(read_scan(saved(made)).grey.values[0], signed)
    made = dataset(NOISE | (NOISE & 1) << 13, bits=16, syntax=JPEG2000Lossless)
    made.BitsStored, made.HighBit = 12, 11
    made.add_new((0x6000, 0x0102), "US", 13)
    assert np.array_equal(read_scan(saved(made)).grey.values[0], NOISE)
    copy = pydicom.dcmread(io.BytesIO(deidentify([saved(made)])[0]))
    assert np.frombuffer(copy.PixelData, "<u2").max() == NOISE.max()


def test_a_jpeg_of_bytes_whose_header_tells_more_bits():
    greys = cv2.GaussianBlur(COLOURS[0, ..., 0], (0, 0), 3)
    file = io.BytesIO()
    Image.fromarray(greys).save(file, "JPEG", quality=95)
    made = dataset(NOISE, bits=12)
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].VR = "OB"
    made.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    scan = read_scan(saved(made))
    assert np.abs(scan.grey.values[0].astype(int) - np.asarray(Image.open(file))).max() <= 1
    (copy,) = deidentify([saved(made)])
    assert np.array_equal(read_scan(copy).pixels, scan.pixels)
    told = pydicom.dcmread(io.BytesIO(copy))
    assert (told.BitsAllocated, told.BitsStored, told.HighBit) == (8, 8, 7)


@pytest.mark.parametrize("kind", BY_GDCM)
def test_damage_that_ends_gdcm_does_not_end_the_reader(packed, kind):
    data = packed[kind]
    start = data.index(b"\xff\xd8", data.rindex(b"\xfe\xff\x00\xe0"))
    for end in (start + 4, start + 30, len(data) - 60):
        refused(data[:end] + bytes(len(data) - end), "damaged")
    tables = data[:start] + data[start:].replace(b"\xff\xc4", b"\xff\xfe")
    if tables != data:  # without its tables; gdcm ends its process here
        outcome(tables)


@pytest.mark.parametrize(
    "first", [{}, {"Modality": "US"}, {"StudyDate": "20200131"}, {"InstanceCreationTime": "12"}]
)
@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("little", [True, False])
def test_neither_preamble_nor_header(implicit, little, first):
    if implicit and not little:
        pytest.skip("there is no implicit big-endian DICOM")
    left_out = dict.fromkeys(("SOPClassUID", "SOPInstanceUID", "Modality") if first else ())
    made = dataset(NOISE, bits=12, **(left_out | first))
    if not little:
        made.PixelData = NOISE.astype(">u2").tobytes()
    del made.file_meta
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=little)
    data = file.getvalue()
    assert data[128:132] != b"DICM"
    assert np.array_equal(read_scan(data).grey.values[0], NOISE)


def test_a_header_without_preamble():
    data = dicom(NOISE, bits=12)
    assert np.array_equal(read_scan(data[132:]).grey.values[0], NOISE)


@pytest.mark.parametrize("syntax", PLAIN, ids=lambda one: one.name)
def test_a_preamble_that_is_cut_off_or_lacks_its_mark(syntax):
    made = dataset(NOISE, bits=12, SeriesInstanceUID="1.2", ImagePositionPatient=[0, 0, 1])
    made.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    data = of_syntax(made, syntax)
    for other in (data[128:], data[:128] + data[132:], b"\xff" * 128 + data[132:]):
        assert np.array_equal(read_scan(other).grey.values[0], NOISE)
        assert slice_of(other).position == 1
        assert np.array_equal(read_scan(deidentify([other])[0]).grey.values[0], NOISE)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("preamble", [b"", bytes(128)])
@pytest.mark.parametrize(
    "first", [(0x0008, 0x1030), (0x0010, 0x0010), (0x0020, 0x0013), (0x0028, 2)]
)
def test_a_data_set_may_begin_with_any_element(first, preamble, implicit):
    made = dataset(NOISE, bits=12, PatientName="Doe", StudyDescription="", InstanceNumber="1")
    made = made[first:]
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=True)
    scan = read_scan(preamble + file.getvalue())
    assert np.array_equal(scan.grey.values[0], NOISE)


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("second", [(0x0009, 0x0010), (0x0008, 0xFFF0)])
def test_private_and_unknown_elements_may_follow_the_first(second, implicit):
    made = dataset(NOISE, bits=12)
    made.add_new(second, "LO", "ACME")
    del made.file_meta
    file = io.BytesIO()
    pydicom.dcmwrite(file, made, implicit_vr=implicit, little_endian=True)
    assert np.array_equal(read_scan(file.getvalue()).grey.values[0], NOISE)


def test_bytes_that_are_no_dicom_file():
    """Among them numbers that rise as tags do, and elements that end in the middle."""
    random = np.random.default_rng(8)
    numbers = [np.arange(100, dtype=kind).tobytes() for kind in ("<u2", "<u4", ">u4", "<u8", ">u8")]
    bare = dicom(NOISE)[132 + 12 :]
    noise = (random.bytes(999) for _ in range(2000))
    for data in (*numbers, *noise, bytes(999), bare[2:], b"", b"DIC", bytes(128)):
        assert not is_dicom(data)


def test_a_preamble_may_be_that_of_a_tiff():
    data = dicom(NOISE, bits=12)
    assert read_scan(b"II*\0" + data[4:]).dicom


# ---------------------------------------------------------------- colour


def test_a_palette():
    made = dataset(np.array([[0, 1, 2, 3]], np.uint8))
    made.PhotometricInterpretation = "PALETTE COLOR"
    entries = {"Red": [0, 65535, 256, 0], "Green": [0, 0, 32768, 0], "Blue": [0, 0, 0, 65535]}
    for name, values in entries.items():
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, 16])
        data = np.array(values, "<u2").tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", data)
    scan = read_scan(saved(made))
    assert scan.pixels[0].tolist() == [[[0, 0, 0], [255, 0, 0], [1, 128, 0], [0, 0, 255]]]
    other = apply_color_lut(np.array([[0, 1, 2, 3]], np.uint8), made)
    assert np.array_equal(scan.pixels[0], np.rint(other / 257))


def test_ybr_full_and_planes():
    # PS3.3 C.7.6.3.1.2: R = Y + 1.402 (Cr - 128), B = Y + 1.772 (Cb - 128)
    ybr = np.array([[[100, 128, 128], [100, 128, 228], [50, 178, 128]]], np.uint8)
    made = dataset(ybr, "YBR_FULL")
    expected = np.array([[[100, 100, 100], [240, 29, 100], [50, 33, 139]]])
    assert np.abs(read_scan(saved(made)).pixels[0].astype(int) - expected).max() <= 1
    made = dataset(COLOURS, "RGB", PlanarConfiguration=1)
    made.PixelData = COLOURS.transpose(0, 3, 1, 2).tobytes()
    assert np.array_equal(read_scan(saved(made)).pixels, COLOURS)


def test_ybr_422():
    made = dataset(np.zeros((1, 2, 3), np.uint8), "YBR_FULL")
    made.PhotometricInterpretation = "YBR_FULL_422"
    made.PixelData = bytes([100, 200, 128, 128])  # two luminances share their colour differences
    assert read_scan(saved(made)).pixels[0].tolist() == [[[100] * 3, [200] * 3]]


@pytest.mark.parametrize(("told", "held"), [(16, "<u2"), (8, "<u2"), (16, "u1"), (8, "u1")])
def test_a_palette_of_bytes_however_it_is_announced_and_held(told, held):
    made = dataset(np.array([[0, 1, 2]], np.uint8), PhotometricInterpretation="PALETTE COLOR")
    tables = {"Red": [0, 255, 7, 0], "Green": [10, 0, 0, 0], "Blue": [0, 20, 0, 0]}
    for name, entries in tables.items():
        setattr(made, f"{name}PaletteColorLookupTableDescriptor", [4, 0, told])
        data = np.array(entries, held).tobytes()
        setattr(made, f"{name}PaletteColorLookupTableData", data)
    expected = [[[0, 10, 0], [255, 0, 20], [7, 0, 0]]]
    assert read_scan(saved(made)).pixels[0].tolist() == expected
    for name in tables:  # big-endian: the two bytes of every word change places
        keyword = f"{name}PaletteColorLookupTableData"
        setattr(made, keyword, np.frombuffer(made[keyword].value, "<u2").astype(">u2").tobytes())
    made.PixelData = np.frombuffer(made.PixelData, "<u2").astype(">u2").tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    assert read_scan(saved(made)).pixels[0].tolist() == expected


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        *((kind, f"{kind}, cannot be read here") for kind in ("HSV", "YBR_PARTIAL_420", "YBR_RCT")),
        ("DOE^JANE", "an unknown kind, cannot be read here"),  # a file may say anything
        ("MONOCHROME2", "MONOCHROME2 has 1 values a pixel, not 3"),
        ("PALETTE COLOR", "PALETTE COLOR has 1 values a pixel, not 3"),
    ],
)
@pytest.mark.parametrize("length", [72, 8])
def test_colours_that_are_none_or_of_another_kind_are_refused(kind, sentence, length):
    made = dataset(np.zeros((4, 6, 3), np.uint8), "RGB", PhotometricInterpretation=kind)
    made.PixelData = bytes(length)
    refused(saved(made), sentence)


def test_a_palette_without_tables_and_grey_called_colour():
    made = dicom(NOISE, PhotometricInterpretation="PALETTE COLOR")
    refused(made, "stand in tables, which are missing")
    refused(dicom(NOISE, PhotometricInterpretation="RGB"), "RGB has 3 values a pixel, not 1")


def test_colours_of_a_part_of_the_range():
    """C.7.6.3.1.2: Y = .2568 R + .5041 G + .0979 B + 16, C_B = -.1482 R - .2910 G + .4392 B + 128,
    C_R = .4392 R - .3678 G - .0714 B + 128; worked out by hand for each colour, twice a pixel."""
    known = {
        (0, 0, 0): (16, 128, 128),
        (255, 255, 255): (235, 128, 128),
        (255, 0, 0): (81, 90, 240),
        (0, 255, 0): (145, 54, 34),
        (0, 0, 255): (41, 240, 110),
    }
    made = dataset(np.zeros((2, 5, 2, 3), np.uint8), "RGB")
    made.PhotometricInterpretation = "YBR_PARTIAL_422"
    frame = b"".join(bytes([y, y, blue, red]) for y, blue, red in known.values())
    made.PixelData = 2 * frame
    expected = np.repeat(np.array(list(known))[None, :, None], 2, axis=2)
    pixels = read_scan(saved(made)).pixels
    assert np.abs(pixels.astype(int) - expected).max() <= 2
    (copy,) = deidentify([saved(made)])
    assert np.array_equal(read_scan(copy).pixels, pixels)
    made.PixelData = frame
    refused(saved(made), "cut short: 20 of 40 bytes")


@pytest.mark.parametrize("kind", ["YBR_ICT", "YBR_RCT"])
def test_colours_that_only_jpeg_2000_has(kind):
    smooth = cv2.GaussianBlur(COLOURS[0], (0, 0), 3)
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, "JPEG", quality=95)
    made = dataset(smooth, "RGB", PhotometricInterpretation=kind)
    made.PixelData = encapsulate([file.getvalue()])
    made["PixelData"].VR = "OB"
    other = np.asarray(Image.open(file)).astype(int)
    for syntax in (JPEGBaseline8Bit, SPECTRAL):
        made.file_meta.TransferSyntaxUID = syntax
        assert np.abs(read_scan(saved(made)).pixels[0] - other).max() <= 2
    for syntax in (RLELossless, JPEGLSLossless):
        made = dataset(COLOURS, "RGB", syntax=syntax, PhotometricInterpretation=kind)
        refused(saved(made), f"{kind}, cannot be read here")


def test_colours_by_pixel_are_what_is_meant_where_nothing_is_told():
    made = dicom(COLOURS, "RGB", PlanarConfiguration=None)
    assert np.array_equal(read_scan(made).pixels, COLOURS)


def test_kinds_of_pixels_in_small_letters():
    made = dicom(NOISE, bits=12, PhotometricInterpretation="monochrome1")
    assert np.array_equal(read_scan(made).pixels, read_scan(dicom(NOISE, "MONOCHROME1", 12)).pixels)


def test_deep_colours_keep_their_depth():
    colours = np.array([[[0, 2048, 4095], [4095, 0, 2048]]], np.uint16)
    made = dicom(colours, "RGB", bits=12)
    assert read_scan(made).pixels[0].tolist() == [[[0, 128, 255], [255, 0, 128]]]


# ---------------------------------------------------------------- what is refused, and how


def test_refusals_are_sentences():
    report = dataset(NOISE, PixelData=None, SOPClassUID="1.2.840.10008.5.1.4.1.1.88.11")
    refused(saved(report), "holds no picture.*Basic Text SR")
    folder = dataset(NOISE, PixelData=None, DirectoryRecordSequence=items(PatientID="1"))
    refused(saved(folder), "directory of a DICOM disc")
    video = dataset(NOISE)
    video.PixelData = encapsulate([b"x" * 100])
    video["PixelData"].VR = "OB"
    video.file_meta.TransferSyntaxUID = MPEG2MPML
    refused(saved(video), "packed as MPEG2.*cannot be read here")
    refused(dicom(NOISE, Rows=None), "Rows is missing")
    refused(dicom(NOISE, BitsStored=None), "BitsStored is missing")
    refused(dicom(NOISE, PixelRepresentation=None), "PixelRepresentation is missing")
    refused(dicom(NOISE, PhotometricInterpretation=""), "PhotometricInterpretation is missing")
    refused(dicom(NOISE, NumberOfFrames="3"), r"cut short: 3840 of 11520 bytes")
    refused(bytes(128) + b"DICM", "damaged")
    refused(bytes(128) + b"DICM" + bytes(99), "damaged|holds no picture")


@pytest.mark.parametrize("length", [None, "told"])
@pytest.mark.parametrize("syntax", PLAIN[:2], ids=lambda one: one.name)
@pytest.mark.parametrize("shape", [(2, 2), (40, 48)])
def test_a_compressed_picture_that_is_said_to_be_plain(syntax, length, shape):
    made = dataset(np.resize(NOISE, shape), bits=12, syntax=RLELossless)
    made.file_meta.TransferSyntaxUID = syntax
    made["PixelData"].is_undefined_length = length is None
    refused(saved(made), "is compressed, but its header does not say how")


def test_a_plain_picture_may_begin_like_a_compressed_one():
    words = NOISE.copy()
    words[0, :2] = 0xFFFE, 0xE000
    assert np.array_equal(read_scan(dicom(words)).grey.values[0], words)


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless], ids=lambda one: one.name)
@pytest.mark.parametrize("told", [2, 5])
def test_more_or_fewer_frames_than_are_told(syntax, told):
    made = dataset(np.stack([NOISE] * 3), bits=12, syntax=syntax, NumberOfFrames=told)
    made.PixelData = encapsulate(
        list(generate_frames(made.PixelData, number_of_frames=3)), has_bot=False
    )
    refused(saved(made), f"tells of {told} frames, but its picture has 3 parts")


def test_the_limits_are_checked_before_decoding():
    assert MAX_FRAMES == 256
    refused(dicom(NOISE, NumberOfFrames="257"), "more frames than the limit of 256")
    assert MAX_PIXELS == 80_000_000
    made = dataset(NOISE, syntax=JPEG2000Lossless, Rows=60_000, Columns=60_000)
    refused(saved(made), "limit of 80 million pixels")


def test_a_codestream_that_claims_more_than_the_header_is_refused():
    data = bytearray(dicom(NOISE, bits=12, syntax=JPEG2000Lossless))
    place = data.index(b"\xff\x4f\xff\x51") + 8
    struct.pack_into(">2I", data, place, 60_000, 60_000)
    refused(bytes(data), "damaged")


@pytest.mark.parametrize("before", [b"", b"\2\0\1\0OB\0\0\0\0\x20\0" + bytes(2**21)])
def test_deflated_data_unpack_within_the_limit(before):
    uid = DeflatedExplicitVRLittleEndian.encode() + b"\0"
    header = bytes(128) + b"DICM" + before + b"\2\0\x10\0UI" + len(uid).to_bytes(2, "little") + uid
    packer = zlib.compressobj(9, wbits=-15)
    zeros = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    bomb = header + 1000 * zeros + packer.flush()
    tracemalloc.start()
    try:
        refused(bomb, "unpacks to more than the limit of 200 MB")
        assert slice_of(bomb) is None  # asked of every upload before it is read
        assert tracemalloc.get_traced_memory()[1] < 4 * MAX_BYTES
    finally:
        tracemalloc.stop()


SAMPLES = {
    "grey": dicom(NOISE, bits=12, WindowCenter="5", WindowWidth="9", PatientName="Doe^Jane"),
    "colour": dicom(COLOURS, "RGB"),
    "jpeg 2000": dicom(NOISE, bits=12, syntax=JPEG2000Lossless),
    "run lengths": dicom(COLOURS, "RGB", syntax=RLELossless),
    "bare": dicom(NOISE, bits=12)[132:],
    "deflated": of_syntax(dataset(NOISE, bits=12), DeflatedExplicitVRLittleEndian),
}


def outcome(data: bytes) -> Scan | None:
    try:
        return read_scan(data)
    except ScanError:
        return None


@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_file_is_refused_or_whole(name):
    data = SAMPLES[name]
    whole = outcome(data).pixels
    step = max(1, len(data) // 400)
    kept = [scan for end in range(0, len(data), step) if (scan := outcome(data[:end]))]
    # what is left out where a picture still shows is what stands behind it
    assert len(kept) * step < 60
    assert all(np.array_equal(scan.pixels, whole) for scan in kept)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_never_raise_anything_else(name):
    random = np.random.default_rng(len(name))
    for _ in range(100):
        data = bytearray(SAMPLES[name])
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, data[place] ^ 1])
        outcome(bytes(data))


def test_bad_files_say_nothing_on_the_console():
    named = dicom(NOISE, PatientName="Doe^Jane", PatientBirthDate="19800101")
    bad = named.replace(b"19800101", b"Doe^Jane")
    code = (
        "import logging, sys; logging.basicConfig()\n"
        "from core.scans import ScanError, read_scan\n"
        f"for data in ({bad!r}, {bad[:-9]!r}, {SAMPLES['jpeg 2000'][:-200]!r}):\n"
        "    try: read_scan(data)\n"
        "    except ScanError: print('refused')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.split() == ["refused"] * 2
    assert answer.stderr == ""


def test_a_cine_and_a_mammogram_open_at_once():
    # Time of the processor, which does not depend on what else the machine does.
    cine = dicom(np.tile(COLOURS[:1], (65, 12, 13, 1))[:, :480, :640], "RGB", syntax=RLELossless)
    mammogram = dicom(np.tile(NOISE, (100, 63))[:4000, :3000], "MONOCHROME1", bits=12)
    for data, shape, limit in ((cine, (65, 480, 624, 3), 3), (mammogram, (1, 4000, 3000, 3), 2)):
        start = process_time()
        assert read_scan(data).pixels.shape == shape
        assert process_time() - start < limit


# ---------------------------------------------------------------- real awkward files

# Name -> shape and spacing, or the reason why there is none.
REAL = {
    "mr/MR_small_bigendian.dcm": ((1, 64, 64), (0.3125, 0.3125)),
    "mr/MR_small_jp2klossless.dcm": ((1, 64, 64), (0.3125, 0.3125)),
    "mr/emri_small.dcm": ((10, 64, 64), None),
    "other_modality/CT_small.dcm": ((1, 128, 128), (0.661468, 0.661468)),
    "odd_or_broken/SC_rgb_small_odd.dcm": ((1, 3, 3), (33.333333, 33.333333)),
    "odd_or_broken/MR_truncated.dcm": "cut short: 8130 of 8192",
    "odd_or_broken/badVR.dcm": "NumberOfFrames is missing or no count",
    "odd_or_broken/meta_missing_tsyntax.dcm": "Rows is missing",
    "odd_or_broken/reportsi_with_empty_number_tags.dcm": "no picture.*SR",
    "odd_or_broken/rtstruct.dcm": "no picture.*RT Structure Set",
    "ultrasound/US1_J2KR.dcm": ((1, 480, 640), None),
    "ultrasound/US1_UNCI.dcm": ((1, 480, 640), None),
    "ultrasound/examples_ybr_color.dcm": ((30, 240, 320), None),
    "ultrasound/gdcm-US-ALOKA-16.dcm": ((1, 480, 640), (0.382653, 0.382653)),
    "ultrasound/gdcm-US-ALOKA-16_big.dcm": ((1, 480, 640), (0.382653, 0.382653)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(data_folder, name):
    path, expected = data_folder / "dicom_inputs" / name, REAL[name]
    if isinstance(expected, str):
        with pytest.raises(ScanError, match=expected):
            read_scan_file(path)
        return
    scan = read_scan_file(path)
    shape, spacing = expected
    assert scan.pixels.shape == (*shape, 3)
    assert scan.spacing_mm == (spacing and pytest.approx(spacing, rel=1e-5))


def test_every_real_file_is_known(data_folder):
    folder = data_folder / "dicom_inputs"
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*.dcm")}
    assert files == set(REAL)


@pytest.mark.parametrize("name", [name for name, one in REAL.items() if not isinstance(one, str)])
def test_real_pixels_are_as_gdcm_reads_them(data_folder, name):
    gdcm = pytest.importorskip("gdcm")
    path = data_folder / "dicom_inputs" / name
    reader = gdcm.ImageReader()
    reader.SetFileName(str(path))
    assert reader.Read()
    image = reader.GetImage()
    raw = image.GetBuffer().encode("utf-8", errors="surrogateescape")
    kind = {"INT16": np.int16, "UINT16": np.uint16, "UINT8": np.uint8}
    values = np.frombuffer(raw, kind[image.GetPixelFormat().GetScalarTypeAsString()])
    scan = read_scan_file(path)
    photometric = str(image.GetPhotometricInterpretation()).strip()
    if scan.grey is not None:
        rescaled = apply_modality_lut(values, pydicom.dcmread(path))
        assert np.array_equal(scan.grey.values.ravel(), rescaled)
    elif photometric == "PALETTE COLOR":
        values = values.reshape(scan.pixels.shape[1:3])
        colours = apply_color_lut(values, pydicom.dcmread(path))
        assert np.abs(scan.pixels[0].astype(int) - colours / 257).max() <= 0.51
    elif photometric == "YBR_FULL_422":
        values = values.reshape(scan.pixels.shape)
        first = cv2.cvtColor(np.ascontiguousarray(values[0][..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB)
        distances = [np.abs(scan.pixels[0].astype(int) - one).mean() for one in (values[0], first)]
        assert min(distances) < 2
    else:
        assert np.array_equal(scan.pixels.ravel(), values)


def test_one_picture_in_two_packings_is_one(data_folder):
    folder = data_folder / "dicom_inputs"
    for one, other in (
        ("ultrasound/gdcm-US-ALOKA-16.dcm", "ultrasound/gdcm-US-ALOKA-16_big.dcm"),
        ("ultrasound/US1_J2KR.dcm", "ultrasound/US1_UNCI.dcm"),
        ("mr/MR_small_bigendian.dcm", "mr/MR_small_jp2klossless.dcm"),
    ):
        pixels = [read_scan_file(folder / name).pixels for name in (one, other)]
        assert np.array_equal(*pixels)
