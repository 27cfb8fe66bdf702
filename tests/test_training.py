"""Training: the loop's rules, seeded batches, resuming, and real steps in both frameworks."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from histology import write_breakhis
from networks import on_small_images

from core.checkpoints import CheckpointError, open_checkpoint
from core.datasets import DatasetError
from core.recipe import Recipe
from core.recipes import load_recipe
from core.training.images import ImageSet, balance, digest, read_images, training_batches
from core.training.learner import create_learner
from core.training.loop import DivergedError, train, validate
from core.training.run import (
    Listener,
    ResumeError,
    check_interrupted,
    read_table,
    shorten,
    start_anew,
    train_recipe,
)
from core.training.state import BusyError, Progress, RunFolder

SMALL = 64
OF_TORCH, OF_KERAS = "busi-efficientnet-b0", "busi-mobilenetv2"


def small(recipe_id: str, *phases: dict) -> Recipe:
    """A shipped recipe on small images, with its last phase changed in these ways, one after the
    other."""
    recipe = on_small_images(load_recipe(recipe_id), SMALL)
    last = recipe.training.phases[-1]
    changed = tuple(last.model_copy(update=phase) for phase in phases or ({},))
    training = recipe.training.model_copy(update={"phases": changed, "batch_size": 8})
    return recipe.model_copy(update={"training": training})


def stripes(n: int, seed: int) -> ImageSet:
    """Three classes that any network can tell apart: dark, bright, striped."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    images = rng.integers(0, 40, (n, SMALL, SMALL, 3)).astype(np.uint8)
    images[labels == 1] += 180
    images[labels == 2, ::8] += 200
    return ImageSet(images, np.zeros((n, SMALL, SMALL), bool), labels, n)


def test_batches_depend_on_seed_and_epoch_alone():
    recipe = small(OF_TORCH)
    images = stripes(20, 0)

    def draw(seed, epoch):
        return [(b.copy(), y.copy()) for b, y, _ in training_batches(images, recipe, seed, epoch)]

    first, again = draw(0, 0), draw(0, 0)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0], draw(0, 1)[0][0])
    assert not np.array_equal(first[0][0], draw(1, 0)[0][0])


def test_a_copy_is_changed_anew_in_each_epoch():
    """One image four times over, all copies: eight different pictures in two epochs."""
    recipe = small(OF_TORCH)
    one = stripes(1, 0)
    copies = ImageSet(*(np.repeat(a, 4, axis=0) for a in (one.images, one.masks, one.labels)), 0)
    drawn = [b for e in (0, 1) for b, _, _ in training_batches(copies, recipe, 0, e)]
    assert len({image.tobytes() for image in np.concatenate(drawn)}) == 8


def test_an_epoch_shows_every_image_once():
    recipe = small(OF_TORCH)
    images = stripes(20, 0)
    labels = np.concatenate([y for _, y, _ in training_batches(images, recipe, 0, 0)])
    assert sorted(labels) == sorted(images.labels)


def test_a_single_left_over_image_is_not_a_batch():
    sizes = [len(y) for _, y, _ in training_batches(stripes(17, 0), small(OF_TORCH), 0, 0)]
    assert sizes == [8, 8]


def test_balancing_takes_masks_along():
    recipe = small(OF_KERAS)
    images = stripes(5, 0)  # classes 0 1 2 0 1
    masks = images.masks.copy()
    masks[2, :4] = True
    balanced = balance(ImageSet(images.images, masks, images.labels, 5), recipe, seed=0)
    assert np.bincount(balanced.labels).tolist() == [2, 2, 2]
    assert balanced.originals == 5
    assert np.array_equal(balanced.masks[5], masks[2])
    assert np.array_equal(balanced.images[5], images.images[2])


def test_only_copies_are_changed_where_the_recipe_says_so():
    recipe = small(OF_TORCH)
    overlay_free = recipe.preprocessing.model_copy(
        update={"training_overlay": None, "value_range": "byte"}
    )
    recipe = recipe.model_copy(update={"preprocessing": overlay_free})
    images = stripes(10, 0)
    images = ImageSet(images.images, images.masks, images.labels, originals=6)
    originals = {image.tobytes() for image in images.images[:6]}
    seen = np.concatenate([b for b, _, _ in training_batches(images, recipe, 0, 0)]).astype(
        np.uint8
    )
    unchanged = sum(image.tobytes() in originals for image in seen)
    assert (len(seen), unchanged) == (10, 6)


