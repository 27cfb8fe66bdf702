"""Scans: pixels against values worked out by hand, and every kind of file that is refused."""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import subprocess
import sys
import tracemalloc
import zlib
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from PIL import Image

from core.scan_types import MAX_BYTES, MAX_FRAMES, MAX_PIXELS
from core.scans import KINDS, ScanError, read_scan, read_scan_file

RED, BLACK, WHITE = [255, 0, 0], [0, 0, 0], [255, 255, 255]

# What the libraries warn of is silenced when core.scans is imported, which pytest undoes.
pytestmark = [
    pytest.mark.filterwarnings(r"ignore:::PIL\..*"),
    pytest.mark.filterwarnings(r"ignore:::pydicom\..*"),
]


# ---------------------------------------------------------------- files made by hand


def chunk(name: bytes, content: bytes) -> bytes:
    mark = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + mark


def png_header(width: int, height: int, bits: int, colour: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)


def png(width: int, bits: int, colour: int, rows: list[bytes], *extra: bytes) -> bytes:
    """A PNG of packed rows; colour 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA."""
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = (*extra, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    return png_header(width, len(rows), bits, colour) + b"".join(parts)


def png16(samples, colour: int, *extra: bytes) -> bytes:
    samples = np.array(samples, ">u2")
    return png(samples.shape[1], 16, colour, [row.tobytes() for row in samples], *extra)


def tiff(*pages: dict, order: str = "<", big: bool = False) -> bytes:
    """A TIFF of pages, each ``{tag: value or values, "pixels": bytes}``, one strip a page."""
    place, count = ("Q", "Q") if big else ("I", "H")
    version = struct.pack(order + "HHH", 43, 8, 0) if big else struct.pack(order + "H", 42)
    data = bytearray((b"II" if order == "<" else b"MM") + version)
    link = len(data)
    data += bytes(struct.calcsize(place))
    for page in pages:
        page = dict(page)
        pixels = page.pop("pixels")
        page = {259: 1, 273: len(data), 279: len(pixels)} | page
        data += pixels
        entries = b""
        for tag, values in sorted(page.items()):
            values = values if isinstance(values, tuple) else (values,)
            content = struct.pack(f"{order}{len(values)}I", *values)
            if len(content) > struct.calcsize(place):
                content, outlying = struct.pack(order + place, len(data)), content
                data += outlying
            entries += struct.pack(order + "HH" + place, tag, 4, len(values))
            entries += content.ljust(struct.calcsize(place), b"\0")
        struct.pack_into(order + place, data, link, len(data))
        data += struct.pack(order + count, len(page)) + entries
        link = len(data)
        data += bytes(struct.calcsize(place))
    return bytes(data)


def page(samples, code: str, photometric: int = 1, **tags) -> dict:
    """A page of one strip; ``code`` is the NumPy type of a sample, with its byte order."""
    samples = np.array(samples, code)
    height, width, *planes = samples.shape
    bits = (samples.itemsize * 8,) * (planes[0] if planes else 1)
    shape = {256: width, 257: height, 258: bits, 262: photometric, 277: len(bits), 278: height}
    return {**shape, "pixels": samples.tobytes()} | {int(key[1:]): tags[key] for key in tags}


def saved(image: Image.Image | np.ndarray, fmt: str, **options) -> bytes:
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    file = io.BytesIO()
    image.save(file, fmt, **options)
    return file.getvalue()


def grey_of(data: bytes, frame: int = 0) -> list:
    """One frame as rows of grey values; all channels must agree."""
    pixels = read_scan(data).pixels[frame]
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0].tolist()


def colours_of(data: bytes) -> list:
    return read_scan(data).pixels[0].tolist()


NOISE = np.random.default_rng(7).integers(0, 256, (13, 17, 3), dtype=np.uint8)
NOISE[:6] = NOISE[0, 0]


# ---------------------------------------------------------------- 8 bits and less


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("PNG", {}),
        ("BMP", {}),
        ("WEBP", {"lossless": True}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "tiff_adobe_deflate"}),
        ("TIFF", {"compression": "packbits"}),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_lossless_files_keep_every_pixel(fmt, options, mode):
    image = Image.fromarray(NOISE).convert(mode)
    scan = read_scan(saved(image, fmt, **options))
    assert scan.spacing_mm is None
    assert scan.modality is None
    assert np.array_equal(scan.pixels, np.asarray(image.convert("RGB"))[None])


