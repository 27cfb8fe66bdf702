"""The table of systems, the runs behind it, and how their size and speed are told."""

from __future__ import annotations

import json
import time
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file

from core import timing
from core.checkpoints import CHECKPOINTS, judged, list_trained, open_checkpoint
from core.datasets.phantoms import phantom
from core.evaluation import EvaluationError, evaluate
from core.recipes import list_recipes, load_recipe
from core.results import __main__ as command
from core.results import speed
from core.systems import FIGURES, open_run, systems_table, weights_facts

# Parameters learned: of a backbone without its top (Keras' and torchvision's documentation), and
# of what the recipe puts on it.
KNOWN_PARAMETERS = {
    "busi-mobilenetv2": 2_223_872 + 1280 * 1024 + 1024 + 1024 * 3 + 3,
    "busi-efficientnet-b0": 4_007_548 + 1280 * 3 + 3,
}


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    return systems_table()


def shipped(recipe_id: str) -> str:
    return recipe_id if recipe_id in list_trained() else pytest.skip(f"{recipe_id} is not shipped")


# The table


def test_every_recipe_has_its_paper_and_both_protocols(table):
    assert len(table) == 3 * len(list_recipes())
    assert set(table["figures"]) == {"paper", "published", "grouped"}
    papers = table[table["figures"] == "paper"].set_index("recipe")
    for recipe in list_recipes():
        assert papers.loc[recipe.id, "dataset"] == recipe.data.dataset
        if "accuracy" in recipe.published:
            assert papers.loc[recipe.id, "accuracy"] == recipe.published["accuracy"]
    assert papers["accuracy_low"].isna().all()  # papers print no intervals


def test_measured_figures_are_those_of_the_checkpoint(table):
    for row in table[table["status"] == "measured"].itertuples():
        entry = judged()[row.recipe].metrics[row.figures]
        assert (row.n, row.n_groups, row.seed) == (entry["n"], entry["n_groups"], entry["seed"])
        for name in ("accuracy", "macro_auc", "mcc"):
            found = {end: getattr(row, f"{name}{end}") for end in ("", "_low", "_high")}
            stated = entry["values"][name]
            assert list(found.values()) == [stated["value"], stated["low"], stated["high"]]


def test_without_checkpoints_only_papers_have_figures(tmp_path):
    table = systems_table(tmp_path)
    measured = table[table["figures"] != "paper"]
    names = [name.format(malignant="malignant") for name in FIGURES]
    assert measured[names].isna().all(axis=None)
    assert set(measured["status"]) == {"not trained"}
    assert "parameters" not in table or table["parameters"].isna().all()


# Size and speed


def test_only_what_is_learned_counts(tmp_path):
    arrays = {
        "conv/kernel": np.zeros((3, 4), np.float16),
        "conv/bias": np.zeros(4, np.float32),
        "bn/gamma": np.zeros(4, np.float32),
        "bn/moving_mean": np.zeros(4, np.float32),
        "other.bn.running_var": np.zeros(9, np.float32),
    }
    save_file(arrays, tmp_path / "weights.safetensors", metadata={"format": "np"})
    facts = weights_facts(tmp_path)
    assert facts["parameters"] == 12 + 4 + 4
    assert facts["megabytes"] == (tmp_path / "weights.safetensors").stat().st_size / 1e6


@pytest.mark.parametrize("recipe_id", KNOWN_PARAMETERS)
def test_shipped_networks_have_as_many_parameters_as_they_should(recipe_id):
    facts = weights_facts(CHECKPOINTS / shipped(recipe_id))
    assert facts["parameters"] == KNOWN_PARAMETERS[recipe_id]


@pytest.fixture
def slow_system():
    """A classifier that takes 10 ms a call and a second for the first; the shapes it was given."""
    shapes = []

    def logits(batch):
        time.sleep(0.01 if shapes else 1)
        shapes.append(batch.shape)

    classifier = SimpleNamespace(recipe=load_recipe("busi-mobilenetv2"), logits=logits)
    return classifier, shapes


def test_scans_are_timed_one_by_one_after_a_few_that_do_not_count(slow_system):
    classifier, shapes = slow_system
    pictures = [phantom("benign", 0)[0]] * 20
    taken = timing.MEASURES["milliseconds"](classifier, None, pictures)
    assert len(shapes) > 20
    assert set(shapes) == {(1, 150, 150, 3)}
    assert 10 <= taken < 500


def test_a_rate_counts_scans_and_not_calls():
    groups = []

    def answer(some):
        groups.append(some)
        time.sleep(0.05)

    rate = timing._rate(answer, list(range(20)), 8)
    assert groups[-3:] == [list(range(8)), list(range(8, 16)), [16, 17, 18, 19]]
    assert 20 < rate <= 20 / 0.15  # three calls


