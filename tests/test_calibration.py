"""Temperature scaling and operating points against answers that can be worked out."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import probabilities
from core.evaluation.calibration import (
    apply_temperature,
    calibrate,
    fit_temperature,
    operating_point,
)


def test_the_temperature_that_made_the_labels_is_found():
    """Labels drawn from softmax(z / 2.5): no other temperature explains them better."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 5, (40_000, 3))
    share = probabilities(logits / 2.5)
    labels = (rng.random((len(share), 1)) > share.cumsum(axis=1)).sum(axis=1)
    assert fit_temperature(logits, labels) == pytest.approx(2.5, rel=0.03)


def test_by_hand_three_of_four_right_at_one_logit():
    """Four images with logits (z, 0), three of the first class: the best is sigmoid(z/T) = 3/4."""
    logits, labels = np.tile([4.0, 0.0], (40, 1)), np.tile([0, 0, 0, 1], 10)
    assert fit_temperature(logits, labels) == pytest.approx(4 / np.log(3), rel=1e-3)


def test_images_that_tell_no_temperature_leave_it_at_one():
    """All right: the log-loss falls without end as T does. Too few: it is left alone."""
    logits = np.tile([4.0, 0.0], (40, 1))
    assert fit_temperature(logits, np.zeros(40, int)) == 1
    assert fit_temperature(logits[:29], np.arange(29) % 2) == 1


def test_scaling_probabilities_is_scaling_logits():
    logits = np.random.default_rng(1).normal(size=(5, 4))
    np.testing.assert_allclose(
        apply_temperature(probabilities(logits), 1.7), probabilities(logits, 1.7), atol=1e-9
    )


def test_scaling_changes_no_decision():
    share = probabilities(np.random.default_rng(2).normal(size=(50, 3)))
    for temperature in (0.3, 3.0):
        scaled = apply_temperature(share, temperature)
        assert np.array_equal(scaled.argmax(axis=1), share.argmax(axis=1))


@pytest.mark.parametrize(("sensitivity", "threshold"), [(1.0, 0.2), (0.75, 0.5), (0.5, 0.7)])
def test_the_operating_point_is_the_highest_that_finds_enough(sensitivity, threshold):
    scores = np.array([0.9, 0.7, 0.5, 0.2, 0.95, 0.6, 0.1])
    positive = np.array([True, True, True, True, False, False, False])
    assert operating_point(scores, positive, sensitivity) == threshold


@pytest.mark.parametrize(("n", "found"), [(1, 1), (19, 19), (20, 19), (30, 29), (40, 38)])
def test_a_share_of_images_is_rounded_up(n, found):
    """95 % of 30 are 28.5: of scores 1, 2, ..., the 29 highest must be called."""
    threshold = operating_point(np.arange(1, n + 1), np.ones(n, bool))
    assert n - threshold + 1 == found


def test_without_positives_there_is_no_operating_point():
    with pytest.raises(ValueError, match="positive images"):
        operating_point(np.array([0.1]), np.array([False]))


def test_an_overconfident_system_is_made_less_sure():
    rng = np.random.default_rng(3)

    def table(n):
        truth = rng.integers(0, 2, n)
        right = rng.random(n) < 0.8
        share = np.where(right == (truth == 1), 0.99, 0.01)
        return pd.DataFrame(
            {
                "label": np.where(truth == 1, "malignant", "benign"),
                "group": np.arange(n).astype(str),
                "benign": 1 - share,
                "malignant": share,
            }
        )

    found = calibrate(table(2000), table(2000), ("benign", "malignant"), ("malignant",))
    # 99 % sure and 80 % right: logit(0.99) / T = logit(0.8)
    assert found["temperature"] == pytest.approx(np.log(99) / np.log(4), rel=0.15)
    assert found["values"]["ece"]["value"] < 0.04


def rows(*parts: tuple[str, str, tuple[float, ...], int], classes=("benign", "malignant")):
    """Predictions: so many rows of a label, a group and probabilities."""
    table = [
        {"label": label, "group": group, **dict(zip(classes, shares, strict=True))}
        for label, group, shares, times in parts
        for _ in range(times)
    ]
    return pd.DataFrame(table)


def test_the_operating_point_is_one_of_scaled_probabilities():
    """Logits (0, 4), right three times of four: scaled to a probability of 3/4, and a test image
    of just that probability is called. One of the two groups of sick images is missed: resampled,
    none, one or both are found, with the chances 1/4, 1/2, 1/4."""
    sure = (1 / (1 + np.exp(4)), 1 / (1 + np.exp(-4)))
    validation = rows(("malignant", "a", sure, 30), ("benign", "b", sure, 10))
    test = rows(
        ("malignant", "c", sure, 6), ("malignant", "d", (0.9, 0.1), 6), ("benign", "e", (1, 0), 1)
    )
    point = calibrate(validation, test, ("benign", "malignant"), ("malignant",))["operating_point"]
    assert point["threshold"] == pytest.approx(0.75, abs=1e-3)
    assert point["sensitivity"] == {"value": 0.5, "low": 0.0, "high": 1.0}
    assert point["specificity"]["value"] == 1


def test_malignant_classes_are_taken_together():
    classes = ("Normal", "InSitu", "Invasive")
    validation = rows(
        ("InSitu", "a", (0.2, 0.4, 0.4), 1), ("Normal", "b", (0.5, 0.5, 0), 1), classes=classes
    )
    point = calibrate(validation, validation, classes, classes[1:])["operating_point"]
    assert point["threshold"] == pytest.approx(0.8)
    assert point["sensitivity"]["value"] == point["specificity"]["value"] == 1


@pytest.mark.parametrize("recipe_id", list_trained())
def test_shipped_operating_points_reach_their_goal_on_validation_images(recipe_id):
    checkpoint = open_checkpoint(recipe_id)
    predictions, recipe = checkpoint.predictions(), checkpoint.recipe
    malignant = list(recipe.malignant_classes)
    for protocol, entry in checkpoint.metrics.items():
        rows = predictions[
            (predictions.protocol == protocol)
            & (predictions.seed == entry["seed"])
            & (predictions.split == "validation")
            & predictions.label.isin(malignant)
        ]
        share = rows[list(recipe.classes)].to_numpy()
        scaled = apply_temperature(share, entry["calibration"]["temperature"])
        of_malignant = scaled[:, [recipe.classes.index(c) for c in malignant]].sum(axis=1)
        found = of_malignant >= entry["calibration"]["operating_point"]["threshold"] - 1e-9
        assert found.mean() >= 0.95
