"""Figures against hand-worked examples, scikit-learn and imbalanced-learn; honest intervals."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pandas as pd
import pytest
from imblearn.metrics import (
    geometric_mean_score,
    make_index_balanced_accuracy,
    specificity_score,
)
from sklearn import metrics as sk

from core.evaluation import EvaluationError, evaluate
from core.recipes import list_recipes
from core.statistics.bootstrap import interval, resample_weights

CLASSES = ("benign", "malignant", "normal")


def table(labels, probabilities, groups=None, classes=CLASSES) -> pd.DataFrame:
    groups = [f"g{i:04d}" for i in range(len(labels))] if groups is None else groups
    columns = pd.DataFrame(np.asarray(probabilities), columns=list(classes))
    return columns.assign(label=list(labels), group=list(groups))


def from_confusion(matrix, classes=CLASSES) -> pd.DataFrame:
    """One certain prediction for each count of a confusion matrix."""
    cells = [
        (classes[t], np.eye(len(classes))[p])
        for t, row in enumerate(matrix)
        for p, count in enumerate(row)
        for _ in range(count)
    ]
    labels, probabilities = zip(*cells, strict=True)
    return table(labels, probabilities, classes=classes)


def simulated(n=150, seed=0, per_group=2, classes=CLASSES, sharpness=0.7) -> pd.DataFrame:
    """A system of middling skill, with ties in its probabilities and groups of unequal size."""
    random = np.random.default_rng(seed)
    probabilities = random.multinomial(50, random.dirichlet([sharpness] * len(classes), n)) / 50
    labels = [random.choice(classes, p=0.6 * p + 0.4 / len(p)) for p in probabilities]
    groups = [f"patient {g}" for g in random.integers(n // per_group, size=n)]
    return table(labels, probabilities, groups, classes)


def values(predictions, classes=CLASSES, **options) -> dict[str, float | None]:
    figures = evaluate(predictions, classes, **({"resamples": 1} | options))["values"]
    return {name: figure["value"] for name, figure in figures.items()}


def oracle(predictions: pd.DataFrame, classes=CLASSES) -> dict[str, float]:
    """The same figures from scikit-learn, imbalanced-learn, or written out loop by loop."""
    classes = list(classes)
    truth = np.array([classes.index(label) for label in predictions["label"]])
    p = predictions[classes].to_numpy(float)
    guess, onehot = p.argmax(axis=1), np.eye(len(classes))[truth]
    found = {
        "accuracy": sk.accuracy_score(truth, guess),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, guess),
        "macro_f1": sk.f1_score(truth, guess, average="macro"),
        "weighted_f1": sk.f1_score(truth, guess, average="weighted"),
        "macro_precision": sk.precision_score(truth, guess, average="macro"),
        "macro_sensitivity": sk.recall_score(truth, guess, average="macro"),
        "macro_specificity": specificity_score(truth, guess, average="macro"),
        "macro_pr_auc": sk.average_precision_score(onehot, p, average="macro"),
        "macro_auc": sk.roc_auc_score(onehot, p, average="macro"),
        "mcc": sk.matthews_corrcoef(truth, guess),
        "kappa": sk.cohen_kappa_score(truth, guess),
        "gmean": geometric_mean_score(truth, guess),
        "iba": make_index_balanced_accuracy(alpha=0.1, squared=True)(geometric_mean_score)(
            truth, guess
        ),
        "log_loss": sk.log_loss(onehot, p),
        "mse_index": sk.mean_squared_error(truth, guess),
        "rmse_index": sk.root_mean_squared_error(truth, guess),
        "mae_index": sk.mean_absolute_error(truth, guess),
        "mse_onehot": sk.mean_squared_error(onehot, p),
        "rmse_onehot": math.sqrt(sk.mean_squared_error(onehot, p)),
        "mae_onehot": sk.mean_absolute_error(onehot, p),
        "brier": sum(sum((p[i] - onehot[i]) ** 2) for i in range(len(p))) / len(p),
        "ece": calibration_error(p.max(axis=1), guess == truth),
        "precision_at_half": sk.precision_score(onehot, p > 0.5, average="micro"),
        "sensitivity_at_half": sk.recall_score(onehot, p > 0.5, average="micro"),
    }
    npv = []
    for index, label in enumerate(classes):
        of_class, guessed = truth == index, guess == index
        npv.append(sk.precision_score(~of_class, ~guessed))
        found |= {
            f"precision_{label}": sk.precision_score(of_class, guessed),
            f"sensitivity_{label}": sk.recall_score(of_class, guessed),
            f"specificity_{label}": sk.recall_score(~of_class, ~guessed),
            f"npv_{label}": npv[-1],
            f"f1_{label}": sk.f1_score(of_class, guessed),
            f"auc_{label}": sk.roc_auc_score(of_class, p[:, index]),
            f"pr_auc_{label}": sk.average_precision_score(of_class, p[:, index]),
        }
    return found | {"macro_npv": np.mean(npv)}


def calibration_error(confidence, hit, bins=15) -> float:
    """Guo et al. 2017, equation 3, bin by bin."""
    total = 0.0
    for m in range(bins):
        inside = (confidence > m / bins) & (confidence <= (m + 1) / bins)
        if inside.any():
            total += inside.sum() * abs(hit[inside].mean() - confidence[inside].mean())
    return total / len(confidence)


# Definitions


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("classes", [CLASSES, ("no", "yes"), tuple("abcdefg")])
def test_every_figure_is_that_of_the_oracles(seed, classes):
    predictions = simulated(seed=seed, classes=classes)
    assert values(predictions, classes) == pytest.approx(oracle(predictions, classes), abs=1e-12)


def test_figures_of_resamples_are_those_of_the_repeated_rows():
    """Weights stand for copies: each bootstrap sample, written out, gives the oracle's figures."""
    predictions = simulated(n=60)
    groups = pd.factorize(predictions["group"], sort=True)[0]
    (weights,) = resample_weights(groups, 5, seed=3)
    written_out = [
        oracle(predictions.loc[predictions.index.repeat(times.astype(int))]) for times in weights
    ]
    found = evaluate(predictions, CLASSES, resamples=5, seed=3)["values"]
    for name, figure in found.items():
        low, high = np.quantile([figures[name] for figures in written_out], [0.025, 0.975])
        assert (figure["low"], figure["high"]) == pytest.approx((low, high), abs=1e-12), name


