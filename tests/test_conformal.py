"""Prediction sets: the promise on simulated data, the quantile by hand, the shipped systems."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from core.checkpoints import list_trained, open_checkpoint
from core.conformal import Conformal, conformal_threshold, of_checkpoint, prediction_set


def of_truth(shares: list[float]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities of two classes of which the true one, always the first, has these."""
    first = np.array(shares)
    return np.column_stack([first, 1 - first]), np.zeros(len(first), int)


def test_the_quantile_by_hand():
    # Nine scores 0.1 .. 0.9: ceil(10 * 0.9) = 9, the largest; ceil(10 * 0.5) = 5, the middle.
    probabilities, labels = of_truth([0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1])
    assert conformal_threshold(probabilities, labels, 0.9) == pytest.approx(0.9)
    assert conformal_threshold(probabilities, labels, 0.5) == pytest.approx(0.5)
    # ceil(100 * 0.55) = 55, though binary fractions make it a little more than 55
    hundredths = of_truth([1 - i / 100 for i in range(1, 100)])
    assert conformal_threshold(*hundredths, 0.55) == pytest.approx(0.55)
    # ceil(10 * 0.51) = 6
    assert conformal_threshold(probabilities, labels, 0.51) == pytest.approx(0.6)


def test_too_few_images_rule_nothing_out():
    # ceil(9 * 0.9) = 9 of 8 images: no rank is high enough.
    probabilities, labels = of_truth([0.99] * 8)
    threshold = conformal_threshold(probabilities, labels, 0.9)
    assert threshold == 1
    assert prediction_set(np.array([0.999, 0.001]), threshold) == (0, 1)


def test_a_set_holds_the_likely_and_is_never_empty():
    shares = np.array([0.30, 0.45, 0.25])
    assert prediction_set(shares, 0.7) == (1, 0)
    assert prediction_set(shares, 0.75) == (1, 0, 2)
    assert prediction_set(shares, 0.1) == (1,)
    assert prediction_set(np.array([0.5, 0.5]), 0.0) == (0,)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
@pytest.mark.parametrize("n", [20, 117])
def test_the_marginal_coverage_is_what_was_asked_for(n, coverage):
    """Over exchangeable draws a new scan is covered with a chance of at least ``coverage``
    (Vovk et al., 2005, proposition 2.3), whether the probabilities are right or, as here, not:
    the count of misses stays within a bound that chance exceeds once in ten thousand."""
    random, trials = np.random.default_rng([n, int(100 * coverage)]), 2000
    covered = 0
    for _ in range(trials):
        logits = random.normal(size=(n + 1, 3))
        labels = (logits + random.gumbel(size=logits.shape)).argmax(axis=1)  # drawn by softmax
        overconfident = softmax(3 * logits)
        threshold = conformal_threshold(overconfident[:n], labels[:n], coverage)
        covered += labels[n] in prediction_set(overconfident[n], threshold)
    assert covered >= binom.ppf(1e-4, trials, coverage)


def test_the_coverage_is_not_bought_with_large_sets():
    """With distinct scores and no set forced, coverage is below ``coverage + 1 / (n + 1)``."""
    random, n, trials, coverage = np.random.default_rng(5), 49, 4000, 0.9
    covered = 0
    for _ in range(trials):
        scores = random.random(n + 1)
        probabilities, labels = of_truth(1 - scores)
        covered += scores[n] <= conformal_threshold(probabilities[:n], labels[:n], coverage)
    assert binom.ppf(1e-4, trials, 0.9) <= covered <= binom.ppf(1 - 1e-4, trials, 0.9 + 1 / 50)


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("coverage", [0, 1, -0.1, 90])
def test_a_coverage_outside_its_range_is_refused(coverage):
    with pytest.raises(ValueError, match="between 0 and 1"):
        conformal_threshold(*of_truth([0.5]), coverage)


def test_no_validation_images_are_refused():
    with pytest.raises(ValueError, match="there are none"):
        conformal_threshold(np.empty((0, 2)), np.empty(0), 0.9)


def test_names_come_with_the_likeliest_first():
    sets = Conformal(("benign", "malignant", "normal"), 0.8, 0.9, 100)
    assert sets.classes_in(np.array([0.3, 0.6, 0.1])) == ("malignant", "benign")
    with pytest.raises(ValueError, match="3 probabilities"):
        sets.classes_in(np.array([0.5, 0.5]))


def test_a_set_promises_an_average_and_nothing_of_a_class():
    """Of shipped systems' malignant test images down to 78 % are covered, and 88 % of all."""
    told = Conformal(("benign", "malignant"), 0.8, 0.9, 100).sentence
    assert "90 % of scans like the 100 validation images" in told
    assert "at least" not in told and "of one class it may be less" in told


@pytest.mark.parametrize("recipe_id", list_trained())
def test_sets_of_shipped_systems_cover_their_validation_images(recipe_id):
    """At least ``coverage`` of them by the quantile's definition, calibrated by the temperature."""
    checkpoint = open_checkpoint(recipe_id)
    sets = of_checkpoint(checkpoint)
    known, run = checkpoint.predictions(), checkpoint.manifest["weights"]
    rows = known[
        (known["protocol"] == run["protocol"])
        & (known["seed"] == run["seed"])
        & (known["split"] == "validation")
    ]
    assert sets.n == len(rows)
    assert sets.informative == (len(rows) >= 9)
    logits = np.log(np.clip(rows[list(sets.classes)].to_numpy(float), 1e-12, None))
    shares = softmax(logits / checkpoint.temperature)
    named = [sets.classes_in(row) for row in shares]
    assert np.mean([x in y for x, y in zip(rows["label"], named, strict=True)]) >= 0.9
    assert ("too few" in sets.sentence) == (not sets.informative)