@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_jpeg_is_as_another_decoder_reads_it(options):
    data = saved(NOISE, "JPEG", quality=95, subsampling=0, **options)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert np.abs(read_scan(data).pixels[0].astype(int) - other).max() <= 1


def test_the_pixels_are_read_only_and_contiguous():
    turned = Image.Exif()
    turned[0x0112] = 6
    for data in (saved(NOISE, "PNG"), saved(NOISE, "PNG", exif=turned), png16([[1, 2]], 0)):
        pixels = read_scan(data).pixels
        assert pixels.dtype == np.uint8
        assert pixels.flags.c_contiguous
        with pytest.raises(ValueError, match="read-only"):
            pixels[0, 0, 0, 0] = 1


def test_cmyk():
    inks = [[[0, 0, 0, 0], [255, 0, 0, 0]], [[0, 0, 0, 255], [0, 128, 0, 0]]]
    expected = [[WHITE, [0, 255, 255]], [BLACK, [255, 127, 255]]]
    assert colours_of(tiff(page(inks, "u1", 5))) == expected
    upper_bits = np.array(inks) * 256 + 255
    assert colours_of(tiff(page(upper_bits, "<u2", 5))) == expected
    sheet = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    assert np.allclose(colours_of(saved(sheet, "JPEG", quality=100)), RED, atol=3)


def test_palette_with_and_without_transparency():
    palette = chunk(b"PLTE", bytes([255, 0, 0, 0, 0, 0, 255, 255, 255, 200, 100, 50]))
    indices = [b"\x00\x01", b"\x02\x03"]
    assert colours_of(png(2, 8, 3, indices, palette)) == [[RED, BLACK], [WHITE, [200, 100, 50]]]
    # Alpha 0, 255, 51 (a fifth) and, not being named, 255.
    alpha = chunk(b"tRNS", bytes([0, 255, 51]))
    assert colours_of(png(2, 8, 3, indices, palette, alpha)) == [
        [BLACK, BLACK],
        [[51, 51, 51], [200, 100, 50]],
    ]


def test_transparency_is_laid_over_black():
    # 200, 100, 50 at 51 / 255, a fifth
    rgba = [[[200, 100, 50, 51], [1, 2, 3, 255], [9, 9, 9, 0]]]
    expected = [[[40, 20, 10], [1, 2, 3], BLACK]]
    assert colours_of(png(3, 8, 6, [np.array(rgba, "u1").tobytes()])) == expected
    assert colours_of(tiff(page(rgba, "u1", 2, t338=2))) == expected
    assert colours_of(saved(np.array(rgba, "u1"), "WEBP", lossless=True, exact=True)) == expected
    assert grey_of(png(2, 8, 4, [bytes([200, 51, 7, 255])])) == [[40, 7]]


@pytest.mark.parametrize(
    ("bits", "row", "key", "expected"),
    [
        (1, 0b10100000, 1, [0, 0, 0, 0]),
        (2, 0b00011011, 2, [0, 85, 0, 255]),
        (4, 0x5F, 5, [0, 255]),
        (8, 0x5F, 0x5F, [0]),
    ],
)
def test_a_transparent_grey_value(bits, row, key, expected):
    mark = chunk(b"tRNS", struct.pack(">H", key))
    assert grey_of(png(len(expected), bits, 0, [bytes([row])], mark)) == [expected]


def test_one_bit():
    row = bytes([0b10100000])
    assert grey_of(png(4, 1, 0, [row])) == [[255, 0, 255, 0]]
    strip = {256: 4, 257: 1, 258: 1, 277: 1, 278: 1, "pixels": row}
    assert grey_of(tiff({**strip, 262: 1})) == [[255, 0, 255, 0]]
    assert grey_of(tiff({**strip, 262: 0})) == [[0, 255, 0, 255]]
    fax = Image.fromarray(NOISE).convert("1")
    data = saved(fax, "TIFF", compression="group4")
    assert np.array_equal(np.array(grey_of(data)), np.asarray(fax) * 255)


