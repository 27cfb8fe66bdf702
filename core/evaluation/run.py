"""Every figure of a system's runs under one protocol: an entry of ``metrics.json``."""

from __future__ import annotations

import pandas as pd

from core.evaluation import evaluate
from core.evaluation.calibration import calibrate
from core.evaluation.seeds import over_seeds
from core.recipe import Recipe


def evaluate_run(rows: pd.DataFrame, recipe: Recipe) -> dict:
    """Test figures of a protocol's first seed, with the calibration found on validation images,
    and what all its seeds say together, if there are several.

    ``rows`` are the predictions of all images and seeds. Raises EvaluationError, or ValueError
    without malignant validation images where the recipe has such a class.
    """
    spread = over_seeds(rows[rows["split"] == "test"], recipe.classes)
    seed = int(rows["seed"].min())
    first = rows[rows["seed"] == seed]
    validation, test = (first[first["split"] == split] for split in ("validation", "test"))
    calibration = calibrate(validation, test, recipe.classes, recipe.malignant_classes)
    figures = evaluate(test, recipe.classes)
    run = {"seed": seed, "split": "test", "calibration": calibration}
    return figures | run | ({"over_seeds": spread} if spread else {})
