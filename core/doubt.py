"""Why an answer is not to be relied on, in a sentence or more."""

from __future__ import annotations

from core.findings import NO_REGION, Findings
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
    elsewhere.
    """
    unlike = likeness.sentence if likeness and likeness.level != "like" else None
    lacking = recipe.preprocessing.outlined and not outlined
    return _told(contradiction(modality, recipe.modality), lacking, unlike)


def doubt_in(findings: Findings) -> str | None:
    """The same of a scan that was examined."""
    unlike = findings.guard if findings.guard_level != "like" else None
    return _told(findings.warning, findings.needs_region and findings.region is None, unlike)


def _told(contradicted: str | None, lacking_outline: bool, unlike: str | None) -> str | None:
    return " ".join(filter(None, [contradicted, lacking_outline and NO_REGION, unlike])) or None
