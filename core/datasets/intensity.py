"""Brightness of a data set's images by class, after Surya et al. (arXiv 2312.03020), section X.

Intensity is grey divided by 255, in [0, 1], of the pixels as the files have them, negatives turned
positive; files of more than 8 bits are first brought to 8, through a window of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy import stats

from core.datasets.base import DatasetError
from core.datasets.duplicates import to_grey
from core.statistics.areas import auc_interval

LEVELS = 256
REPORTED_SOURCE = "Surya et al., arXiv 2312.03020, section X"
REPORTED: dict[str, dict[str, tuple[float, float, float]]] = {
    "busi": {
        "benign": (0.16, 0.33, 0.51),
        "malignant": (0.14, 0.28, 0.47),
        "normal": (0.16, 0.30, 0.44),
    }
}
"""Data set -> class -> mean intensity as REPORTED_SOURCE prints it: lowest, median, highest."""
_WHISKER = 1.5  # interquartile ranges (Tukey 1977)
# Romano et al., Annual meeting of the Florida Association of Institutional Research, 2006.
_MAGNITUDES = ((0.147, "negligible"), (0.33, "small"), (0.474, "medium"))


@dataclass(frozen=True, eq=False)
class Measurements:
    """What was measured of a table's images.

    `facts` has one row an image in the table's order: image_id, label, width and height (pixels),
    mean, inside and outside of the lesion mask (in [0, 1]), area (of the mask, share of the image
    in [0, 1]), problem (a sentence if the image cannot be read, else empty), mask_problem (the same
    of its mask). Without a mask, with an empty one or one that cannot be used, the columns inside,
    outside and area are missing. `histograms` counts each image's pixels by grey value: int64
    (N, 256).
    """

    facts: pd.DataFrame
    histograms: np.ndarray


@dataclass(frozen=True)
class Box:
    """The numbers of a box plot; whiskers reach the last values within 1.5 interquartile ranges of
    the box, outliers lie beyond them."""

    n: int
    median: float
    first_quartile: float
    third_quartile: float
    lower_whisker: float
    upper_whisker: float
    outliers: int
    skewness: float


def measure(
    table: pd.DataFrame,
    read_pixels: Callable,
    usable_mask: Callable,
    progress: Callable[[float], None] = lambda _: None,
) -> Measurements:
    """Measure every image of a table; `read_pixels` and `usable_mask` are those of `core.datasets`.

    An image that cannot be read keeps its row, with its problem; one whose mask cannot be used is
    measured as a whole. `progress` is told the share of the work done.
    """
    rows, histograms = [], []
    for row in table.itertuples(index=False):
        fact = {"image_id": row.image_id, "label": row.label, "problem": "", "mask_problem": ""}
        counts = np.zeros(LEVELS, np.int64)
        try:
            grey = to_grey(read_pixels(row))
            mask, fact["mask_problem"] = usable_mask(row)
            fact |= _measured(grey, mask)
            counts = np.bincount(grey.ravel(), minlength=LEVELS)
        except DatasetError as error:
            fact["problem"] = str(error)
        rows.append(fact)
        histograms.append(counts)
        progress(len(rows) / len(table))
    columns = ["image_id", "label", *_MEASURED, "problem", "mask_problem"]
    facts = pd.DataFrame(rows, columns=columns)
    return Measurements(facts, np.array(histograms, np.int64).reshape(len(rows), LEVELS))


_MEASURED = ("width", "height", "mean", "inside", "outside", "area")


def _measured(grey: np.ndarray, mask: np.ndarray | None) -> dict:
    height, width = grey.shape
    fact = {"width": width, "height": height, "mean": float(grey.mean()) / 255}
    if mask is None or not mask.any():
        return fact
    outside = float(grey[~mask].mean()) / 255 if not mask.all() else np.nan
    inside = float(grey[mask].mean()) / 255
    return fact | {"inside": inside, "outside": outside, "area": float(mask.mean())}


def pooled_histogram(found: Measurements, bins: int = 64) -> pd.DataFrame:
    """Share of all pixels of a class in each of `bins` equal ranges of intensity.

    Columns: label, intensity (the middle of the range, in [0, 1]), share (in [0, 1], adding up to
    1 a class). `bins` divides 256.
    """
    coarse = found.histograms.reshape(len(found.histograms), bins, -1).sum(axis=2)
    middles = (np.arange(bins) + 0.5) / bins
    labels = found.facts["label"]
    parts = []
    for label in labels.unique():
        counts = coarse[(labels == label).to_numpy()].sum(axis=0)
        share = counts / max(counts.sum(), 1)
        parts.append(pd.DataFrame({"label": label, "intensity": middles, "share": share}))
    return pd.concat(parts, ignore_index=True)


def box_numbers(values: np.ndarray) -> Box:
    """The box of some values; missing ones do not count. Quartiles are linearly interpolated, the
    skewness is the sample's third standardised moment. Raises ValueError without values."""
    values = np.asarray(values, float)
    values = values[~np.isnan(values)]
    if not len(values):
        raise ValueError("A box plot needs at least one value.")
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    reach = _WHISKER * (high - low)
    near = values[(values >= low - reach) & (values <= high + reach)]
    skewness = float(stats.skew(values)) if np.ptp(values) > 0 else 0.0
    return Box(
        n=len(values),
        median=float(median),
        first_quartile=float(low),
        third_quartile=float(high),
        lower_whisker=float(near.min()),
        upper_whisker=float(near.max()),
        outliers=len(values) - len(near),
        skewness=skewness,
    )


