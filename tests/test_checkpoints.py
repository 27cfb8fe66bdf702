"""Checkpoints: complete, verified, offline, replaced as a whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load

from core.checkpoints import (
    DEFAULT,
    CheckpointError,
    judged,
    list_trained,
    open_checkpoint,
    sha256,
    update_checkpoint,
    write_checkpoint,
)
from core.recipes import load_recipe
from core.weights import shrink

CONTENT = {"recipe.toml": b"id = 'x'", "card.md": b"# Card"}


def test_sha256_is_the_standard_one():
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert sha256(b"abc") == expected  # FIPS 180-2, appendix B.1


def test_what_was_written_is_read_and_listed(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {"recipe": "x"})
    assert list_trained(tmp_path) == ("x",)
    assert open_checkpoint("x", tmp_path).card == "# Card"


def test_the_default_comes_first_and_the_others_by_name(tmp_path):
    for name in ("z", DEFAULT, "a"):
        write_checkpoint(tmp_path / name, CONTENT, {"recipe": name})
    assert list_trained(tmp_path) == (DEFAULT, "a", "z")


@pytest.mark.skipif(DEFAULT not in list_trained(), reason="the default is not trained")
def test_no_system_with_the_same_task_is_more_often_right_than_the_default():
    def accuracy(checkpoint) -> float:
        return checkpoint.metrics["grouped"]["values"]["accuracy"]["value"]

    def task(checkpoint) -> tuple[str, frozenset[str]]:
        return checkpoint.recipe.data.dataset, frozenset(checkpoint.recipe.classes)

    default = open_checkpoint(DEFAULT)
    rivals = [one for one in map(open_checkpoint, list_trained()) if task(one) == task(default)]
    assert len(rivals) > 1
    assert accuracy(default) == max(map(accuracy, rivals))


@pytest.mark.parametrize("damage", [b"# Carb", b"", b"# Card "])
def test_a_changed_file_is_refused_with_its_name(tmp_path, damage):
    write_checkpoint(tmp_path / "x", CONTENT, {})
    (tmp_path / "x" / "card.md").write_bytes(damage)
    with pytest.raises(CheckpointError, match=r"x/card\.md does not match its hash"):
        _ = open_checkpoint("x", tmp_path).card


def test_a_missing_file_is_named(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {})
    (tmp_path / "x" / "card.md").unlink()
    with pytest.raises(CheckpointError, match=r"x/card\.md is missing"):
        _ = open_checkpoint("x", tmp_path).card


def test_a_file_that_the_manifest_does_not_name_is_refused(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {})
    (tmp_path / "x" / "metrics.json").write_text("{}")
    with pytest.raises(CheckpointError, match="does not match"):
        _ = open_checkpoint("x", tmp_path).metrics


def test_an_unknown_system_gets_a_sentence_with_those_there_are(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {})
    with pytest.raises(CheckpointError, match=r"there are: x.*train\.py --list"):
        open_checkpoint("y", tmp_path)
    with pytest.raises(CheckpointError):
        open_checkpoint("../x", tmp_path)


def test_writing_replaces_the_whole_folder(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT | {"old.txt": b"old"}, {})
    write_checkpoint(tmp_path / "x", CONTENT, {})
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [
        "card.md", "manifest.json", "recipe.toml",
    ]  # fmt: skip


def test_a_failed_write_leaves_the_old_folder(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {})
    with pytest.raises(TypeError):
        write_checkpoint(tmp_path / "x", CONTENT, {"not for JSON": {1, 2}})
    assert open_checkpoint("x", tmp_path).card == "# Card"


@pytest.fixture(params=["between the renames", "while the old one is removed"])
def interrupted(tmp_path, request, monkeypatch):
    """A folder that was written whole, and again until Ctrl-C at the worst two moments."""
    rename, rmtree = Path.rename, shutil.rmtree

    def no_rename(path, target):
        if path.suffix == ".part":
            raise KeyboardInterrupt
        return rename(path, target)

    def half_removed(path, ignore_errors):
        if path.exists():
            (path / "recipe.toml").unlink()
            raise KeyboardInterrupt
        rmtree(path, ignore_errors)

    write_checkpoint(tmp_path / "x", CONTENT, {})
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        if request.param == "between the renames":
            patched.setattr(Path, "rename", no_rename)
        else:
            patched.setattr(shutil, "rmtree", half_removed)
        write_checkpoint(tmp_path / "x", CONTENT | {"card.md": b"# New"}, {})
    return tmp_path


def test_a_system_is_found_after_an_interrupted_write(interrupted):
    assert list_trained(interrupted) == ("x",)
    assert tuple(judged(interrupted)) == ("x",)
    assert open_checkpoint("x", interrupted).card == "# New"


def test_a_system_can_be_written_after_an_interrupted_write(interrupted):
    write_checkpoint(interrupted / "x", CONTENT, {})
    assert [path.name for path in interrupted.iterdir()] == ["x"]
    assert open_checkpoint("x", interrupted).card == "# Card"


def test_a_failed_write_after_an_interrupted_one_loses_nothing(interrupted, monkeypatch):
    def full(*_):
        raise OSError("No space left on device")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="No space"):
        patched.setattr(Path, "write_bytes", full)
        write_checkpoint(interrupted / "x", CONTENT, {})
    assert open_checkpoint("x", interrupted).card == "# New"


def test_an_update_keeps_the_rest_and_refuses_what_is_damaged(tmp_path):
    write_checkpoint(tmp_path / "x", CONTENT, {"seed": 3})
    update_checkpoint(open_checkpoint("x", tmp_path), {"card.md": b"# New", "more": b"1"})
    updated = open_checkpoint("x", tmp_path)
    assert (updated.card, updated.verified("more")) == ("# New", b"1")
    assert updated.verified("recipe.toml") == CONTENT["recipe.toml"]
    assert updated.manifest["seed"] == 3
    (tmp_path / "x" / "recipe.toml").write_text("damaged")
    with pytest.raises(CheckpointError, match=r"recipe\.toml does not match"):
        update_checkpoint(updated, {"more": b"2"})
    assert open_checkpoint("x", tmp_path).verified("more") == b"1"


def signature(array: np.ndarray) -> bytes:
    """The values of an array in any layout, at the precision that is shipped."""
    shipped = shrink({"array": array})["array"]
    return np.sort(shipped.astype(np.float32), axis=None).tobytes()


@pytest.fixture(scope="module")
def imagenet(weights_folder) -> set[bytes]:
    """Signatures of all ImageNet arrays; constants, such as absorbed means of 0, say nothing."""
    files = weights_folder.glob("*.npz")
    arrays = (array for path in files for array in np.load(path).values())
    return {signature(array) for array in arrays if np.ptp(array) > 0}


@pytest.mark.parametrize("recipe_id", list_trained())
class TestShipped:
    """Every system in ``checkpoints``."""

    def test_every_file_matches_its_hash(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        for name in checkpoint.manifest["files"]:
            checkpoint.verified(name)

    def test_no_pickle_is_shipped(self, recipe_id):
        allowed = {".safetensors", ".toml", ".csv", ".parquet", ".json", ".md"}
        assert {p.suffix for p in open_checkpoint(recipe_id).folder.iterdir()} <= allowed

    def test_it_follows_the_recipe_of_its_name(self, recipe_id):
        assert open_checkpoint(recipe_id).recipe.method() == load_recipe(recipe_id).method()

    def test_weights_come_from_the_grouped_run(self, recipe_id):
        assert open_checkpoint(recipe_id).manifest["weights"]["protocol"] == "grouped"

    def test_both_protocols_are_judged_on_their_test_images(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        predictions = checkpoint.predictions()
        for protocol in ("published", "grouped"):
            metrics = checkpoint.metrics[protocol]
            run = {"protocol": protocol, "seed": metrics["seed"], "split": "test"}
            rows = predictions[(predictions[list(run)] == list(run.values())).all(axis=1)]
            assert metrics["n"] == rows.image_id.nunique() > 0

    def test_the_run_of_the_weights_is_told_from_others(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        run = checkpoint.shipped_run()
        assert (run.protocol == "grouped").all() and run.seed.nunique() == 1
        assert not run.image_id.duplicated().any()  # an image is in one split of a run
        tested = checkpoint.shipped_run("test")
        assert set(tested.image_id) == set(run.image_id[run.split == "test"])
        assert len(tested) == checkpoint.metrics["grouped"]["n"]
        assert not {*tested.image_id} & checkpoint.learned_from()

    def test_of_every_image_it_is_known_what_it_was_used_for(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        known = checkpoint.learned_from() | {*checkpoint.shipped_run("test").image_id}
        images = {
            "busi": 780 if "normal" in checkpoint.recipe.classes else 647,
            "ucsb": 58,
            "ultrasound-9016": 9016,
            "thermograms": 1480,
            "mammograms": 3383,
        }
        assert len(known) == images[checkpoint.recipe.data.dataset]

    def test_no_group_is_on_both_sides_of_the_grouped_split(self, recipe_id):
        predictions = open_checkpoint(recipe_id).predictions()
        grouped = predictions[predictions.protocol == "grouped"]
        assert grouped.groupby(["seed", "group"]).split.nunique().max() == 1

    def test_probabilities_sum_to_one(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        shares = checkpoint.predictions()[list(checkpoint.recipe.classes)].to_numpy(float)
        np.testing.assert_allclose(shares.sum(axis=1), 1, atol=1e-5)

    def test_guard_features_are_those_of_the_training_images(self, recipe_id):
        checkpoint = open_checkpoint(recipe_id)
        guard, trained = checkpoint.guard(), checkpoint.shipped_run("train")
        labels = [checkpoint.recipe.classes[i] for i in guard["labels"]]
        assert labels == trained.label.tolist()
        assert np.isfinite(guard["features"]).all()

    def test_metrics_are_valid_json_without_nan(self, recipe_id):
        text = open_checkpoint(recipe_id).verified("metrics.json").decode()
        json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in metrics.json"))

    def test_every_array_was_trained_here(self, recipe_id, imagenet):
        """None is an ImageNet array."""
        assert imagenet
        shipped = load(open_checkpoint(recipe_id).verified("weights.safetensors"))
        assert [name for name, array in shipped.items() if signature(array) in imagenet] == []
