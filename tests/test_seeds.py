"""Mean and spread over runs, worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from core.card import render
from core.evaluation.seeds import over_seeds
from core.recipes import load_recipe
from pages import _system

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


def test_one_seed_has_no_spread_and_two_may_agree_by_chance():
    assert over_seeds(run(0, 3), CLASSES) is None
    assert over_seeds(pd.concat([run(0, 3), run(1, 3)]), CLASSES) is None


def test_a_figure_that_one_run_does_not_define_is_left_out():
    alike = run(1, 4).assign(label="benign", benign=0.9, malignant=0.1)
    found = over_seeds(pd.concat([run(0, 3), alike, run(2, 3)]), CLASSES)
    assert "accuracy" in found["values"]
    assert "auc_malignant" not in found["values"]


def test_card_and_page_tell_what_other_splits_gave():
    recipe = load_recipe("busi-mobilenetv2")
    values = {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}}
    spread = {"seeds": [0, 1, 2], "values": {"accuracy": {"mean": 0.7812, "sd": 0.0429}}}
    calibration = {"temperature": 1.0, "n_fitted": 9, "values": {"ece": None}}
    run = {"n": 10, "n_groups": 8, "seed": 0, "values": values, "calibration": calibration}
    card = render(recipe, {"grouped": run | {"over_seeds": spread}})
    assert "Over 3 trainings under `grouped`" in card
    assert "Accuracy 0.781 ± 0.043. The table is that of seed 0." in card
    assert "one training" not in card
    assert "Under `grouped`, these are figures of one training on one split" in render(
        recipe, {"grouped": run}
    )
    both = render(recipe, {"published": run, "grouped": run | {"over_seeds": spread}})
    assert "Under `published`, these are figures of one training" in both
    neither = render(recipe, {"published": run, "grouped": run})
    assert "Under `grouped` and `published`, these are figures of one training" in neither
    assert "raise the calibration error by chance, so that its interval lies too high" in card
    assert "not scaled: 9 validation images" in card and "calibration error is " in card
    scaled = run | {"calibration": calibration | {"temperature": 1.5}}
    told_of = render(recipe, {"grouped": scaled})
    assert "temperature of 1.50, fitted on 9" in told_of and "error becomes " in told_of
    told = _system._other_splits(run | {"over_seeds": spread})
    assert "3 different splits" in told and "78 % on average (SD 4 %)" in told.replace("\xa0", " ")
    assert "one training on one split" in _system._other_splits(run)
