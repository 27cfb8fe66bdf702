"""What several runs say together, worked out by hand."""

from __future__ import annotations

import pandas as pd
import pytest

from core.card import render
from core.evaluation.seeds import over_seeds
from core.recipes import load_recipe
from core.results import tables
from core.results.rows import rows_of
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
    found = over_seeds(pd.concat([run(0, 3), run(4, 2)]), CLASSES)
    assert found["seeds"] == [0, 4]
    assert found["values"]["accuracy"] == {"seed 0": 0.75, "seed 4": 0.5}


def test_a_figure_that_one_run_does_not_define_is_left_out():
    alike = run(1, 4).assign(label="benign", benign=0.9, malignant=0.1)
    found = over_seeds(pd.concat([run(0, 3), alike, run(2, 3)]), CLASSES)
    assert "accuracy" in found["values"]
    assert "auc_malignant" not in found["values"]


@pytest.fixture
def entry() -> dict:
    """Of metrics.json."""
    values = {"accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}}
    calibration = {"temperature": 1.0, "n_fitted": 9, "values": {"ece": None}}
    return {"n": 10, "n_groups": 8, "seed": 0, "values": values, "calibration": calibration}


def test_a_second_run_is_told_by_card_page_and_table_and_has_no_spread(entry):
    recipe = load_recipe("busi-mobilenetv2")
    both = {"seeds": [2, 10], "values": {"accuracy": {"seed 10": 0.7812, "seed 2": 0.9}}}
    metrics = {"grouped": entry | {"over_seeds": both}}
    card, page = render(recipe, metrics), tables.page(rows_of(recipe, metrics))
    assert "Over 2 trainings under `grouped`" in card and "one training" not in card
    assert "(seed 2 and seed 10): Accuracy 0.900 and 0.781." in card
    assert "2 seeds, each its own split (seed 2 and seed 10): Accuracy 0.900 and 0.781." in page
    told = _system._other_splits(metrics["grouped"]).replace("\xa0", " ")
    assert "2 different splits" in told and "its accuracy was 90 % and 78 %;" in told
    assert "±" not in card + page and "SD" not in told


def test_card_and_page_tell_what_other_splits_gave(entry):
    recipe, run = load_recipe("busi-mobilenetv2"), entry
    spread = {"seeds": [0, 1, 2], "values": {"accuracy": {"mean": 0.7812, "sd": 0.0429}}}
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
    scaled = run | {"calibration": run["calibration"] | {"temperature": 1.5}}
    told_of = render(recipe, {"grouped": scaled})
    assert "temperature of 1.50, fitted on 9" in told_of and "error becomes " in told_of
    told = _system._other_splits(run | {"over_seeds": spread})
    assert "3 different splits" in told and "78 % on average (SD 4 %)" in told.replace("\xa0", " ")
    assert "one training on one split" in _system._other_splits(run)