def test_the_confusion_matrix_of_the_mobilenetv2_paper():
    """Surya et al.: 129 test images; they print accuracy 0.82 and MCC 0.74."""
    matrix, classes = [[35, 1, 1], [6, 34, 9], [2, 4, 37]], ("normal", "benign", "malignant")
    result = evaluate(from_confusion(matrix, classes), classes, resamples=1)
    found = {name: figure["value"] for name, figure in result["values"].items()}
    assert result["confusion"] == matrix
    assert result["n"] == 129
    # Row sums 37, 49, 43; column sums 43, 39, 47; 106 hits.
    chance = 37 * 43 + 49 * 39 + 43 * 47
    spread_true, spread_predicted = 129**2 - 37**2 - 49**2 - 43**2, 129**2 - 43**2 - 39**2 - 47**2
    mcc = (129 * 106 - chance) / math.sqrt(spread_true * spread_predicted)
    assert found["accuracy"] == pytest.approx(106 / 129)
    assert found["mcc"] == pytest.approx(mcc)
    assert round(found["mcc"], 2) == 0.74
    assert found["precision_malignant"] == pytest.approx(37 / 47)
    assert found["sensitivity_benign"] == pytest.approx(34 / 49)
    assert found["specificity_normal"] == pytest.approx(84 / 92)
    assert found["npv_normal"] == pytest.approx(84 / 86)
    assert found["f1_benign"] == pytest.approx(68 / 88)
    assert found["gmean"] == pytest.approx((35 / 37 * 34 / 49 * 37 / 43) ** (1 / 3))
    # 23 errors, of which the corners' 1 + 2 are two classes apart.
    assert found["mae_index"] == pytest.approx((20 * 1 + 3 * 2) / 129)
    assert found["mse_index"] == pytest.approx((20 * 1 + 3 * 4) / 129)


def test_the_errors_of_doi_10_3791_70011_are_those_of_class_indices():
    """It prints MSE 0.0513, RMSE 0.2265, MAE 0.0342 for the 117 test images of its split.

    They are 6 and 4 by 117: two confusions of neighbouring classes (in the order benign,
    malignant, normal) and one of benign with normal. Three errors make an accuracy of 0.974, not
    the 0.99 it prints too. One-hot errors of three wrong answers would be other numbers.
    """
    matrix = [[64, 1, 1], [1, 30, 0], [0, 0, 20]]
    found = values(from_confusion(matrix))
    assert round(found["mse_index"], 4) == 0.0513
    assert round(found["rmse_index"], 4) == 0.2265
    assert round(found["mae_index"], 4) == 0.0342
    assert found["mse_onehot"] == pytest.approx(3 * 2 / 3 / 117)
    assert round(found["accuracy"], 3) == 0.974