# One network a framework: that the loss reaches every weight of each is tested in
# test_architectures, what the fusion learns in test_fusion.
@pytest.mark.slow
@pytest.mark.parametrize("recipe_id", [OF_TORCH, OF_KERAS])
def test_a_few_steps_learn_what_is_plain_to_see(recipe_id, tmp_path):
    phase = {"epochs": 3, "learning_rate": 1e-3, "patience": None}
    recipe = small(recipe_id, phase)
    learner = create_learner(recipe, seed=0, pretrained=False)
    training, validation = stripes(48, 0), stripes(24, 1)
    history = train(learner, recipe, training, validation, RunFolder(tmp_path), seed=0)
    assert history[-1]["loss"] < 0.8 * history[0]["loss"]
    after = validate(learner, recipe, validation)
    assert after["val_loss"] == pytest.approx(min(r["val_loss"] for r in history), rel=1e-4)


# In Keras, the last layers only: to trace the step of all of them takes long.
@pytest.mark.slow
@pytest.mark.parametrize(
    ("recipe_id", "trainable"),
    [(OF_TORCH, "all"), (OF_KERAS, ("head", "Conv_1", "block_16"))],
    ids=["torch", "keras"],
)
def test_an_interrupted_run_goes_on_where_it_was(recipe_id, trainable, tmp_path):
    """Two epochs, an interruption, two more: as four in one go, in what dropout draws too."""
    phase = {"epochs": 4, "patience": None, "learning_rate": 1e-3, "trainable": trainable}
    recipe = small(recipe_id, phase)
    architecture = recipe.architecture.model_copy(update={"parameters": {"dropout": 0.5}})
    recipe = recipe.model_copy(update={"architecture": architecture})
    images, validation = stripes(16, 0), stripes(9, 1)

    def keep(record):
        if record["epoch"] == 1:  # what an interruption would leave
            shutil.copytree(tmp_path / "whole", tmp_path / "half")

    whole = create_learner(recipe, seed=0, pretrained=False)
    run = RunFolder(tmp_path / "whole")
    expected = train(whole, recipe, images, validation, run, seed=0, on_epoch=keep)
    second = create_learner(recipe, seed=99, pretrained=False)  # its own start must not matter
    resumed = train(second, recipe, images, validation, RunFolder(tmp_path / "half"), seed=0)

    assert [r["epoch"] for r in resumed] == [0, 1, 2, 3]
    losses = [r["loss"] for r in resumed]
    np.testing.assert_allclose(losses, [r["loss"] for r in expected], rtol=2e-2)


def test_patience_ends_a_phase_and_the_next_starts_from_the_best(tmp_path):
    # At such a rate each phase soon gets worse.
    phase = {"epochs": 6, "patience": 1, "learning_rate": 0.1}
    recipe = small(OF_TORCH, phase | {"trainable": "head"}, phase)
    learner = create_learner(recipe, seed=0, pretrained=False)
    weights = []  # of the head, after each epoch
    history = train(
        learner,
        recipe,
        stripes(16, 0),
        stripes(9, 1),
        RunFolder(tmp_path),
        seed=0,
        on_epoch=lambda _: weights.append(list(learner.network.to_arrays().values())[-2]),
    )
    losses = [r["val_loss"] for r in history]
    for number in (0, 1):
        epochs = [r["epoch"] for r in history if r["phase"] == number]
        improved = [losses[e] < min([np.inf, *losses[epochs[0] : e]]) for e in epochs]
        assert improved == [True] * (len(epochs) - 1) + [False] and len(epochs) < 6
    end = [r["phase"] for r in history].count(0)
    assert end > 1
    best = int(np.argmin(losses[:end]))
    assert best < end - 1
    np.testing.assert_array_equal(weights[end - 1], weights[best])
    # What is left is the best of the last phase, though the first was better.
    assert min(losses[:end]) < min(losses[end:])
    left = list(learner.network.to_arrays().values())[-2]
    np.testing.assert_array_equal(left, weights[end + int(np.argmin(losses[end:]))])


def test_resuming_nothing_and_resuming_another_recipe_are_refused(tmp_path):
    recipe = load_recipe("busi-mobilenetv2")
    with pytest.raises(ResumeError, match="no interrupted run"):
        train_recipe(recipe, None, resume=True, runs=tmp_path)
    folder = RunFolder(tmp_path / f"{recipe.id}-grouped-0")
    folder.save(Progress(), {"w": np.zeros(1, np.float32)}, {})
    with pytest.raises(ResumeError, match="no interrupted run"):
        train_recipe(recipe, None, resume=True, runs=tmp_path)
    start_anew(folder, {"method": shorten(recipe, 1).method(), "pretrained": True})
    folder.save(Progress(), {"w": np.zeros(1, np.float32)}, {})
    with pytest.raises(ResumeError, match="recipe has changed"):
        train_recipe(recipe, None, resume=True, runs=tmp_path)


