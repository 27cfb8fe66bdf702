"""Training: the loop's rules, seeded batches, resuming, and real steps in both frameworks."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from networks import recipes_by_network

from core.checkpoints import open_checkpoint
from core.recipe import Phase, load_recipe
from core.training.images import ImageSet, balance, training_batches
from core.training.learner import create_learner
from core.training.loop import learning_rate, train, validate
from core.training.run import ResumeError, shorten, train_recipe
from core.training.state import RunFolder

SMALL = 64


def small(recipe_id: str, **phase):
    """A shipped recipe on small images, with one or two short phases."""
    recipe = load_recipe(recipe_id)
    preprocessing = recipe.preprocessing.model_copy(update={"size": (SMALL, SMALL)})
    phases = tuple(p.model_copy(update=phase) for p in recipe.training.phases)
    training = recipe.training.model_copy(update={"phases": phases, "batch_size": 8})
    return recipe.model_copy(update={"preprocessing": preprocessing, "training": training})


def stripes(n: int, seed: int, classes: int = 3) -> ImageSet:
    """Up to four classes that any network can tell apart: dark, bright, striped either way."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    images = rng.integers(0, 40, (n, SMALL, SMALL, 3)).astype(np.uint8)
    images[labels == 1] += 180
    images[labels == 2, ::8] += 200
    images[labels == 3, :, ::8] += 200
    return ImageSet(images, np.zeros((n, SMALL, SMALL), bool), labels, n)


def test_the_rate_falls_by_a_tenth_every_seven_epochs():
    phase = Phase(trainable="all", epochs=18, learning_rate=5e-5, decay_factor=0.1, decay_every=7)
    rates = [learning_rate(phase, epoch) for epoch in (0, 6, 7, 13, 14, 17)]
    np.testing.assert_allclose(rates, [5e-5, 5e-5, 5e-6, 5e-6, 5e-7, 5e-7])


def test_batches_depend_on_seed_and_epoch_alone():
    recipe = small("busi-efficientnet-b0")
    images = stripes(20, 0)

    def draw(seed, epoch):
        return [(b.copy(), y.copy()) for b, y in training_batches(images, recipe, seed, epoch)]

    first, again = draw(0, 0), draw(0, 0)
    assert all(np.array_equal(a[0], b[0]) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first[0][0], draw(0, 1)[0][0])
    assert not np.array_equal(first[0][0], draw(1, 0)[0][0])


def test_an_epoch_shows_every_image_once():
    recipe = small("busi-efficientnet-b0")
    images = stripes(20, 0)
    labels = np.concatenate([y for _, y in training_batches(images, recipe, 0, 0)])
    assert sorted(labels) == sorted(images.labels)


def test_a_single_left_over_image_is_not_a_batch():
    sizes = [
        len(y) for _, y in training_batches(stripes(17, 0), small("busi-efficientnet-b0"), 0, 0)
    ]
    assert sizes == [8, 8]


def test_balancing_takes_masks_along():
    recipe = small("busi-mobilenetv2")
    images = stripes(5, 0)  # classes 0 1 2 0 1
    masks = images.masks.copy()
    masks[2, :4] = True
    balanced = balance(ImageSet(images.images, masks, images.labels, 5), recipe, seed=0)
    assert np.bincount(balanced.labels).tolist() == [2, 2, 2]
    assert balanced.originals == 5
    assert np.array_equal(balanced.masks[5], masks[2])
    assert np.array_equal(balanced.images[5], images.images[2])


def test_only_copies_are_changed_where_the_recipe_says_so():
    recipe = small("busi-efficientnet-b0")
    overlay_free = recipe.preprocessing.model_copy(
        update={"training_overlay": None, "value_range": "byte"}
    )
    recipe = recipe.model_copy(update={"preprocessing": overlay_free})
    images = stripes(10, 0)
    images = ImageSet(images.images, images.masks, images.labels, originals=6)
    originals = {image.tobytes() for image in images.images[:6]}
    seen = np.concatenate([b for b, _ in training_batches(images, recipe, 0, 0)]).astype(np.uint8)
    unchanged = sum(image.tobytes() in originals for image in seen)
    assert (len(seen), unchanged) == (10, 6)


# VGG19 has no batch norms and learns nothing from random weights in so few steps; what its fusion
# learns in a phase is tested in test_fusion.
PLAIN = [r.id for r in recipes_by_network() if r.architecture.name != "vgg19_efficientnetb0"]


@pytest.mark.parametrize("recipe_id", PLAIN)
def test_a_few_steps_learn_what_is_plain_to_see(recipe_id, tmp_path):
    recipe = small(recipe_id, epochs=3, learning_rate=1e-3, patience=None, trainable="all")
    learner = create_learner(recipe, seed=0, pretrained=False)
    training, validation = (stripes(n, seed, len(recipe.classes)) for n, seed in ((48, 0), (24, 1)))
    history = train(learner, recipe, training, validation, RunFolder(tmp_path), seed=0)
    phase = recipe.training.phases[-1]
    losses = [r["loss"] for r in history[-phase.epochs :]]
    assert losses[-1] < 0.8 * history[0]["loss"]
    after = validate(learner, recipe, validation)
    assert after["val_loss"] == pytest.approx(min(r["val_loss"] for r in history[-3:]), rel=1e-4)


