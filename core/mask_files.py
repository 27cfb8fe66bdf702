"""Masks that lie beside scans, told by their names, and the outline that is in them.

As in BUSI: `1_mask.png` lies beside `1.png`, and where there are several lesions also
`1_mask_1.png` and so on.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from core.scan_types import ScanError

MASK_NAME = re.compile(r"(?P<image>.+)_mask(?:_\d+)?", re.IGNORECASE)
"""Name of a mask, without its ending; ``image`` is that of its picture."""
BRIGHT = 128
"""Of 0..255: what is at least as bright lies inside the lesion."""
UNUSED = "Its mask was not used. {}"

_OTHER_SIZE = (
    "The mask is {} pixels wide and high, the scan {}. Save the mask with the size of the scan."
)


def masks_beside(names: Sequence[str]) -> dict[int, list[int]]:
    """Number of a scan among files -> the numbers of its masks.

    ``names`` may be paths; a scan and its mask lie in one folder, and may end differently. A mask
    without its scan is a picture like any other.

    >>> masks_beside(["a/1.png", "a/1_mask_1.png", "a/1_mask.png", "b/1_mask.png", "2.dcm"])
    {0: [1, 2]}
    """
    scans: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        scans[_without_ending(name)].append(index)
    found: dict[int, list[int]] = defaultdict(list)
    for index, name in enumerate(names):
        mask = MASK_NAME.fullmatch(_without_ending(name))
        for scan in scans.get(mask["image"], ()) if mask else ():
            found[scan].append(index)
    return dict(found)


def _without_ending(name: str) -> str:
    """The name as it is without `.png`, `.nii.gz` and the like."""
    return re.sub(r"(\.nii)?\.[^./\\]*$", "", name, flags=re.IGNORECASE)


def outline_in(pictures: Sequence[np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """What is bright in any of the pictures, uint8 (H, W, 3): bool (H, W).

    Raises ScanError if one has another ``size``, height and width, than the scan.
    """
    outline = np.zeros(size, bool)
    for picture in pictures:
        if picture.shape[:2] != size:
            sizes = [f"{width} x {height}" for height, width in (picture.shape[:2], size)]
            raise ScanError(_OTHER_SIZE.format(*sizes))
        outline |= picture.max(axis=-1) >= BRIGHT
    return outline
