"""Intervals of counted shares: the binomial's quantiles, groups by hand, and where all count."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, binomtest

from core.statistics.shares import share_intervals


def bounds(chosen, groups, whole=None) -> tuple[float, float]:
    chosen = np.asarray(chosen, bool)
    whole = np.ones(len(chosen), bool) if whole is None else np.asarray(whole, bool)
    low, high = share_intervals(chosen[None], whole, np.asarray(groups))
    return float(low[0]), float(high[0])


def test_of_images_that_stand_alone_it_is_that_of_the_binomial():
    """A sample of 200 images has Binomial(200, 0.3) of the 60 that count."""
    low, high = bounds(np.arange(200) < 60, np.arange(200))
    expected = binom.ppf([0.025, 0.975], 200, 0.3) / 200
    assert (low, high) == pytest.approx(tuple(expected), abs=0.011)


def test_images_of_one_group_count_together():
    """Of two groups all of one counts: samples hold it twice, once or not at all."""
    assert bounds([True] * 6 + [False] * 6, ["a"] * 6 + ["b"] * 6) == (0, 1)
    chosen, groups = np.arange(60) < 20, np.arange(60)
    assert bounds(np.repeat(chosen, 5), np.repeat(groups, 5)) == bounds(chosen, groups)


@pytest.mark.parametrize("chosen", [False, True])
def test_where_all_or_none_count_it_is_wilsons_with_a_group_as_one_trial(chosen):
    low, high = bounds([chosen] * 18, np.arange(18) // 6)
    theirs = binomtest(3 * chosen, 3).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high))


def test_a_single_group_tells_next_to_nothing():
    low, high = bounds([True, False] * 50, ["a"] * 100)
    assert (low, high) == pytest.approx((0.5 - 0.4454, 0.5 + 0.4454), abs=1e-4)  # Wilson, half of 1


def test_only_images_of_the_whole_count_and_none_of_it_is_undefined():
    chosen, groups = np.array([True, True, False, True]), np.array(["a", "b", "c", "d"])
    whole = np.array([True, True, True, False])
    low, high = bounds(chosen, groups, whole)
    assert (low, high) == (0, 1)
    assert np.isnan(bounds(chosen, groups, np.zeros(4, bool))).all()
    pair = np.array([True, True, False, False])  # all of two groups count, whatever else there is
    assert bounds(chosen, groups, pair) == bounds(chosen[:2], groups[:2])


def test_many_shares_of_the_same_images_are_taken_at_once():
    random = np.random.default_rng(0)
    parts, groups = random.random((7, 50)) < 0.4, random.integers(20, size=50)
    whole = random.random(50) < 0.8
    low, high = share_intervals(parts, whole, groups)
    alone = [bounds(part, groups, whole) for part in parts]
    assert list(zip(low, high, strict=True)) == alone
