"""What an image is like, and whether mistakes go with it: sizes, brightness, contrast."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, mannwhitneyu

from core.statistics.areas import auc_interval
from core.statistics.shares import share_intervals

BINS = 4
_RING = 0.1  # width of the surroundings of a lesion, as a share of the image's shorter side


@dataclass(frozen=True)
class Attribute:
    """One thing that can be measured of an image: column name, heading, unit and definition."""

    name: str
    heading: str
    unit: str
    help: str


ATTRIBUTES: tuple[Attribute, ...] = (
    Attribute(
        "group_size",
        "Group size",
        "images",
        "How many images of the system's classes its group (patient, source or near-duplicates) "
        "holds in the whole set.",
    ),
    Attribute(
        "lesion_area",
        "Lesion area",
        "% of the image",
        "Share of the picture inside the outline of the lesion; images without one do not count.",
    ),
    Attribute(
        "lesion_contrast",
        "Lesion contrast",
        "grey levels, 0 to 1",
        "How far the mean grey inside the outline is from that of a ring around it.",
    ),
    Attribute(
        "mean_intensity",
        "Mean intensity",
        "0 black to 1 white",
        "Mean grey level of the whole picture.",
    ),
    Attribute(
        "contrast",
        "Contrast",
        "grey levels, 0 to 1",
        "Standard deviation of the grey level over the picture (RMS contrast; Peli, 1990).",
    ),
    Attribute(
        "image_size",
        "Image size",
        "megapixels",
        "Width times height of the file, before the system scales it to its own input.",
    ),
)


def image_attributes(pixels: np.ndarray, mask: np.ndarray | None) -> dict[str, float]:
    """The attributes of one image that need its pixels, uint8 (H, W, 3); mask bool (H, W) or None.

    Those of the lesion are NaN where there is no outline, or where it leaves nothing around it.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) / 255.0
    outlined = mask is not None and mask.any()
    return {
        "lesion_area": 100 * float(mask.mean()) if outlined else np.nan,
        "lesion_contrast": _lesion_contrast(grey, mask) if outlined else np.nan,
        "mean_intensity": float(grey.mean()),
        "contrast": float(grey.std()),
        "image_size": grey.size / 1e6,
    }


def rates_of(kinds: pd.Series, wrong: pd.Series, groups: pd.Series) -> pd.DataFrame:
    """How often the system is wrong on each kind of image: one row a kind, in their order.

    Columns: kind, n, errors, rate, and the rate's 95 % interval ``rate_low``, ``rate_high``
    (``share_intervals``). Missing kinds are left out.
    """
    table = wrong.groupby(kinds).agg(n="size", errors="sum").rename_axis("kind").reset_index()
    table["rate"] = table["errors"] / table["n"]
    bounds = [
        np.ravel(share_intervals(wrong.to_numpy(bool)[None], (kinds == kind).to_numpy(), groups))
        for kind in table["kind"]
    ]
    table[["rate_low", "rate_high"]] = np.reshape(bounds, (-1, 2))
    return table


def rates_by_bin(
    values: pd.Series, wrong: pd.Series, groups: pd.Series, bins: int = BINS
) -> pd.DataFrame:
    """How often the system is wrong for low to high values: at most ``bins``, of counts as equal as
    they can be where equal values stay together.

    Columns: those of ``rates_of``, and low, high (the smallest and largest value in the bin).
    Missing values are left out; few different values get one bin each.
    """
    known = values.notna()
    numbers = pd.Series(_bin_of(values[known], bins), values.index[known]).reindex(values.index)
    ends = values.groupby(numbers).agg(low="min", high="max")
    return rates_of(numbers, wrong, groups).join(ends, on="kind")


def _bin_of(values: pd.Series, bins: int) -> np.ndarray:
    """The number of each value's bin, int (N,)."""
    counts = values.value_counts().sort_index()
    if len(counts) <= bins:
        return pd.factorize(values, sort=True)[0]
    bin_of, number, size, left = {}, 0, 0, len(values)
    for value, count in counts.items():
        target = left / (bins - number)
        if size and number < bins - 1 and size + count - target > target - size:
            number, left, size = number + 1, left - size, 0
        bin_of[value] = number
        size += count
    return values.map(bin_of).to_numpy()


def associations(table: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Does each attribute differ between wrong and right images? One row a name, strongest first.

    Columns: name, n, median_wrong, median_right, ``larger``: the chance that a wrong image has the
    larger value, half for ties (0.5: no relation; the area under the ROC curve), ``low`` and
    ``high`` of its 95 % interval, bootstrapped over the column group, and ``p`` of the two-sided
    Mann-Whitney test, adjusted for the number of attributes (Benjamini and Hochberg, 1995), which
    takes images as independent. Attributes known for fewer than two images of either
    kind, or the same for all, are left out.
    """
    rows = [row for name in names if (row := _association(table.dropna(subset=[name]), name))]
    found = pd.DataFrame(rows, columns=_ASSOCIATION)
    if len(found):
        found["p"] = false_discovery_control(found["p"])
    strength = (found["larger"] - 0.5).abs()
    return found.loc[strength.sort_values(ascending=False).index].reset_index(drop=True)


_ASSOCIATION = ["name", "n", "median_wrong", "median_right", "larger", "low", "high", "p"]


def _association(table: pd.DataFrame, name: str) -> dict | None:
    values, wrong = table[name], table["wrong"]
    mistaken, right = values[wrong], values[~wrong]
    if min(len(mistaken), len(right)) < 2 or values.nunique() < 2:
        return None
    test = mannwhitneyu(mistaken, right)
    low, high = auc_interval(
        wrong.to_numpy(bool), values.to_numpy(float), table["group"].to_numpy()
    )
    return {
        "name": name,
        "n": len(mistaken) + len(right),
        "median_wrong": mistaken.median(),
        "median_right": right.median(),
        "larger": test.statistic / (len(mistaken) * len(right)),
        "low": low,
        "high": high,
        "p": test.pvalue,
    }


def _lesion_contrast(grey: np.ndarray, mask: np.ndarray) -> float:
    outside = cv2.distanceTransform((~mask).astype(np.uint8), cv2.DIST_L2, 5)
    ring = (outside > 0) & (outside <= _RING * min(grey.shape))
    return float(abs(grey[mask].mean() - grey[ring].mean())) if ring.any() else np.nan
