"""Leakage audit: what may make a data set's test measure memory instead of skill.

Copies and near-duplicates are found by content, in three steps, each over what the step before
left apart, so that memory stays linear in the number of images:

1. identical pixels ("exact"), whatever the format of the file;
2. copies that were turned, mirrored, sharpened or otherwise enhanced (`core.datasets.turned`);
3. crops, annotated copies and neighbouring frames (`core.datasets.duplicates`), between one image
   of each family found so far: the one with the least background, so the least turned.

A picture on a white ground is looked at as its negative: of two mammograms of opposite polarity
the grounds alone would otherwise be compared.

What nearly all pictures of a set share, the frame of a scanner's screen around its scans, is no
likeness: it is filled with one grey before step 3, unless it is nearly all of the picture.

Where the pictures show a body on a dark ground, as thermograms and mammograms do, the ground takes
the grey of the body next to it before step 3, since outlines are alike, and a neighbouring frame
must reach `_SAME_BODY`. The rule for frames of `duplicates` was chosen on ultrasound.

What it finds: the 158 groups that the BUSI reader makes; of the 9016 ultrasound images, without
their names, all 496 sources whole; on the thermograms no pair of two women.

A nearest neighbour on tiny thumbnails knows nothing of medicine. Where it does well, images are
recognised, not understood; `nearest_neighbour` tells how much of that is gone once an image's
relatives may not answer for it. Relatives are near-duplicates, and images of one slide, patient or
woman: a split that parts them leaks, whether or not they look alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd

from core.datasets import duplicates, turned
from core.datasets.base import DatasetError

EXACT = "exact"
TINY = 32
"""Side of the thumbnails that the nearest neighbour sees, in pixels."""
NOTHING_TO_COMPARE = (
    "Fewer than two images can be read: there is nothing to compare. Give more of them, or save "
    "them as PNG and try again."
)

_BODY_ON_DARK = 0.25  # median share of background above which the pictures show a body on a ground
_SAME_BODY = 0.75
_MOST_CANDIDATES = 2  # verified for each image of a body
_FILL = (24, 12, 6, 3)  # pixels: blurs that spread the body's grey over the ground, ever closer
_CHUNK = 512  # thumbnails compared at a time
# What is shared: differs by no more than so many greys in four of five pictures, of a set that is
# large enough to tell, and leaves a picture beside it.
_SHARED_GREYS, _ENOUGH_TO_TELL, _MOST_SHARED = 12, 8, 0.7

Progress = Callable[[float], None]


@dataclass(frozen=True, eq=False)
class Audit:
    """What was found.

    `pairs` has the columns a, b (image ids), similarity (in [-1, 1]), kind, label_a, label_b; the
    most alike come first. `groups` gives each image_id the first image of its group, by content
    alone. `tiny` are thumbnails, float32 (N, TINY * TINY), in the order of `labels`, a Series by
    image_id. `unreadable` has a sentence for every image that had to be left out. `relatives` joins
    `groups` with the groups of the table: for every image_id of the table, also those left out, the
    table's group of its first relative.
    """

    pairs: pd.DataFrame
    groups: pd.Series
    labels: pd.Series
    tiny: np.ndarray
    unreadable: dict[str, str]
    relatives: pd.Series

    @property
    def conflicts(self) -> pd.DataFrame:
        """The pairs whose two images have different labels."""
        return self.pairs[self.pairs["label_a"] != self.pairs["label_b"]]


def audit(table: pd.DataFrame, read_pixels: Callable, progress: Progress = lambda _: None) -> Audit:
    """The audit of a table's images, read one at a time by `core.datasets.read_pixels`. The table
    has the columns image_id, label and group, and what `read_pixels` needs.

    `progress` is told the share of the work done, in [0, 1].
    """
    seen, unreadable = _look(table, read_pixels, lambda share: progress(0.6 * share))
    names = list(seen)
    pairs = _exact_pairs(names, [one.digest for one in seen.values()])
    distinct = _firsts(names, pairs)
    squares = [one.square for one in seen.values()]
    pairs = _joined(pairs, turned.find_turned(*_at(names, squares, distinct)))
    progress(0.8)
    background = np.array([turned.background(square).mean() for square in squares])
    shown = _firsts(names, pairs, background)
    thumbnails = [one.thumbnail for one in seen.values()]
    near = _near_pairs(
        *_at(names, thumbnails, shown), background, lambda share: progress(0.8 + 0.2 * share)
    )
    pairs = _by_likeness(_joined(pairs, near))
    progress(1)
    labels = table.set_index("image_id")["label"].loc[names]
    return Audit(
        pairs.assign(
            label_a=labels.loc[pairs["a"]].to_numpy(), label_b=labels.loc[pairs["b"]].to_numpy()
        ),
        pd.Series(duplicates.groups(names, pairs), index=names),
        labels,
        np.array([one.tiny for one in seen.values()], np.float32).reshape(-1, TINY * TINY),
        unreadable,
        _relatives(table, pairs),
    )


def what_relatives_are(groups: str | None) -> str:
    """A sentence for the user; `groups` is what those of the table are, as of a `DatasetReader`.

    >>> what_relatives_are(None)
    'Relatives are near-duplicates, found by content: nothing is known of patients.'
    """
    known = (
        f", and images of one group that the data set's reader knows ({groups})"
        if groups
        else ": nothing is known of patients"
    )
    return f"Relatives are near-duplicates, found by content{known}."


def _relatives(table: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """By image_id: the table's group of the first image that pairs or groups connect it with."""
    first = table.groupby("group")["image_id"].transform("first")
    links = pd.DataFrame({"a": first, "b": table["image_id"]})
    joined = duplicates.groups(table["image_id"], pd.concat([pairs[["a", "b"]], links]))
    group_of = table.set_index("image_id")["group"]
    return pd.Series(group_of.loc[joined].to_numpy(), index=group_of.index)


