"""Splits: exact counts where papers print them, and the invariants of both protocols."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from core.datasets.splits import PROTOCOLS, SPLITS, assign, counts

MOBILENET, EFFICIENTNET = (0.64, 0.16, 0.20), (0.70, 0.15, 0.15)
BUSI = {"benign": 437, "malignant": 210, "normal": 133}


def table_of(sizes: dict[str, int], group_of=lambda number: number) -> pd.DataFrame:
    labels = np.repeat(list(sizes), list(sizes.values()))
    groups = [f"group {group_of(number)}" for number in range(len(labels))]
    return pd.DataFrame({"label": labels, "group": groups})


def clustered(seed: int = 0) -> pd.DataFrame:
    """BUSI's labels in random groups of one to nine images, some of them under two labels."""
    table = table_of(BUSI)
    random = np.random.default_rng(seed)
    ends = np.cumsum(random.choice([1, 1, 1, 2, 2, 3, 9], size=len(table)))
    groups = np.searchsorted(ends, np.arange(len(table)), side="right")
    groups[[0, 500]] = groups[[500, 0]]
    return table.assign(group=groups.astype(str))


@pytest.mark.parametrize(
    ("n", "fractions", "expected"),
    [
        (437, EFFICIENTNET, (305, 66, 66)),  # printed in the paper
        (210, EFFICIENTNET, (147, 32, 31)),  # printed in the paper
        (133, EFFICIENTNET, (93, 20, 20)),
        (437, MOBILENET, (280, 70, 87)),
        (10, (0.5, 0.25, 0.25), (5, 3, 2)),
        (1, (0.7, 0.15, 0.15), (1, 0, 0)),
        (3, (0.0, 0.5, 0.5), (0, 2, 1)),
        (0, EFFICIENTNET, (0, 0, 0)),
        (9, (1.0, 0.0, 0.0), (9, 0, 0)),
    ],
)
def test_counts(n, fractions, expected):
    assert counts(n, fractions) == expected


def test_counts_add_up_and_are_never_negative():
    for n in range(300):
        for fractions in (EFFICIENTNET, MOBILENET, (0.0, 0.5, 0.5), (0.1, 0.45, 0.45)):
            shares = counts(n, fractions)
            assert sum(shares) == n
            assert min(shares) >= 0


def test_published_counts_of_busi_are_those_of_the_papers():
    split = assign(table_of(BUSI), "published", MOBILENET, seed=0)
    assert split.value_counts().to_dict() == {"train": 499, "validation": 125, "test": 156}
    table = table_of(BUSI)
    split = assign(table, "published", EFFICIENTNET, seed=0)
    shares = pd.crosstab(table["label"], split)[list(SPLITS)]
    assert shares.loc["benign"].tolist() == [305, 66, 66]
    assert shares.loc["malignant"].tolist() == [147, 32, 31]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_same_seed_same_split_other_seed_other_split(protocol):
    table = clustered()
    first = assign(table, protocol, EFFICIENTNET, seed=3)
    assert first.equals(assign(table, protocol, EFFICIENTNET, seed=3))
    assert (first != assign(table, protocol, EFFICIENTNET, seed=4)).mean() > 0.2


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_split_is_aligned_to_the_index_of_the_table(protocol):
    table = clustered()
    table.index = [f"row {number}" for number in range(len(table))]
    split = assign(table, protocol, MOBILENET, seed=0)
    assert split.index.equals(table.index)
    assert set(split) == set(SPLITS)


def test_published_split_does_separate_groups():
    """Otherwise the comparison of the two protocols would compare nothing."""
    table = clustered()
    split = assign(table, "published", EFFICIENTNET, seed=0)
    assert (split.groupby(table["group"]).nunique() > 1).sum() > 20


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("fractions", [EFFICIENTNET, MOBILENET])
def test_grouped_keeps_groups_whole_and_every_label_close_to_its_share(seed, fractions):
    table = clustered(seed)
    split = assign(table, "grouped", fractions, seed)
    assert (split.groupby(table["group"]).nunique() == 1).all()
    for label, n in BUSI.items():
        shares = split[table["label"] == label].value_counts().reindex(SPLITS, fill_value=0)
        assert np.abs(shares.to_numpy() - counts(n, fractions)).max() <= 2


def test_grouped_shares_out_large_groups_as_it_does_single_images():
    table = table_of({"benign": 400}, lambda number: number // 5 if number < 200 else number)
    split = assign(table, "grouped", EFFICIENTNET, seed=0)
    in_large_groups = split[:200].value_counts(normalize=True)
    assert in_large_groups["test"] == pytest.approx(0.15, abs=0.05)
    assert in_large_groups["train"] == pytest.approx(0.70, abs=0.08)


def test_a_group_too_large_for_the_test_side_goes_to_training():
    table = table_of({"benign": 100}, group_of=lambda number: min(number, 40))
    split = assign(table, "grouped", EFFICIENTNET, seed=0)
    assert set(split[40:]) == {"train"}
    assert split.value_counts().to_dict() == {"train": 70, "validation": 15, "test": 15}


def test_a_side_of_fraction_zero_stays_empty():
    split = assign(clustered(), "grouped", (0.8, 0.0, 0.2), seed=0)
    assert set(split) == {"train", "test"}


def test_an_empty_table_is_no_error():
    for protocol in PROTOCOLS:
        assert assign(table_of({}).head(0), protocol, EFFICIENTNET, seed=0).empty


def test_unknown_protocol_and_wrong_fractions_are_told():
    with pytest.raises(ValueError, match="'random': choose 'published' or 'grouped'"):
        assign(clustered(), "random", EFFICIENTNET, seed=0)
    for fractions in ((0.7, 0.3), (0.7, 0.2, 0.2), (1.2, -0.1, -0.1), (float("nan"), 0.5, 0.5)):
        with pytest.raises(ValueError, match="add up to 1"):
            assign(clustered(), "published", fractions, seed=0)


def test_grouped_split_of_busi(tables):
    table = tables("busi")
    for seed in range(3):
        split = assign(table, "grouped", EFFICIENTNET, seed)
        assert (split.groupby(table["group"]).nunique() == 1).all()
        shares = pd.crosstab(table["label"], split)[list(SPLITS)]
        expected = [counts(n, EFFICIENTNET) for n in BUSI.values()]
        assert np.abs(shares.to_numpy() - expected).max() <= 2
