"""The figures of the explanation methods as a part of the page docs/results.md."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from core.evaluation.examination import PLAN
from core.evaluation.explanations import summarise
from core.evaluation.robustness import SURVIVES
from core.evaluation.verdicts import overall, verdict
from core.explain import METHODS
from core.markdown import markdown_table
from core.results.tables import MISSING
from core.wording import usable

# The DALAResNet50 paper, table 14: BreakHis at 40X, its own network and masks.
PUBLISHED = {
    "grad-cam": {"iou": 0.3064, "dice": 0.4628, "recall": 0.4746},
    "score-cam": {"iou": 0.3539, "dice": 0.5122, "recall": 0.5916},
    "eigen-cam": {"iou": 0.3735, "dice": 0.5342, "recall": 0.6332},
    "dt-grad-cam": {"iou": 0.3993, "dice": 0.5634, "recall": 0.7143},
}

LOCALISATION = {
    "iou": "IoU ↑",
    "dice": "Dice ↑",
    "recall": "Recall ↑",
    "precision": "Precision ↑",
    "iou_otsu": "IoU, Otsu ↑",
    "dice_otsu": "Dice, Otsu ↑",
    "energy_inside": "Energy inside ↑",
    "pointing": "Pointing game ↑",
    "pixel_precision": "Average precision of pixels ↑",
    "empty": "Empty maps ↓",
    "seconds": "Seconds a map ↓",
}
FAITHFULNESS = {
    "deletion": "Deletion ↓",
    "insertion": "Insertion ↑",
    "average_drop": "Average drop ↓",
    "increase": "Increase in confidence ↑",
}
STRESS = {
    "road": "ROAD ↑",
    "max_sensitivity": "Max-sensitivity ↓",
    "random_head_rank": "Head random, rank ↓",
    "random_half_rank": "Half random, rank ↓",
    "random_all_rank": "All random, rank ↓",
    "random_all_ssim": "All random, SSIM ↓",
}
SANITY, HEAD = "random_all_rank", "random_head_rank"

_READING = (
    "Measured by `python -m core.evaluation.explanations` on the grouped test images that have a "
    "lesion, for the class that the system predicts, right or wrong. Means with 95 % intervals, "
    "bootstrapped over groups of images; ↑ higher is better, ↓ lower. Overlap is that of the "
    "region where the map, of which 1 was the largest value before it was brought to the scan's "
    "size, is at least 0.5, or, where it says so, at least its own Otsu threshold. Deletion, "
    "insertion, drop, increase and ROAD follow the calibrated probability of the explained class; "
    "what is hidden becomes 0 in the network's value range, and is filled in from around for "
    "ROAD, whose figure is the mean score with the least relevant pixels removed less that with "
    "the most relevant. A map without evidence counts as 0 in the overlap and not at all where a "
    "figure is not defined for it. Times over twice their method's median, when the machine was "
    "busy with other work, are left out."
)


def section(figures: Mapping[str, pd.DataFrame]) -> str:
    """Markdown on the systems (recipe id -> table of figures); "" if there are none."""
    if not figures:
        return ""
    parts = ["## Explanations", _READING, _plan(), _published()]
    if len(figures) > 1:
        parts.append(overall(figures))
    for recipe_id, table in figures.items():
        parts += _system(recipe_id, table)
    return "\n\n".join(filter(None, parts)) + "\n"


def _plan() -> str:
    def count(images: int | None) -> str:
        return "all images" if images is None else f"{images} images"

    parts = [
        f"{cost} a map: {count(plan['faithfulness'])}, and {count(plan['stress'])} for ROAD, "
        "max-sensitivity and random weights"
        for cost, plan in PLAN.items()
    ]
    return (
        "Where a map lies is measured on all images unless fewer were asked for; whether the "
        "network uses what it marks on the first of one seeded order, fewer for dear methods "
        f"({'; '.join(parts)}). The columns of images tell how many it was."
    )


def _published() -> str:
    lines = [
        [_name(method), *(f"{values[metric]:.4f}" for metric in ("iou", "dice", "recall"))]
        for method, values in PUBLISHED.items()
    ]
    head = "For comparison, the DALAResNet50 paper on BreakHis at 40X (table 14), other images:"
    return f"{head}\n\n{markdown_table(['Method', 'IoU', 'Dice', 'Recall'], lines)}"


def _system(recipe_id: str, table: pd.DataFrame) -> list[str]:
    means = {(row.method, row.metric): row for row in summarise(table).itertuples()}
    methods = [name for name in METHODS if name in set(table["method"])]
    return [
        f"### Explanations of `{recipe_id}`",
        verdict(table),
        _sanity(means, methods),
        "Does the map lie on the lesion?",
        _table(means, methods, LOCALISATION, "iou"),
        "Does the network use what the map marks?",
        _table(means, methods, FAITHFULNESS, "average_drop"),
        "Does it still when the gaps are filled in (ROAD), and does the map stay the same under "
        "noise (max-sensitivity) but change with the weights (correlation of ranks, and "
        "structural similarity, with the map of the same network whose last layer, last half or "
        "all layers are untrained; Adebayo et al., 2018)?",
        _table(means, methods, STRESS, "road"),
    ]


def _sanity(means: dict, methods: list[str]) -> str:
    tested = [name for name in methods if (name, SANITY) in means]
    flagged = _unchanged(means, tested, SANITY)
    rule = f"a mean rank correlation of at least {SURVIVES:g} with all weights random"
    if not tested:
        return "No method was tested with random weights."
    if not flagged:
        told = f"No map of the {len(tested)} methods tested survives random weights ({rule})."
    else:
        told = (
            f"Flagged, since the map survives random weights ({rule}) and so says little of what "
            f"was learned: {', '.join(flagged)}."
        )
    if features := _unchanged(means, tested, HEAD):
        told += (
            " With the last layer alone random these stay alike by the same rule, and so show what "
            "the features hold more than what the class made of them: "
            f"{', '.join(features)}."
        )
    if untested := [_name(one) for one in methods if one not in tested]:
        told += f" Not tested with random weights: {', '.join(untested)}."
    return told


def _unchanged(means: dict, methods: list[str], metric: str) -> list[str]:
    """Names of the methods whose maps stay alike, by a mean rank correlation."""
    return [_name(one) for one in methods if means[one, metric].mean >= SURVIVES]


def _table(means: dict, methods: list[str], metrics: dict[str, str], counted: str) -> str:
    shown = [name for name in methods if any((name, metric) in means for metric in metrics)]
    lines = [
        [
            _name(method),
            str(means[method, counted].n) if (method, counted) in means else MISSING,
            *(_cell(means.get((method, metric))) for metric in metrics),
        ]
        for method in shown
    ]
    return markdown_table(["Method", "Images", *metrics.values()], lines)


def _cell(row) -> str:
    if row is None:
        return MISSING
    told = usable(row.low, row.high, f"{row.low:.3f} to {row.high:.3f}")
    return f"{row.mean:.3f} ({told})"


def _name(method: str) -> str:
    return METHODS[method].name if method in METHODS else method
