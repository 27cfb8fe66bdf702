"""Figures from the confusion matrix.

Definitions are those of scikit-learn and imbalanced-learn, but for two things. What is not defined
(the precision of a class that is never predicted) is NaN here and not 0, and so is a mean over
classes of which one is NaN. Images without one of a class say nothing of how well it is found,
whether or not it was predicted: its precision and F1 are NaN then, as its sensitivity is, and so is
its NPV where there is no image of another class.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from core.evaluation.sample import Sample
from core.statistics.ratio import ratio

_DOMINANCE = 0.1  # alpha of the index of balanced accuracy, as in imbalanced-learn


def confusion(weights: np.ndarray, sample: Sample) -> np.ndarray:
    """Confusion matrices (R, C, C), rows true, columns predicted, for weights (R, N)."""
    classes = len(sample.classes)
    cells = np.eye(classes**2)[sample.truth * classes + sample.predicted]
    return (weights @ cells).reshape(-1, classes, classes)


def classification_figures(matrices: np.ndarray, classes: Sequence[str]) -> dict[str, np.ndarray]:
    """Figures (R,) of confusion matrices (R, C, C).

    A class (one against the rest): precision (PPV), sensitivity, specificity, NPV and F1; their
    unweighted means as ``macro_``. ``balanced_accuracy`` is the mean sensitivity; ``weighted_f1``
    weighs by the number of images; ``mcc`` and ``kappa`` are those of all classes at once (Gorodkin
    2004; Cohen 1960); ``gmean`` is the geometric mean of the sensitivities (Kubat and Matwin 1997)
    and ``iba`` its square times 1 + 0.1 (macro sensitivity - macro specificity) (Garcia et al.
    2012). ``mse_index``, ``rmse_index`` and ``mae_index`` are errors of the class index in the
    recipe's order: a confusion of the first with the third class counts 4 and 2. (It is these that
    DOI 10.3791/70011 prints: its MSE 0.0513 and MAE 0.0342 are 6 and 4 by 117 test images.)
    """
    rates = _rates(matrices)
    return {
        "accuracy": ratio(_hits(matrices).sum(axis=1), matrices.sum(axis=(1, 2))),
        "balanced_accuracy": rates["sensitivity"].mean(axis=1),
        "weighted_f1": _weighted(rates["f1"], matrices.sum(axis=2)),
        **{f"macro_{name}": values.mean(axis=1) for name, values in rates.items()},
        "mcc": _mcc(matrices),
        "kappa": _kappa(matrices),
        **_imbalanced(rates),
        **_index_errors(matrices),
        **{
            f"{name}_{label}": values[:, index]
            for name, values in rates.items()
            for index, label in enumerate(classes)
        },
    }


def _hits(matrices: np.ndarray) -> np.ndarray:
    return np.diagonal(matrices, axis1=1, axis2=2)


def _rates(matrices: np.ndarray) -> dict[str, np.ndarray]:
    """The figures of each class, (R, C)."""
    hits, true, predicted = _hits(matrices), matrices.sum(axis=2), matrices.sum(axis=1)
    others = true.sum(axis=1, keepdims=True) - true
    rejected = others - (predicted - hits)
    return {
        "precision": np.where(true > 0, ratio(hits, predicted), np.nan),
        "sensitivity": ratio(hits, true),
        "specificity": ratio(rejected, others),
        "npv": np.where(others > 0, ratio(rejected, rejected + true - hits), np.nan),
        "f1": np.where(true > 0, ratio(2 * hits, true + predicted), np.nan),
    }


def _weighted(values: np.ndarray, support: np.ndarray) -> np.ndarray:
    """Mean over classes by support; a class without images has no say, defined or not."""
    terms = np.where(support > 0, values, 0) * support
    return ratio(terms.sum(axis=1), support.sum(axis=1))


def _mcc(matrices: np.ndarray) -> np.ndarray:
    """0 for a system that always gives the same answer: the limit, and no better than chance."""
    total, agreed, chance = _agreement(matrices)
    spread_true = total**2 - (matrices.sum(axis=2) ** 2).sum(axis=1)
    spread_predicted = total**2 - (matrices.sum(axis=1) ** 2).sum(axis=1)
    value = ratio(agreed - chance, np.sqrt(spread_true * spread_predicted), otherwise=0)
    return np.where(spread_true > 0, value, np.nan)


def _kappa(matrices: np.ndarray) -> np.ndarray:
    total, agreed, chance = _agreement(matrices)
    return ratio(agreed - chance, total**2 - chance)


def _agreement(matrices: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images, and the square of it times the shares agreed on in fact and by chance: (R,) each."""
    total = matrices.sum(axis=(1, 2))
    chance = (matrices.sum(axis=1) * matrices.sum(axis=2)).sum(axis=1)
    return total, total * _hits(matrices).sum(axis=1), chance


def _imbalanced(rates: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    sensitivity, specificity = rates["sensitivity"], rates["specificity"]
    gmean = sensitivity.prod(axis=1) ** (1 / sensitivity.shape[1])
    dominance = sensitivity.mean(axis=1) - specificity.mean(axis=1)
    return {"gmean": gmean, "iba": (1 + _DOMINANCE * dominance) * gmean**2}


def _index_errors(matrices: np.ndarray) -> dict[str, np.ndarray]:
    index = np.arange(matrices.shape[1])
    distance = np.abs(index[:, None] - index)
    total = matrices.sum(axis=(1, 2))
    squared = ratio((matrices * distance**2).sum(axis=(1, 2)), total)
    absolute = ratio((matrices * distance).sum(axis=(1, 2)), total)
    return {"mse_index": squared, "rmse_index": np.sqrt(squared), "mae_index": absolute}