@dataclass(frozen=True, eq=False)
class _Look:
    """What is kept of an image: the hash of its pixels, and three small grey pictures."""

    digest: bytes
    square: np.ndarray
    thumbnail: np.ndarray
    tiny: np.ndarray


def _look(
    table: pd.DataFrame, read_pixels: Callable, progress: Progress
) -> tuple[dict[str, _Look], dict[str, str]]:
    """By image_id: the images that can be read, and why the others cannot."""
    seen, unreadable = {}, {}
    for number, row in enumerate(table.itertuples(index=False), start=1):
        try:
            image = read_pixels(row)
        except DatasetError as error:
            unreadable[row.image_id] = str(error)
            continue
        grey = turned.on_dark(duplicates.to_grey(image))
        seen[row.image_id] = _Look(
            hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest(),
            turned.square(grey),
            duplicates.thumbnail(grey),
            _tiny(grey),
        )
        progress(number / len(table))
    return seen, unreadable


def _tiny(grey: np.ndarray) -> np.ndarray:
    """A thumbnail, flat, with mean 0 and length 1 (or all 0): products are correlations."""
    small = cv2.resize(grey, (TINY, TINY), interpolation=cv2.INTER_AREA).astype(np.float32).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def crossings(found: Audit, splits: pd.DataFrame) -> pd.DataFrame:
    """How many groups of relatives each split parts (a column of `splits`, by image_id).

    Columns: split, images (that have a side), groups (of them, with two images or more), crossing
    (groups on two sides or more), test images (not in training), leaked (those with a relative in
    training), neighbour (accuracy of `nearest_neighbour` from training to the rest).
    """
    return pd.DataFrame([_crossing(found, name, splits[name]) for name in splits])


def nearest_neighbour(found: Audit, split: pd.Series | None = None) -> dict[str, float]:
    """How often the other image whose tiny grey thumbnail correlates best has the same label.

    Without `split`: "any", over all images, and "other group", where no relative may answer. With
    it (by image_id): "across", of the images that are not in training, by those that are.
    "majority" is what always answering the commonest label would reach. Values in [0, 1]; NaN where
    no image may answer.
    """
    labels = found.labels.to_numpy()
    if split is None:
        itself = np.arange(len(labels))
        groups = pd.factorize(found.relatives.loc[found.labels.index])[0]
        families = [(itself, itself), (groups, groups)]
        any_other, other_group = _nearest(found.tiny, found.tiny, families)
        return {
            "any": _accuracy(labels, labels, any_other),
            "other group": _accuracy(labels, labels, other_group),
            "majority": _majority(labels),
        }
    side = split.reindex(found.labels.index)
    known, asked = (side == "train").to_numpy(), (side.notna() & (side != "train")).to_numpy()
    strangers = [(np.zeros(asked.sum()), np.ones(known.sum()))]
    (nearest,) = _nearest(found.tiny[asked], found.tiny[known], strangers)
    return {
        "across": _accuracy(labels[asked], labels[known], nearest),
        "majority": _majority(labels[asked]),
    }


def _crossing(found: Audit, name: str, split: pd.Series) -> dict:
    side = split.reindex(found.labels.index).dropna()
    groups = found.relatives.loc[side.index]
    by_group = side.groupby(groups.to_numpy())
    in_training = by_group.apply(lambda sides: (sides == "train").any()).astype(bool)
    tested = side != "train"
    return {
        "split": name,
        "images": len(side),
        "groups": int((by_group.size() > 1).sum()),
        "crossing": int((by_group.nunique() > 1).sum()),
        "test images": int(tested.sum()),
        "leaked": int(in_training.loc[groups[tested]].sum()),
        "neighbour": nearest_neighbour(found, split)["across"],
    }