@pytest.mark.parametrize("protocol", ["grouped", "published"])
@pytest.mark.parametrize("resampling", ["none", "random", "smote"])
def test_no_test_image_is_learned_from_or_chosen_by(protocol, resampling, tmp_path, monkeypatch):
    """What reaches the loop are the training images, with copies of these alone, and, to stop and
    choose by, the validation images as they are."""
    recipe = on_small_images(load_recipe("breakhis-40-dalaresnet50+googlenet"), 32)
    training = recipe.training.model_copy(update={"resampling": resampling})
    recipe = recipe.model_copy(update={"training": training})
    data = write_breakhis(tmp_path / "breakhis", patients=40)
    for path in (data / "malignant").glob("*-100?-*.png"):
        path.unlink()
    table = read_table(recipe, data, protocol, 0)
    given = []

    def stop(learner, recipe, *parts):
        given.extend(parts[:2])
        raise KeyboardInterrupt

    monkeypatch.setattr("core.training.run.train", stop)
    monkeypatch.setattr("core.training.run.create_learner", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, data, protocol=protocol, runs=tmp_path)
    learned, chosen_by = given
    expected = {
        name: read_images(table[table["split"] == name], recipe) for name in ("train", "validation")
    }
    assert learned.originals == len(expected["train"])
    np.testing.assert_array_equal(learned.images[: learned.originals], expected["train"].images)
    np.testing.assert_array_equal(chosen_by.images, expected["validation"].images)
    np.testing.assert_array_equal(chosen_by.labels, expected["validation"].labels)
    copies = learned.images[learned.originals :]
    counts = np.bincount(expected["train"].labels)
    assert len(copies) == (0 if resampling == "none" else np.ptp(counts)) and np.ptp(counts) > 0
    if resampling == "random":
        known = {image.tobytes() for image in expected["train"].images}
        assert {image.tobytes() for image in copies} <= known


def test_a_mistyped_folder_leaves_an_interrupted_run_as_it_was(tmp_path):
    recipe = load_recipe("busi-mobilenetv2")
    run = RunFolder(tmp_path / f"{recipe.id}-grouped-0")
    start = {"method": recipe.method(), "pretrained": True, "data": "x"}
    start_anew(run, start)
    run.save(Progress(epoch=3), {"w": np.zeros(1, np.float32)}, {})
    with pytest.raises(DatasetError):
        train_recipe(recipe, tmp_path / "mistyped", runs=tmp_path)
    check_interrupted(run, start)
    assert run.load()[0].epoch == 3


