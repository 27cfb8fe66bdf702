"""Is the directory structure of a TIFF file sound? Asked before any decoder sees the file.

A decoder copies every value that a directory names into memory. Values are named in 12 bytes,
may be large and may overlap, so a file of 240 kB can ask for 5 GB; and a file that was cut
short loses its last tags without a word. Neither passes this check.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np

# Bytes of one number by its type: TIFF 6.0 section 2, BigTIFF for 16 to 18. 0: no such type.
_WIDTHS = np.array([0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8, 0], np.float64)
# Tags that name a further directory (EXIF, GPS, interoperability), and how deep these nest.
_POINTERS = (34665, 34853, 40965)
_DEPTH = 2

# version in the header -> place of the first offset, struct code of an entry count, of an offset
_LAYOUTS = {42: (4, "H", "I"), 43: (8, "Q", "Q")}


def check_structure(data: bytes, max_pages: int) -> None:
    """Raise ValueError, KeyError or struct.error unless all that directories name is there.

    ``data`` is a TIFF or BigTIFF file. The first ``max_pages + 1`` pages are followed, with the
    EXIF directories they name; all together may not take more room than the file has.
    """
    order = "<" if data.startswith(b"II") else ">"
    first, count, offset = _LAYOUTS[struct.unpack_from(order + "H", data, 2)[0]]
    (place,) = struct.unpack_from(order + offset, data, first)
    walk = _Walk(data, order + count, order + offset, room=len(data))
    for _ in range(max_pages + 1):
        place = walk.check(place)


@dataclass
class _Walk:
    """What was seen of the file so far, and the room that is left for the rest."""

    data: bytes
    count: str
    offset: str
    room: int
    seen: set[int] = field(default_factory=lambda: {0})

    def check(self, place: int, depth: int = 0) -> int:
        """Check the directory at ``place`` once; where the next one is, 0 for nowhere."""
        if place in self.seen:
            return 0
        self.seen.add(place)
        entries, following = self._directory(place)
        self.room -= entries.nbytes + self._outlying(entries)
        if self.room < 0:
            raise ValueError("directories name more than the file holds")
        pointers = entries["value"][np.isin(entries["tag"], _POINTERS)].tolist()
        if len(pointers) > len(_POINTERS):
            raise ValueError("a directory repeats its tags")
        if depth < _DEPTH:
            for pointer in pointers:
                self.check(pointer, depth + 1)
        return following

    def _directory(self, place: int) -> tuple[np.ndarray, int]:
        order, wide = self.offset[0], f"u{struct.calcsize(self.offset)}"
        fields = [("tag", "u2"), ("type", "u2"), ("count", wide), ("value", wide)]
        (count,) = struct.unpack_from(self.count, self.data, place)
        place += struct.calcsize(self.count)
        entries = np.frombuffer(self.data, np.dtype(fields).newbyteorder(order), count, place)
        (following,) = struct.unpack_from(self.offset, self.data, place + entries.nbytes)
        return entries, following

    def _outlying(self, entries: np.ndarray) -> int:
        """Bytes that the values take outside their entries."""
        widths = _WIDTHS[np.minimum(entries["type"], len(_WIDTHS) - 1)]
        sizes = entries["count"].astype(np.float64) * widths
        outlying = sizes > entries["value"].itemsize
        ends = entries["value"].astype(np.float64) + sizes
        if np.any(ends[outlying] > len(self.data)):
            raise ValueError("a value lies outside the file")
        return int(sizes[outlying].sum())
