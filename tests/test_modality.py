"""A scan is never taken for what its header says it is not."""

from __future__ import annotations

import pytest

from core import modality
from core.recipes import list_recipes

EXPECTED = {
    "ultrasound": {"US"},
    "mammography": {"MG"},
    "infrared thermography": {"TG"},
    "histology": {"SM", "GM"},
}


def kinds_of(trained_on: str) -> set[str]:
    return next(kinds for word, kinds in EXPECTED.items() if word in trained_on)


@pytest.mark.parametrize("trained_on", sorted({recipe.modality for recipe in list_recipes()}))
def test_every_recipe_accepts_its_own_kind_alone(trained_on):
    accepted = {
        kind
        for kind in ("US", "MG", "MR", "CT", "SM", "GM", "TG")
        if modality.contradiction(kind, trained_on) is None
    }
    assert accepted == kinds_of(trained_on)


def test_an_mri_is_not_answered_as_a_thermogram():
    told = modality.contradiction("MR", "infrared thermography")
    assert "marked as an MRI" in told
    assert "infrared thermography alone" in told


@pytest.mark.parametrize("kind", [None, "", "OT", "SC", "XC"])
def test_what_tells_nothing_does_not_contradict(kind):
    assert modality.contradiction(kind, "breast ultrasound") is None
