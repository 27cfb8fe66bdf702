"""Rows of results as a table for the terminal and as a page in Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from core.card import PROTOCOLS
from core.markdown import markdown_table
from core.wording import kind_of_runs, over_runs, with_interval

if TYPE_CHECKING:
    from core.results.rows import Row

WIDTH = 120
MISSING = "–"

# Column -> metric; {malignant} stands for each malignant class of the recipe.
SUMMARY = {
    "Accuracy": "accuracy",
    "ROC-AUC, macro": "macro_auc",
    "F1, macro": "macro_f1",
    "MCC": "mcc",
    "Sensitivity, malignant": "sensitivity_{malignant}",
    "Precision, malignant": "precision_{malignant}",
}

TITLES = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "macro_precision": "Precision (PPV), macro",
    "macro_sensitivity": "Sensitivity, macro",
    "macro_specificity": "Specificity, macro",
    "macro_npv": "NPV, macro",
    "macro_f1": "F1, macro",
    "weighted_f1": "F1, weighted",
    "macro_auc": "ROC-AUC, macro",
    "macro_pr_auc": "PR-AUC, macro",
    "mcc": "MCC",
    "kappa": "Cohen's kappa",
    "gmean": "G-mean",
    "iba": "Index of balanced accuracy",
    "precision_at_half": "Precision at p > 0.5, all classes",
    "sensitivity_at_half": "Sensitivity at p > 0.5, all classes",
    "log_loss": "Log-loss",
    "brier": "Brier score",
    "ece": "Expected calibration error",
    "mse_index": "MSE, class index",
    "rmse_index": "RMSE, class index",
    "mae_index": "MAE, class index",
    "mse_onehot": "MSE, one-hot",
    "rmse_onehot": "RMSE, one-hot",
    "mae_onehot": "MAE, one-hot",
}

CLASS_TITLES = {
    "precision": "Precision (PPV)",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "npv": "NPV",
    "f1": "F1",
    "auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
}

NAMES = {"paper": "paper", "published": "published split", "grouped": "grouped split"}

_SOURCES = {"paper": "figures printed in the paper, on its own test images"} | {
    name: f"measured here; {PROTOCOLS[name]}" for name in reversed(PROTOCOLS)
}

_READING = (
    "Ranges are 95 % intervals, bootstrapped over groups of test images (near-duplicates, patient, "
    "slide or source), one training run each. There is no usable interval where no error was seen "
    "or the groups are too few to differ; such a figure is not certain. Papers give no intervals, "
    "and their test images differ from those here. Where a system tells several malignant classes "
    "apart, the lowest of their figures is shown."
)

_DEFINITIONS = (
    "Macro figures are unweighted means over classes, each against the rest. PR-AUC is average "
    "precision. Class index errors count the classes in the order of the confusion matrix. The "
    "Brier score is the sum over classes of the squared error, from 0 to 2. Expected calibration "
    "error: 15 bins of equal width of the likeliest class's probability; chance raises it in small "
    "samples, and again in bootstrap samples, so that its interval lies too high. G-mean: "
    "geometric mean of the sensitivities. Index of balanced accuracy: its square, times "
    "1 + 0.1 (macro sensitivity - macro specificity)."
)


def terminal_table(rows: Sequence[Row]) -> Table:
    """One line a recipe and source of figures, intervals below the values."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, caption_justify="left", caption=_caption())
    table.add_column("Recipe", overflow="fold")
    table.add_column("Figures", no_wrap=True)
    for head in ("Images (groups)", *SUMMARY):
        table.add_column(
            head.replace(" (", "\n(").replace(", ", "\n"), justify="right", no_wrap=True
        )
    for _, group in groupby(rows, key=lambda row: row.recipe.id):
        for number, row in enumerate(group):
            first = row.recipe.id if number == 0 else ""
            cells = [_two_lines(figure) for figure in _summary(row)]
            table.add_row(first, NAMES[row.figures], _images(row), *cells)
        table.add_section()
    return table


def page(rows: Sequence[Row]) -> str:
    """The results as a page in Markdown: a summary, then every figure of every recipe. No paper
    stands beside recipes whose source trained nothing like them."""
    rows = [row for row in rows if row.values or row.status == "not trained"]
    parts = [
        "# Results",
        "Made by `python -m core.results --write` from the shipped checkpoints; do not edit.",
        "\n".join(f"- **{NAMES[name]}**: {text}." for name, text in _SOURCES.items()),
        _READING,
        markdown_table(
            ["Recipe", "Figures", "Images (groups)", *SUMMARY],
            [_summary_line(row) for row in rows],
        ),
        "## Every figure",
        _DEFINITIONS,
    ]
    for _, group in groupby(rows, key=lambda row: row.recipe.id):
        parts += _details([row for row in group if row.values])
    return "\n\n".join(parts) + "\n"


