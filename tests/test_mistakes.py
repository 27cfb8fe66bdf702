"""The table of mistakes and what is read off it, by hand and against other libraries."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, roc_auc_score
from sklearn.neighbors import NearestNeighbors

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers.answers import answers
from core.datasets import find_folder, read_mask, read_pixels
from core.datasets.phantoms import phantom
from core.evaluation import EvaluationError
from core.evaluation.attributes import (
    ATTRIBUTES,
    associations,
    image_attributes,
    rates_by_bin,
    rates_of,
)
from core.evaluation.calibration import fit
from core.evaluation.label_errors import KEPT_LABEL, likely_labels
from core.evaluation.mistakes import confusion_counts, judge, mistakes_table, most_confused
from core.evaluation.neighbours import nearest, similarities
from core.spreadsheet import safe_csv
from core.statistics.wilson import wilson

CLASSES = ("benign", "malignant", "normal")
ROWS = [
    ("test", "a", "benign", "a", 0.7, 0.2, 0.1),
    ("test", "b", "benign", "b", 0.3, 0.6, 0.1),
    ("test", "c", "malignant", "b", 0.5, 0.4, 0.1),
    ("test", "d", "malignant", "d", 0.1, 0.8, 0.1),
    ("test", "e", "normal", "e", 0.8, 0.1, 0.1),
    ("train", "f", "benign", "a", 0.9, 0.05, 0.05),
    ("train", "g", "normal", "b", 0.1, 0.1, 0.8),
    ("validation", "h", "benign", "h", 0.9, 0.05, 0.05),
]
TRAINED = list_trained()


@pytest.fixture
def run() -> pd.DataFrame:
    return pd.DataFrame(ROWS, columns=["split", "image_id", "label", "group", *CLASSES])


def test_each_test_image_has_its_figures(run):
    table = mistakes_table(run, CLASSES).set_index("image_id")
    assert list(table.index) == list("abcde")
    assert table["predicted"].tolist() == [
        "benign",
        "malignant",
        "benign",
        "malignant",
        "benign",
    ]
    assert table["wrong"].tolist() == [False, True, True, False, True]
    assert table["confidence"].tolist() == pytest.approx([0.7, 0.6, 0.5, 0.8, 0.8])
    assert table["margin"].tolist() == pytest.approx([0.5, 0.3, 0.1, 0.7, 0.7])
    truth = run[run["split"] == "test"]
    whole = log_loss(truth["label"], truth[list(CLASSES)], labels=CLASSES)
    assert table["loss"].mean() == pytest.approx(whole)
    assert table.loc["e", "loss"] == pytest.approx(-np.log(0.1))


def test_relatives_are_counted_over_all_splits(run):
    table = mistakes_table(run, CLASSES).set_index("image_id")
    assert table["group_size"].to_dict() == {"a": 2, "b": 3, "c": 3, "d": 1, "e": 1}
    assert table["trained_relatives"].to_dict() == {"a": 1, "b": 1, "c": 1, "d": 0, "e": 0}
    assert table["other_labels"].to_dict() == {"a": "", "b": "c; g", "c": "b; g", "d": "", "e": ""}


def test_a_relative_that_chose_the_settings_was_not_trained_on(run):
    table = mistakes_table(run.replace({"group": {"h": "e"}}), CLASSES).set_index("image_id")
    assert table.loc["e", ["group_size", "trained_relatives"]].tolist() == [2, 0]


def test_relatives_without_a_prediction_count_too(run):
    of_test = run["group"].isin(run["group"][run["split"] == "test"])
    left_out = (run["split"] == "train") & of_test
    assert left_out.sum() >= 2
    unpredicted = run.loc[left_out, ["split", "image_id", "label", "group"]]
    found = mistakes_table(run[~left_out], CLASSES, unpredicted=unpredicted)
    pd.testing.assert_frame_equal(found, mistakes_table(run, CLASSES))


def test_the_temperature_changes_probabilities_but_no_decision(run):
    plain, cooled = mistakes_table(run, CLASSES), mistakes_table(run, CLASSES, 2.0)
    assert cooled["predicted"].equals(plain["predicted"])
    roots = np.sqrt([0.7, 0.2, 0.1])  # softmax(log(p) / 2) is the square root, scaled to sum 1
    assert cooled.loc[0, list(CLASSES)].to_numpy(float) == pytest.approx(roots / roots.sum())


def test_a_loss_has_an_end(run):
    """Scaled by 1/2, a probability of 1e-12 becomes its square, whose logarithm is beyond 36."""
    run.loc[0, list(CLASSES)] = [0.0, 1.0, 0.0]
    assert mistakes_table(run, CLASSES, 0.5)["loss"].max() == pytest.approx(36.04, abs=0.01)


def test_confusions_agree_with_scikit_learn_and_are_ordered(run):
    table = mistakes_table(run, CLASSES)
    expected = confusion_matrix(table["label"], table["predicted"], labels=CLASSES)
    assert np.array_equal(confusion_counts(table, CLASSES), expected)
    pairs = most_confused(table)
    assert list(pairs.itertuples(index=False, name=None)) == [
        ("normal", "benign", 1, 1.0),
        ("benign", "malignant", 1, 0.5),
        ("malignant", "benign", 1, 0.5),
    ]


def test_a_run_without_a_mistake_has_no_confusions(run):
    table = mistakes_table(run, CLASSES)
    assert most_confused(table[~table["wrong"]]).empty


def test_a_run_without_test_images_is_refused(run):
    with pytest.raises(EvaluationError, match="no predictions"):
        mistakes_table(run[run["split"] != "test"], CLASSES)


@pytest.mark.skipif(not TRAINED, reason="no trained system is shipped")
@pytest.mark.parametrize("recipe_id", TRAINED)
def test_shipped_systems_are_judged_as_their_metrics_say(recipe_id):
    checkpoint = open_checkpoint(recipe_id)
    known, recipe = checkpoint.predictions(), checkpoint.recipe
    for protocol, metrics in checkpoint.metrics.items():
        run = known[(known["protocol"] == protocol) & (known["seed"] == metrics["seed"])]
        validation = run[run["split"] == "validation"]
        fitted = fit(validation, recipe.classes, recipe.malignant_classes)
        calibration = metrics["calibration"]
        assert fitted.temperature == pytest.approx(calibration["temperature"])
        point = calibration.get("operating_point", {"threshold": None})
        assert fitted.threshold == pytest.approx(point["threshold"])
        found = judge(run, recipe, fitted)
        assert confusion_counts(found.table, recipe.classes).tolist() == metrics["confusion"]
        loss = calibration["values"]["log_loss"]["value"]
        assert found.table["loss"].mean() == pytest.approx(loss, rel=1e-5)
        accuracy = metrics["values"]["accuracy"]
        told = [1 - accuracy[name] for name in ("value", "high", "low")]
        assert [found.error, found.low, found.high] == pytest.approx(told)
        assert found.n_groups == metrics["n_groups"]
        if protocol == "grouped":
            assert not found.table["trained_relatives"].any()


@pytest.mark.parametrize("recipe_id", ["mri-efficientnetv2b0", "mammography-dalaresnet50"])
def test_groups_are_as_large_as_in_the_data_set(recipe_id, tables):
    """Of these systems, not all training images have a prediction."""
    if recipe_id not in TRAINED:
        pytest.skip("it is not shipped")
    checkpoint = open_checkpoint(recipe_id)
    sizes = tables(checkpoint.recipe.data.dataset)["group"].value_counts()
    for protocol, run in checkpoint.predictions().groupby("protocol"):
        unpredicted = checkpoint.unpredicted().query("protocol == @protocol")
        found = mistakes_table(run, checkpoint.recipe.classes, unpredicted=unpredicted)
        assert found["group_size"].tolist() == sizes[found["group"]].tolist()
        assert found["trained_relatives"].any() == (protocol == "published")


def test_confident_learning_by_hand():
    """Thresholds are the means (0.9 + 0.8 + 0.1) / 3 = 0.6 and (0.7 + 0.3 + 0.8) / 3 = 0.6."""
    first = np.array([0.9, 0.8, 0.1, 0.3, 0.7, 0.2])
    shares = np.column_stack([first, 1 - first])
    labels = np.array([0, 0, 0, 1, 1, 1])
    # The other class gets 0.9 for the third image and 0.7 for the fifth; no other reaches 0.6.
    expected = [KEPT_LABEL, KEPT_LABEL, 1, KEPT_LABEL, 0, KEPT_LABEL]
    assert likely_labels(shares, labels).tolist() == expected


def test_a_label_that_is_the_likeliest_class_stands():
    """The third image gets 0.6 for its class, whose threshold is 2.5 / 3, and 0.4 for the other,
    whose threshold is (0.4 + 0.3) / 2."""
    first = np.array([0.95, 0.95, 0.6, 0.6, 0.7])
    shares = np.column_stack([first, 1 - first])
    assert likely_labels(shares, np.array([0, 0, 0, 1, 1])).tolist() == [KEPT_LABEL] * 5


@pytest.mark.parametrize("seed", range(5))
def test_confident_learning_agrees_with_cleanlab(seed):
    from cleanlab.filter import find_label_issues

    random = np.random.default_rng(seed)
    shares = random.dirichlet([0.7] * 4, size=300)
    labels = np.array([random.choice(4, p=0.7 * row + 0.075) for row in shares])
    theirs = find_label_issues(labels, shares, filter_by="confident_learning", n_jobs=1)
    ours = likely_labels(shares, labels) != KEPT_LABEL
    assert 10 < ours.sum() < 250
    assert np.array_equal(ours, theirs)


def test_a_class_without_images_is_never_suggested():
    shares = np.array([[0.2, 0.1, 0.7], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    assert 2 not in likely_labels(shares, np.array([0, 0, 1]))


def test_wilson_agrees_with_scipy():
    part, whole = np.array([0, 1, 9, 30]), np.array([12, 7, 31, 30])
    low, high = wilson(part, whole)
    for index in range(4):
        theirs = binomtest(int(part[index]), int(whole[index])).proportion_ci(method="wilson")
        assert (low[index], high[index]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert np.isnan(wilson(np.array([0]), np.array([0]))[0]).all()


def test_nearest_agrees_with_scikit_learn():
    random = np.random.default_rng(0)
    queries, known = random.normal(size=(5, 16)), random.normal(size=(80, 16))
    ours, similarity = nearest(queries, known, 4)
    distance, theirs = NearestNeighbors(metric="cosine").fit(known).kneighbors(queries, 4)
    assert np.array_equal(ours, theirs)
    assert np.allclose(similarity, 1 - distance, atol=1e-6)
    assert nearest(known[:3] * 7, known, 1)[0][:, 0].tolist() == [0, 1, 2]


def test_similarity_is_known_of_test_images_alone():
    features = np.array([[1, 0], [0, 2], [3, 3], [5, 0]], np.float32)
    found = similarities(features, np.array(["train", "train", "test", "validation"]))
    assert found[2] == pytest.approx(np.sqrt(0.5))
    assert np.isnan(found[[0, 1, 3]]).all()


@pytest.mark.skipif(not TRAINED, reason="no trained system is shipped")
@pytest.mark.parametrize("recipe_id", TRAINED)
def test_training_images_stand_in_the_order_of_their_features(recipe_id):
    rows, features = open_checkpoint(recipe_id).training_images()
    assert set(rows["split"]) == {"train"}
    assert features.shape[0] == len(rows)
    assert features.dtype == np.float32


@pytest.fixture(scope="module")
def with_data(tables):
    """A PyTorch system whose data are here, its checkpoint and classifier, and what reads its
    images by their ids."""
    present = (
        found
        for found in map(open_checkpoint, TRAINED)
        if found.recipe.architecture.framework == "torch" and find_folder(found.recipe.data.dataset)
    )
    checkpoint = next(present, None)
    if checkpoint is None:
        pytest.skip("the data of no shipped system is here")
    images = tables(checkpoint.recipe.data.dataset).set_index("image_id").loc

    def pictures(ids):
        return [lambda row=images[name]: (read_pixels(row), read_mask(row)) for name in ids]

    return checkpoint, checkpoint.load(), pictures


def test_an_image_is_its_own_nearest_training_image(with_data):
    checkpoint, classifier, pictures = with_data
    rows, features = checkpoint.training_images()
    chosen = rows.sample(3, random_state=1)
    shares, pooled = answers(classifier, pictures(chosen["image_id"]))
    found, similarity = nearest(pooled, features, 1)
    assert rows["image_id"].iloc[found[:, 0]].tolist() == chosen["image_id"].tolist()
    assert similarity.min() > 0.999
    kept = chosen[list(checkpoint.recipe.classes)].to_numpy()
    assert np.allclose(shares, kept, atol=0.02)


def test_the_kept_similarity_is_that_of_the_shipped_weights(with_data):
    checkpoint, classifier, pictures = with_data
    chosen = checkpoint.shipped_run("test").sample(3, random_state=1)
    _, pooled = answers(classifier, pictures(chosen["image_id"]))
    _, similarity = nearest(pooled, checkpoint.training_images()[1], 1)
    assert np.allclose(similarity[:, 0], chosen["similarity"], atol=0.005)


def test_attributes_of_a_drawn_lesion():
    pixels = np.full((100, 200, 3), 204, np.uint8)
    mask = np.zeros((100, 200), bool)
    mask[40:60, 80:120] = True
    pixels[mask] = 51
    found = image_attributes(pixels, mask)
    assert found["lesion_area"] == pytest.approx(4.0)
    assert found["lesion_contrast"] == pytest.approx(0.6)
    assert found["mean_intensity"] == pytest.approx(0.8 - 0.04 * 0.6)
    assert found["contrast"] == pytest.approx(0.6 * np.sqrt(0.04 * 0.96))
    assert found["image_size"] == pytest.approx(0.02)


def test_without_an_outline_nothing_is_said_of_the_lesion():
    pixels, mask = phantom("normal", 3)
    for outline in (None, mask):
        found = image_attributes(pixels, outline)
        assert np.isnan(found["lesion_area"])
        assert np.isnan(found["lesion_contrast"])
        assert 0 < found["mean_intensity"] < 1
    assert {one.name for one in ATTRIBUTES} == {"group_size", *found}


def alone(values: pd.Series, wrong: pd.Series) -> pd.DataFrame:
    """Rates of images that stand alone."""
    return rates_by_bin(values, wrong, pd.Series(range(len(values))))


def test_rates_in_quarters():
    values = pd.Series([*range(1, 9), np.nan])
    wrong = pd.Series([True, True, False, False, True, False, False, False, True])
    table = alone(values, wrong)
    assert table[["low", "high"]].to_numpy().tolist() == [[1, 2], [3, 4], [5, 6], [7, 8]]
    assert table["errors"].tolist() == [2, 0, 1, 0]
    assert table["rate"].tolist() == [1.0, 0.0, 0.5, 0.0]
    # Of two wrong images of two there is Wilson's interval; of one, samples have 0, 1/2 or 1.
    theirs = binomtest(2, 2).proportion_ci(method="wilson")
    bounds = table[["rate_low", "rate_high"]].to_numpy()
    assert bounds[0] == pytest.approx([theirs.low, theirs.high])
    assert bounds[2].tolist() == [0, 1]


def test_rates_of_labels_draw_groups():
    labels = pd.Series(["b", "b", "b", "b", "a", "a"])
    wrong = pd.Series([True, True, False, False, False, False])
    table = rates_of(labels, wrong, pd.Series(["x", "x", "y", "y", "z", "u"]))
    assert table["kind"].tolist() == ["a", "b"]
    assert table[["n", "errors", "rate"]].to_numpy().tolist() == [[2, 0, 0], [4, 2, 0.5]]
    assert table.loc[1, ["rate_low", "rate_high"]].tolist() == [0, 1]
    none = binomtest(0, 2).proportion_ci(method="wilson")
    assert table.loc[0, "rate_high"] == pytest.approx(none.high)


def test_few_values_get_a_bin_each():
    sizes = pd.Series([1] * 20 + [2] * 3 + [5])
    table = alone(sizes, sizes > 1)
    assert table["low"].tolist() == [1, 2, 5]
    assert table["n"].tolist() == [20, 3, 1]
    assert alone(pd.Series([np.nan]), pd.Series([True])).empty


def test_equal_values_stay_together_and_no_others_join_them():
    once = pd.Series([1] * 20 + [2, 3, 4, 5, 6])
    table = alone(once, once > 1)
    assert table.loc[0, ["low", "high", "n", "errors"]].tolist() == [1, 1, 20, 0]
    assert table["n"].sum() == 25 and table["errors"].sum() == 5
    copies = pd.Series([1] * 59 + [2] * 39 + [3] * 13 + [4] * 3 + [5] + [7] * 2)  # BUSI's groups
    table = alone(copies, copies > 2)
    assert table[["low", "high", "n"]].to_numpy().tolist() == [
        [1, 1, 59], [2, 2, 39], [3, 3, 13], [4, 7, 6],
    ]  # fmt: skip


@pytest.mark.parametrize("n", [5, 97, 117, 1000])
def test_different_values_are_shared_out_evenly(n):
    values = pd.Series(np.random.default_rng(n).permutation(n))
    counts = alone(values, values > 0)["n"]
    assert len(counts) == 4 and counts.sum() == n
    assert counts.max() - counts.min() <= 1


def test_association_is_the_area_under_the_roc_curve():
    random = np.random.default_rng(2)
    wrong = pd.Series(random.random(200) < 0.3)
    table = pd.DataFrame(
        {
            "wrong": wrong,
            "group": range(200),
            "related": random.normal(size=200) - 1.5 * wrong,
            "unrelated": random.normal(size=200),
            "constant": 1.0,
            "unknown": np.nan,
        }
    )
    found = associations(table, ["unrelated", "related", "constant", "unknown"])
    assert found["name"].tolist() == ["related", "unrelated"]
    assert found["larger"].tolist() == pytest.approx(
        [roc_auc_score(wrong, table["related"]), roc_auc_score(wrong, table["unrelated"])]
    )
    assert (found["low"] < found["larger"]).all() and (found["larger"] < found["high"]).all()
    assert found.loc[0, "high"] < 0.5 < found.loc[1, "high"]  # the related one goes with mistakes
    assert found.loc[0, "p"] < 1e-6
    assert found.loc[1, "p"] > 0.01


def test_no_mistakes_are_associated_with_nothing():
    table = pd.DataFrame({"wrong": [False] * 5, "group": range(5), "size": range(5)})
    assert associations(table, ["size"]).empty


def test_no_cell_of_an_export_is_a_formula():
    table = pd.DataFrame({"=name": ["=1+1", "@x", "-2", "plain, text"], "number": [-1.5, 2, 3, 4]})
    lines = safe_csv(table).decode().splitlines()
    assert lines == ["'=name,number", "'=1+1,-1.5", "'@x,2.0", "'-2,3.0", '"plain, text",4.0']


def test_the_end_of_a_line_within_a_cell_begins_no_row():
    name = "benign/a\r=1+1"
    written = safe_csv(pd.DataFrame({"name": [name], "number": [1]}))
    assert list(csv.reader(written.decode().splitlines(keepends=True))) == [
        ["name", "number"],
        [name, "1"],
    ]
    assert pd.read_csv(io.BytesIO(written))["name"].tolist() == [name]
