"""The phantoms that the pages offer to those who have no scan at hand, as files.

Each takes the way of an upload; drawn again, it is the same file, so that what was said of it can
be replayed.
"""

from __future__ import annotations

from core.checkpoints import sha256
from core.datasets.phantoms import PHANTOM_CLASSES, phantom
from core.png import png

SAMPLES: dict[str, tuple[str, int]] = {
    f"{label.capitalize()} phantom {number}": (label, seed)
    for label in PHANTOM_CLASSES
    for number, seed in enumerate((11, 12), start=1)
}
"""Name of a sample -> class and seed."""


def sample_file(name: str) -> bytes:
    """The PNG file of a sample."""
    pixels, _ = phantom(*SAMPLES[name])
    return png(pixels)


def sample_of(digest: str) -> bytes | None:
    """The file of the sample with this sha256; None if there is none."""
    return next((data for data in map(sample_file, SAMPLES) if sha256(data) == digest), None)