@pytest.mark.parametrize("recipe_id", ["busi-efficientnet-b0", "busi-mobilenetv2"])
def test_an_interrupted_run_goes_on_where_it_was(recipe_id, tmp_path):
    """Two epochs, an interruption, two more: as four in one go (no dropout is left to chance)."""
    recipe = small(recipe_id, epochs=4, patience=None, trainable="all")
    architecture = recipe.architecture.model_copy(update={"parameters": {"dropout": 0.0}})
    phases = recipe.training.phases[-1:]
    training = recipe.training.model_copy(update={"phases": phases})
    recipe = recipe.model_copy(update={"architecture": architecture, "training": training})
    images, validation = stripes(16, 0), stripes(9, 1)

    whole = create_learner(recipe, seed=0, pretrained=False)
    expected = train(whole, recipe, images, validation, RunFolder(tmp_path / "a"), seed=0)

    def interrupt(record):
        if record["epoch"] == 1:
            raise KeyboardInterrupt

    run = RunFolder(tmp_path / "b")
    with pytest.raises(KeyboardInterrupt):
        first = create_learner(recipe, seed=0, pretrained=False)
        train(first, recipe, images, validation, run, seed=0, on_epoch=interrupt)
    second = create_learner(recipe, seed=99, pretrained=False)  # its own start must not matter
    resumed = train(second, recipe, images, validation, run, seed=0)

    assert [r["epoch"] for r in resumed] == [0, 1, 2, 3]
    losses = [r["val_loss"] for r in resumed]
    np.testing.assert_allclose(losses, [r["val_loss"] for r in expected], rtol=2e-2)


def test_patience_ends_a_phase_and_the_next_starts_from_the_best(tmp_path):
    recipe = small("busi-mobilenetv2", epochs=6, patience=1, learning_rate=10.0)
    learner = create_learner(recipe, seed=0, pretrained=False)
    history = train(learner, recipe, stripes(16, 0), stripes(9, 1), RunFolder(tmp_path), seed=0)
    phases = [r["phase"] for r in history]
    assert set(phases) == {0, 1}
    for number in (0, 1):
        losses = [r["val_loss"] for r in history if r["phase"] == number]
        gains = np.minimum.accumulate([np.inf, *losses[:-1]]) > losses
        # within a phase only the last epoch may fail to improve
        assert all(gains[1:-1]) and len(losses) <= 6


def test_resuming_nothing_and_resuming_another_recipe_are_refused(tmp_path):
    recipe = load_recipe("busi-mobilenetv2")
    with pytest.raises(ResumeError, match="no interrupted run"):
        train_recipe(recipe, None, resume=True, runs=tmp_path)
    folder = RunFolder(tmp_path / f"{recipe.id}-grouped-0")
    from core.training.state import Progress

    folder.save(Progress(), {"w": np.zeros(1, np.float32)}, {})
    (folder.folder / "method.json").write_text(json.dumps(shorten(recipe, 1).method()))
    with pytest.raises(ResumeError, match="recipe has changed"):
        train_recipe(recipe, None, resume=True, runs=tmp_path)


def test_one_command_goes_from_phantoms_to_a_checkpoint(tmp_path):
    """Both protocols, one epoch each, on generated data: one folder with both results."""
    recipe = small("busi-efficientnet-b0", epochs=1)
    data = recipe.data.model_copy(update={"dataset": "phantoms"})
    recipe = recipe.model_copy(update={"data": data})
    for protocol in ("grouped", "published"):
        train_recipe(
            recipe,
            None,
            protocol=protocol,
            pretrained=False,
            output=tmp_path / "out",
            runs=tmp_path,
        )
    checkpoint = open_checkpoint(recipe.id, tmp_path / "out")
    assert checkpoint.recipe == recipe
    assert set(checkpoint.metrics) == {"grouped", "published"}
    assert checkpoint.manifest["weights"] == {"protocol": "grouped", "seed": 0}
    assert set(checkpoint.history().protocol) == {"grouped", "published"}
    assert checkpoint.load().logits(np.zeros((1, SMALL, SMALL, 3), np.float32)).shape == (1, 3)


def test_an_epoch_takes_no_more_steps_than_the_phase_allows(tmp_path):
    recipe = small("busi-mobilenetv2", epochs=1, steps=2)
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
    assert taken == [(1, 2), (2, 2)] * len(recipe.training.phases)


def test_of_many_training_images_those_of_most_groups_are_remembered(monkeypatch):
    from core.training import result

    monkeypatch.setattr(result, "REMEMBERED", 3)
    table = pd.DataFrame(
        {"split": ["train"] * 6 + ["test"], "group": ["a", "a", "a", "a", "b", "c", "d"]}
    )
    chosen = result._chosen(table, seed=0)
    assert sorted(table["group"][chosen]) == ["a", "b", "c", "d"]
