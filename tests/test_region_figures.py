"""What a page says of proposed outlines."""

from __future__ import annotations

import pytest

from core.outlining.proposal import outlines_checkpoint
from pages import _region_figures, _shared


@pytest.fixture
def measured(monkeypatch) -> dict:
    """Figures worked out so that each share is told apart from all others."""

    class Outliner:
        metrics = {
            "test": {
                "lesions": {
                    "n": 97,
                    "values": {
                        "dice": {"value": 0.757, "low": 0.671, "high": 0.829},
                        "not_proposed": {"value": 0.07, "low": 0.02, "high": 0.13},
                    },
                },
                "without_lesion": {
                    "n": 20,
                    "values": {"false_proposal": {"value": 0.5, "low": 0.25, "high": 0.74}},
                },
            }
        }

    monkeypatch.setattr(_shared, "outliner", Outliner)
    return Outliner.metrics["test"]


def test_every_figure_of_proposed_outlines_has_its_interval(measured):
    assert _region_figures.outlines_text() == (
        "On 97 unseen scans with a lesion such outlines overlapped the true ones with a Dice of "
        "0.76 (95 % CI 0.67–0.83), and none was proposed in 7 % (95 % CI 2–13 %); on 20 without "
        "one an outline was drawn in 50 % (95 % CI 25–74 %)."
    )
    del measured["without_lesion"]
    assert _region_figures.outlines_text().endswith("none was proposed in 7 % (95 % CI 2–13 %).")


def test_the_shipped_network_has_these_figures():
    test = outlines_checkpoint().metrics["test"]
    values = test["lesions"]["values"] | test["without_lesion"]["values"]
    for name in ("dice", "not_proposed", "false_proposal"):
        assert values[name]["low"] < values[name]["value"] < values[name]["high"]
