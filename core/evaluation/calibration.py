"""Probabilities that mean what they say, and the point at which to call a scan malignant.

Both are fitted on validation images and judged on test images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from core.evaluation import evaluate
from core.evaluation.sample import read_sample

SENSITIVITY = 0.95
"""Share of malignant validation images that the operating point must find."""

ENOUGH = 30
"""Validation images from which a temperature is fitted."""

_BOUNDS = (np.log(0.05), np.log(20.0))  # of the logarithm of the temperature


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature T that minimises the log-loss of ``softmax(logits / T)``.

    ``logits`` (N, C), ``labels`` int (N,), both of validation images (Guo et al., ICML 2017,
    section 4.2). One number keeps the ranking and every decision; T > 1 makes a system less
    sure. The log-loss is convex in 1/T, so that the minimum found is the minimum. It has none
    where every image is right, and then says nothing of how sure the system may be; nor do fewer
    images than ``ENOUGH``. Both give 1, which changes nothing.
    """
    logits = np.asarray(logits, np.float64)
    rows = np.arange(len(labels))
    if len(labels) < ENOUGH or (logits.argmax(axis=1) == labels).all():
        return 1.0

    def loss(log_temperature: float) -> float:
        scaled = log_softmax(logits / np.exp(log_temperature), axis=1)
        return -scaled[rows, labels].mean()

    return float(np.exp(minimize_scalar(loss, bounds=_BOUNDS, method="bounded").x))


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """``softmax(log(p) / T)`` of probabilities (N, C): the same as scaling their logits."""
    logits = np.log(np.clip(np.asarray(probabilities, np.float64), 1e-12, None))
    return np.exp(log_softmax(logits / temperature, axis=-1))


def operating_point(
    scores: np.ndarray, positive: np.ndarray, sensitivity: float = SENSITIVITY
) -> float:
    """The highest threshold that finds at least this share of the positives.

    ``scores`` (N,) and ``positive`` bool (N,) of validation images; a scan counts as positive
    where its score is at least the threshold. Raises ValueError without any positives.
    """
    found = np.sort(np.asarray(scores)[np.asarray(positive, bool)])[::-1]
    if not len(found):
        raise ValueError("An operating point needs positive images; there are none.")
    needed = int(np.ceil(sensitivity * len(found) - 1e-9))
    return float(found[max(needed, 1) - 1])


@dataclass(frozen=True)
class Fitted:
    """What was found on the validation images of a run: the temperature, and the threshold of the
    scaled malignant probability (None without malignant classes)."""

    temperature: float
    threshold: float | None


def fit(validation: pd.DataFrame, classes: Sequence[str], malignant: Sequence[str]) -> Fitted:
    """Temperature and operating point of one run. Raises EvaluationError without images."""
    sample = read_sample(validation, classes)
    logits = np.log(np.clip(sample.probabilities, 1e-12, None))
    temperature = fit_temperature(logits, sample.truth)
    if not malignant:
        return Fitted(temperature, None)
    scores = scaled(validation, classes, temperature)[list(malignant)].sum(axis=1)
    return Fitted(temperature, operating_point(scores, validation["label"].isin(malignant)))


def calibrate(
    validation: pd.DataFrame, test: pd.DataFrame, classes: Sequence[str], malignant: Sequence[str]
) -> dict:
    """Temperature and operating point of one run, and what they do on its test images.

    Tables as for ``evaluate``. Returns ``temperature``; ``n_fitted`` validation images; ``values``,
    calibration errors of the scaled test probabilities; and, if there are malignant classes,
    ``operating_point``: the ``threshold`` on the scaled malignant probability, and the test
    ``sensitivity`` and ``specificity`` at it, each with its 95 % interval.
    """
    fitted = fit(validation, classes, malignant)
    test = scaled(test, classes, fitted.temperature)
    values = evaluate(test, classes)["values"]
    result = {
        "temperature": fitted.temperature,
        "n_fitted": len(validation),
        "values": {name: values[name] for name in ("ece", "log_loss", "brier")},
    }
    if fitted.threshold is not None:
        result["operating_point"] = _judge_point(fitted.threshold, test, list(malignant))
    return result


def scaled(table: pd.DataFrame, classes: Sequence[str], temperature: float) -> pd.DataFrame:
    """A copy of a table of predictions with its class columns scaled by the temperature."""
    table = table.copy()
    table[list(classes)] = apply_temperature(table[list(classes)].to_numpy(), temperature)
    return table


def _judge_point(threshold: float, test: pd.DataFrame, malignant: list[str]) -> dict:
    called = (test[malignant].sum(axis=1) >= threshold).to_numpy(float)
    decisions = pd.DataFrame(
        {
            "label": np.where(test["label"].isin(malignant), "malignant", "other"),
            "group": test["group"].to_numpy(),
            "malignant": called,
            "other": 1 - called,
        }
    )
    values = evaluate(decisions, ("malignant", "other"))["values"]
    return {
        "threshold": threshold,
        "sensitivity": values["sensitivity_malignant"],
        "specificity": values["specificity_malignant"],
    }
