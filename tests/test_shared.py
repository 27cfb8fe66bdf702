"""Systems that the pages share, while commands work on the same checkpoints."""

from __future__ import annotations

from shutil import copytree

import pytest
import streamlit as st

from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint, update_checkpoint
from pages import _shared as shared

SYSTEM = "histology-dalaresnet50"

pytestmark = pytest.mark.skipif(SYSTEM not in list_trained(), reason="it is not shipped")


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A system that a test may change."""
    copytree(CHECKPOINTS / SYSTEM, tmp_path / SYSTEM)
    monkeypatch.setattr(shared, "CHECKPOINTS", tmp_path)
    monkeypatch.setattr(shared, "open_checkpoint", lambda one: open_checkpoint(one, tmp_path))
    st.cache_resource.clear()
    yield lambda: open_checkpoint(SYSTEM, tmp_path)
    st.cache_resource.clear()


def test_what_a_command_adds_to_a_checkpoint_is_seen_and_the_network_stays(copied):
    first, network = shared.checkpoint(SYSTEM), shared.classifier(SYSTEM)
    assert shared.checkpoint(SYSTEM) is first
    update_checkpoint(copied(), {"card.md": b"measured meanwhile"})
    assert shared.checkpoint(SYSTEM).verified("card.md") == b"measured meanwhile"
    assert shared.guard(SYSTEM) and shared.conformal(SYSTEM)
    assert shared.classifier(SYSTEM) is network


def test_other_weights_are_another_network(copied):
    network = shared.classifier(SYSTEM)
    weights = open_checkpoint("mammography-dalaresnet50").verified("weights.safetensors")
    update_checkpoint(copied(), {"weights.safetensors": weights})
    assert shared.classifier(SYSTEM) is not network
