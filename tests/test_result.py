"""What a run leaves in a checkpoint folder beside the runs that are there."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from core.checkpoints import (
    EXPLANATIONS,
    MANIFEST,
    Checkpoint,
    CheckpointError,
    open_checkpoint,
    update_checkpoint,
)
from core.recipes import load_recipe
from core.training.result import Result, add_to_checkpoint, check_kept, refresh
from core.training.run import shorten

RECIPE = load_recipe("busi-mobilenetv2")
DATA = "fingerprint of the data"


def result(protocol: str = "grouped", seed: int = 0, recipe=RECIPE) -> Result:
    """A run with as many predictions as figures need; its one weight is its seed."""
    run = {"protocol": protocol, "seed": seed}
    n = 12
    parts = ("train", "validation", "test")
    table = pd.DataFrame(
        {
            **{name: [value] * n * 3 for name, value in run.items()},
            "split": np.repeat(parts, n),
            "image_id": [f"image {i}" for i in range(3 * n)],
            "label": list(recipe.classes) * n,
            "group": [f"group {i}" for i in range(3 * n)],
        }
    )
    shares = np.random.default_rng(seed).dirichlet(np.ones(3), len(table))
    return Result(
        recipe=recipe,
        protocol=protocol,
        seed=seed,
        history=pd.DataFrame([{"epoch": 0, **run}]),
        predictions=table.assign(**dict(zip(recipe.classes, shares.T, strict=True))),
        unpredicted=table.iloc[:0][["split", "image_id", "label", "group"]].assign(**run),
        weights={"w": np.full((2, 2), seed, np.float16)},
        guard={"labels": np.zeros(1, np.int64)},
    )


@pytest.fixture
def folder(tmp_path):
    return tmp_path / RECIPE.id


def runs(folder) -> list[tuple[str, int]]:
    found = Checkpoint(folder).predictions()[["protocol", "seed"]].drop_duplicates()
    return list(found.itertuples(index=False, name=None))


@pytest.mark.parametrize(
    ("later", "shipped"),
    [
        (("published", 0), ("grouped", 1)),
        (("grouped", 2), ("grouped", 1)),
        (("grouped", 0), ("grouped", 0)),
        (("grouped", 1), ("grouped", 1)),
    ],
)
def test_weights_are_those_of_the_first_grouped_run(folder, later, shipped):
    for run in (("published", 3), ("grouped", 1), later):
        add_to_checkpoint(result(*run), folder, DATA)
    checkpoint = open_checkpoint(RECIPE.id, folder.parent)
    assert checkpoint.manifest["weights"] == dict(zip(("protocol", "seed"), shipped, strict=True))
    assert (checkpoint.arrays()["w"] == shipped[1]).all()
    assert sorted(runs(folder)) == sorted({("published", 3), ("grouped", 1), later})


def test_a_run_that_is_repeated_takes_the_place_of_its_first(folder):
    first = result()
    again = replace(first, predictions=first.predictions.assign(image_id="again"))
    for one in (first, again):
        add_to_checkpoint(one, folder, DATA)
    predictions = Checkpoint(folder).predictions()
    assert len(predictions) == len(again.predictions)
    assert set(predictions["image_id"]) == {"again"}
    assert len(Checkpoint(folder).history()) == 1


@pytest.mark.parametrize(
    ("other", "options"),
    [
        (result(recipe=shorten(RECIPE, 1)), {}),
        (result(), {"fingerprint": "other"}),
        (result(), {"pretrained": False}),
    ],
    ids=["method", "data", "start"],
)
def test_figures_of_one_folder_belong_to_one_system(folder, other, options):
    add_to_checkpoint(result("published"), folder, DATA)
    add_to_checkpoint(other, folder, **{"fingerprint": DATA} | options)
    assert runs(folder) == [("grouped", 0)]


def test_manifest_and_card_tell_what_began_from_random_weights(folder):
    add_to_checkpoint(result(), folder, DATA, pretrained=False)
    checkpoint = Checkpoint(folder)
    assert checkpoint.manifest["pretrained"] is False and not checkpoint.pretrained
    assert "Begun from random weights" in checkpoint.card
    refresh(checkpoint, RECIPE)
    assert "Begun from random weights" in Checkpoint(folder).card
    add_to_checkpoint(result(), folder, DATA)
    assert Checkpoint(folder).pretrained
    assert "random weights" not in Checkpoint(folder).card


def test_manifests_that_do_not_tell_are_of_runs_begun_from_imagenet(folder):
    """As all were whose manifests were written before they told."""
    add_to_checkpoint(result("published"), folder, DATA)
    path = folder / MANIFEST
    manifest = json.loads(path.read_text())
    del manifest["pretrained"]
    path.write_text(json.dumps(manifest))
    assert Checkpoint(folder).pretrained
    add_to_checkpoint(result(), folder, DATA)
    assert set(runs(folder)) == {("published", 0), ("grouped", 0)}


def test_a_method_that_has_changed_is_not_refreshed(folder):
    add_to_checkpoint(result(), folder, DATA)
    with pytest.raises(ValueError, match="has changed since: train it again"):
        refresh(Checkpoint(folder), shorten(RECIPE, 1))


@pytest.mark.parametrize(
    "name",
    [MANIFEST, "history.csv", "predictions.parquet", "recipe.toml", "weights.safetensors",
     EXPLANATIONS],
)  # fmt: skip
def test_what_is_damaged_is_told_before_a_run_that_would_join_it(folder, name):
    later = result("published", 1)
    check_kept(folder, RECIPE, "published", 1)
    add_to_checkpoint(result("published"), folder, DATA)
    update_checkpoint(Checkpoint(folder), {EXPLANATIONS: b"measured"})
    check_kept(folder, RECIPE, "published", 1)
    (folder / name).write_bytes(b"{")
    with pytest.raises(CheckpointError, match=f"{name}.* Restore it or .* move the folder .* away"):
        check_kept(folder, RECIPE, "published", 1)
    with pytest.raises(CheckpointError, match=name):
        add_to_checkpoint(later, folder, DATA)


@pytest.mark.parametrize(
    ("name", "later", "pretrained"),
    [
        ("card.md", result("published", 1), True),
        ("metrics.json", result("published", 1), True),
        ("weights.safetensors", result("grouped"), True),
        (EXPLANATIONS, result("grouped"), True),
        ("history.csv", result("published", 1, shorten(RECIPE, 1)), True),
        ("history.csv", result("published", 1), False),
    ],
    ids=["card", "metrics", "weights", "explanations", "method", "start"],
)
def test_what_a_run_makes_anew_or_drops_may_be_damaged(folder, name, later, pretrained):
    add_to_checkpoint(result("published"), folder, DATA)
    update_checkpoint(Checkpoint(folder), {EXPLANATIONS: b"measured"})
    (folder / name).write_bytes(b"{")
    check_kept(folder, later.recipe, later.protocol, later.seed, pretrained)
    add_to_checkpoint(later, folder, DATA, pretrained=pretrained)
    whole = Checkpoint(folder)
    assert all(whole.verified(one) for one in whole.manifest["files"])


def test_figures_alone_join_figures_and_no_weights(folder):
    add_to_checkpoint(result("published"), folder, DATA, figures_only=True)
    check_kept(folder, RECIPE, "grouped", 0, figures_only=True)
    add_to_checkpoint(result(), folder, DATA)
    for recipe in (RECIPE, shorten(RECIPE, 1)):
        with pytest.raises(CheckpointError, match="which --figures-only would throw away"):
            check_kept(folder, recipe, "grouped", 1, figures_only=True)


@pytest.mark.parametrize("protocol", ["grouped", "published"])
def test_weights_never_get_the_figures_of_another_seed(folder, protocol):
    """Figures, temperature and operating point are the lowest seed's: where that one's weights
    were not kept, no other's are."""
    add_to_checkpoint(result(protocol, 2), folder, DATA, figures_only=True)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    said = r"holds figures of seed 2 \(\w+\) without its weights, .* Train seed 2 with its weights"
    with pytest.raises(CheckpointError, match=said):
        check_kept(folder, RECIPE, protocol, 3)
    with pytest.raises(CheckpointError, match=said):
        add_to_checkpoint(result(protocol, 3), folder, DATA)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    check_kept(folder, RECIPE, protocol, 3, figures_only=True)
    for seed in (2, 3):  # as the sentence says
        check_kept(folder, RECIPE, protocol, seed)
        add_to_checkpoint(result(protocol, seed), folder, DATA)
    checkpoint = Checkpoint(folder)
    assert (checkpoint.arrays()["w"] == 2).all() and checkpoint.shipped_figures["seed"] == 2


def test_other_data_drop_the_figures_that_stood_in_the_way(folder):
    add_to_checkpoint(result(), folder, DATA, figures_only=True)
    add_to_checkpoint(result(seed=1), folder, "other data")
    checkpoint = Checkpoint(folder)
    assert checkpoint.manifest["weights"]["seed"] == checkpoint.shipped_figures["seed"] == 1


def test_a_run_joins_what_an_interrupted_write_left(folder):
    """As a computer that went down between two renames leaves it."""
    add_to_checkpoint(result("published"), folder, DATA)
    folder.rename(folder.with_name(f".{folder.name}.old"))
    add_to_checkpoint(result(), folder, DATA)
    assert set(runs(folder)) == {("published", 0), ("grouped", 0)}


def test_a_folder_that_cannot_be_written_to_is_told_before_the_training(tmp_path):
    (tmp_path / "file").write_text("")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(CheckpointError, match=r"Nothing can be written to .*file.* --output"):
            check_kept(output / RECIPE.id, RECIPE, "grouped", 0)
    check_kept(tmp_path / "new" / "below" / RECIPE.id, RECIPE, "grouped", 0)
    assert not (tmp_path / "new").exists(), "a name may be mistyped"
