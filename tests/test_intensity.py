"""Intensity statistics against hand-made cases, SciPy's definitions and Matplotlib's boxes."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from matplotlib.cbook import boxplot_stats
from scipy import stats

from core.datasets import DatasetError
from core.datasets.intensity import (
    REPORTED,
    beside_reported,
    box_numbers,
    box_table,
    cliffs_delta,
    delta_interval,
    effects,
    kruskal_wallis,
    magnitude,
    measure,
    pooled_histogram,
)


def flat(level: int, shape=(4, 5)) -> np.ndarray:
    return np.full((*shape, 3), level, np.uint8)


def measured(images: dict, masks: dict):
    table = pd.DataFrame({"image_id": list(images), "label": [name[0] for name in images]})

    def read(row):
        if images[row.image_id] is None:
            raise DatasetError("It cannot be read.")
        return images[row.image_id]

    return measure(table, read, lambda row: (masks.get(row.image_id), ""))


@pytest.fixture
def found():
    half = flat(0)
    half[:, :1] = 255  # 4 of 20 pixels
    mask = np.zeros((4, 5), bool)
    mask[:2, :1] = True
    images = {"a1": flat(51), "a2": half, "b1": flat(255), "b2": None}
    return measured(images, {"a2": mask, "b1": np.zeros((4, 5), bool)})


def test_facts_are_those_of_the_pixels(found):
    facts = found.facts.set_index("image_id")
    assert facts["mean"].tolist()[:3] == pytest.approx([0.2, 0.2, 1.0])
    assert facts.loc["a1", ["width", "height"]].tolist() == [5, 4]
    assert facts.loc["a2", ["inside", "outside", "area"]].tolist() == pytest.approx(
        [1, 2 / 18, 0.1]
    )
    assert facts.loc[["a1", "b1", "b2"], "area"].isna().all()


def test_an_image_that_cannot_be_read_keeps_its_row_and_sentence(found):
    row = found.facts.iloc[3]
    assert row["problem"] == "It cannot be read."
    assert np.isnan(row["mean"])
    assert found.histograms.sum(axis=1).tolist() == [20, 20, 20, 0]


def test_an_image_whose_mask_cannot_be_used_is_measured_as_a_whole():
    table = pd.DataFrame({"image_id": ["a", "b"], "label": "x"})

    told = {"a": "It is of another size.", "b": ""}
    found = measure(table, lambda _: flat(51), lambda row: (None, told[row.image_id]))
    assert found.facts["mean"].tolist() == pytest.approx([0.2, 0.2])
    assert found.facts["problem"].tolist() == ["", ""]
    assert found.facts["mask_problem"].tolist() == ["It is of another size.", ""]
    assert found.facts["area"].isna().all()
    assert found.histograms.sum(axis=1).tolist() == [20, 20]


def test_pooled_histogram_adds_up_to_one_a_class(found):
    histogram = pooled_histogram(found, bins=4).set_index(["label", "intensity"])["share"]
    assert histogram["a"].tolist() == pytest.approx([36 / 40, 0, 0, 4 / 40])
    assert histogram["b"].tolist() == pytest.approx([0, 0, 0, 1])


@pytest.mark.parametrize("seed", range(3))
def test_boxes_are_those_of_matplotlib(seed):
    values = np.random.default_rng(seed).standard_t(2, 200)
    box, oracle = box_numbers(values), boxplot_stats(values)[0]
    assert box.median == pytest.approx(oracle["med"])
    assert (box.first_quartile, box.third_quartile) == pytest.approx((oracle["q1"], oracle["q3"]))
    assert (box.lower_whisker, box.upper_whisker) == (oracle["whislo"], oracle["whishi"])
    assert box.outliers == len(oracle["fliers"]) > 0
    assert box.skewness == pytest.approx(stats.skew(values))


def test_a_box_by_hand():
    box = box_numbers(np.array([1, 2, 3, 4, 5, 100, np.nan]))
    assert (box.n, box.median, box.first_quartile, box.third_quartile) == (6, 3.5, 2.25, 4.75)
    assert (box.lower_whisker, box.upper_whisker, box.outliers) == (1, 5, 1)
    assert box.skewness > 1.5
    assert box_numbers(np.ones(3)).skewness == 0
    with pytest.raises(ValueError, match="at least one"):
        box_numbers(np.array([np.nan]))


def test_cliffs_delta_by_counting_every_pair():
    random = np.random.default_rng(0)
    one, other = random.integers(0, 9, 30), random.integers(2, 12, 20)
    difference = np.sign(one[:, None] - other[None])
    assert cliffs_delta(one, other) == pytest.approx(difference.mean())
    assert cliffs_delta(one, one) == pytest.approx(0)
    assert cliffs_delta(np.array([5, 6]), np.array([1, 2, 3])) == 1


def test_magnitudes_begin_at_their_limits():
    deltas = (0.146, -0.147, 0.33, -0.473, 0.474)
    assert [magnitude(one) for one in deltas] == [
        "negligible",
        "small",
        "medium",
        "medium",
        "large",
    ]


def facts(**values) -> pd.DataFrame:
    """Each value is that of an image of a group of its own."""
    rows = [(label, value) for label, part in values.items() for value in part]
    return pd.DataFrame(rows, columns=["label", "mean"]).assign(group=range(len(rows)))


def test_kruskal_wallis_is_scipys_and_silent_where_there_is_nothing_to_test():
    parts = {"x": [0.1, 0.4, 0.5], "y": [0.6, 0.7], "z": [0.2, 0.3, 0.9]}
    assert kruskal_wallis(facts(**parts)) == pytest.approx(tuple(stats.kruskal(*parts.values())))
    assert kruskal_wallis(facts(x=[0.1, 0.2])) is None
    assert kruskal_wallis(facts(x=[0.1], y=[0.1])) is None


def test_effects_name_every_two_classes():
    table = effects(facts(x=[0.1, 0.2], y=[0.3, 0.4, 0.5], z=[0.1, 0.2]))
    assert table[["a", "b", "n_a", "n_b", "delta", "magnitude"]].values.tolist() == [
        ["x", "y", 2, 3, -1.0, "large"],
        ["x", "z", 2, 2, 0.0, "negligible"],
        ["y", "z", 3, 2, 1.0, "large"],
    ]
    assert table[["low", "high"]].iloc[0].tolist() == [-1, -1]  # no draw can mix x and y


def test_the_interval_of_cliffs_delta_holds_what_many_draws_of_groups_give():
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 3)
    values = np.repeat(random.normal(size=40), 3) + random.normal(0, 0.1, 120)
    first = groups % 2 == 0
    low, high = delta_interval(values, first, groups)
    drawn = []
    for _ in range(1000):
        rows = np.concatenate([np.flatnonzero(groups == g) for g in random.integers(40, size=40)])
        drawn.append(cliffs_delta(values[rows][first[rows]], values[rows][~first[rows]]))
    assert (low, high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.06)
    each_for_itself = delta_interval(values, first, np.arange(120))
    assert high - low > 1.4 * (each_for_itself[1] - each_for_itself[0])  # about the root of 3


def test_the_paper_is_beside_busi_alone():
    table = beside_reported(facts(benign=[0.2, 0.3, 0.4], normal=[0.5]), "busi")
    assert table["label"].tolist() == ["benign", "normal"]
    row = table.iloc[0]
    assert (row["reported_low"], row["reported_median"], row["reported_high"]) == (
        REPORTED["busi"]["benign"]
    )
    assert (row["low"], row["median"], row["high"]) == pytest.approx((0.2, 0.3, 0.4))
    assert beside_reported(facts(benign=[0.2]), "thermograms") is None


def test_box_table_leaves_out_classes_without_values():
    table = box_table(facts(x=[0.1, 0.3], y=[np.nan]))
    assert table["label"].tolist() == ["x"]
    assert table["median"].tolist() == pytest.approx([0.2])


def test_progress_ends_at_one():
    told = []
    table = pd.DataFrame({"image_id": ["a"], "label": ["x"]})
    measure(table, lambda row: flat(9), lambda row: (None, ""), told.append)
    assert told == [1]