def test_a_real_system_is_timed_and_kept_for_table_and_page(monkeypatch, tmp_path):
    monkeypatch.setattr(timing, "list_trained", lambda root: (shipped("busi-mobilenetv2"),))
    monkeypatch.setattr(timing, "open_checkpoint", lambda name, root: open_checkpoint(name))
    measured = timing.write_timings(tmp_path, scans=9)
    assert timing.read_timings(tmp_path) == measured
    assert measured["scans"] == 9 and measured["processor"]
    figures = [measured[kind]["busi-mobilenetv2"] for kind in timing.MEASURES]
    assert all(figure > 0 for figure in figures)
    table = systems_table(tmp_path).set_index(["recipe", "figures"])
    assert table.loc[("busi-mobilenetv2", "grouped"), "milliseconds"] == figures[0]
    assert table["milliseconds"].notna().sum() == 3
    line = speed.section(tmp_path).splitlines()[-1]
    assert [cell.strip() for cell in line.strip("|").split("|")] == [
        "`busi-mobilenetv2`",
        *map(str, figures),
    ]


def test_nothing_is_timed_until_it_is_asked_for(tmp_path):
    assert timing.read_timings(tmp_path) == {}
    assert systems_table(tmp_path)["milliseconds"].isna().all()
    assert speed.section(tmp_path) == ""


def test_the_command_prints_what_it_measured(monkeypatch, capsys):
    kinds = {"milliseconds": 12.5, "opinions_a_second": 20.1, "batch_a_second": 40.2}
    measured = {"scans": 30, "processor": "A"} | {kind: {"one": x} for kind, x in kinds.items()}
    monkeypatch.setattr(command, "write_timings", lambda: measured)
    assert command.main(["--time"]) == 0
    assert capsys.readouterr().out == (
        "one: 12.5 ms; 20.1 opinions a second, 40.2 in a batch\nOf 30 scans, A.\n"
    )


def test_timings_do_not_disturb_the_list_of_systems(tmp_path):
    (tmp_path / "timings.json").write_text(json.dumps({"milliseconds": {}}))
    assert list_trained(tmp_path) == ()


# Runs


def checkpoint_of(tables: dict[int, pd.DataFrame], metrics: dict) -> SimpleNamespace:
    """A checkpoint with one run a seed."""
    every = pd.concat([part.assign(protocol="grouped", seed=s) for s, part in tables.items()])
    history = pd.DataFrame({"epoch": [0, 1, 0], "protocol": "grouped", "seed": [3, 3, 4]})
    return SimpleNamespace(
        recipe=load_recipe("busi-mobilenetv2"),
        metrics=metrics,
        manifest={"files": {"predictions.parquet": "abc"}},
        predictions=lambda: every,
        history=lambda: history,
    )


def some_predictions(seed: int) -> pd.DataFrame:
    random = np.random.default_rng(seed)
    classes = load_recipe("busi-mobilenetv2").classes
    table = pd.DataFrame(random.dirichlet([1, 1, 1], 30), columns=list(classes))
    split = ["test"] * 20 + ["validation"] * 6 + ["train"] * 4
    names = [f"i{n}" for n in range(30)]
    return table.assign(label=random.choice(classes, 30), group=names, image_id=names, split=split)


def test_a_run_is_the_seed_whose_figures_are_shown():
    tables = {seed: some_predictions(seed) for seed in (3, 4)}
    test = tables[3].head(20)
    calibration = {"temperature": 2.0}
    metrics = evaluate(test, load_recipe("busi-mobilenetv2").classes, resamples=5)
    metrics |= {"seed": 3, "split": "test", "calibration": calibration}
    run = open_run(checkpoint_of(tables, {"grouped": metrics}), "grouped")
    assert run.n == len(run.test) == run.sample.n == 20
    assert run.n_validation == 6 and run.n_groups == 20
    assert np.array_equal(run.test["image_id"], test["image_id"])
    assert run.history["epoch"].tolist() == [0, 1]
    assert run.about == "grouped split, 20 images in 20 groups"
    shares = np.sqrt(run.sample.probabilities)  # a temperature of 2 halves the logits
    assert np.allclose(run.calibrated.probabilities, shares / shares.sum(axis=1, keepdims=True))


def test_a_protocol_that_was_not_trained_gets_a_sentence():
    checkpoint = checkpoint_of({3: some_predictions(3)}, {})
    with pytest.raises(EvaluationError, match="MobileNetV2 was not trained under this protocol"):
        open_run(checkpoint, "published")
