"""Mean and spread over runs, worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from core.evaluation.seeds import over_seeds

CLASSES = ("benign", "malignant")


def run(seed: int, right: int) -> pd.DataFrame:
    """Four images, of which the first ``right`` are told right."""
    labels = ["benign", "malignant", "benign", "malignant"]
    told = [(label == "malignant") == (i < right) for i, label in enumerate(labels)]
    return pd.DataFrame(
        {
            "seed": seed,
            "label": labels,
            "group": list("abcd"),
            "benign": [0.1 if one else 0.9 for one in told],
            "malignant": [0.9 if one else 0.1 for one in told],
        }
    )


def test_mean_and_sample_deviation_of_the_accuracy():
    found = over_seeds(pd.concat([run(0, 4), run(1, 3), run(2, 2)]), CLASSES)
    assert found["seeds"] == [0, 1, 2]
    assert found["values"]["accuracy"]["mean"] == pytest.approx(0.75)
    assert found["values"]["accuracy"]["sd"] == pytest.approx(0.25)


def test_one_seed_has_no_spread():
    assert over_seeds(run(0, 3), CLASSES) is None


def test_a_figure_that_one_run_does_not_define_is_left_out():
    alike = run(1, 4).assign(label="benign", benign=0.9, malignant=0.1)
    found = over_seeds(pd.concat([run(0, 3), alike]), CLASSES)
    assert "accuracy" in found["values"]
    assert "auc_malignant" not in found["values"]
