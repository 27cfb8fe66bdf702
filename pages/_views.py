"""What a system is shown of a scan: a frame, through a window, within an outline."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.findings import Look
from core.recipes import load_recipe
from core.scans import Scan
from pages._scans import Item, scan_of
from pages._shared import version


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the lesion is said to be: a mask, bool (H, W), and the sha256 of it."""

    mask: np.ndarray
    digest: str


@dataclass(frozen=True, eq=False)
class View:
    """What a system is shown, and which of its layers is explained (None: the last).

    ``look`` has the frame examined through another window than the file's.
    """

    item: Item
    frame: int
    recipe_id: str
    layer: str | None = None
    outline: Outline | None = None
    look: Look | None = None

    @property
    def within(self) -> Outline | None:
        """The outline, if the system sees nothing outside it."""
        return self.outline if needs_outline(self.recipe_id) else None

    @property
    def key(self) -> tuple:
        """Tells this view from every other."""
        within = self.within.digest if self.within else ""
        system = self.recipe_id, version(self.recipe_id), self.layer
        return (self.item.digest, self.frame, *system, within, self.look)

    def examined(self) -> tuple[Scan, int]:
        """The scan and the frame of it that are examined. Raises ScanError."""
        scan = scan_of(self.item.digest, self.item.read)
        if self.look is None:
            return scan, self.frame
        return scan.seen_through(self.frame, self.look.window, self.look.inverted), 0


def needs_outline(recipe_id: str) -> bool:
    """Whether a system was trained on the inside of outlines alone."""
    return load_recipe(recipe_id).preprocessing.outlined