def metric_title(name: str, classes: Sequence[str]) -> str:
    """A metric's name for readers: ``npv_benign`` is "NPV, benign"."""
    for label in classes:
        prefix = name.removesuffix(f"_{label}")
        if prefix != name and prefix in CLASS_TITLES:
            return f"{CLASS_TITLES[prefix]}, {label}"
    return TITLES.get(name, name)


def _summary_line(row: Row) -> list[str]:
    cells = [_one_line(figure) for figure in _summary(row)]
    return [f"`{row.recipe.id}`", NAMES[row.figures], _images(row), *cells]


def _summary(row: Row) -> list[dict | None]:
    return [lowest(row, metric) for metric in SUMMARY.values()]


def lowest(row: Row, metric: str) -> dict | None:
    """A metric's value, low and high; of several malignant classes in place of ``{malignant}``,
    the lowest. None where it is not known, its ``value`` None where it is not defined."""
    known = [row.values[name] for name in _names(row, metric) if name in row.values]
    defined = [figure for figure in known if figure["value"] is not None]
    if not defined:
        return known[0] if known else None
    return min(defined, key=lambda figure: figure["value"])


def _names(row: Row, metric: str) -> dict[str, None]:
    """The metric's name with each malignant class in place of ``{malignant}``."""
    labels = row.recipe.malignant_classes or ("",)  # so that what needs no class is still named
    return dict.fromkeys(metric.format(malignant=label) for label in labels)


def _details(rows: list[Row]) -> list[str]:
    if not rows:
        return []
    recipe = rows[0].recipe
    names = dict.fromkeys(name for row in rows for name in row.values)
    by_title = {metric_title(name, recipe.classes): name for name in names}
    order = [*TITLES.values(), *_class_titles(recipe.classes), *by_title]
    titles = sorted(by_title, key=order.index)
    lines = [[t, *(_one_line(row.values.get(by_title[t])) for row in rows)] for t in titles]
    heads = [_head(row) for row in rows]
    matrices = [_matrix(row) for row in rows if row.confusion]
    spreads = [_spread(row) for row in rows if row.over_seeds]
    table = markdown_table(["", *heads], lines)
    return [f"### `{recipe.id}`: {recipe.title}", table, *spreads, *matrices]


def _spread(row: Row) -> str:
    """The summary's figures over several seeds."""
    spread = row.over_seeds
    names = [name for metric in SUMMARY.values() for name in _names(row, metric)]
    parts = [
        f"{metric_title(name, row.recipe.classes)} {over_runs(spread, name)}"
        for name in names
        if name in spread["values"]
    ]
    head = f"{NAMES[row.figures]}, {len(spread['seeds'])} seeds, each its own split"
    return f"{head} ({kind_of_runs(spread)}): {'; '.join(parts)}."


def _class_titles(classes: Sequence[str]) -> list[str]:
    return [f"{title}, {label}" for title in CLASS_TITLES.values() for label in classes]


def _head(row: Row) -> str:
    return f"{NAMES[row.figures]}: {_images(row)}"


def _matrix(row: Row) -> str:
    classes = row.recipe.classes
    lines = [
        [f"**{label}**", *map(str, counts)]
        for label, counts in zip(classes, row.confusion, strict=True)
    ]
    head = f"Confusion matrix, {NAMES[row.figures]} (rows true, columns predicted):"
    return f"{head}\n\n{markdown_table(['', *classes], lines)}"


def _images(row: Row) -> str:
    if row.n is None:
        return MISSING if row.status == "paper" else row.status
    return f"{row.n}" if row.n_groups is None else f"{row.n} ({row.n_groups})"


def _one_line(figure: dict | None) -> str:
    if figure is None:
        return MISSING
    of_paper = figure["value"] is not None and figure["low"] is None
    return _printed(figure["value"]) if of_paper else with_interval(figure)


def _two_lines(figure: dict | None) -> str:
    """The interval below the value, and shorter."""
    value, _, interval = _one_line(figure).partition(" (")
    if " to " in interval:
        return f"{value}\n{figure['low']:.2f}–{figure['high']:.2f}"
    return value


def _printed(value: float) -> str:
    """A figure of a paper with the digits it was printed with, at least two."""
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"


def _caption() -> str:
    return "\n".join([*(f"{NAMES[name]}: {text}." for name, text in _SOURCES.items()), _READING])