def test_errors_of_probabilities_worked_by_hand():
    predictions = table(["benign", "normal"], [[0.8, 0.1, 0.1], [0.6, 0.0, 0.4]])
    found = values(predictions)
    assert found["brier"] == pytest.approx((0.04 + 0.01 + 0.01 + 0.36 + 0.36) / 2)
    assert found["mse_onehot"] == pytest.approx(0.78 / 6)
    assert found["mae_onehot"] == pytest.approx((0.2 + 0.1 + 0.1 + 0.6 + 0.6) / 6)
    assert found["log_loss"] == pytest.approx(-(math.log(0.8) + math.log(0.4)) / 2)
    # Bins 12 (0.733 to 0.8, right by 0.2 more than said) and 9 (0.533 to 0.6, wrong).
    assert found["ece"] == pytest.approx((0.2 + 0.6) / 2)
    assert found["precision_at_half"] == pytest.approx(1 / 2)
    assert found["sensitivity_at_half"] == pytest.approx(1 / 2)


def test_calibration_errors_cancel_inside_a_bin_and_not_across():
    same_bin = table(["benign", "normal"], [[0.7, 0.2, 0.1], [0.7, 0.2, 0.1]])
    assert values(same_bin)["ece"] == pytest.approx(abs(1 - 1.4) / 2)
    two_bins = table(["benign", "normal"], [[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
    assert values(two_bins)["ece"] == pytest.approx((0.3 + 0.5) / 2)


def test_tied_scores_count_half_in_the_roc_auc():
    predictions = table(["yes", "no", "no"], [[0.5, 0.5]] * 2 + [[0.9, 0.1]], classes=("no", "yes"))
    assert values(predictions, ("no", "yes"))["auc_yes"] == pytest.approx(0.75)


def test_a_probability_of_zero_for_the_truth_is_a_finite_loss():
    predictions = table(["normal", "benign"], [[1.0, 0, 0], [1.0, 0, 0]])
    expected = -math.log(np.finfo(np.float64).eps) / 2
    assert values(predictions)["log_loss"] == pytest.approx(expected)


def test_a_tie_goes_to_the_first_class_of_the_recipe():
    predictions = table(["benign", "malignant"], [[0.4, 0.4, 0.2]] * 2)
    assert evaluate(predictions, CLASSES, resamples=1)["confusion"] == [
        [1, 0, 0], [1, 0, 0], [0, 0, 0],
    ]  # fmt: skip


# What is not defined


def test_what_is_not_defined_is_null_and_never_nan():
    """Nobody normal, and nothing called normal or malignant."""
    predictions = table(["benign", "malignant"], [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    result = evaluate(predictions, CLASSES, resamples=50)
    json.dumps(result, allow_nan=False)
    found = {name: figure["value"] for name, figure in result["values"].items()}
    undefined = {name for name, value in found.items() if value is None}
    assert undefined == {
        "balanced_accuracy", "macro_sensitivity", "macro_precision", "macro_f1", "macro_auc",
        "macro_pr_auc", "gmean", "iba", "precision_malignant", "precision_normal",
        "sensitivity_normal", "f1_normal", "auc_normal", "pr_auc_normal", "npv_benign", "macro_npv",
    }  # fmt: skip
    assert all(result["values"][name]["low"] is None for name in undefined)
    assert found["weighted_f1"] == pytest.approx((2 / 3 + 0) / 2)


def test_a_class_without_images_has_no_figures_though_it_was_predicted():
    """A benign and malignant set of one's own, judged by a system that knows normal images too."""
    right = [[0.9, 0.1, 0.0]] * 50 + [[0.1, 0.9, 0.0]] * 49
    labels = ["benign"] * 50 + ["malignant"] * 50
    found = values(table(labels, [*right, [0.0, 0.1, 0.9]]))
    assert found["macro_f1"] is found["macro_precision"] is found["precision_normal"] is None
    assert (found["accuracy"], found["precision_malignant"]) == (0.99, 1.0)


def test_samples_without_a_class_say_nothing_of_its_precision():
    """Four patients of ten images, two of them malignant, and one image of each kind taken for the
    other: of 20 malignant answers 19 are right."""
    sure = {"benign": [0.9, 0.1, 0.0], "malignant": [0.1, 0.9, 0.0]}
    kinds = ["benign", "benign", "malignant", "malignant"]
    wrong = {0: "malignant", 2: "benign"}
    answers = [
        sure[wrong.get(patient, kind) if image == 0 else kind]
        for patient, kind in enumerate(kinds)
        for image in range(10)
    ]
    labels, groups = np.repeat(kinds, 10), np.repeat([*"abcd"], 10)
    found = evaluate(table(labels, answers, groups), CLASSES)["values"]
    # The least, three times the first patient and once the third: 9 of 12.
    assert found["precision_malignant"]["low"] >= 0.75
    # Three times the third, of which one image is called benign, and once the second: 10 of 13.
    assert found["precision_benign"]["low"] >= 10 / 13 - 1e-9
    assert found["npv_benign"]["low"] >= 0.75


def test_a_constant_answer_is_no_better_than_chance():
    predictions = table(["benign", "malignant", "normal"], [[0.9, 0.1, 0.0]] * 3)
    found = values(predictions)
    assert found["mcc"] == found["kappa"] == found["gmean"] == found["iba"] == 0
    assert found["auc_benign"] == 0.5


def test_one_true_class_leaves_agreement_beyond_chance_undefined():
    found = values(table(["benign"] * 3, [[0.9, 0.1, 0.0]] * 3))
    assert found["mcc"] is None
    assert found["kappa"] is None
    assert found["accuracy"] == 1


def test_samples_without_a_class_are_left_out_of_its_interval():
    """One malignant image, found: in about 1/e of the samples its sensitivity is undefined."""
    probabilities = [[0.9, 0.1, 0.0]] * 10 + [[0.1, 0.9, 0.0], [0, 0, 1], [0, 0, 1]]
    labels = ["benign"] * 10 + ["malignant", "normal", "normal"]
    figure = evaluate(table(labels, probabilities), CLASSES)["values"]["sensitivity_malignant"]
    assert figure == {"value": 1.0, "low": 1.0, "high": 1.0}


# Intervals


def test_copies_within_groups_do_not_narrow_the_interval():
    """Every row twice, the copy in the group of its original, says nothing new."""
    unique = simulated(n=80)
    doubled = pd.concat([unique, unique], ignore_index=True)
    once, twice = evaluate(unique, CLASSES), evaluate(doubled, CLASSES)
    assert twice["n"] == 2 * once["n"]
    assert twice["n_groups"] == once["n_groups"]
    for name, figure in once["values"].items():
        assert twice["values"][name] == pytest.approx(figure, abs=1e-12), name
    images = doubled.assign(group=[f"image {i:03d}" for i in range(len(doubled))])
    naive = evaluate(images, CLASSES)["values"]["accuracy"]
    honest = twice["values"]["accuracy"]
    assert naive["high"] - naive["low"] < 0.85 * (honest["high"] - honest["low"])


def test_the_order_of_rows_does_not_matter_and_the_seed_does():
    predictions = simulated()
    shuffled = predictions.sample(frac=1, random_state=1)
    once, again = evaluate(predictions, CLASSES), evaluate(shuffled, CLASSES)
    assert once["confusion"] == again["confusion"]
    for name, figure in once["values"].items():
        assert again["values"][name] == pytest.approx(figure, abs=1e-12), name
    assert evaluate(predictions, CLASSES) == once
    assert evaluate(predictions, CLASSES, seed=1)["values"]["brier"] != once["values"]["brier"]


def test_large_tables_are_resampled_in_parts_with_the_same_result(monkeypatch):
    groups = pd.factorize(simulated(n=50)["group"])[0]
    (whole,) = resample_weights(groups, 40, seed=0)
    monkeypatch.setattr("core.statistics.bootstrap._CHUNK", 50 * 7)
    parts = list(resample_weights(groups, 40, seed=0))
    assert [len(part) for part in parts] == [7] * 5 + [5]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_resamples_draw_whole_groups_as_many_as_there_are():
    groups = np.array([0, 0, 0, 1, 2, 2])
    (weights,) = resample_weights(groups, 4000, seed=0)
    assert (weights[:, [0, 0, 4]] == weights[:, [1, 2, 5]]).all()
    by_group = weights[:, [0, 3, 4]]
    assert (by_group.sum(axis=1) == 3).all()
    # A group is drawn k times of 3 with the binomial's chances 8/27, 12/27, 6/27, 1/27.
    shares = np.bincount(by_group[:, 0].astype(int), minlength=4) / 4000
    np.testing.assert_allclose(shares, np.array([8, 12, 6, 1]) / 27, atol=0.03)


def test_the_interval_is_of_95_percent_and_skips_the_undefined():
    samples = np.r_[np.arange(1001) / 1000, np.nan, np.nan]
    assert interval(samples) == pytest.approx((0.025, 0.975))
    assert np.isnan(interval(np.array([np.nan]))).all()


def covered(clusters: int, size: int, by_group: bool, trials: int, skill=0.8) -> float:
    """Share of simulated test sets whose interval of the accuracy holds the true one. All images
    of a cluster are right together or wrong together."""
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(clusters), size)
    drawn = groups if by_group else np.arange(clusters * size)
    hits = 0
    for trial in range(trials):
        right = (random.random(clusters) < skill)[groups]
        (weights,) = resample_weights(drawn, 200, seed=trial)
        low, high = interval(weights @ right / weights.sum(axis=1))
        hits += low <= skill <= high
    return hits / trials


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    assert 0.90 <= covered(clusters=100, size=1, by_group=True, trials=400) <= 0.98


def test_images_of_a_group_drawn_one_by_one_would_promise_too_much():
    assert 0.88 <= covered(clusters=60, size=5, by_group=True, trials=200) <= 0.98
    assert covered(clusters=60, size=5, by_group=False, trials=200) < 0.75


# What is accepted


def test_tables_read_back_from_parquet_give_the_same(tmp_path):
    predictions = simulated().astype(dict.fromkeys(CLASSES, np.float32))
    predictions.to_parquet(tmp_path / "p.parquet")
    assert evaluate(pd.read_parquet(tmp_path / "p.parquet"), CLASSES) == evaluate(
        predictions, CLASSES
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda t: t.iloc[:0], "no rows"),
        (lambda t: t.drop(columns=["group", "normal"]), "lack the columns 'group', 'normal'"),
        (lambda t: t.assign(benign=t["benign"] + 0.2, malignant=0.0), "from 0 to 1|sum to 1"),
        (lambda t: t.assign(benign=t["benign"] / 2), "do not sum to 1"),
        (lambda t: t.assign(benign=-0.5, malignant=1.0, normal=0.5), "from 0 to 1"),
        (lambda t: t.assign(benign=np.nan), "from 0 to 1"),
        (lambda t: t.assign(benign="high"), "must hold numbers"),
        (lambda t: t.assign(label="cyst"), "labels 'cyst' are not among"),
        (lambda t: t.assign(label=None), "are not among the classes"),
        (lambda t: t.assign(group=None), "150 rows have no group"),
        (lambda t: t.assign(split=["test", "train"] * 75), "column split holds 'test', 'train'"),
        (lambda t: t.assign(protocol=["grouped", "published"] * 75), "mix several runs"),
    ],
)
def test_tables_that_cannot_be_judged_are_refused_with_a_sentence(change, sentence):
    with pytest.raises(EvaluationError, match=sentence):
        evaluate(change(simulated()), CLASSES)


@pytest.mark.parametrize("classes", [(), ("benign",), ("benign", "benign")])
def test_classes_must_be_two_and_different(classes):
    with pytest.raises(EvaluationError, match="two different classes"):
        evaluate(simulated(), classes)


def test_no_resamples_are_no_bootstrap():
    with pytest.raises(EvaluationError, match="at least 1 resample"):
        evaluate(simulated(), CLASSES, resamples=0)


def test_no_warning_reaches_the_user():
    predictions = table(["benign", "malignant"], [[0.9, 0.1, 0.0], [0.8, 0.2, 0.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evaluate(predictions, CLASSES)


@pytest.mark.parametrize("recipe", list_recipes(), ids=lambda recipe: recipe.id)
def test_published_figures_bear_the_names_of_measured_ones(recipe):
    predictions = simulated(classes=recipe.classes)
    assert set(recipe.published) <= set(values(predictions, recipe.classes))
