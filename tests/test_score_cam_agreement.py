"""What the measurement of Fast Score-CAM says where the answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from networks import random_tiny_arrays, tiny_classifier

from core.evaluation.score_cam_agreement import SCANS, agreement, compare_ways


def test_ways_that_score_every_channel_are_exact():
    # Five channels: all of them are among the 64.
    classifier = tiny_classifier("torch", random_tiny_arrays(3))
    image = np.random.default_rng(0).normal(size=(12, 12, 3)).astype(np.float32)
    found = compare_ways(classifier, image)
    assert found["clusters"] == pytest.approx(1)
    assert found["gradient"] == pytest.approx(1)
    assert found["low_rank"] > 0.99
    assert found["without_scores"] < 1 - 1e-6


def test_what_a_page_shows_is_the_mean(tmp_path):
    path = tmp_path / "measured.csv"
    assert agreement("one", path) is None
    path.write_text(
        "recipe,image_id,clusters,gradient,low_rank,without_scores\n"
        "one,a,0.9,0.5,0.6,0.7\none,b,1.0,0.5,0.6,0.9\nother,a,0.1,0.1,0.1,0.1\n"
    )
    agreement.cache_clear()
    found = agreement("one", path)
    assert (found.fast, found.worst, found.scans) == (pytest.approx(0.95), 0.9, 2)
    assert found.without_scores == pytest.approx(0.8)
    assert SCANS == 50
