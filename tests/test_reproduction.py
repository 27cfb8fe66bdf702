"""The shipped weights, run today through the browser's path, give the shipped predictions."""

from __future__ import annotations

import numpy as np
import pytest

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import probabilities
from core.datasets import load_table, read_mask
from core.predict import classify
from core.scans import read_scan_file


@pytest.mark.parametrize("recipe_id", list_trained())
def test_test_images_get_the_shipped_probabilities(recipe_id, data_folder):
    checkpoint = open_checkpoint(recipe_id)
    recipe, of_weights = checkpoint.recipe, checkpoint.manifest["weights"]
    predictions = checkpoint.predictions()
    shipped = predictions[
        (predictions.protocol == of_weights["protocol"])
        & (predictions.seed == of_weights["seed"])
        & (predictions.split == "test")
    ].iloc[::8]
    rows = load_table(recipe.data.dataset).set_index("image_id").loc[shipped.image_id]
    classifier = checkpoint.load()
    logits = [
        classify(classifier, read_scan_file(row.path), mask=read_mask(row)).logits
        for row in rows.itertuples()
    ]
    expected = shipped[list(recipe.classes)].to_numpy()
    # Batches of other lengths, processors and library builds round differently.
    np.testing.assert_allclose(probabilities(np.stack(logits)), expected, atol=2e-3)