STORED = [[1, 2, 3], [4, 5, 6]]
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(fmt, orientation):
    blocks = np.kron(np.array(STORED) * 40, np.ones((16, 16))).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = read_scan(saved(blocks, fmt, exif=exif)).pixels[0, 8::16, 8::16, 0]
    assert np.array_equal(np.rint(pixels / 40), UPRIGHT[orientation])


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_of_deep_colour(orientation):
    samples = np.stack([np.array(STORED) - 1] * 3, axis=2) * 51 * 257
    expected = (np.array(UPRIGHT[orientation]) - 1) * 51
    turned = tiff(page(samples, "<u2", 2, t274=orientation))
    assert grey_of(turned) == expected.tolist()
    exif = struct.pack("<2sHIHHHII", b"II", 42, 8, 1, 0x0112, 3, 1, orientation) + bytes(4)
    assert grey_of(png16(samples, 2, chunk(b"eXIf", exif))) == expected.tolist()


def test_broken_exif_does_not_refuse_the_scan():
    data = png(2, 8, 0, [b"\x05\x07"], chunk(b"eXIf", b"nothing of the kind"))
    assert grey_of(data) == [[5, 7]]


# ---------------------------------------------------------------- more than 8 bits


def test_sixteen_bits_that_span_the_range_are_the_8_bit_image():
    ramp = [[257 * value for value in range(256)]]
    assert grey_of(png16(ramp, 0)) == [list(range(256))]


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize(
    ("code", "sample_format", "values"),
    [
        ("u2", 1, [1000, 1002, 1255, 1510]),
        ("i2", 2, [-300, -298, -45, 210]),
        ("i4", 2, [-100_000, -99_800, -74_500, -49_000]),
        ("f4", 3, [-1, -0.5, 62.75, 126.5]),
    ],
)
def test_the_window_is_the_smallest_to_the_largest_value(order, big, code, sample_format, values):
    # (value - smallest) * 255 / (largest - smallest); 127.5 goes to the even neighbour
    data = tiff(page([values], order + code, t339=sample_format), order=order, big=big)
    assert grey_of(data) == [[0, 1, 128, 255]]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("number", "packer"), [(8, zlib.compress), (34925, lzma.compress)])
@pytest.mark.parametrize("in_tiles", [False, True])
@pytest.mark.parametrize(
    ("code", "sample_format", "values"),
    [
        ("u1", 1, [0, 1, 254, 255]),
        ("i1", 2, [-128, -2, 1, 127]),
        ("u2", 1, [0, 1, 256, 65534]),
        ("i2", 2, [0, 1, 256, -2]),
        ("i4", 2, [0, 1, 65536, -2]),
        ("f4", 3, [0, 1, 0.5, -1e9]),
    ],
)
def test_compressed_values_of_either_byte_order(
    order, number, packer, in_tiles, code, sample_format, values
):
    samples = np.resize(np.array(values, order + code), (16, 16))
    sheet = page(samples, order + code, t259=number, t339=sample_format)
    packed = packer(sheet["pixels"])
    if in_tiles:
        del sheet[278]
        sheet |= {322: 16, 323: 16, 324: 8, 325: len(packed)}
    scan = read_scan(tiff({**sheet, "pixels": packed}, order=order))
    found = scan.pixels[..., 0] if scan.grey is None else scan.grey.values
    assert np.array_equal(found[0], samples)


def test_signed_8_bits():
    # 255 / 199 a step: 99 and 100 steps above the smallest are 126.9 and 128.1
    assert grey_of(tiff(page([[-100, -1, 0, 99]], "i1", t339=2))) == [[0, 127, 128, 255]]


def test_unsigned_32_bits_beyond_the_signed_range():
    assert grey_of(tiff(page([[0, 2**31, 2**32 - 1]], "<u4"))) == [[0, 128, 255]]


def test_a_narrow_range_of_large_numbers():
    ramp = np.arange(256, dtype=np.uint32).reshape(16, 16)
    assert grey_of(tiff(page(3_000_000_000 + ramp, "<u4"))) == ramp.tolist()


def test_12_bits():
    # 2048 / 4095 * 255 = 127.53
    assert grey_of(png16([[0, 2048, 4095]], 0)) == [[0, 128, 255]]
    packed = {256: 4, 257: 1, 258: 12, 262: 1, 277: 1, 278: 1}
    packed["pixels"] = bytes.fromhex("000800fff000")
    assert grey_of(tiff(packed)) == [[0, 128, 255, 0]]


@pytest.mark.parametrize("code", ["<u2", "<f4"])
def test_white_may_be_zero(code):
    kind = 3 if "f" in code else 1
    assert grey_of(tiff(page([[0, 128, 255]], code, 0, t339=kind))) == [[255, 127, 0]]


