"""NIfTI volumes -> Scan, by nibabel: one frame a slice, along the axis with the fewest of them; or
of one slice, one frame a time.

Values are scaled as the header says (scl_slope, scl_inter); the smallest is black and the largest
white. The axes are brought to the nearest anatomical ones; what nibabel calls R, A and S (right,
anterior and upper of the patient) grows to the left, upwards and upwards on the screen, as
radiologists look at slices.
"""

from __future__ import annotations

import logging
from dataclasses import replace

import nibabel as nib
import numpy as np

from core.scan_types import (
    MAX_FRAMES,
    MAX_PIXELS,
    TOO_LARGE,
    TOO_MANY,
    Grey,
    Scan,
    ScanError,
    ratio_of,
    rgb,
)
from core.windowing import apply_window, linear_shape, window_between

NIFTI_MARKS = ((344, b"n+1\0"), (4, b"n+2\0\r\n\x1a\n"))
"""Where the marks of NIfTI-1 and NIfTI-2 files stand."""
HALF_MARKS = (
    *((344, b"ni1\0"), (4, b"ni2\0\r\n\x1a\n")),
    *((0, b"\x5c\1\0\0"), (0, b"\0\0\1\x5c")),
)
"""And those of headers whose image is a file of its own; of Analyze the length is the only one."""
HALF = (
    "This is the header of an image in two files, .hdr and .img (NIfTI or Analyze). Convert both "
    "to one .nii file and choose that."
)

_MILLIMETRES = {"mm": 1.0, "meter": 1000.0, "micron": 0.001}
_SAME_SIZE = 0.01
_RGB, _RGBA = (np.dtype([(name, "u1") for name in names]) for names in ("RGB", "RGBA"))

logging.getLogger("nibabel.global").setLevel(logging.CRITICAL + 1)


def read_nifti(data: bytes) -> Scan:
    """The scan in an unpacked single-file NIfTI volume. Raises ScanError, and nothing else."""
    try:
        return _scan(data)
    except ScanError:
        raise
    except Exception as error:  # a hostile header makes the library raise nearly anything
        raise ScanError(
            "This NIfTI file is damaged, incomplete or of an unusual kind, so nothing of it is "
            "shown. Copy or export it again."
        ) from error


def _scan(data: bytes) -> Scan:
    kind = nib.Nifti1Image if data[344:348] == b"n+1\0" else nib.Nifti2Image
    image = kind.from_bytes(data)
    shape = [size for size in image.shape if size != 1]
    if len(shape) > 3 or len(image.shape) < 2 or not all(shape):
        raise ScanError(
            "This NIfTI file holds more than one volume, or none. Export one volume of it."
        )
    if np.prod(shape, dtype=float) > MAX_PIXELS:
        raise ScanError(TOO_LARGE)
    volume, sizes = _canonical(image)
    axis = 2 - int(np.argmin(volume.shape[2::-1]))  # of equal axes the last, which is upwards
    if volume.shape[axis] * volume.shape[3] > MAX_FRAMES:
        raise ScanError(TOO_MANY)
    across, up = (one for one in range(3) if one != axis)
    slices = volume.transpose(axis, 3, up, across)[..., ::-1, ::-1]
    frames = np.ascontiguousarray(slices.reshape(-1, *slices.shape[2:]))
    scan = _of_colours(frames) if frames.dtype in (_RGB, _RGBA) else _grey(frames)
    if not (_has_sizes(data, kind) and sizes[up] and sizes[across]):
        return scan
    scale = _MILLIMETRES.get(image.header.get_xyzt_units()[0])
    spacing = (sizes[up] * scale, sizes[across] * scale) if scale else None
    return replace(scan, spacing_mm=spacing, pixel_ratio=ratio_of(sizes[up], sizes[across]))


def _canonical(image: nib.Nifti1Image) -> tuple[np.ndarray, np.ndarray]:
    """Values (x, y, z, times) along the nearest anatomical axes, and the sizes of a voxel (3,)."""
    space = (*image.shape, 1)[:3]
    turn = nib.io_orientation(image.affine)
    volume = nib.apply_orientation(np.asanyarray(image.dataobj).reshape(*space, -1), turn)
    told, sizes = np.abs(image.header.get_zooms()[:3]), np.ones(3)
    # By the way to the scanner's coordinates; where both differ, nothing tells which is true.
    placed = nib.affines.voxel_sizes(image.affine)[: len(told)]
    agreed = np.isclose(placed, told, rtol=_SAME_SIZE, atol=0)
    sizes[turn[: len(told), 0].astype(int)] = np.where(agreed, told, 0)
    return volume, sizes


def _has_sizes(data: bytes, kind: type[nib.Nifti1Image]) -> bool:
    """Whether the size of voxels is told along each axis; nibabel takes 1 where it is 0."""
    header = kind.header_class(data[: kind.header_class.sizeof_hdr], check=False)
    sizes = header["pixdim"][1:4][: header["dim"][0]]
    return bool(np.all(np.isfinite(sizes) & (sizes != 0)))


def _of_colours(frames: np.ndarray) -> Scan:
    """Colours, over black as in pictures; where none is opaque at all, without transparency."""
    colours = np.stack([frames[name] for name in "RGB"], axis=-1)
    if frames.dtype == _RGBA and frames["A"].any():
        opaque = frames["A"][..., None].astype(np.uint16)
        colours = ((colours * opaque + 127) // 255).astype(np.uint8)
    return Scan(np.ascontiguousarray(colours))


def _grey(frames: np.ndarray) -> Scan:
    if frames.dtype.kind == "c":
        raise ScanError(
            "This NIfTI file holds complex numbers, which make no picture. Export their magnitude."
        )
    values = frames if frames.dtype.kind in "iu" and frames.itemsize <= 2 else None
    if values is None:
        values = frames.astype(np.float32)
    finite = values[np.isfinite(values)]
    if not finite.size:
        raise ScanError(
            "This NIfTI file holds no numbers, so there is nothing to show. Export it again."
        )
    shape = linear_shape(values.dtype)
    window = window_between(float(finite.min()), float(finite.max()), shape)
    values = values.astype(values.dtype.newbyteorder("="))
    return Scan(rgb(apply_window(values, window)), grey=Grey(values, ((window,),)))
