"""PNG, JPEG, BMP, TIFF and WebP -> Scan, by Pillow, and by OpenCV where Pillow drops bits.

- Grey, palette, CMYK and 1-bit images become RGB. Transparency is laid over black. Orientation
  (EXIF) is applied. Colour profiles and resolution tags are ignored: the first differ between
  copies of one scan, the second tell how to print it, not how large a pixel is in the body.
- More than 8 bits a sample, or signed 8 bits: the smallest value of the whole scan becomes 0
  and the largest 255, linearly, one window for all channels and frames, whatever depth the file
  declares (12 bits in 16, signed, floating point). A scan of one single value becomes black.
  Only 16-bit CMYK, which is ink and not signal, keeps its upper 8 bits instead.
- Pages of a TIFF file and frames of an animated WebP become frames; reduced copies and
  transparency masks among the pages are skipped. Of animated PNG and multi-picture JPEG
  only the first picture is read.
- Nothing cut short is shown. Damage inside the picture is noticed where the format lets it be:
  PNG carries checksums, but to WebP and uncompressed BMP or TIFF any bytes are pixels.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from PIL import Image, ImageFile

from core.scan_types import (
    MAX_FRAMES,
    MAX_PIXELS,
    TOO_LARGE,
    TOO_MANY,
    Grey,
    Scan,
    ScanError,
    rgb,
)
from core.tiff_structure import check_structure
from core.windowing import apply_window, linear_shape, window_between

MAX_EXIF_BYTES = 2**16
"""What the standard allows. Reading EXIF may take its length squared in memory."""

UNEQUAL = (
    "The pages of this file differ in size or kind, so they are not the frames of one scan. "
    "Save the page you need as a file of its own."
)

UNTOLD_TEXT = (
    "exported pictures often carry burned-in text, and the file does not say whether this one does"
)
"""``Scan.text_risk`` of every picture: none of these formats tells."""

# What the libraries have to say about a bad file reaches the user as a ScanError.
warnings.filterwarnings("ignore", module=r"PIL\.")
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def read_picture(name: str, data: bytes) -> Scan:
    """The scan in a file of the format ``name``. Raises ScanError, and nothing else."""
    try:
        for check in _CHECKS.get(name, ()):
            check(data)
        return replace(_scan(_decode(data, name)), text_risk=UNTOLD_TEXT)
    except ScanError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ScanError(TOO_LARGE) from error
    except Exception as error:  # a hostile file makes the decoders raise nearly anything
        raise ScanError(
            f"This {name} file is damaged, incomplete or of an unusual kind, so nothing of it is "
            "shown. Copy or export it again, if possible as an 8-bit or 16-bit PNG."
        ) from error


def _scan(samples: np.ndarray) -> Scan:
    """The scan of samples (frames, H, W) or (frames, H, W, 3) of any depth."""
    if samples.dtype == np.uint8:
        return Scan(np.ascontiguousarray(samples) if samples.ndim == 4 else rgb(samples))
    values = samples.astype(np.float32) if samples.dtype.itemsize > 2 else samples
    shape = linear_shape(values.dtype)
    window = window_between(float(samples.min()), float(samples.max()), shape)
    pixels = apply_window(samples, window)
    return Scan(pixels) if samples.ndim == 4 else Scan(rgb(pixels), grey=Grey(values, ((window,),)))


def _decode(data: bytes, name: str) -> np.ndarray:
    """Samples of a picture, (frames, H, W) or (frames, H, W, 3), as deep as the file has them."""
    with Image.open(io.BytesIO(data), formats=[name]) as image:
        pages = _survey(image)
        image.verify()  # the checksums of a PNG, which decoding does not look at
    with Image.open(io.BytesIO(data), formats=[name]) as image:
        frames = [_samples(data, image, page) for page in pages]
    return np.stack(frames)


def _survey(image: ImageFile.ImageFile) -> list[int]:
    """Numbers of the pages that are frames, if their headers promise a scan within the limits."""
    pages: list[int] = []
    kinds = set()
    for page in range(MAX_FRAMES + 1 if image.format in _PAGED else 1):
        try:
            image.seek(page)
        except EOFError:
            break
        if page == MAX_FRAMES:
            raise ScanError(TOO_MANY)
        if _tag(image, _SUBFILE_TYPE, 0) & _NOT_A_PICTURE:
            continue
        pages.append(page)
        _check_pixels(image, len(pages))
        tags = [_tag(image, tag, 1) for tag in (_PHOTOMETRIC, _SAMPLE_FORMAT)]
        kinds.add((image.size, image.mode, _raw_mode(image), *tags))
        if len(kinds) > 1:
            raise ScanError(UNEQUAL)
    return pages


def _samples(data: bytes, image: ImageFile.ImageFile, page: int) -> np.ndarray:
    """Upright samples of a page, (H, W) or (H, W, 3), as deep as the file has them."""
    image.seek(page)
    _check_layout(image, len(data))
    raw_mode = _raw_mode(image)
    _keep_byte_order(image)
    image.load()  # also for what is read by OpenCV below: this is what notices damage
    if raw_mode.startswith(_DEEP_COLOUR):
        samples = _deep_colour(data, page, opaque=raw_mode.startswith(_OPAQUE))
    elif image.mode in _DEEP_GREY or _kind(image) in _RETYPED:
        samples = _deep_grey(image)
    else:
        samples = np.asarray(_over_black(image, raw_mode))
    if samples.shape[:2] != (image.height, image.width):
        raise ValueError("decoders disagree")
    return _UPRIGHT[_orientation(image)](samples)


def _keep_byte_order(image: ImageFile.ImageFile) -> None:
    """Make Pillow leave compressed TIFF samples as libtiff hands them over, already swapped."""
    if image.tile and image.tile[0].codec_name == "libtiff":
        raw_mode, *others = image.tile[0].args
        arguments = (_NATIVE.get(raw_mode, raw_mode), *others)
        image.tile[0] = image.tile[0]._replace(args=arguments)


def _over_black(image: Image.Image, raw_mode: str) -> Image.Image:
    """An 8-bit image of any mode in RGB."""
    if not image.has_transparency_data:
        return image.convert("RGB")
    if raw_mode in _STRETCHED:  # Pillow stretches the samples, but not the transparent value
        image.info["transparency"] *= _STRETCHED[raw_mode]
    source, image = image.format, image.convert("RGBA")
    if source == "BMP" and not np.asarray(image.getchannel("A")).any():
        return image.convert("RGB")  # programs leave the fourth byte of a pixel empty
    black = Image.new("RGB", image.size)
    black.paste(image, mask=image)
    return black


def _deep_grey(image: Image.Image) -> np.ndarray:
    samples = np.asarray(image)
    samples = samples.view(_RETYPED.get(_kind(image), samples.dtype))
    if not np.isfinite(samples).all():
        raise ScanError(
            "The image holds values that are not numbers. Export it again as a 16-bit image."
        )
    if "transparency" in image.info:
        samples = np.where(samples == image.info["transparency"], 0, samples)
    if _tag(image, _PHOTOMETRIC, 1) == 0:  # white is zero, which Pillow leaves so
        samples = -samples.astype(np.float64)
    return samples


def _deep_colour(data: bytes, page: int, opaque: bool) -> np.ndarray:
    """RGB uint16 (H, W, 3): OpenCV keeps the 16 bits of which Pillow drops 8."""
    _, pages = cv2.imdecodemulti(
        np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED, range=(page, page + 1)
    )
    samples = pages[0]
    colour = samples[..., 2::-1]
    if samples.dtype != np.uint16:
        raise ValueError("not 16 bits")
    if samples.shape[2] == 3 or opaque:
        return colour
    alpha = samples[..., 3:].astype(np.uint32)
    return ((colour * alpha + 32767) // 65535).astype(np.uint16)


# ---------------------------------------------------------------- what is checked, and tags


def _check_pixels(image: Image.Image, frames: int) -> None:
    tile = _tag(image, _TILE_WIDTH, 1) * _tag(image, _TILE_HEIGHT, 1)  # decoded as a whole
    if max(frames * image.width * image.height, tile) > MAX_PIXELS:
        raise ScanError(TOO_LARGE)


def _check_exif(length: int) -> None:
    if length > MAX_EXIF_BYTES:
        raise ScanError(
            f"The file carries more EXIF data than the limit of {MAX_EXIF_BYTES >> 10} kB. "
            "Save the image again without EXIF data."
        )


def _check_jpeg_exif(data: bytes) -> None:
    _check_exif(sum(int.from_bytes(size) for size in _JPEG_EXIF.findall(data)))


def _check_jpeg_end(data: bytes) -> None:
    """Raise unless the picture ends with its mark: an interrupted copy may be padded with zeros,
    which would be decoded as if they were pixels."""
    place = 2
    while marker := _JPEG_MARKER.search(data, place):
        if marker[1] == _JPEG_END:
            return
        place = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2])
    raise ValueError("the picture does not end")


def _check_layout(image: Image.Image, length: int) -> None:
    """Raise unless the strips or tiles of a TIFF page are all there and can be read right."""
    if image.format != "TIFF":
        return
    deep = max(image.tag_v2.get(_BITS, (1,))) > 8
    if deep and _tag(image, _PLANAR, 1) == 2 and _tag(image, _SAMPLES, 1) > 1:
        raise ScanError(
            "The TIFF file keeps 16-bit colours in separate planes, which cannot be read. "
            "Export it with interleaved colours, or as PNG."
        )
    for offsets, sizes in _PLACES:
        ends = zip(image.tag_v2.get(offsets, ()), image.tag_v2.get(sizes, ()), strict=False)
        if any(offset + size > length for offset, size in ends):
            raise ValueError("a strip or tile lies outside the file")
    areas = [(right - left) * (low - high) for _, (left, high, right, low), *_ in image.tile]
    if sum(areas) < image.width * image.height:
        raise ValueError("strips or tiles are missing")


def _tag(image: Image.Image, tag: int, default: int) -> int:
    """The first value of a TIFF tag; the default for every other format."""
    value = image.tag_v2.get(tag, default) if image.format == "TIFF" else default
    return value[0] if isinstance(value, tuple) else value


def _kind(image: Image.Image) -> tuple[str, int]:
    """Pillow's mode and the sample format of TIFF: 1 unsigned, 2 signed, 3 floating point."""
    return image.mode, _tag(image, _SAMPLE_FORMAT, 1)