@pytest.mark.parametrize("value", [0, 4660, 65535])
def test_a_constant_deep_scan_is_black(value):
    assert grey_of(png16([[value] * 2] * 2, 0)) == [[0, 0], [0, 0]]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_numbers_are_refused(value):
    with pytest.raises(ScanError, match="not numbers.*16-bit"):
        read_scan(tiff(page([[0, value]], "<f4", t339=3)))


def test_deep_colour_is_not_cut_to_8_bits():
    # All below 4096, so that 8 bits of each would be 0 to 15. 2048 / 4095 * 255 = 127.53
    samples = [[[0, 2048, 4095], [4095, 0, 2048]]]
    expected = [[[0, 128, 255], [255, 0, 128]]]
    assert colours_of(png16(samples, 2)) == expected
    for order in "<>":
        assert colours_of(tiff(page(samples, order + "u2", 2), order=order)) == expected


def test_transparency_of_deep_images():
    # A fifth (13107 of 65535) of 50,000 is 10,000; the window is then 0 to 51,000: 255 / 51,000
    # is 1 / 200.
    expected = [[[50, 0, 5], [255, 5, 10]]]
    rgba = [[[50_000, 0, 5_000, 13_107], [51_000, 1_000, 2_000, 65_535]]]
    assert colours_of(png16(rgba, 6)) == expected
    assert colours_of(tiff(page(rgba, "<u2", 2, t338=2))) == expected
    multiplied = [[[10_000, 0, 1_000, 13_107], [51_000, 1_000, 2_000, 65_535]]]
    assert colours_of(tiff(page(multiplied, "<u2", 2, t338=1))) == expected
    assert colours_of(tiff(page(multiplied, "<u2", 2, t338=0))) == expected
    grey = [[[50_000, 13_107], [51_000, 65_535], [9, 0]]]
    assert grey_of(png16(grey, 4)) == [[50, 255, 0]]
    assert grey_of(png16([[10_000, 51_000, 7]], 0, chunk(b"tRNS", struct.pack(">H", 10_000)))) == [
        [0, 255, 0]
    ]
    key = chunk(b"tRNS", struct.pack(">HHH", 9, 8, 7))
    assert colours_of(png16([[[9, 8, 7], [51_000, 200, 0]]], 2, key)) == [[BLACK, [255, 1, 0]]]


def test_deep_colours_in_separate_planes_are_refused():
    planes = page(np.ones((2, 2, 3)), "<u2", 2, t284=2)
    with pytest.raises(ScanError, match="separate planes.*PNG"):
        read_scan(tiff(planes))


# ---------------------------------------------------------------- frames


def test_pages_of_one_size_are_frames():
    scan = read_scan(tiff(*(page([[value, value + 1]], "u1") for value in (10, 20, 30))))
    assert scan.pixels[..., 0].tolist() == [[[10, 11]], [[20, 21]], [[30, 31]]]


def test_deep_frames_share_one_window():
    frames = [[[0, 51]], [[102, 255]]]
    assert read_scan(tiff(*(page(f, "<u2") for f in frames))).pixels[..., 0].tolist() == frames
    colours = [[[[0, 51, 7]]], [[[102, 255, 9]]]]
    assert read_scan(tiff(*(page(c, "<u2", 2) for c in colours))).pixels.tolist() == colours


def test_frames_of_an_animated_webp():
    frames = [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1])]
    data = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    assert np.array_equal(read_scan(data).pixels, [NOISE, NOISE[::-1]])


@pytest.mark.parametrize("fmt", ["MPO", "PNG"])
def test_only_the_first_of_several_pictures(fmt):
    frames = [Image.fromarray(NOISE), Image.new("RGB", (17, 13))]
    data = saved(frames[0], fmt, save_all=True, append_images=frames[1:])
    pixels = read_scan(data).pixels
    assert len(pixels) == 1
    assert np.corrcoef(pixels.ravel(), NOISE.ravel())[0, 1] > 0.6


def test_reduced_copies_and_masks_are_no_frames():
    small, mask = page([[1]], "u1", t254=1), page([[0, 1]], "u1", t254=4)
    assert read_scan(tiff(small, page([[5, 6]], "u1"), mask)).pixels[..., 0].tolist() == [[[5, 6]]]


