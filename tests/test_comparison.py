"""Tests between two systems, against hand-worked examples, definitions and invariants."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import mannwhitneyu

from core.evaluation import EvaluationError, evaluate
from core.evaluation.comparison import Pair, delong, differences, mcnemar, pair

CLASSES = ("benign", "malignant")


def answers(scores, positive, groups=None, ids=None) -> pd.DataFrame:
    """Predictions whose scores are those of "malignant"."""
    scores = np.asarray(scores, float)
    names = [f"i{n:03d}" for n in range(len(scores))] if ids is None else ids
    return pd.DataFrame(
        {
            "image_id": names,
            "label": np.where(positive, "malignant", "benign"),
            "group": names if groups is None else groups,
            "benign": 1 - scores,
            "malignant": scores,
        }
    )


def paired(first, second, positive, groups=None) -> Pair:
    tables = (answers(scores, positive, groups) for scores in (first, second))
    return pair(*tables, CLASSES, CLASSES)


def drawn(n=120, seed=1) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Two correlated systems of which the first is better; with ties."""
    random = np.random.default_rng(seed)
    positive = random.random(n) < 0.4
    shared = random.normal(size=n) + 1.2 * positive
    first = shared + 0.5 * random.normal(size=n)
    second = shared + 1.5 * random.normal(size=n)
    return *(np.round(1 / (1 + np.exp(-x)), 2) for x in (first, second)), positive


# Which images


def test_only_images_of_both_test_sets_count_whatever_their_order():
    first = answers([0.9, 0.2, 0.8], [True, False, True], ids=["a", "b", "c"])
    second = answers([0.7, 0.6, 0.1], [True, True, False], list("xyz"), ids=["c", "d", "b"])
    both = pair(first, second, CLASSES, CLASSES)
    assert both.n == both.n_groups == 2
    assert both.second.groups.tolist() == both.first.groups.tolist()
    assert both.first.probabilities[:, 1].tolist() == [0.2, 0.8]
    assert both.second.probabilities[:, 1].tolist() == [0.1, 0.7]


def test_an_image_with_two_labels_is_no_common_ground():
    first = answers([0.9, 0.2], [True, False], ids=["a", "b"])
    second = answers([0.9, 0.2], [False, False], ids=["a", "b"])
    assert pair(first, second, CLASSES, CLASSES).n == 1


def test_systems_of_other_classes_meet_in_those_they_share():
    first = answers([0.9, 0.2, 0.3], [True, False, False])
    three = first.assign(normal=0.0)[["image_id", "label", "group", *CLASSES, "normal"]]
    both = pair(first, three, CLASSES, ("normal", *CLASSES))
    assert both.labels == CLASSES
    assert delong(paired([0.9, 0.6, 0.2, 0.3], [0.9, 0.6, 0.2, 0.3], [1, 1, 0, 0]), "benign").p == 1


def test_without_common_images_there_is_a_sentence():
    first, second = answers([0.9], [True], ids=["a"]), answers([0.9], [True], ids=["b"])
    with pytest.raises(EvaluationError, match="no test image in common"):
        pair(first, second, CLASSES, CLASSES)


# McNemar


def test_mcnemar_by_hand():
    # Right, right; 1 only the first; 5 only the second; 2 neither. p = 2 (1 + 6) / 2^6.
    first = [0.9, 0.9, *[0.2] * 5, 0.1, 0.3]
    second = [0.8, 0.4, *[0.7] * 5, 0.2, 0.1]
    found = mcnemar(paired(first, second, [True] * 9))
    assert (found.both_right, found.only_first, found.only_second, found.both_wrong) == (1, 1, 5, 2)
    assert found.p == pytest.approx(14 / 64)


def test_systems_that_never_differ_do_not_differ():
    found = mcnemar(paired([0.9, 0.1], [0.8, 0.2], [True, True]))
    assert (found.only_first, found.only_second, found.p) == (0, 0, 1.0)


def test_mcnemar_does_not_mind_the_order():
    first, second, positive = drawn()
    one, other = mcnemar(paired(first, second, positive)), mcnemar(paired(second, first, positive))
    assert one.p == other.p and one.only_first == other.only_second


