"""Tuning: validation images alone, the same search however often it is interrupted."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from histology import write_breakhis

from core.architectures import build
from core.networks import networks
from core.recipe import Recipe
from core.recipes import load_recipe, parse_recipe
from core.training import images as training_images
from core.training import tune as tuning
from core.training.loop import DivergedError
from core.training.run import Listener, read_table, shorten
from core.training.tune import RATE, apply, tune


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory):
    return write_breakhis(tmp_path_factory.mktemp("breakhis"))


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """BreaKHis with a network that trains a step in a blink: GoogLeNet on 32 x 32 pixels."""
    recipe = shorten(load_recipe("breakhis-40-dalaresnet50+googlenet"), 1)
    preprocessing = recipe.preprocessing.model_copy(update={"size": (32, 32)})
    return recipe.model_copy(update={"preprocessing": preprocessing})


def search(recipe: Recipe, data, runs, trials: int, **settings):
    """What was tried, in order, and the best."""
    tried = []
    best = tune(
        recipe,
        data,
        trials,
        pretrained=False,
        runs=runs,
        on_trial=lambda settings, loss: tried.append((settings, loss)),
        **settings,
    )
    return tried, best


def test_the_test_images_are_never_read(recipe, data, tmp_path, monkeypatch):
    table = read_table(recipe, data, "grouped", 0)
    assert set(table["split"]) == {"train", "validation", "test"}
    read = []
    original = training_images.read_pixels
    monkeypatch.setattr(
        training_images, "read_pixels", lambda row: read.append(row.path) or original(row)
    )
    search(recipe, data, tmp_path, 1)
    assert set(read) == set(table["path"][table["split"] != "test"])


@pytest.mark.slow
def test_an_interrupted_search_finds_what_an_uninterrupted_one_finds(recipe, data, tmp_path):
    whole, best = search(recipe, data, tmp_path / "a", 3)

    def interrupt(*_):
        raise KeyboardInterrupt

    first, _ = search(recipe, data, tmp_path / "b", 1)
    with pytest.raises(KeyboardInterrupt):
        tune(
            recipe,
            data,
            3,
            pretrained=False,
            runs=tmp_path / "b",
            listener=Listener(step=interrupt),
        )
    rest, resumed = search(recipe, data, tmp_path / "b", 3)
    assert len(whole) == 3 and len(first) == 1 and len(rest) == 2
    for (settings, loss), (expected, expected_loss) in zip([*first, *rest], whole, strict=True):
        assert settings == expected
        assert loss == pytest.approx(expected_loss, rel=2e-2)
    losses = [loss for _, loss in whole]
    assert best.loss == min(losses) and best.trials == 3
    assert best.recipe == apply(recipe, whole[int(np.argmin(losses))][0])
    assert search(recipe, data, tmp_path / "b", 3) == ([], resumed)  # nothing is left to try
    assert len({str(settings) for settings, _ in whole}) == 3


def test_another_question_begins_another_search(recipe, data, tmp_path):
    for changed, settings in (
        (recipe, {}),
        (recipe, {"seed": 1}),
        (recipe, {"protocol": "published"}),
        (shorten(recipe, 1).model_copy(update={"augmentation": recipe.augmentation.model_copy(
            update={"rotation": 5.0})}), {}),
    ):  # fmt: skip
        tried, _ = search(changed, data, tmp_path, 1, **settings)
        assert len(tried) == 1, settings


def test_a_trial_that_falls_behind_is_given_up(recipe, data, tmp_path, monkeypatch):
    losses = iter([0.5, 0.5, 0.9])

    def lose(learner, recipe, training, validation, run, seed, on_step, on_epoch):
        on_epoch({"phase": 0, "epoch": 0, "val_loss": next(losses)})

    monkeypatch.setattr(tuning, "train", lose)
    monkeypatch.setattr(tuning, "create_learner", lambda *_: None)
    monkeypatch.setattr(tuning, "_TRIALS_BEFORE_PRUNING", 2)
    tried, best = search(recipe, data, tmp_path, 3)
    assert [loss for _, loss in tried] == [0.5, 0.5, None]
    assert best.loss == 0.5 and best.trials == 3


def judged_by(monkeypatch, *runs: list[tuple[int, float]]) -> None:
    """Trainings that report these phases and validation losses; one without any diverges."""
    left = iter(runs)

    def report(learner, recipe, training, validation, run, seed, on_step, on_epoch):
        records = next(left)
        if not records:
            raise DivergedError
        for epoch, (phase, loss) in enumerate(records):
            on_epoch({"phase": phase, "epoch": epoch, "val_loss": loss})

    monkeypatch.setattr(tuning, "train", report)
    monkeypatch.setattr(tuning, "create_learner", lambda *_: None)


def test_a_trial_is_judged_by_the_weights_that_it_keeps(recipe, data, tmp_path, monkeypatch):
    """Those of the last phase, though an earlier one was better for a while."""
    judged_by(monkeypatch, [(0, 0.1), (1, 0.6), (1, 0.5), (1, 0.7)], [(0, 0.9), (1, 0.4)])
    tried, best = search(recipe, data, tmp_path, 2)
    assert [loss for _, loss in tried] == [0.5, 0.4]
    assert best.loss == 0.4


def test_a_trial_that_diverges_is_given_up_and_the_search_goes_on(
    recipe, data, tmp_path, monkeypatch
):
    judged_by(monkeypatch, [], [(0, 0.4)])
    tried, best = search(recipe, data, tmp_path, 2)
    assert [loss for _, loss in tried] == [None, 0.4]
    assert best.loss == 0.4 and best.trials == 2


def test_a_search_in_which_all_diverge_says_so(recipe, data, tmp_path, monkeypatch):
    judged_by(monkeypatch, [], [])
    with pytest.raises(DivergedError, match="None of the 2 settings could be trained"):
        search(recipe, data, tmp_path, 2)


def test_settings_reach_the_recipe():
    recipe = load_recipe("busi-mobilenetv2")
    tuned = apply(recipe, {RATE: 0.5, "dense": 256, "activation": "elu"})
    assert [phase.learning_rate for phase in tuned.training.phases] == [5e-4, 1e-5]
    expected = {"dense": 256, "dropout": 0.5, "activation": "elu"}
    assert tuned.architecture.parameters == expected
    ours, theirs = recipe.method(), tuned.method()
    assert {key for key in ours if ours[key] != theirs[key]} == {"architecture", "training"}


def test_what_is_printed_can_be_pasted_into_the_recipe():
    recipe = load_recipe("busi-mobilenetv2")
    tuned = apply(recipe, {RATE: 2.0, "dense": 128, "dropout": 0.2, "activation": "silu"})
    printed = tomllib.loads(tuning.Tuned(tuned, 0.1, 3).toml())
    file = recipe.model_dump(mode="json", exclude_none=True) | printed
    assert parse_recipe(tomli_w.dumps(file)) == tuned


def test_the_mobilenet_paper_is_searched_as_it_was_tuned():
    """Rate (of every recipe), dropout, dense width and activation; the recipe's own are among."""
    offered = networks()["mobilenetv2"].search
    assert set(offered) == {"dense", "dropout", "activation"}
    chosen = load_recipe("busi-mobilenetv2").architecture.parameters
    assert all(chosen[name] in offered[name] for name in offered)


@pytest.mark.parametrize("name", sorted(networks()))
def test_the_dropout_of_a_recipe_reaches_its_network(name):
    recipe = load_recipe(f"mammography-dalaresnet50+{name}")
    architecture = recipe.architecture.model_copy(update={"parameters": {"dropout": 0.37}})
    with torch.device("meta"):  # random weights of the large ones take seconds
        network = build(recipe.model_copy(update={"architecture": architecture}))
    if architecture.framework == "torch":
        rates = [part.p for part in network.head.modules() if isinstance(part, torch.nn.Dropout)]
    else:
        rates = [layer.rate for layer in network.model.layers if layer.name == "head_dropout"]
    assert {0.37} <= set(rates) <= {0.37, 0.0}


@pytest.mark.parametrize("name", sorted(networks()))
def test_what_is_searched_is_what_the_builder_takes(name):
    """Each name stands in the builder's docstring, which lists its parameters."""
    from importlib import import_module

    network = networks()[name]
    module = import_module(f"core.architectures.{network.framework}_{network.builder}")
    documented = re.findall(r"``(\w+)``", module.build.__doc__)
    assert set(network.search) | set(network.parameters) <= set(documented)
    assert all(0 <= share < 1 for share in network.search.get("dropout", ()))
