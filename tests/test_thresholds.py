"""Counts at every threshold and predictive values, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, roc_curve

from core.checkpoints import list_trained, open_checkpoint
from core.evaluation.mistakes import mistakes_table
from core.evaluation.thresholds import GRID, predictive_values, threshold_table
from pages._errors_thresholds import PREVALENCES, _told, prevalence_among, thresholds_with, written

TRAINED = list_trained()


def table_of(scores: np.ndarray, positive: np.ndarray, thresholds: np.ndarray = GRID):
    """Of images that stand alone."""
    return threshold_table(scores, positive, np.arange(len(scores)), thresholds)


def test_counts_by_hand():
    scores = np.array([0.9, 0.5, 0.5, 0.2])
    positive = np.array([True, True, False, False])
    table = table_of(scores, positive, np.array([0.0, 0.2, 0.5, 0.6, 0.95]))
    assert table[["tp", "fp", "fn", "tn"]].to_numpy().tolist() == [
        [2, 2, 0, 0],
        [2, 2, 0, 0],
        [2, 1, 0, 1],
        [1, 0, 1, 2],
        [0, 0, 2, 2],
    ]
    assert table["sensitivity"].tolist() == [1, 1, 1, 0.5, 0]
    assert table["specificity"].tolist() == [0, 0, 0.5, 1, 1]
    inside = (table["sensitivity_low"] <= table["sensitivity"]) & (
        table["sensitivity"] <= table["sensitivity_high"]
    )
    assert inside.all()


def test_the_grid_agrees_with_scikit_learn():
    random = np.random.default_rng(3)
    positive = random.random(400) < 0.4
    scores = np.clip(random.normal(0.4 + 0.2 * positive, 0.2), 0, 1).round(3)
    table = table_of(scores, positive)
    for row in table.iloc[::20].itertuples():
        theirs = confusion_matrix(positive, scores >= row.threshold, labels=[False, True])
        assert [row.tn, row.fp, row.fn, row.tp] == theirs.ravel().tolist()
    alarms, found, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    curve = table_of(scores, positive, thresholds)
    assert curve["sensitivity"].to_numpy() == pytest.approx(found)
    assert 1 - curve["specificity"].to_numpy() == pytest.approx(alarms)


@pytest.mark.parametrize("operating", [0.16493, 0.165, 0.42, 0.0004, 0.9999])
def test_no_two_thresholds_of_the_slider_read_alike(operating):
    thresholds = thresholds_with(operating)
    assert operating in thresholds
    texts = [written(one) for one in thresholds]
    assert len(set(texts)) == len(texts)
    assert {written(one) for one in GRID} <= set(texts)


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        ((0.5, 0.401, 0.6), ("50 %", "95 % CI 40–60 %")),
        ((0.001, 0.0009, 0.0012), ("0.1 %", "95 % CI 0.09–0.12 %")),
        ((0.5, 0.5, 0.5), ("50 %", "no usable interval")),
        ((np.nan, 0.0, 1.0), ("–", "")),
    ],
)
def test_an_interval_with_a_width_is_written_with_one(figures, told):
    assert _told(*figures) == told


def test_a_side_without_images_is_undefined():
    table = table_of(np.array([0.2, 0.8]), np.array([True, True]))
    assert table["specificity"].isna().all()
    assert table["specificity_low"].isna().all()
    assert len(table) == len(GRID)


@pytest.mark.parametrize(("sick", "n", "percent"), [(31, 117, 26.5), (0, 9, 0.1), (9, 9, 99.0)])
def test_the_first_prevalence_is_that_of_the_images_within_what_can_be_chosen(sick, n, percent):
    row = table_of(np.full(n, 0.6), np.arange(n) < sick).iloc[0]
    assert prevalence_among(row) == percent
    assert PREVALENCES[0] <= percent <= PREVALENCES[1]


def test_predictive_values_by_hand():
    """Of 1000 people 100 are ill: 90 are found and 10 missed; of 900 well ones 180 are called."""
    ppv, npv = predictive_values(0.9, 0.8, 0.1)
    assert ppv == pytest.approx(90 / 270)
    assert npv == pytest.approx(720 / 730)


def test_at_the_samples_own_prevalence_they_are_the_shares_counted():
    scores = np.array([0.9, 0.7, 0.6, 0.4, 0.3, 0.1])
    positive = np.array([True, False, True, True, False, False])
    row = table_of(scores, positive, np.array([0.5])).iloc[0]
    ppv, npv = predictive_values(row["sensitivity"], row["specificity"], positive.mean())
    assert ppv == pytest.approx(row["tp"] / (row["tp"] + row["fp"]))
    assert npv == pytest.approx(row["tn"] / (row["tn"] + row["fn"]))


def test_predictive_values_rise_with_both_figures():
    shares = np.linspace(0.05, 0.95, 10)
    for fixed in (0.1, 0.5, 0.9):
        for index in (0, 1):
            rising = [predictive_values(x, fixed, 0.2)[index] for x in shares]
            assert (np.diff(rising) > 0).all()
            rising = [predictive_values(fixed, x, 0.2)[index] for x in shares]
            assert (np.diff(rising) > 0).all()


def test_nobody_called_positive_has_no_predictive_value():
    ppv, npv = predictive_values(0.0, 1.0, 0.3)
    assert np.isnan(ppv)
    assert npv == pytest.approx(0.7)


@pytest.mark.skipif(not TRAINED, reason="no trained system is shipped")
@pytest.mark.parametrize("recipe_id", TRAINED)
def test_the_operating_point_gives_the_figures_of_the_metrics(recipe_id):
    checkpoint = open_checkpoint(recipe_id)
    recipe, known = checkpoint.recipe, checkpoint.predictions()
    if not recipe.malignant_classes:
        pytest.skip("the system has no malignant class")
    for protocol, metrics in checkpoint.metrics.items():
        calibration = metrics["calibration"]
        run = known[(known["protocol"] == protocol) & (known["seed"] == metrics["seed"])]
        table = mistakes_table(run, recipe.classes, calibration["temperature"])
        malignant = list(recipe.malignant_classes)
        point = calibration["operating_point"]
        row = threshold_table(
            table[malignant].sum(axis=1),
            table["label"].isin(malignant),
            table["group"],
            np.array([point["threshold"]]),
        ).iloc[0]
        for name in ("sensitivity", "specificity"):
            assert row[name] == pytest.approx(point[name]["value"])
            low, high = point[name]["low"], point[name]["high"]
            if low < high:  # without a width the page has Wilson's
                found = (row[f"{name}_low"], row[f"{name}_high"])
                assert found == pytest.approx((low, high))