# DeLong


def test_delong_by_hand():
    # Of the first system's positives (.9, .6) one beats both negatives (.3, .7), one beats one:
    # components 1 and 1/2 on either side, variance (1/8) / 2 + (1/8) / 2. The second is perfect.
    found = delong(
        paired([0.9, 0.6, 0.3, 0.7], [0.9, 0.6, 0.1, 0.3], [True, True, False, False]), "malignant"
    )
    assert (found.first, found.second, found.value) == (0.75, 1.0, -0.25)
    assert found.p == pytest.approx(0.4795, abs=1e-4)  # z = -0.25 / sqrt(1/8) = -0.7071
    half = 1.959964 / np.sqrt(8)
    assert (found.low, found.high) == pytest.approx((-0.25 - half, -0.25 + half))


def test_delong_is_its_definition_and_its_areas_those_of_mann_and_whitney():
    first, second, positive = drawn()
    found = delong(paired(first, second, positive), "malignant")
    m, n = positive.sum(), (~positive).sum()
    wins = []
    for scores in (first, second):
        hits, rest = scores[positive][:, None], scores[~positive][None]
        wins.append((hits > rest) + 0.5 * (hits == rest))  # psi of DeLong et al., 1988
    of_hits, of_rest = (np.array([one.mean(axis=axis) for one in wins]) for axis in (1, 0))
    covariance = np.cov(of_hits) / m + np.cov(of_rest) / n
    spread = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    half = 1.959964 * np.sqrt(spread)
    assert found.high - found.value == pytest.approx(half, rel=1e-6)
    for area, scores in zip((found.first, found.second), (first, second), strict=True):
        expected = mannwhitneyu(scores[positive], scores[~positive]).statistic / (m * n)
        assert area == pytest.approx(expected)


def test_of_two_classes_either_may_be_asked_for():
    both = paired(*drawn())
    one, other = delong(both, "malignant"), delong(both, "benign")
    assert one.p == pytest.approx(other.p) and one.value == pytest.approx(other.value)


def test_a_difference_without_any_spread_has_no_p_value():
    perfect, reversed_ = [0.9, 0.8, 0.2, 0.1], [0.1, 0.2, 0.8, 0.9]
    positive = [True, True, False, False]
    assert delong(paired(perfect, reversed_, positive), "malignant").p is None
    assert delong(paired(perfect, perfect, positive), "malignant").p == 1


def test_delong_needs_two_of_each():
    with pytest.raises(EvaluationError, match="two images of 'malignant'"):
        delong(paired([0.9, 0.2, 0.1], [0.8, 0.3, 0.1], [True, False, False]), "malignant")


# The difference, drawn by groups


def test_figures_are_those_of_the_results():
    first, second, positive = drawn()
    both = paired(first, second, positive)
    for scores, attribute in ((first, "first"), (second, "second")):
        values = evaluate(answers(scores, positive), CLASSES, resamples=1)["values"]
        for figure in ("accuracy", "auc_malignant"):
            found = getattr(differences(both, resamples=2)[figure], attribute)
            assert found == pytest.approx(values[figure]["value"])


def test_without_groups_the_interval_is_about_that_of_delong():
    both = paired(*drawn(400))
    by_ranks, by_draws = delong(both, "malignant"), differences(both)["auc_malignant"]
    assert by_draws.value == pytest.approx(by_ranks.value)
    assert by_draws.low == pytest.approx(by_ranks.low, abs=0.012)
    assert by_draws.high == pytest.approx(by_ranks.high, abs=0.012)


def test_copies_make_p_smaller_but_not_the_interval():
    first, second, positive = drawn(60)
    once = paired(first, second, positive)
    names = [f"g{n:03d}" for n in range(60)] * 4
    copied = paired(np.tile(first, 4), np.tile(second, 4), np.tile(positive, 4), names)
    assert delong(copied, "malignant").p < delong(once, "malignant").p
    assert differences(copied) == differences(once)
    assert differences(once).keys() == {"accuracy", "auc_benign", "auc_malignant"}
