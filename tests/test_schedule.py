"""Learning rates by hand."""

from __future__ import annotations

import numpy as np
import pytest

from core.recipe import Phase
from core.training.schedule import learning_rate


def test_the_rate_falls_by_a_tenth_every_seven_epochs():
    phase = Phase(trainable="all", epochs=18, learning_rate=5e-5, decay_factor=0.1, decay_every=7)
    rates = [learning_rate(phase, epoch) for epoch in (0, 6, 7, 13, 14, 17)]
    np.testing.assert_allclose(rates, [5e-5, 5e-5, 5e-6, 5e-6, 5e-7, 5e-7])


def test_a_hill_rises_for_a_twentieth_and_falls_to_nothing():
    phase = Phase(trainable="all", epochs=10, learning_rate=2e-3, schedule="hill")
    assert learning_rate(phase, 0) == 0
    assert learning_rate(phase, 0, 0.25) == pytest.approx(2e-3 * 0.5 * 0.975**0.9)
    assert learning_rate(phase, 0, 0.5) == pytest.approx(2e-3 * 0.95**0.9)
    assert learning_rate(phase, 5) == pytest.approx(2e-3 * 0.5**0.9)
    assert learning_rate(phase, 9, 1) == 0