def test_a_second_training_leaves_the_state_of_the_first_alone(tmp_path):
    """Else the first would end with the second's weights. The lock goes with its process."""
    recipe = load_recipe("busi-mobilenetv2")
    run = RunFolder(tmp_path / f"{recipe.id}-grouped-0")
    start_anew(run, {"data": "of the first"})
    run.save_best({"w": np.zeros(1, np.float32)})
    before = {path.name: path.read_bytes() for path in run.folder.iterdir()}
    holds = (
        "import sys, time; from pathlib import Path; from core.training.state import RunFolder\n"
        "with RunFolder(Path(sys.argv[1])).held(): print('held', flush=True); time.sleep(600)"
    )
    command = [sys.executable, "-c", holds, str(run.folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[1]) as first:
        assert first.stdout.readline().strip() == b"held"
        for resume in (False, True):
            with pytest.raises(BusyError, match=r"Another training is using .*-grouped-0\. Wait"):
                train_recipe(recipe, tmp_path / "mistyped", resume=resume, runs=tmp_path)
        with pytest.raises(DatasetError):  # another run goes ahead
            train_recipe(recipe, tmp_path / "mistyped", seed=1, runs=tmp_path)
        first.kill()
    assert {name: (run.folder / name).read_bytes() for name in before} == before
    with pytest.raises(DatasetError):
        train_recipe(recipe, tmp_path / "mistyped", runs=tmp_path)


def test_other_data_are_not_taken_for_those_of_the_interrupted_run(tmp_path):
    """An epoch, an interruption, a changed training image: refused. Changed back, it goes on."""
    recipe = on_small_images(load_recipe("breakhis-40-dalaresnet50+googlenet"), 32)
    recipe = shorten(recipe, 2)
    data = write_breakhis(tmp_path / "breakhis")
    options = {"pretrained": False, "output": tmp_path / "out", "runs": tmp_path}

    def interrupt(record):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_recipe(recipe, data, listener=Listener(epoch=interrupt), **options)
    table = read_table(recipe, data, "grouped", 0)
    path = Path(table["path"][table["split"] == "train"].iloc[0])
    original = path.read_bytes()
    cv2.imwrite(str(path), 255 - cv2.imread(str(path)))
    with pytest.raises(ResumeError, match="images, masks, labels or their split .* same data"):
        train_recipe(recipe, data, resume=True, **options)
    path.write_bytes(original)
    train_recipe(recipe, data, resume=True, **options)
    history = open_checkpoint(recipe.id, tmp_path / "out").history()
    assert history["epoch"].tolist() == [0, 1]


def test_the_digest_tells_whatever_a_run_learns_from():
    images = stripes(4, 0)
    other = {
        "images": images.images[::-1],
        "masks": ~images.masks,
        "labels": images.labels[::-1],
    }
    changed = [replace(images, **{name: array}) for name, array in other.items()]
    parts = [images, *changed]
    pairs = [(one, images) for one in parts] + [(images, one) for one in changed]
    found = {digest(*pair) for pair in pairs}
    assert len(found) == len(pairs)
    assert digest(images, images) == digest(replace(images), images) in found


@pytest.mark.parametrize(
    ("recipe_id", "learns"),
    [
        ("busi-efficientnetv2b0", True),
        ("busi-multitask", True),
        ("busi-efficientnet-b0", True),
        (OF_KERAS, False),
    ],
)
def test_an_image_without_its_mask_is_not_taken_for_one_without_outline(
    recipe_id, learns, tmp_path
):
    """A recipe that sees the outlined lesion would learn from one image what lies around it; one
    that dims what lies around it would not, and bear the name of one that did."""
    path = tmp_path / "benign (1).png"
    cv2.imwrite(str(path), np.zeros((40, 50, 3), np.uint8))
    table = pd.DataFrame({"path": [str(path)], "label": ["benign"], "masks": [()]})
    recipe = small(recipe_id)
    if not learns:
        assert not read_images(table, recipe).masks.any()
        return
    with pytest.raises(DatasetError, match=r"benign \(1\)\.png has no mask") as error:
        read_images(table, recipe)
    assert "Copy its mask" in str(error.value)


def test_a_class_that_a_part_of_the_split_lacks_is_told_before_the_training(tmp_path):
    """One malignant patient of eleven is on one side alone."""
    folder = write_breakhis(tmp_path / "breakhis")
    for path in (folder / "malignant").glob("*.png"):
        if "-1001-" not in path.name:
            path.unlink()
    sentence = r"22 images in 11 groups .* none is left for validation \(malignant\) and test \(mal"
    with pytest.raises(DatasetError, match=sentence):
        read_table(load_recipe("breakhis-40-dalaresnet50"), folder, "grouped", 0)


def test_a_network_that_has_diverged_is_told(tmp_path):
    recipe = small(OF_TORCH, {"epochs": 2, "learning_rate": 1e30})
    learner = create_learner(recipe, seed=0, pretrained=False)
    with pytest.raises(DivergedError, match="diverged. Lower the learning rate"):
        train(learner, recipe, stripes(16, 0), stripes(9, 1), RunFolder(tmp_path), seed=0)


def test_nothing_is_read_where_there_is_no_run_to_resume(tmp_path):
    told = []
    with pytest.raises(ResumeError):
        train_recipe(
            load_recipe("busi-mobilenetv2"),
            None,
            resume=True,
            runs=tmp_path,
            listener=Listener(message=told.append),
        )
    assert told == []


@pytest.mark.slow
def test_one_command_goes_from_phantoms_to_a_checkpoint(tmp_path, few_phantoms):
    """Both protocols, one epoch each, on generated data: one folder with both results."""
    recipe = small(OF_TORCH, {"epochs": 1})
    data = recipe.data.model_copy(update={"dataset": "phantoms"})
    recipe = recipe.model_copy(update={"data": data})
    options = {"pretrained": False, "output": tmp_path / "out", "runs": tmp_path}
    for protocol in ("grouped", "published"):
        train_recipe(recipe, None, protocol=protocol, **options)
    checkpoint = open_checkpoint(recipe.id, tmp_path / "out")
    assert checkpoint.recipe == recipe
    assert not checkpoint.pretrained and "Begun from random weights" in checkpoint.card
    with pytest.raises(ResumeError, match="began from other weights"):
        train_recipe(recipe, None, resume=True, **options | {"pretrained": True})
    train_recipe(recipe, None, resume=True, **options)  # the run is finished, and judged again
    again = open_checkpoint(recipe.id, tmp_path / "out")
    assert again.metrics == checkpoint.metrics
    assert set(checkpoint.metrics) == {"grouped", "published"}
    assert checkpoint.manifest["weights"] == {"protocol": "grouped", "seed": 0}
    assert set(checkpoint.history().protocol) == {"grouped", "published"}
    assert checkpoint.load().logits(np.zeros((1, SMALL, SMALL, 3), np.float32)).shape == (1, 3)


def test_a_result_that_could_not_be_written_is_written_elsewhere_without_training(
    tmp_path, few_phantoms, monkeypatch
):
    recipe = small(OF_TORCH, {"epochs": 1})
    data = recipe.data.model_copy(update={"dataset": "phantoms"})
    recipe = recipe.model_copy(update={"data": data})
    options = {"pretrained": False, "runs": tmp_path}

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched, pytest.raises(CheckpointError) as refused:
        patched.setattr("core.training.run.add_to_checkpoint", full)
        train_recipe(recipe, None, output=tmp_path / "full", **options)
    said = "No space left on device. The training is kept: give --resume .* another --output"
    assert re.search(said, str(refused.value))
    trained = []
    train_recipe(
        recipe,
        None,
        output=tmp_path / "elsewhere",
        resume=True,
        listener=Listener(epoch=trained.append),
        **options,
    )
    assert trained == [] and len(open_checkpoint(recipe.id, tmp_path / "elsewhere").history()) == 1


def test_an_epoch_takes_no_more_steps_than_the_phase_allows(tmp_path):
    phase = {"epochs": 1, "steps": 2}
    recipe = small(OF_TORCH, phase | {"trainable": "head"}, phase)
    taken = []
    learner = create_learner(recipe, seed=0, pretrained=False)
    train(
        learner,
        recipe,
        stripes(40, 0),
        stripes(12, 1),
        RunFolder(tmp_path),
        0,
        on_step=lambda done, total, _: taken.append((done, total)),
    )
    assert taken == [(1, 2), (2, 2)] * 2


def test_every_step_has_the_rate_of_its_place_in_the_phase(tmp_path):
    """Two epochs of two steps each: the middle of each quarter of the phase."""
    recipe = small(OF_TORCH, {"epochs": 2, "schedule": "hill", "learning_rate": 1e-4})
    learner = create_learner(recipe, seed=0, pretrained=False)
    rates, step = [], learner.step
    learner.step = lambda *args: rates.append(args[2]) or step(*args)
    train(learner, recipe, stripes(16, 0), stripes(9, 1), RunFolder(tmp_path), seed=0)
    expected = [1e-4 * (1 - done) ** 0.9 for done in (1 / 8, 3 / 8, 5 / 8, 7 / 8)]
    np.testing.assert_allclose(rates, expected)


def test_earlier_stages_learn_more_slowly_where_the_recipe_says_so():
    """Plain descent moves a weight by its rate times its gradient: by all of it in the head and
    the last stage, then by 0.5 * 0.2, 0.5 * 0.2^2 and so on, stage by stage towards the input."""
    recipe = small(OF_TORCH, {"stage_rate": 0.5, "stage_decay": 0.2})
    plain = recipe.training.model_copy(update={"optimizer": "sgd"})
    learner = create_learner(recipe.model_copy(update={"training": plain}), 0, pretrained=False)
    learner.start_phase(recipe.training.phases[0])
    stages = list(learner.network.stages.values())
    parts = [learner.network.head, *reversed(stages)]
    watched = [max(part.parameters(), key=lambda p: p.numel()) for part in parts]
    before = [weight.detach().clone() for weight in watched]
    images = stripes(8, 0)
    learner.step((images.images / 255).astype(np.float32), images.labels, 0.1)
    expected = [1, 1, *(0.5 * 0.2**back for back in range(1, len(stages)))]
    for weight, old, share in zip(watched, before, expected, strict=True):
        moved, gradient = (old - weight.detach()).double(), weight.grad.double()
        rate = (moved * gradient).sum() / (gradient**2).sum()
        assert float(rate) == pytest.approx(0.1 * share, rel=0.02)


def test_of_many_training_images_those_of_most_groups_are_remembered(monkeypatch):
    from core.training import result

    monkeypatch.setattr(result, "REMEMBERED", 3)
    table = pd.DataFrame(
        {"split": ["train"] * 6 + ["test"], "group": ["a", "a", "a", "a", "b", "c", "d"]}
    )
    chosen = result._chosen(table, seed=0)
    assert sorted(table["group"][chosen]) == ["a", "b", "c", "d"]
