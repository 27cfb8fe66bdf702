"""Verdicts on several scans in one pass: the same as one by one, and no scan harms another."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
import streamlit as st
from dicoms import dicom
from streamlit.runtime.caching import cache_data_api, cache_resource_api

from core.checkpoints import list_trained
from core.datasets.phantoms import phantom
from core.png import png
from pages import _verdicts, _work

SYSTEM = "busi-efficientnet-b0"

pytestmark = pytest.mark.skipif(SYSTEM not in list_trained(), reason="the system is not shipped")


def item(name: str, data: bytes) -> _work.Item:
    return _work.Item(name, hashlib.sha256(data).hexdigest(), lambda: data)


@pytest.fixture(scope="module")
def items() -> list[_work.Item]:
    """Scans of several sizes, one broken, one whose header names another modality, and noise."""
    scans = [phantom(label, 3)[0] for label in ("benign", "malignant", "normal")]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    files = [*map(png, scans), b"no image", dicom(scans[0][::2, ::2, 0], Modality="MR"), png(noise)]
    return [item(str(number), data) for number, data in enumerate(files)]


@pytest.fixture(autouse=True)
def in_a_session(monkeypatch):
    """Scans and opinions are kept for a session, which without a page is not there."""
    for api in (cache_data_api, cache_resource_api):
        monkeypatch.setattr(api, "get_session_id_or_throw", lambda: "a session")
    yield
    st.cache_data.clear()
    st.cache_resource.clear()


def test_together_is_the_same_as_one_by_one(items):
    together = _verdicts.verdicts(items, SYSTEM)
    alone = [_work.verdict(one, SYSTEM) for one in items]
    for one, other in zip(together, alone, strict=True):
        assert (one.label, one.error, one.warning) == (other.label, other.error, other.warning)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert together[3].error and together[3].label is None
    assert "MRI" in together[4].warning
    assert "does not look like" in together[5].warning


def test_the_network_sees_them_in_one_pass(items, monkeypatch):
    system, sizes = _work.classifier(SYSTEM), []
    features = type(system).features

    def counted(self, batch, layer=None):
        sizes.append(len(batch))
        return features(self, batch, layer)

    monkeypatch.setattr(type(system), "features", counted)
    _verdicts.verdicts(items, SYSTEM)
    assert sizes == [5]


def test_where_the_pass_fails_each_is_examined_alone(items, monkeypatch):
    system = _work.classifier(SYSTEM)
    features = type(system).features

    def cramped(self, batch, layer=None):
        if len(batch) > 1:
            raise MemoryError
        return features(self, batch, layer)

    expected = [one.label for one in _verdicts.verdicts(items, SYSTEM)]
    monkeypatch.setattr(type(system), "features", cramped)
    assert [one.label for one in _verdicts.verdicts(items, SYSTEM)] == expected