def _raw_mode(image: ImageFile.ImageFile) -> str:
    """How the samples lie in the file, in Pillow's words, such as ``RGB;16B``."""
    arguments = image.tile[0].args if image.tile else ""
    return arguments if isinstance(arguments, str) else arguments[0]


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation that is still to be applied, 1 to 8. TIFF is upright when loaded."""
    content = image.info.get("exif", b"")
    _check_exif(len(content))
    exif = Image.Exif()
    try:
        exif.load(content)
        value = exif.get(_ORIENTATION)
    except Exception:  # editors write much broken EXIF, which is no reason to refuse the scan
        return 1
    return value if value in _UPRIGHT else 1


# TIFF tags and their values (TIFF 6.0)
_SUBFILE_TYPE, _BITS, _PHOTOMETRIC, _ORIENTATION = 254, 258, 262, 274
_SAMPLES, _PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _SAMPLE_FORMAT = 277, 284, 322, 323, 339
_PLACES = ((273, 279), (324, 325))  # offsets and byte counts of strips, of tiles
_NOT_A_PICTURE = 0b101  # a reduced copy, or a transparency mask

_PAGED = {"TIFF", "WEBP"}
_DEEP_GREY = {"I;16", "I;16B", "I", "F"}
# Kind -> type of the samples, of which Pillow only knows the other sign.
_RETYPED = {("I", 1): np.uint32, ("L", 2): np.int8}
# Raw modes of big-endian samples -> of samples in the byte order of this machine
_NATIVE = {"I;16BS": "I;16NS", "I;32BS": "I;32NS", "F;32BF": "F;32NF"}
_DEEP_COLOUR = ("RGB;16", "RGBA;16", "RGBa;16", "RGBX;16", "LA;16")
# The fourth sample is none, or was already multiplied into the colours: nothing left to do.
_OPAQUE = ("RGBX", "RGBa")
_STRETCHED = {"L;2": 255 // 3, "L;4": 255 // 15}

_JPEG_EXIF = re.compile(rb"\xff\xe1(..)Exif\0", re.DOTALL)
# Not a marker: a stuffed 0xff of the compressed data, a restart, a fill byte.
_JPEG_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")
_JPEG_END = b"\xd9"

_CHECKS: dict[str, tuple[Callable[[bytes], None], ...]] = {
    "JPEG": (_check_jpeg_exif, _check_jpeg_end),
    "TIFF": (partial(check_structure, max_pages=MAX_FRAMES),),
}

# EXIF orientation -> what sets samples (H, W, ...) upright (Exif 2.32, 4.6.4 A)
_UPRIGHT: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    1: lambda samples: samples,
    2: lambda samples: samples[:, ::-1],
    3: lambda samples: samples[::-1, ::-1],
    4: lambda samples: samples[::-1],
    5: lambda samples: samples.swapaxes(0, 1),
    6: lambda samples: samples[::-1].swapaxes(0, 1),
    7: lambda samples: samples[::-1, ::-1].swapaxes(0, 1),
    8: lambda samples: samples[:, ::-1].swapaxes(0, 1),
}
