"""Why the answer on a whole image is not to be relied on, in a sentence or more.

For the command and for tables of scans, where nobody outlines anything.
"""

from __future__ import annotations

from core.findings import NO_REGION
from core.guard import GuardVerdict
from core.modality import contradiction
from core.recipe import Recipe


def doubt(recipe: Recipe, modality: str | None, likeness: GuardVerdict | None) -> str | None:
    """What speaks against a system's answer, or None if nothing does.

    ``modality`` as the file names it; ``likeness`` is what the guard says, if there is one.
    """
    found = (
        contradiction(modality, recipe.modality),
        NO_REGION if recipe.preprocessing.region == "mask" else None,
        likeness.sentence if likeness and likeness.level != "like" else None,
    )
    return " ".join(filter(None, found)) or None
