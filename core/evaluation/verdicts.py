"""Which explanation method lies best on the lesion, said in sentences made from the figures.

Methods are compared on the images that all of them explained, in pairs: a method that saw the
easier images would win otherwise.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import numpy as np
import pandas as pd

from core.explain import METHODS
from core.statistics.bootstrap import mean_interval
from core.wording import NO_INTERVAL, counted

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


def overall(tables: Mapping[str, pd.DataFrame]) -> str:
    """Which method is best on which system, and on how many the paper's order holds; "" if no two
    methods can be compared. ``tables``: recipe id -> as for ``verdict``."""
    parts, kept = [], []
    for metric, name in METRICS.items():
        leads = defaultdict(list)
        for recipe_id, table in tables.items():
            values, _ = _paired(table, metric, _fields(table)[-1])
            if len(values) and values.shape[1] > 1:
                leads[values.mean().idxmax()].append(f"`{recipe_id}`")
        if leads:
            told = [f"{_name(one)} on {' and '.join(where)}" for one, where in leads.items()]
            parts.append(f"By {name} it is {', '.join(told)}.")
        means = [_means(one, metric) for one in tables.values() if _ranked(one)]
        held = [_as_printed(found) for found, n in means if n]
        if held:
            kept.append(f"by {name} on {sum(held)} of {len(held)}")
    if not parts:
        return ""
    order = f" The order of the DALAResNet50 paper holds {', '.join(kept)} systems." if kept else ""
    return (
        f"Which method lies best on the lesion, by system and figure: {' '.join(parts)} How far "
        f"ahead each is, if at all, stands with its system.{order}"
    )


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
    several = len(set(groups)) > 1  # one group tells nothing of the others
    told = f"{low:.3f} to {high:.3f}" if several else NO_INTERVAL
    settled = "" if several and low > 0 else ": they cannot be told apart"
    return (
        f"Best by {METRICS[metric]} is {_name(first)} ({values[first].mean():.3f}), "
        f"{values[first].mean() - values[second].mean():.3f} ({told}) ahead of "
        f"{_name(second)} on the {counted(len(values), 'image')} {which}{settled}."
    )


def _order(table: pd.DataFrame) -> str:
    if not _ranked(table):
        return ""
    expected = " < ".join(map(_name, PAPER_ORDER))
    parts = []
    for metric, name in METRICS.items():
        found, n = _means(table, metric)
        if n == 0:
            continue
        means = " < ".join(f"{_name(one)} {mean:.3f}" for one, mean in found.items())
        holds = "holds" if _as_printed(found) else "does not hold"
        parts.append(f"by {name} it {holds} ({means}; n = {n})")
    if not parts:
        return ""
    return f"The order of the DALAResNet50 paper is {expected}: {', '.join(parts)}."


def _ranked(table: pd.DataFrame) -> bool:
    """Whether all of the paper's methods were measured."""
    return set(PAPER_ORDER) <= set(table["method"])


def _means(table: pd.DataFrame, metric: str) -> tuple[pd.Series, int]:
    """Means of the paper's methods, the lowest first, and the images that they are over."""
    values, _ = _paired(table, metric, list(PAPER_ORDER))
    return values.mean().sort_values(kind="stable"), len(values)


def _as_printed(means: pd.Series) -> bool:
    return tuple(means.index) == PAPER_ORDER


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
