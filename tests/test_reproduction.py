"""The shipped weights, run today through the browser's path, give the shipped predictions."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from networks import system_cases, trained_classifier

from core.checkpoints import open_checkpoint
from core.classifiers import probabilities
from core.datasets import read_mask
from core.predict import classify
from core.scans import read_scan_file

A_CLASS = 5


@pytest.mark.parametrize("recipe_id", system_cases())
def test_test_images_get_the_shipped_probabilities(recipe_id, tables):
    """A few of each class, from the first to the last."""
    checkpoint = open_checkpoint(recipe_id)
    recipe, of_weights = checkpoint.recipe, checkpoint.manifest["weights"]
    predictions = checkpoint.predictions()
    tested = predictions[
        (predictions.protocol == of_weights["protocol"])
        & (predictions.seed == of_weights["seed"])
        & (predictions.split == "test")
    ]
    shipped = pd.concat(_spread(rows) for _, rows in tested.groupby("label"))
    assert set(shipped.label) == set(recipe.classes)
    rows = tables(recipe.data.dataset).set_index("image_id").loc[shipped.image_id]
    classifier = trained_classifier(recipe_id)
    logits = [
        classify(classifier, read_scan_file(row.path), mask=read_mask(row)).logits
        for row in rows.itertuples()
    ]
    expected = shipped[list(recipe.classes)].to_numpy()
    # Batches of other lengths, processors and library builds round differently.
    np.testing.assert_allclose(probabilities(np.stack(logits)), expected, atol=2e-3)


def _spread(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.iloc[np.unique(np.linspace(0, len(rows) - 1, A_CLASS).astype(int))]