@pytest.mark.parametrize(
    "other",
    [
        page([[1]], "u1"),
        page([[1, 2]], "<u2"),
        page([[1, 2]], "u1", 0),
        page([[1, 2]], "i1", t339=2),
    ],
)
def test_pages_that_differ_are_refused(other):
    with pytest.raises(ScanError, match="pages.*differ.*Save the page"):
        read_scan(tiff(page([[1, 2]], "u1"), other))


def test_the_limit_of_frames():
    frame = page([[1, 2]], "u1")
    assert len(read_scan(tiff(*[frame] * MAX_FRAMES)).pixels) == MAX_FRAMES
    with pytest.raises(ScanError, match=f"more frames than the limit of {MAX_FRAMES}"):
        read_scan(tiff(*[frame] * (MAX_FRAMES + 1)))


def test_a_loop_of_pages_ends():
    data = bytearray(tiff(page([[1, 2]], "u1")))
    (first,) = struct.unpack_from("<I", data, 4)
    struct.pack_into("<I", data, len(data) - 4, first)
    assert len(read_scan(bytes(data)).pixels) == 1


# ---------------------------------------------------------------- what is refused, and how


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "empty.*Export"),
        (b"not an image at all", "not an image of a known format.*PNG, JPEG, BMP, TIFF or WebP"),
        (bytes(128) + b"DICM" + bytes(99), "DICOM file holds no picture"),
        (b"II*\0" + bytes(124) + b"DICM", "DICOM"),
        (b"GIF89a", "a GIF file.*PNG, JPEG, BMP, TIFF or WebP"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51", "JPEG 2000"),
        (b"P5\n20 10", "Netpbm"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"\0\0\0\x18ftypisom", "video"),
        (b"RIFF\0\0\0\0AVI ", "video"),
        (b"%PDF-1.7", "PDF"),
        (b"PK\x03\x04", "archive"),
        (b"PK\x05\x06" + bytes(18), "ZIP archive is empty.*Pack"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7-Zip or RAR.*Unpack"),
        (b"Rar!\x1a\x07\x01\0", "7-Zip or RAR.*Unpack"),
        (b"DICM" + bytes(99), "DICOM file"),
        (b"\x89PNG\r\n\x1a\n", "PNG file is damaged, incomplete.*Copy or export"),
        (b"BM", "BMP file is damaged"),
        (b"RIFF\0\0\0\0WEBP", "WebP file is damaged"),
        (tiff(page([[1, 2]], "<f8", t339=3)), "TIFF file is damaged, incomplete or of an unusual"),
    ],
)
def test_refusals_are_sentences(data, sentence):
    with pytest.raises(ScanError, match=sentence) as refused:
        read_scan(data)
    assert str(refused.value).endswith(".")


def test_a_compressed_scan_is_unpacked_once_and_within_the_limit():
    data = saved(NOISE, "PNG")
    assert np.array_equal(read_scan(gzip.compress(data)).pixels[0], NOISE)
    with pytest.raises(ScanError, match="compressed twice"):
        read_scan(gzip.compress(gzip.compress(data)))
    with pytest.raises(ScanError, match="compressed file is damaged"):
        read_scan(gzip.compress(data)[:-20])
    refused_cheaply(gzip.compress(bytes(MAX_BYTES + 1)), "unpacks to more than the limit", 450)


def test_every_kind_is_told_by_its_first_bytes():
    for kind in KINDS:
        with pytest.raises(ScanError):
            read_scan(bytes(kind.offset) + kind.magic + bytes(64))


def test_the_name_does_not_matter(tmp_path):
    path = tmp_path / "scan.jpg"
    path.write_bytes(saved(NOISE, "BMP"))
    assert np.array_equal(read_scan_file(path).pixels[0], NOISE)
    assert np.array_equal(read_scan_file(str(path)).pixels[0], NOISE)


@pytest.mark.parametrize("name", ["missing.png", "", "nul\0.png"])
def test_a_file_that_cannot_be_opened(tmp_path, name):
    with pytest.raises(ScanError, match=r"cannot be opened \("):
        read_scan_file(f"{tmp_path}/{name}")


def test_the_limit_of_bytes(tmp_path):
    assert MAX_BYTES == 200 * 2**20
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(50 * MAX_BYTES)  # a sparse file: its content is not on the disk
    with pytest.raises(ScanError, match="larger than the limit of 200 MB"):
        read_scan_file(path)


# ---------------------------------------------------------------- bombs


def refused_cheaply(data: bytes, sentence: str, megabytes: float = 40) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ScanError, match=sentence):
            read_scan(data)
        assert tracemalloc.get_traced_memory()[1] < megabytes * 1e6
    finally:
        tracemalloc.stop()