def box_table(facts: pd.DataFrame, column: str = "mean") -> pd.DataFrame:
    """`box_numbers` of a column of `Measurements.facts`, one row a label that has values."""
    told = facts.dropna(subset=[column])
    rows = [
        {"label": label, **asdict(box_numbers(part[column].to_numpy()))}
        for label, part in told.groupby("label", sort=False)
    ]
    return pd.DataFrame(rows, columns=["label", *Box.__dataclass_fields__])


def beside_reported(facts: pd.DataFrame, dataset_id: str | None) -> pd.DataFrame | None:
    """Range and median of the mean intensity a class, REPORTED beside those found here (the range
    is that of the whiskers). None for a data set of which no paper reports them."""
    if dataset_id not in REPORTED:
        return None
    boxes = box_table(facts).set_index("label")
    return pd.DataFrame(
        {
            "label": label,
            "reported_low": low,
            "low": boxes.loc[label, "lower_whisker"],
            "reported_median": median,
            "median": boxes.loc[label, "median"],
            "reported_high": high,
            "high": boxes.loc[label, "upper_whisker"],
        }
        for label, (low, median, high) in REPORTED[dataset_id].items()
        if label in boxes.index
    )


def cliffs_delta(one: np.ndarray, other: np.ndarray) -> float:
    """Cliff's delta, P(one > other) - P(one < other), in [-1, 1], from Mann-Whitney's U:
    2 U / (m n) - 1 (Cliff, Psychological Bulletin 114 (1993) 494-509)."""
    u = stats.mannwhitneyu(one, other, method="asymptotic").statistic
    return float(2 * u / (len(one) * len(other)) - 1)


def delta_interval(
    values: np.ndarray, first: np.ndarray, groups: np.ndarray
) -> tuple[float, float]:
    """Bounds of the 95 % interval of `cliffs_delta(values[first], values[~first])`.

    It is bootstrapped over groups (N,): copies of one image say one thing, not several.
    """
    low, high = auc_interval(first, values, groups)
    return 2 * low - 1, 2 * high - 1


def magnitude(delta: float) -> str:
    """A Cliff's delta in a word: "negligible", "small", "medium" or "large" (Romano et al. 2006).

    >>> magnitude(-0.2)
    'small'
    """
    return next((word for limit, word in _MAGNITUDES if abs(delta) < limit), "large")


def kruskal_wallis(facts: pd.DataFrame, column: str = "mean") -> tuple[float, float] | None:
    """Kruskal and Wallis' H and its p-value: do the classes differ in a column of
    `Measurements.facts`? None if fewer than two of them have values, or all values are equal."""
    parts = _by_label(facts, column)
    if len(parts) < 2 or np.ptp(np.concatenate(list(parts.values()))) == 0:
        return None
    found = stats.kruskal(*parts.values())
    return float(found.statistic), float(found.pvalue)


def effects(facts: pd.DataFrame, column: str = "mean") -> pd.DataFrame:
    """Cliff's delta of every two classes in a column of `Measurements.facts` with a column group.

    Columns: a, b (labels), n_a, n_b (images), delta (positive if a is the larger), low, high (of
    `delta_interval`), magnitude (a word).
    """
    told = facts.dropna(subset=[column])
    rows = [
        _effect(told[told["label"].isin(pair)], column, *pair)
        for pair in combinations(told["label"].unique(), 2)
    ]
    return pd.DataFrame(rows, columns=["a", "b", "n_a", "n_b", "delta", "low", "high", "magnitude"])


def _effect(both: pd.DataFrame, column: str, a: str, b: str) -> tuple:
    values, is_a = both[column].to_numpy(), (both["label"] == a).to_numpy()
    delta = cliffs_delta(values[is_a], values[~is_a])
    bounds = delta_interval(values, is_a, both["group"].to_numpy())
    return (a, b, is_a.sum(), (~is_a).sum(), delta, *bounds, magnitude(delta))


def _by_label(facts: pd.DataFrame, column: str) -> dict[str, np.ndarray]:
    told = facts.dropna(subset=[column])
    return {label: part[column].to_numpy() for label, part in told.groupby("label", sort=False)}