def _exact_pairs(names: list[str], digests: list[bytes]) -> pd.DataFrame:
    """Every image with the first one of the same pixels."""
    first: dict[bytes, str] = {}
    same = [
        (first.setdefault(digest, name), name) for digest, name in zip(digests, names, strict=True)
    ]
    rows = [(a, b, 1.0, EXACT) for a, b in same if a != b]
    return pd.DataFrame(rows, columns=["a", "b", "similarity", "kind"])


def _firsts(names: list[str], pairs: pd.DataFrame, order: np.ndarray | None = None) -> np.ndarray:
    """Positions of one image of each family: the first, or the first of the lowest `order`."""
    families = pd.Series(duplicates.groups(names, pairs))
    ranked = pd.Series(order if order is not None else np.zeros(len(names)))
    return np.sort(ranked.groupby(families).idxmin().to_numpy())


def _at(names: list[str], values: list, positions: np.ndarray) -> tuple[list[str], list]:
    return [names[i] for i in positions], [values[i] for i in positions]


def _joined(one: pd.DataFrame, other: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([part for part in (one, other) if len(part)] or [one], ignore_index=True)


def _by_likeness(pairs: pd.DataFrame) -> pd.DataFrame:
    """The most alike first; exact copies before others of 1, which rounding may have put beyond."""
    rounded = pairs.assign(similarity=pairs["similarity"].clip(-1, 1))
    return rounded.sort_values("similarity", ascending=False, kind="stable", ignore_index=True)


def _near_pairs(
    names: list[str], thumbnails: list[np.ndarray], background: np.ndarray, progress: Progress
) -> pd.DataFrame:
    if not len(background) or np.median(background) <= _BODY_ON_DARK:
        return duplicates.pairs_of(names, _without_shared(thumbnails), progress=progress)
    bodies = [_without_ground(thumbnail) for thumbnail in thumbnails]
    pairs = duplicates.pairs_of(names, bodies, most=_MOST_CANDIDATES, progress=progress)
    return pairs[pairs["similarity"] >= _SAME_BODY]


def _without_shared(thumbnails: list[np.ndarray]) -> list[np.ndarray]:
    """The thumbnails with what nearly all of them share in the mean grey of the rest."""
    if len(thumbnails) < _ENOUGH_TO_TELL:
        return thumbnails
    low, high = np.quantile(np.stack(thumbnails), [0.1, 0.9], axis=0)
    shared = high - low <= _SHARED_GREYS
    if not 0 < shared.mean() <= _MOST_SHARED:
        return thumbnails
    return [np.where(shared, one[~shared].mean(), one).astype(np.uint8) for one in thumbnails]


def _without_ground(thumbnail: np.ndarray) -> np.ndarray:
    """The thumbnail with its dark ground in the grey of the body next to it."""
    rim = np.ones((turned.RIM, turned.RIM))
    ground = cv2.dilate(turned.background(thumbnail).astype(np.uint8), rim).astype(bool)
    if not ground.any() or ground.all():
        return thumbnail
    weight = (~ground).astype(np.float32)
    grey = thumbnail * weight
    filled = np.full(thumbnail.shape, grey.sum() / weight.sum(), np.float32)
    for width in _FILL:
        near = cv2.GaussianBlur(weight, (0, 0), width)
        reached = near > 0.02
        filled[reached] = (cv2.GaussianBlur(grey, (0, 0), width) / np.maximum(near, 0.02))[reached]
    return np.where(ground, filled, thumbnail).astype(np.uint8)


def _nearest(
    asked: np.ndarray, known: np.ndarray, families: list[tuple[np.ndarray, np.ndarray]]
) -> list[np.ndarray]:
    """Position of the known thumbnail that correlates best, or -1 if there is none, for each pair
    of families: those of the asked and of the known, of which the same may not answer.

    By products of matrices, some rows at a time: scikit-learn's neighbours know no families.
    """
    if not len(asked) or not len(known):
        return [np.full(len(asked), -1) for _ in families]
    parts: list[list[np.ndarray]] = [[] for _ in families]
    for start in range(0, len(asked), _CHUNK):
        likeness = asked[start : start + _CHUNK] @ known.T
        for (mine, theirs), part in zip(families, parts, strict=True):
            barred = mine[start : start + _CHUNK, None] == theirs
            allowed = np.where(barred, -np.inf, likeness)
            part.append(np.where(barred.all(axis=1), -1, allowed.argmax(axis=1)))
    return [np.concatenate(part) for part in parts]


def _accuracy(asked: np.ndarray, known: np.ndarray, nearest: np.ndarray) -> float:
    """Share of the asked labels that the nearest known ones repeat; NaN if none could answer."""
    answered = nearest >= 0
    return float((asked[answered] == known[nearest[answered]]).mean()) if answered.any() else np.nan


def _majority(labels: np.ndarray) -> float:
    return float(pd.Series(labels).value_counts(normalize=True).max()) if len(labels) else np.nan