def black(width: int, height: int) -> bytes:
    return png(width, 1, 0, [bytes((width + 7) // 8)] * height)


def test_a_header_that_claims_too_much_is_refused_before_decoding():
    assert MAX_PIXELS == 80_000_000
    for width, height in ((60_000, 60_000), (80_000_001, 1), (10_000, 8_001)):
        # There are no pixels at all: decoding would have called the file damaged.
        data = png_header(width, height, 8, 0) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        refused_cheaply(data, "limit of 80 million pixels")
    sheet = page([[1, 2]], "u1") | {256: 60_000, 257: 60_000}
    refused_cheaply(tiff(sheet), "limit of 80 million pixels")


def test_a_small_file_that_unpacks_to_much():
    data = black(12_000, 12_000)
    assert len(data) < 20_000
    refused_cheaply(data, "limit of 80 million pixels")


def test_the_pixels_of_all_frames_count():
    sheet = Image.new("1", (6_000, 6_000))
    data = saved(sheet, "TIFF", compression="group4", save_all=True, append_images=[sheet] * 2)
    assert len(data) < 10_000
    refused_cheaply(data, "counted over all its frames")


def test_a_tile_much_larger_than_its_image():
    rows = {256: 10, 257: 10, 258: 8, 259: 8, 262: 1, 277: 1, 322: 16_384, 323: 16_384}
    strip = zlib.compress(bytes(1000))
    data = tiff({**rows, 324: 8, 325: len(strip), "pixels": strip})
    refused_cheaply(data, "limit of 80 million pixels")


def overlapping(entries: int, tail: int) -> bytes:
    """A directory that names its own content over and over: entries x tail bytes to read."""
    content = b"".join(struct.pack("<HHII", 30_000 + i, 7, tail, 8) for i in range(entries))
    return b"II*\0" + struct.pack("<IH", 8, entries) + content + bytes(tail)


def test_directories_that_name_the_same_bytes_over_and_over():
    refused_cheaply(overlapping(5_000, 60_000), "TIFF file is damaged")
    whole = tiff(page([[1, 2]], "u1", t34665=0))
    pointer = whole.index(struct.pack("<HHI", 34665, 4, 1)) + 8
    hidden = bytearray(whole + overlapping(5_000, 60_000)[8:])
    struct.pack_into("<I", hidden, pointer, len(whole))
    refused_cheaply(bytes(hidden), "TIFF file is damaged")
    segment = b"Exif\0\0" + overlapping(2_000, 40_000)[:65_000]
    exif = b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment
    data = saved(NOISE, "JPEG")
    refused_cheaply(data[:2] + exif * 4 + data[2:], "EXIF data")
    large = chunk(b"eXIf", overlapping(2_000, 80_000))
    refused_cheaply(png(1, 8, 0, [b"\x05"], large), "EXIF data")


# ---------------------------------------------------------------- damage


def animation(fmt: str, **options) -> bytes:
    frames = [Image.fromarray(NOISE), Image.fromarray(NOISE[::-1])]
    return saved(frames[0], fmt, save_all=True, append_images=frames[1:], **options)


DEEP = NOISE.astype(np.uint16) * 257
SAMPLES = {
    "png": saved(NOISE, "PNG"),
    "png 16 bits": png16(DEEP[..., 0], 0),
    "png 16 bits colour": png16(DEEP, 2),
    "jpeg": saved(NOISE, "JPEG"),
    "jpeg progressive": saved(NOISE, "JPEG", progressive=True),
    "bmp": saved(NOISE, "BMP"),
    "webp": saved(NOISE, "WEBP"),
    "webp lossless": saved(NOISE, "WEBP", lossless=True),
    "webp animated": animation("WEBP", lossless=True),
    "tiff": saved(NOISE, "TIFF"),
    "tiff lzw": saved(NOISE, "TIFF", compression="tiff_lzw"),
    "tiff jpeg": saved(NOISE, "TIFF", compression="jpeg"),
    "tiff pages": animation("TIFF", compression="tiff_adobe_deflate"),
    "tiff 16 bits": tiff(page(DEEP[..., 0], "<u2")),
    "tiff 16 bits colour": tiff(page(DEEP, ">u2", 2), order=">"),
}


def outcome(data: bytes) -> np.ndarray | None:
    """The pixels, or None if refused; anything else fails the test."""
    try:
        scan = read_scan(data)
    except ScanError:
        return None
    assert scan.pixels.ndim == 4
    assert scan.pixels.dtype == np.uint8
    return scan.pixels


@pytest.mark.parametrize("name", SAMPLES)
def test_a_picture_may_show_a_name_of_which_its_file_does_not_tell(name):
    assert "the file does not say" in read_scan(SAMPLES[name]).text_risk


@pytest.mark.parametrize("name", SAMPLES)
def test_a_truncated_file_is_refused_or_whole(name):
    data = SAMPLES[name]
    whole = outcome(data)
    assert whole is not None
    offsets = range(len(data))
    kept = [pixels for offset in offsets if (pixels := outcome(data[:offset])) is not None]
    assert len(kept) < 20, "much of the file may be missing without notice"
    assert all(np.array_equal(pixels, whole) for pixels in kept)


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("PNG", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_an_interrupted_copy_that_was_padded_is_refused(fmt, options):
    # Large enough for a JPEG decoder to take the zeros for pixels, without complaint.
    noise = np.random.default_rng(0).integers(0, 256, (224, 224), np.uint8)
    data = saved(noise, fmt, **options)
    assert outcome(data) is not None
    assert outcome(data[: len(data) // 2].ljust(len(data), b"\0")) is None


def test_a_tiff_without_all_its_strips_is_refused():
    rows = page([[1, 2], [3, 4]], "u1")
    assert grey_of(tiff(rows)) == [[1, 2], [3, 4]]
    assert outcome(tiff(rows | {278: 1})) is None  # a strip is one row, and there is one strip


def test_a_tiff_whose_tags_cannot_all_be_read_is_refused():
    # Reading would stop at the name of the software, and miss that the samples are signed.
    data = bytearray(tiff(page([[-1, 0, 1]], "<i2", t305=(0, 0), t339=2)))
    assert grey_of(bytes(data)) == [[0, 128, 255]]
    place = data.index(struct.pack("<HHI", 305, 4, 2)) + 8
    struct.pack_into("<I", data, place, len(data) - 7)
    assert outcome(bytes(data)) is None


@pytest.mark.parametrize(("alpha", "expected"), [((0, 0), [9, 200]), ((0, 255), [0, 200])])
def test_a_bmp_whose_fourth_bytes_are_all_empty_is_opaque(alpha, expected):
    """Two grey pixels under a BITMAPV4HEADER, whose masks name the fourth byte alpha."""
    pixels = b"".join(bytes([grey] * 3 + [a]) for grey, a in zip((9, 200), alpha, strict=True))
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, 0xFF000000)
    header = struct.pack("<IiiHHIIiiII", 108, 2, 1, 1, 32, 3, 8, 0, 0, 0, 0)
    header += masks + b"BGRs" + bytes(48)
    start = 14 + len(header)
    data = b"BM" + struct.pack("<IHHI", start + 8, 0, 0, start) + header + pixels
    assert read_scan(data).pixels[0, 0, :, 0].tolist() == expected


def test_checksums_of_a_png_are_looked_at():
    data = bytearray(saved(NOISE, "PNG", compress_level=0))
    data[len(data) // 2] ^= 1  # in the middle of pixels that are stored as they are
    with pytest.raises(ScanError, match="damaged"):
        read_scan(bytes(data))


def with_checksums(data: bytes) -> bytes:
    """A damaged PNG with its checksums set right, so that the damage gets further."""
    result, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        length = int.from_bytes(data[place : place + 4])
        result += chunk(data[place + 4 : place + 8], data[place + 8 : place + 8 + length])
        place += 12 + length
    return bytes(result)


@pytest.mark.parametrize("name", SAMPLES)
def test_damaged_files_never_raise_anything_else(name):
    random = np.random.default_rng(len(SAMPLES[name]))
    for _ in range(150):
        data = bytearray(SAMPLES[name])
        for place in random.integers(0, len(data), random.integers(1, 6)):
            data[place] = random.choice([0, 1, 0x7F, 0x80, 0xFF, data[place] ^ 1])
        outcome(bytes(data))
        if name.startswith("png"):
            outcome(with_checksums(bytes(data)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.magic.hex())
def test_random_bytes_behind_a_true_beginning(kind):
    random = np.random.default_rng(1)
    for length in (0, 1, 7, 100, 5_000):
        for _ in range(10):
            outcome(bytes(kind.offset) + kind.magic + random.bytes(length))


def test_bad_files_say_nothing_on_the_console():
    short = tiff(page(DEEP, "<u2", 2) | {259: 5, 279: 99_999})
    claims = png_header(13_000, 7_000, 8, 0)
    code = (
        "import sys; from core.scans import ScanError, read_scan\n"
        f"for data in ({short!r}, {claims!r}, {SAMPLES['png 16 bits colour'][:-20]!r}):\n"
        "    try: read_scan(data)\n"
        "    except ScanError: print('refused')\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert answer.stdout.split() == ["refused"] * 3
    assert answer.stderr == ""


def test_threads_do_not_disturb_each_other():
    files = list(SAMPLES.values()) * 4
    alone = [outcome(data) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(outcome, files))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


# ---------------------------------------------------------------- real awkward files


ODD = {
    "00r0_gray_l.jp2": "JPEG 2000",
    "9bit.j2k": "JPEG 2000",
    "16_bit_binary.pgm": "Netpbm",
    "dispose_bgnd.gif": "GIF",
    "no_palette.gif": "GIF",
    "broken.png": "PNG file is damaged",
    "truncated_image.png": "PNG file is damaged",
    "truncated_jpeg.jpg": "JPEG file is damaged",
    "crash-0c7e0e8e11ce787078f00b5b0ca409a167f070e0.tif": "TIFF file is damaged",
    "crash-0e16d3bfb83be87356d026d66919deaefca44dac.tif": "TIFF file is damaged",
    "crash-2020-10-test.tif": "TIFF file is damaged",
    "crash-86214e58da443d2b80820cff9677a38a33dcbbca.tif": "TIFF file is damaged",
    "multipage.tiff": "pages of this file differ",
    "12bit.cropped.tif": (100, 100),
    "16bit.deflate.tif": (64, 64),
    "uint16_1_4660.tif": (10, 10),
    "exif-200dpcm.jpg": (200, 200),
    "hopper-XYZ.png": (128, 128),
    "hopper.jpg": (128, 128),
    "hopper_orientation_2.jpg": (128, 128),
    "hopper_orientation_4.jpg": (128, 128),
    "hopper_orientation_5.jpg": (128, 128),
    "hopper_orientation_8.jpg": (128, 128),
    "icc_profile_big.jpg": (250, 425),
    "l_trns.png": (64, 64),
    "bmp_named_jpg/H_1.jpg": (250, 540),
    "bmp_named_jpg/H_392.jpg": (250, 540),
    "bmp_named_jpg/H_705.jpg": (250, 540),
    "bmp_named_jpg/S_290.jpg": (250, 540),
    "bmp_named_jpg/S_603.jpg": (250, 540),
}


def test_odd_images(data_folder):
    folder = data_folder / "odd_images"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files >= set(ODD)
    for name in sorted(files):
        outcome((folder / name).read_bytes())
    for name, expected in ODD.items():
        if isinstance(expected, str):
            with pytest.raises(ScanError, match=expected):
                read_scan_file(folder / name)
        else:
            assert read_scan_file(folder / name).pixels.shape == (1, *expected, 3), name


def test_odd_images_are_upright_and_as_another_decoder_reads_them(data_folder):
    folder = data_folder / "odd_images"
    flags = cv2.IMREAD_COLOR  # OpenCV applies the orientation here
    for name, expected in ODD.items():
        if isinstance(expected, str) or name.endswith((".tif", "l_trns.png")):
            continue
        other = cv2.imread(str(folder / name), flags)[..., ::-1]
        assert np.array_equal(read_scan_file(folder / name).pixels[0], other), name
    upright = read_scan_file(folder / "hopper.jpg").pixels.astype(float)
    for turn in (2, 4, 5, 8):
        turned = read_scan_file(folder / f"hopper_orientation_{turn}.jpg").pixels
        assert np.abs(turned - upright).mean() < 6, turn


def test_odd_deep_images_use_the_whole_range(data_folder):
    folder = data_folder / "odd_images"
    for name in ("12bit.cropped.tif", "16bit.deflate.tif"):
        raw = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED).astype(float)
        window = np.rint((raw - raw.min()) * 255 / (raw.max() - raw.min()))
        assert np.array_equal(read_scan_file(folder / name).pixels[0, ..., 0], window)
    assert not read_scan_file(folder / "uint16_1_4660.tif").pixels.any()
