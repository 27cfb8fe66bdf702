"""Curves against hand-worked examples and scikit-learn; bands and bins that do not pretend."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics as sk

from core.evaluation import EvaluationError, evaluate
from core.evaluation.curves import precision_recall_curve, reliability, roc_curve
from core.evaluation.sample import Sample, read_sample
from core.statistics.bootstrap import resample_weights

CLASSES = ("benign", "malignant", "normal")
CURVES = pytest.mark.parametrize("curve", [roc_curve, precision_recall_curve])


def two_classes(scores, positive, groups=None) -> Sample:
    """Scores are those of "malignant"."""
    scores = np.asarray(scores, float)
    table = pd.DataFrame({"benign": 1 - scores, "malignant": scores})
    table["label"] = np.where(positive, "malignant", "benign")
    table["group"] = [f"g{i:03d}" for i in range(len(scores))] if groups is None else groups
    return read_sample(table, ("benign", "malignant"))


def drawn_table(n=90, seed=4) -> pd.DataFrame:
    """Fair predictions with ties, two or three images a group."""
    random = np.random.default_rng(seed)
    truth = random.integers(3, size=n)
    shares = random.dirichlet([1, 1, 1], n) + 0.5 * np.eye(3)[truth]
    shares = np.round(shares / shares.sum(axis=1, keepdims=True), 2)
    shares[:, 2] = 1 - shares[:, 0] - shares[:, 1]
    table = pd.DataFrame(np.clip(shares, 0, 1), columns=list(CLASSES))
    return table.assign(label=np.take(CLASSES, truth), group=random.integers(n // 2, size=n))


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return drawn_table()


@pytest.fixture(scope="module")
def sample(table) -> Sample:
    return read_sample(table, CLASSES)


def on_grid(curve, kind) -> np.ndarray:
    """The curve itself, read off where its band is given."""
    if kind is roc_curve:
        return np.interp(curve.grid, curve.x, curve.y)
    reached = np.searchsorted(curve.x, np.maximum(curve.grid - 1e-9, 1e-12))
    return curve.y[reached]


def test_a_roc_curve_by_hand():
    # From the highest score down: hit, false alarm, one of each at once, false alarm.
    sample = two_classes([0.9, 0.8, 0.5, 0.5, 0.1], [True, False, True, False, False])
    curve = roc_curve(sample, "malignant", resamples=20)
    assert curve.x.tolist() == pytest.approx([0, 0, 1 / 3, 2 / 3, 1])
    assert curve.y.tolist() == pytest.approx([0, 1 / 2, 1 / 2, 1, 1])


def test_a_precision_recall_curve_by_hand():
    sample = two_classes([0.9, 0.8, 0.5, 0.5, 0.1], [True, False, True, False, False])
    curve = precision_recall_curve(sample, "malignant", resamples=20)
    assert curve.x.tolist() == pytest.approx([0, 1 / 2, 1 / 2, 1, 1])
    assert curve.y.tolist() == pytest.approx([1, 1, 1 / 2, 2 / 4, 2 / 5])


@pytest.mark.parametrize("label", CLASSES)
def test_curves_are_those_of_scikit_learn(sample, label):
    index = CLASSES.index(label)
    positive, scores = sample.truth == index, sample.probabilities[:, index]
    roc = roc_curve(sample, label, resamples=2)
    x, y, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    assert np.allclose(roc.x, x) and np.allclose(roc.y, y)

    found = precision_recall_curve(sample, label, resamples=2)
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    assert np.allclose(found.x[1:], recall[-2::-1])
    assert np.allclose(found.y[1:], precision[-2::-1])


@pytest.mark.parametrize("label", CLASSES)
def test_areas_are_the_figures_of_the_results(table, sample, label):
    values = evaluate(table, CLASSES, resamples=1)["values"]
    roc = roc_curve(sample, label, resamples=2)
    steps = precision_recall_curve(sample, label, resamples=2)
    assert np.trapezoid(roc.y, roc.x) == pytest.approx(values[f"auc_{label}"]["value"])
    area = (np.diff(steps.x) * steps.y[1:]).sum()
    assert area == pytest.approx(values[f"pr_auc_{label}"]["value"])


@pytest.mark.parametrize("label", CLASSES)
@CURVES
def test_bands_hold_the_curve(sample, curve, label):
    found = curve(sample, label)
    value = on_grid(found, curve)
    assert (found.low <= value + 1e-9).all() and (value <= found.high + 1e-9).all()
    assert (found.high - found.low).max() > 0.05


def test_a_band_is_the_spread_of_resampled_curves_of_scikit_learn(sample):
    positive, scores = sample.truth == 1, sample.probabilities[:, 1]
    (weights,) = resample_weights(sample.groups, 40, seed=0)
    roc, steps = [], []
    for weight in weights:
        x, y, _ = sk.roc_curve(positive, scores, sample_weight=weight, drop_intermediate=False)
        roc.append(np.interp(np.linspace(0, 1, 101), x, y))
        precision, recall, _ = sk.precision_recall_curve(positive, scores, sample_weight=weight)
        wanted = np.maximum(np.linspace(0, 1, 101) - 1e-9, 1e-12)
        steps.append([precision[np.flatnonzero(recall >= one)[-1]] for one in wanted])
    for curve, rows in ((roc_curve, roc), (precision_recall_curve, steps)):
        found = curve(sample, "malignant", resamples=40)
        low, high = np.quantile(rows, [0.025, 0.975], axis=0)
        assert np.allclose(found.low, low) and np.allclose(found.high, high)


@CURVES
def test_copies_in_one_group_make_nobody_surer(table, sample, curve):
    twice = read_sample(pd.concat([table, table]), CLASSES)
    once, copied = (curve(one, "benign", resamples=200) for one in (sample, twice))
    assert np.allclose(once.low, copied.low) and np.allclose(once.high, copied.high)
    alone = pd.concat([table, table]).assign(group=range(2 * len(table)))
    narrow = curve(read_sample(alone, CLASSES), "benign", resamples=200)
    assert (narrow.high - narrow.low).mean() < 0.9 * (once.high - once.low).mean()


@CURVES
def test_without_images_on_either_side_there_is_no_curve(curve):
    with pytest.raises(EvaluationError, match="no test image is of another class"):
        curve(two_classes([0.2, 0.7], [True, True]), "malignant")
    with pytest.raises(EvaluationError, match="no test image is of class 'malignant'"):
        curve(two_classes([0.2, 0.7], [False, False]), "malignant")


@CURVES
def test_resamples_without_the_class_do_not_count(curve):
    found = curve(two_classes([0.9, 0.4, 0.3, 0.2], [True, False, False, False]), "malignant")
    assert np.isfinite(found.low).all() and np.isfinite(found.high).all()


@pytest.mark.parametrize("positive", [[True, False, False], [False, True, True]])
def test_a_sample_of_one_class_has_no_part_in_the_band(positive):
    """The odd image out scores as one of the others. Where a sample holds both kinds, the curve
    passes these at once: sensitivity rises in a straight line to the share of them that count."""
    sample = two_classes([0.5, 0.5, 0.2], positive)
    found = roc_curve(sample, "malignant", resamples=400)
    (weights,) = resample_weights(sample.groups, 400, seed=0)
    truth, scores = sample.truth == 1, sample.probabilities[:, 1]
    both = [one for one in weights if 0 < one[truth].sum() < one.sum()]
    assert 0 < len(both) < 400
    curves = []
    for weight in both:
        x, y, _ = sk.roc_curve(truth, scores, sample_weight=weight, drop_intermediate=False)
        curves.append(np.interp(found.grid, x, y))
    low, high = np.quantile(curves, [0.025, 0.975], axis=0)
    assert np.allclose(found.low, low) and np.allclose(found.high, high)


# Reliability


def test_reliability_by_hand():
    scores = [0.1, 0.3, 0.5, 0.9, 0.7, 0.8, 0.6]
    positive = [False, True, False, True, True, False, True]
    table = reliability(two_classes(scores, positive), "malignant", bins=2)
    assert table["n"].tolist() == [3, 4]  # 0.5 is the last of the lower bin
    assert table["probability"].tolist() == pytest.approx([0.3, 0.75])
    assert table["observed"].tolist() == pytest.approx([1 / 3, 3 / 4])
    # Wilson's interval of 3 of 4: (2.5 z^2-centred) worked out from its formula.
    assert table.loc[1, ["low", "high"]].tolist() == pytest.approx([0.3006, 0.9544], abs=1e-4)


def test_of_the_likeliest_class_it_counts_right_answers():
    table = reliability(two_classes([0.1, 0.2, 0.9, 0.8], [False, True, True, True]), bins=1)
    assert table["probability"].tolist() == pytest.approx([0.85])
    assert table["observed"].tolist() == [0.75]


def test_gaps_add_up_to_the_calibration_error(table, sample):
    bins = reliability(sample)
    gaps = (bins["observed"] - bins["probability"]).abs()
    error = evaluate(table, CLASSES, resamples=1)["values"]["ece"]["value"]
    assert (gaps * bins["n"]).sum() / sample.n == pytest.approx(error)


def test_a_group_is_one_trial():
    scores, positive = [0.9] * 8, [True] * 8
    alone = reliability(two_classes(scores, positive), "malignant")
    grouped = reliability(two_classes(scores, positive, ["a"] * 4 + ["b"] * 4), "malignant")
    assert grouped["groups"].tolist() == [2]
    assert grouped["low"][0] < alone["low"][0] < 1 == alone["high"][0]


def test_a_probability_of_nothing_has_a_bin():
    table = reliability(two_classes([0.0, 1.0], [False, True]), "malignant")
    assert table["probability"].tolist() == [0, 1]
