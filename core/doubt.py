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
    flaw: str | None = None,
) -> str | None:
    """What speaks against a system's answer, or None if nothing does.

    ``modality`` as the file names it; ``likeness`` is what the guard says, if there is one;
    ``outlined``: whether a system that needs the lesion's outline has it, or its lack is told
    elsewhere; ``flaw``: why a mask that came with the scan is of no use.
    """
    unlike = likeness.sentence if likeness and likeness.level != "like" else None
    lacking = recipe.preprocessing.outlined and not outlined
    return told(flaw, contradiction(modality, recipe.modality), lacking and NO_REGION, unlike)


def doubt_in(findings: Findings) -> str | None:
    """The same of a scan that was examined, and which slices of it are missing."""
    unlike = findings.guard if findings.guard_level != "like" else None
    lacking = findings.needs_region and findings.region is None
    flaw = findings.flaw if findings.needs_region else None
    return told(findings.gap, flaw, findings.warning, lacking and NO_REGION, unlike)


def told(*reasons: str | bool | None) -> str | None:
    """The reasons that there are, one after the other."""
    return " ".join(filter(None, reasons)) or None
