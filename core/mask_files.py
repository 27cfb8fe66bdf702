"""Masks that lie beside scans, told by their names, and the outline that is in them.

As in BUSI: `1_mask.png` lies beside `1.png`, and where there are several lesions also
`1_mask_1.png` and so on. Or they lie in a folder of their own: `masks/1.png` beside `1.png` or
`images/1.png`, also in folders below, `masks/benign/1.png` beside `images/benign/1.png`.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence

import numpy as np

from core.scan_types import ScanError
from core.wording import counted

MASK_NAME = re.compile(r"(?P<image>.+)_mask(?:_\d+)?", re.IGNORECASE)
"""Name of a mask, without its ending; ``image`` is that of its picture."""
_UID = re.compile(r"(?:^|/)\d+(?:\.\d+){2,}(?:_mask(?:_\d+)?)?$", re.IGNORECASE)
"""A name that is the identifier of a DICOM file, and that of its mask."""
BRIGHT = 128
"""Of 0..255: what is at least as bright lies inside the lesion, if a mask has more than two
values."""
_BESIDE_MASKS = ("", "images/", "Images/", "image/", "Image/")
"""Where the scans of a folder of masks lie, from the folder above it."""
EMPTY = (
    "Nothing in the mask is bright, so that it outlines nothing. Save it white inside the lesion "
    "and black outside."
)
UNUSED = "Its mask was not used. {}"

OTHER_SIZE = (
    "The mask is {} pixels wide and high, the scan {}. Save the mask with the size of the scan."
)
_OTHER_FRAMES = (
    "The mask has {} frames, the scan {}. Save a mask of one frame, or of as many as the scan has."
)


def masks_beside(names: Sequence[str]) -> dict[int, list[int]]:
    """Number of a scan among files -> the numbers of its masks.

    ``names`` may be paths; a scan and its mask may end differently. A mask without its scan is a
    picture like any other.

    >>> masks_beside(["a/1.png", "a/1_mask_1.png", "a/1_mask.png", "b/1_mask.png", "2.dcm"])
    {0: [1, 2]}
    >>> masks_beside(["images/1.png", "masks/1.tif", "a/2.png", "a/Masks/2_mask.png"])
    {0: [1], 2: [3]}
    >>> masks_beside(["images/a/1.png", "masks/a/1.png", "masks/b/1.png"])
    {0: [1]}
    >>> masks_beside(["1.2.5", "1.2.6", "1.2.5_mask.png", "masks/1.2.6", "masks/1.2.7.png"])
    {0: [2], 1: [3]}
    """
    scans: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        scans[_without_ending(name)].append(index)
    found: dict[int, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        for outlined in _outlined_by(_without_ending(name)):
            for scan in scans.get(outlined, ()):
                found[scan].append(index)
    return dict(found)


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks."""
    return name.casefold() in ("mask", "masks")


def _outlined_by(name: str) -> Iterator[str]:
    """What the scan may be called whose mask this is, all without endings."""
    folder, slash, own = name.rpartition("/")
    mask = MASK_NAME.fullmatch(own)
    if mask:
        yield f"{folder}{slash}{mask['image']}"
    places = folder.split("/")
    depth = next((at for at in reversed(range(len(places))) if is_mask_folder(places[at])), None)
    if depth is not None:
        above = "".join(f"{one}/" for one in places[:depth])
        below = "".join(f"{one}/" for one in places[depth + 1 :])
        for image in (own, mask["image"]) if mask else (own,):
            yield from (f"{above}{place}{below}{image}" for place in _BESIDE_MASKS)


def _without_ending(name: str) -> str:
    """The name as it is without `.png`, `.nii.gz` and the like; what follows the last point of a
    UID is none. Some systems write an umlaut as two signs."""
    whole = unicodedata.normalize("NFC", name)
    if _UID.search(whole):
        return whole
    return re.sub(r"(\.nii)?\.[^./\\]*$", "", whole, flags=re.IGNORECASE)


def outline_in(
    masks: Sequence[np.ndarray], shape: tuple[int, int, int], frame: int = 0
) -> np.ndarray:
    """What lies inside any of the masks at a frame of a scan: bool (H, W).

    Each mask is uint8 (M, H, W, 3), of as many frames as the scan or of one for all of them.
    ``shape``: frames, height and width of the scan. Raises ScanError if one has another, or is
    neither black nor bright anywhere.
    """
    frames, *size = shape
    outline = np.zeros(size, bool)
    for mask in masks:
        count, height, width = mask.shape[:3]
        if [height, width] != size:
            raise ScanError(OTHER_SIZE.format(f"{width} x {height}", f"{size[1]} x {size[0]}"))
        if count not in (1, frames):
            raise ScanError(_OTHER_FRAMES.format(count, counted(frames, "frame")))
        found = inside(mask)
        if mask.any() and not found.any():
            raise ScanError(EMPTY)
        outline |= found[frame if count > 1 else 0]
    return outline


def inside(mask: np.ndarray) -> np.ndarray:
    """Where a mask, uint8 (..., 3), is bright, bool (...): of two values, the larger, since labels
    are now and then saved as 0 and 1; else from BRIGHT on."""
    # NumPy's ``max(axis=-1)`` takes 20 times as long.
    red, green, blue = (mask[..., channel] for channel in range(3))
    brightest = np.maximum(np.maximum(red, green), blue)
    low, high = brightest.min(initial=255), brightest.max(initial=0)
    two = low < high and ((brightest == low) | (brightest == high)).all()
    return brightest == high if two else brightest >= BRIGHT
