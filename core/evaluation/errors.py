"""Figures from the probabilities themselves: how far off, and how honest about it."""

from __future__ import annotations

import numpy as np

from core.evaluation.sample import Sample
from core.statistics.ratio import ratio

BINS = 15


def error_figures(weights: np.ndarray, sample: Sample) -> dict[str, np.ndarray]:
    """Figures (R,) for weights (R, N) of the images.

    - ``log_loss``: mean of -ln p(true class), p clipped by the float64 epsilon
    - ``brier``: mean over images of the sum over classes of (p - y)^2, from 0 to 2 (Brier 1950)
    - ``ece``: expected calibration error, 15 bins of equal width of the likeliest class's
      probability (Naeini 2015; Guo et al. 2017, equation 3). Few images a bin raise it by chance,
      and bootstrap samples raise it again: its interval lies too high, even above the value
    - ``mse_onehot``, ``rmse_onehot``, ``mae_onehot``: errors of the probabilities against the
      one-hot truth, mean over images and classes
    - ``precision_at_half``, ``sensitivity_at_half``: of the classes given more than 0.5, the share
      that is true; of the true classes, the share given more than 0.5 (what Keras calls Precision
      and Recall of a softmax)
    """
    difference = sample.probabilities - sample.onehot
    of_true = np.take_along_axis(sample.probabilities, sample.truth[:, None], axis=1)[:, 0]
    epsilon = np.finfo(np.float64).eps
    squared = _mean(weights, (difference**2).mean(axis=1))
    above_half = sample.probabilities > 0.5
    found = weights @ (of_true > 0.5)
    return {
        "log_loss": _mean(weights, -np.log(np.clip(of_true, epsilon, 1 - epsilon))),
        "brier": _mean(weights, (difference**2).sum(axis=1)),
        "ece": _calibration_error(weights, sample),
        "mse_onehot": squared,
        "rmse_onehot": np.sqrt(squared),
        "mae_onehot": _mean(weights, np.abs(difference).mean(axis=1)),
        "precision_at_half": ratio(found, weights @ above_half.sum(axis=1)),
        "sensitivity_at_half": ratio(found, weights.sum(axis=1)),
    }


def _mean(weights: np.ndarray, errors: np.ndarray) -> np.ndarray:
    return ratio(weights @ errors, weights.sum(axis=1))


def _calibration_error(weights: np.ndarray, sample: Sample) -> np.ndarray:
    """Sum over bins of their share of images times the gap |accuracy - mean confidence|.

    The share cancels against the two means, so what is left is the sum of (hit - confidence)
    in each bin.
    """
    confidence = sample.probabilities.max(axis=1)
    hit = sample.predicted == sample.truth
    bins = np.ceil(confidence * BINS).astype(int) - 1  # bin m is (m / 15, (m + 1) / 15]
    gaps = np.eye(BINS)[bins] * (hit - confidence)[:, None]
    return ratio(np.abs(weights @ gaps).sum(axis=1), weights.sum(axis=1))
