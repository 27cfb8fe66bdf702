"""The figures of chosen systems beside each other: curves, calibration, training, confusion."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from core.evaluation import EvaluationError
from core.evaluation.curves import reliability
from core.figures.systems import (
    Calibration,
    Curves,
    Matrix,
    confusion_figure,
    curve_figure,
    reliability_figure,
    training_figure,
)
from core.systems import Run
from core.wording import with_interval
from pages import _systems_data as data
from pages._frame import plain, quiet, themed

BINS = 10
"""Fewer than the 15 of the expected calibration error: with 15 most hold an image or two."""
LIKELIEST = "the likeliest class"
OWN_IMAGES = (
    "Each system is judged on its own test images. Whether one is better than another is a "
    "question for the images they share: see Tests."
)
FORMATS = {"PNG": "png", "SVG": "svg"}


def show_curves(runs: list[Run], picture: str) -> None:
    """ROC and precision-recall curves of one class."""
    classes = _classes(runs)
    label = st.segmented_control(
        "Class",
        classes,
        default=classes[0],
        required=True,
        key="systems curve class",
        persist_state="session",
    )
    drawn = []
    for one in _knowing(runs, label):
        try:
            drawn.append(_curves(one, label))
        except EvaluationError as error:
            quiet(f"*{plain(one.recipe.title)}*: {plain(str(error))}")
    if drawn:
        names = "; ".join(f"{one.name}, {one.about}" for one in drawn)
        figure = curve_figure(drawn, label)
        show_figure(figure, "curves", picture, f"ROC and precision-recall of {label}: {names}.")
    quiet(
        "Bands hold the middle 95 % of curves bootstrapped over groups, point by point. Dotted: "
        f"guessing. AUC: area under the ROC curve; AP: average precision. {OWN_IMAGES}"
    )


def show_reliability(runs: list[Run], picture: str) -> None:
    """How often a probability came true, before and after temperature scaling."""
    options = [LIKELIEST, *_classes(runs)]
    score = st.segmented_control(
        "Probability of",
        options,
        default=LIKELIEST,
        required=True,
        key="systems reliability class",
        persist_state="session",
    )
    label = None if score == LIKELIEST else score
    known = runs if label is None else _knowing(runs, label)
    drawn = [_calibration(one, label) for one in known]
    text = "; ".join(f"{one.name}, {one.about}" for one in drawn).replace("<br>", ", ")
    figure = reliability_figure(drawn, score)
    show_figure(figure, "reliability", picture, f"Reliability diagrams: {text}.")
    quiet(
        "On the diagonal a probability means what it says. Larger points hold more images; bars "
        "are 95 % intervals (Wilson) that count a group as one trial. ECE: expected calibration "
        "error of the likeliest class; chance raises it in bootstrap samples, so that its interval "
        "lies too high, even above the value. The temperature was fitted on validation images "
        "where those tell one, and the dashboard's percentages are scaled by it."
    )


def show_training(runs: list[Run], picture: str) -> None:
    """The four curves of the papers."""
    histories = {
        f"{one.recipe.title}, {one.about.partition(',')[0]}, "
        f"{one.n_validation} validation images": one.history
        for one in runs
    }
    figure = training_figure(histories)
    show_figure(figure, "training", picture, f"Training curves: {'; '.join(histories)}.")
    quiet(
        "One training run each, so these curves carry no interval. Precision and recall are means "
        "over classes. The thin line beside the validation loss is that of the training images."
    )


def show_confusion(runs: list[Run], picture: str) -> None:
    """Confusion matrices side by side."""
    shown = st.segmented_control(
        "Cells",
        ["Counts", "Shares of a row"],
        default="Counts",
        required=True,
        key="systems confusion cells",
        persist_state="session",
    )
    matrices = [_matrix(one, _classes(runs)) for one in runs]
    figure = confusion_figure(matrices, shares=shown != "Counts")
    text = "; ".join(f"{one.name}, {one.about}: {one.counts.tolist()}" for one in matrices)
    show_figure(figure, "confusion", picture, f"Confusion matrices, rows true: {text}.")
    quiet(
        "Below each true class its sensitivity with the 95 % interval. The predicted class is the "
        f"likeliest one. {OWN_IMAGES}"
    )


def show_figure(figure: go.Figure, name: str, picture: str, alt: str) -> None:
    """A figure whose camera button saves a picture of this format."""
    config = {
        "displaylogo": False,
        "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d"],
        "toImageButtonOptions": {
            "format": FORMATS[picture],
            "filename": f"lesionlens-{name}",
            "scale": 2,
        },
    }
    st.plotly_chart(themed(figure), config=config, key=f"systems {name}", alt=alt)


def interval_text(figure: dict | None) -> str:
    """A figure of ``metrics.json`` as text."""
    return with_interval(figure, 2, "–")


def _classes(runs: list[Run]) -> list[str]:
    """Of all systems, the malignant ones first."""
    every = [name for one in runs for name in (*one.recipe.malignant_classes, *one.recipe.classes)]
    malignant = {name for one in runs for name in one.recipe.malignant_classes}
    return sorted(dict.fromkeys(every), key=lambda name: name not in malignant)


def _knowing(runs: list[Run], label: str) -> list[Run]:
    """The systems that know a class; of others a sentence."""
    known = [one for one in runs if label in one.recipe.classes]
    for one in runs:
        if one not in known:
            quiet(f"*{plain(one.recipe.title)}* does not know the class '{plain(label)}'.")
    return known


def _curves(one: Run, label: str) -> Curves:
    values = one.metrics["values"]
    count = int((one.test["label"] == label).sum())
    name = (
        f"{one.recipe.title}: AUC {interval_text(values[f'auc_{label}'])}, "
        f"AP {interval_text(values[f'pr_auc_{label}'])}"
    )
    roc, precision_recall = data.roc_curve(one, label), data.precision_recall_curve(one, label)
    about = f"{one.about} ({count} {label})"
    return Curves(name, about, roc, precision_recall, count / one.n)


def _calibration(one: Run, label: str | None) -> Calibration:
    before = interval_text(one.metrics["values"]["ece"])
    after = interval_text(one.metrics.get("calibration", {}).get("values", {}).get("ece"))
    about = f"{one.about}<br>ECE {before}, scaled {after}"
    return Calibration(
        one.recipe.title,
        about,
        reliability(one.sample, label, BINS),
        reliability(one.calibrated, label, BINS),
    )


def _matrix(one: Run, order: list[str]) -> Matrix:
    """With the classes in the same order for all systems."""
    own = one.recipe.classes
    classes = sorted(own, key=order.index)
    places = [own.index(name) for name in classes]
    counts = np.asarray(one.metrics["confusion"])[np.ix_(places, places)]
    values = one.metrics["values"]
    notes = [interval_text(values[f"sensitivity_{name}"]) for name in classes]
    return Matrix(one.recipe.title, one.about, classes, counts, notes)
