"""Train, validation and test: as papers split (`published`) and as is honest (`grouped`).

`published` draws at random, image by image, within each label. `grouped` keeps every group of the
table (patient, source image, near-duplicate cluster) on one side, close to the same counts.
Both are pure functions of the table's order, the fractions and the seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd

from core.datasets.base import DatasetError

SPLITS = ("train", "validation", "test")
_TOLERANCE = 1e-6  # 0.15 * 210 is meant to be 31.5 exactly, whatever binary fractions make of it


def assign(table: pd.DataFrame, protocol: str, fractions: Sequence[float], seed: int) -> pd.Series:
    """Split of every row, a Series of "train" | "validation" | "test" on the table's index.

    `table` needs the columns label and, for `grouped`, group. `fractions` are (train, validation,
    test), none negative, adding up to 1. Raises ValueError for other fractions or protocols.
    """
    if protocol not in PROTOCOLS:
        known = " or ".join(repr(name) for name in PROTOCOLS)
        raise ValueError(f"Unknown split protocol {protocol!r}: choose {known}.")
    _check(fractions)
    codes = PROTOCOLS[protocol](table, fractions, np.random.default_rng(seed))
    return pd.Series(np.array(SPLITS, dtype=object)[codes], index=table.index, name="split")


def counts(n: int, fractions: Sequence[float]) -> tuple[int, int, int]:
    """How n images of one label are shared out: (train, validation, test), adding up to n.

    Validation and test are rounded to the nearest count, an exact half going to validation and
    not to test; training takes the rest. This one rule reproduces what two papers print for BUSI:
    437 benign and 210 malignant images at 70/15/15 are 305/66/66 and 147/32/31 (DOI
    10.3791/70011), and 437 + 210 + 133 images at 64/16/20 are 499/125/156 (Surya et al.).
    """
    validation = math.floor(n * fractions[1] + 0.5 + _TOLERANCE)
    test = math.ceil(n * fractions[2] - 0.5 - _TOLERANCE)
    return n - validation - test, validation, test


def too_few(table: pd.DataFrame, lacking: str) -> DatasetError:
    """The refusal of a table whose split lacks something: ``lacking`` follows a colon."""
    return DatasetError(
        f"{len(table)} images in {table['group'].nunique()} groups are too few to split: "
        f"{lacking}. Give the whole data set."
    )


def _check(fractions: Sequence[float]) -> None:
    sound = len(fractions) == 3 and min(fractions) >= 0
    if not (sound and abs(sum(fractions) - 1) <= _TOLERANCE):
        raise ValueError(
            f"Split fractions {tuple(fractions)} do not fit: give three numbers (train, "
            "validation, test), none negative, that add up to 1."
        )


def _published(
    table: pd.DataFrame, fractions: Sequence[float], random: np.random.Generator
) -> np.ndarray:
    codes = np.empty(len(table), dtype=int)
    labels = table["label"].to_numpy()
    for label in sorted(set(labels)):
        rows = random.permutation(np.flatnonzero(labels == label))
        codes[rows] = np.repeat(range(3), counts(len(rows), fractions))
    return codes


def _grouped(
    table: pd.DataFrame, fractions: Sequence[float], random: np.random.Generator
) -> np.ndarray:
    """Greedy: groups from the largest to the smallest, equal sizes in random order, each to the
    split that is emptiest once it is in, relative to what that split is to hold of its labels."""
    group_codes, _ = pd.factorize(table["group"])
    label_codes, labels = pd.factorize(table["label"], sort=True)
    members = np.zeros((group_codes.max(initial=-1) + 1, len(labels)))
    np.add.at(members, (group_codes, label_codes), 1)
    target = np.array([counts(int(n), fractions) for n in members.sum(axis=0)], dtype=float).T
    room = target.copy()
    order = random.permutation(len(members))
    order = order[np.argsort(-members[order].sum(axis=1), kind="stable")]
    split_of_group = np.empty(len(members), dtype=int)
    for group in order:
        left = (room - members[group]) / np.maximum(target, _TOLERANCE)
        split_of_group[group] = np.argmax(left @ members[group])
        room[split_of_group[group]] -= members[group]
    return split_of_group[group_codes]


PROTOCOLS: dict[str, Callable[..., np.ndarray]] = {"published": _published, "grouped": _grouped}
