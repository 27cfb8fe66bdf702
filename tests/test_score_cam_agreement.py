"""What the measurement of Fast Score-CAM says where the answer is known."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from networks import random_tiny_arrays, tiny_classifier

from core.checkpoints import Checkpoint, write_checkpoint
from core.evaluation.score_cam_agreement import SCANS, agreement, compare_ways, keep, main


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
    write_checkpoint(tmp_path / "one", {"card.md": b"kept"}, {"recipe": "one"})
    assert agreement(Checkpoint(tmp_path / "one")) is None
    for image_id, clusters, without_scores in (("a", 0.9, 0.7), ("b", 1.0, 0.9)):
        row = {"image_id": image_id, "clusters": clusters, "without_scores": without_scores}
        keep(Checkpoint(tmp_path / "one"), pd.DataFrame([row]))
    found = agreement(Checkpoint(tmp_path / "one"))
    assert (found.fast, found.worst, found.scans) == (pytest.approx(0.95), 0.9, 2)
    assert found.without_scores == pytest.approx(0.8)
    assert Checkpoint(tmp_path / "one").card == "kept"
    assert SCANS == 50


@pytest.mark.parametrize("count", ["0", "-1"])
def test_the_command_refuses_what_is_no_number_of_scans(count, capsys):
    with pytest.raises(SystemExit):
        main(["--recipe", "no-such", f"--scans={count}"])
    assert "--scans: give a whole number of at least 1" in capsys.readouterr().err
