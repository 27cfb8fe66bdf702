"""Why an answer is not to be relied on, in a sentence or more."""

from __future__ import annotations

from core.findings import NO_REGION
from core.guard import GuardVerdict
from core.modality import contradiction
from core.recipe import Recipe


def doubt(
    recipe: Recipe,
    modality: str | None,
    likeness: GuardVerdict | None,
    outlined: bool = False,
) -> str | None:
    """What speaks against a system's answer, or None if nothing does.

    ``modality`` as the file names it; ``likeness`` is what the guard says, if there is one;
    ``outlined``: whether a system that needs the lesion's outline has it, or its lack is told
    elsewhere. The command and tables of scans outline nothing.
    """
    found = (
        contradiction(modality, recipe.modality),
        NO_REGION if recipe.preprocessing.outlined and not outlined else None,
        likeness.sentence if likeness and likeness.level != "like" else None,
    )
    return " ".join(filter(None, found)) or None
