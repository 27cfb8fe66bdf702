"""Which explanation method lies best on the lesion, said in sentences made from the figures.

Methods are compared on the images that all of them explained, in pairs: a method that saw the
easier images would win otherwise.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from core.explain import METHODS
from core.statistics.bootstrap import mean_interval

METRICS = {"iou": "IoU", "dice": "Dice", "energy_inside": "energy inside the lesion"}
PAPER_ORDER = ("grad-cam", "score-cam", "eigen-cam", "dt-grad-cam")
"""From worst to best in the DALAResNet50 paper, table 14."""


def verdict(table: pd.DataFrame) -> str:
    """The best method by each of ``METRICS``, of all and of those that saw the most images, and
    whether the paper's order holds; a paragraph each.

    ``table`` has a row an image, method and metric: image_id, group, method, metric, value.
    """
    best = [[_best(table, metric, methods) for metric in METRICS] for methods in _fields(table)]
    paragraphs = [" ".join(filter(None, sentences)) for sentences in (*best, [_order(table)])]
    return "\n\n".join(filter(None, paragraphs))


def _fields(table: pd.DataFrame) -> list[list[str]]:
    """Which methods are compared with each other: all, and those that saw the most images."""
    seen = table.dropna().groupby("method")["image_id"].nunique()
    most = sorted(seen.index[seen == seen.max()])
    return [sorted(seen.index)] + ([most] if len(most) < len(seen) else [])


def _best(table: pd.DataFrame, metric: str, methods: list[str]) -> str:
    values, groups = _paired(table, metric, methods)
    if len(values) == 0 or values.shape[1] < 2:
        return ""
    whole = len(methods) == table["method"].nunique()
    who = "all methods" if whole else f"{len(methods)} of the methods"
    explained = table[table["method"].isin(methods)].groupby("image_id")["method"].nunique()
    everywhere = len(values) == (explained == len(methods)).sum()
    which = f"that {who} explained" if everywhere else f"for which {who} have a value"
    second, first = values.mean().sort_values().index[-2:]
    low, high = mean_interval((values[first] - values[second]).to_numpy(), groups)
    settled = "" if low > 0 else ": they cannot be told apart"
    return (
        f"Best by {METRICS[metric]} is {_name(first)} ({values[first].mean():.3f}), "
        f"{values[first].mean() - values[second].mean():.3f} ({low:.3f} to {high:.3f}) ahead of "
        f"{_name(second)} on the {len(values)} images {which}{settled}."
    )


def _order(table: pd.DataFrame) -> str:
    if not set(PAPER_ORDER) <= set(table["method"]):
        return ""
    means = {}
    for metric in METRICS:
        values, _ = _paired(table, metric, list(PAPER_ORDER))
        means[metric] = values.mean().sort_values(kind="stable"), len(values)
    expected = " < ".join(map(_name, PAPER_ORDER))
    parts = [
        f"by {METRICS[metric]} it {_holds(found.index)}"
        f" ({' < '.join(f'{_name(name)} {mean:.3f}' for name, mean in found.items())}; n = {n})"
        for metric, (found, n) in means.items()
    ]
    return f"The order of the DALAResNet50 paper is {expected}: {', '.join(parts)}."


def _holds(order: pd.Index) -> str:
    return "holds" if tuple(order) == PAPER_ORDER else "does not hold"


def _paired(
    table: pd.DataFrame, metric: str, methods: list[str]
) -> tuple[pd.DataFrame, np.ndarray]:
    """Values, a row an image and a column a method, where all are defined; and group numbers."""
    rows = table[(table["metric"] == metric) & table["method"].isin(methods)]
    values = rows.pivot(index="image_id", columns="method", values="value").dropna()
    group_of = rows.drop_duplicates("image_id").set_index("image_id")["group"]
    return values.reindex(columns=methods).dropna(), pd.factorize(group_of[values.index])[0]


def _name(method: str) -> str:
    return METHODS[method].name if method in METHODS else method
