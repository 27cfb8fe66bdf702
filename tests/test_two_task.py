"""A network that learns to outline beside its classes: what learns, and what is kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from core.architectures import build
from core.recipe import Recipe, RecipeError
from core.recipes import load_recipe, parse_recipe, recipe_file
from core.training.images import ImageSet
from core.training.learner import create_learner
from core.training.loop import train
from core.training.state import RunFolder
from core.training.torch_learner import TorchLearner
from core.training.two_task_learner import TwoTaskLearner

RECIPE = "busi-multitask"
SIDE = 64


def small(epochs: int = 2, **training) -> Recipe:
    recipe = load_recipe(RECIPE)
    phase = recipe.training.phases[0].model_copy(update={"epochs": epochs})
    update = {"phases": (phase,), "batch_size": 4} | training
    prep = recipe.preprocessing.model_copy(update={"size": (SIDE, SIDE)})
    return recipe.model_copy(
        update={
            "training": recipe.training.model_copy(update=update),
            "preprocessing": prep,
        }
    )


def blobs(n: int) -> ImageSet:
    """Bright squares on noise; every third image has none."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 90, (n, SIDE, SIDE, 3)).astype(np.uint8)
    masks = np.zeros((n, SIDE, SIDE), bool)
    labels = np.arange(n) % 3
    for index in np.flatnonzero(labels < 2):
        y, x = rng.integers(4, 30, 2)
        masks[index, y : y + 25, x : x + 25] = True
        images[index][masks[index]] += 120
    return ImageSet(images, masks, labels.astype(np.int64), n)


def batch_of(images: ImageSet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    pixels = (images.images / 127.5 - 1).astype(np.float32)
    return pixels, images.labels, images.masks


def started(**training) -> TwoTaskLearner:
    recipe = small(**training)
    learner = create_learner(recipe, seed=0, pretrained=False)
    assert isinstance(learner, TwoTaskLearner)
    learner._bfloat16 = False
    learner.start_phase(recipe.training.phases[0])
    return learner


def test_the_network_has_a_quarter_of_the_backbones_weights_and_features_at_a_sixteenth():
    network = build(load_recipe(RECIPE))
    assert network.stage_names == ("stem", *[f"block{i}" for i in range(1, 6)], "top")
    with torch.inference_mode():
        features = network.eval().forward_to(torch.zeros(1, 3, 96, 64), "top")
    assert features.shape == (1, 512, 6, 4)
    backbone = 5_919_312  # of tf_efficientnetv2_b0 without its classifier, by Keras' summary
    stages = [stage for name, stage in network.stages.items() if name != "top"]
    assert sum(p.numel() for stage in stages for p in stage.parameters()) < backbone / 4


def test_imagenet_arrays_go_up_to_the_new_layer(weights_folder):
    """Its features are those of timm's whole backbone after the fifth stage."""
    from core.architectures.torch_efficientnetv2b0_short import whole_backbone

    network = build(load_recipe(RECIPE), pretrained=True).eval()
    whole = whole_backbone(True).eval()
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = whole.blocks[:5](whole.bn1(whole.conv_stem(x)))
        torch.testing.assert_close(network.forward_to(x, "block5"), features)
    assert features.std() > 0.1


def test_both_losses_fall():
    learner = started(averaging=0.0)
    pixels, labels, masks = batch_of(blobs(6))
    losses = [learner.step(pixels, labels, 2e-3, masks) for _ in range(8)]
    assert losses[-1] < 0.8 * losses[0]


def test_the_loss_is_the_classes_plus_the_weighted_outlines():
    """By hand, from the network's own answers, at a rate of 0."""
    task = load_recipe(RECIPE).training.second_task.model_copy(update={"weight": 0.5})
    learner = started(second_task=task, class_weights=(1.0, 2.0, 4.0), label_smoothing=0.0)
    learner.network.head[2].p = 0.0  # no dropout
    pixels, labels, masks = batch_of(blobs(3))
    learner._prepare()
    with torch.no_grad():
        x = learner._input(pixels)
        *features, last = learner._features(x)
        log_shares = learner.network.head(last).log_softmax(1)
        outlines = learner._decoder([x, *features])
    weights = torch.tensor([1.0, 2.0, 4.0])
    classes = -(weights * log_shares[range(3), range(3)]).sum() / 7
    truth, shares = torch.tensor(masks).float()[:, None], outlines.sigmoid()
    overlap = (2 * (shares * truth).sum((1, 2, 3)) + 1) / ((shares + truth).sum((1, 2, 3)) + 1)
    outlining = binary_cross_entropy_with_logits(outlines, truth) + 1 - overlap[:2].mean()
    loss = learner.step(pixels, labels, 0.0, masks)
    assert loss == pytest.approx(float(classes + 0.5 * outlining), rel=1e-5)


def test_a_smoothed_label_gives_a_share_to_every_class():
    """0.3 of it, in equal parts: 0.8, 0.1 and 0.1 (Szegedy et al., CVPR 2016, section 7)."""
    learner = started(label_smoothing=0.3, class_weights=())
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    expected = -(torch.tensor([0.8, 0.1, 0.1]) * logits.log_softmax(1)).sum()
    assert float(learner._class_loss(logits, np.array([0]))) == pytest.approx(float(expected))


def test_the_outline_teaches_the_network():
    """Without it, an image of which no class is learnt moves nothing; with it the stages move."""
    learner = started(averaging=0.0)
    learner._class_loss = lambda logits, labels: 0 * logits.sum()
    before = learner.network.to_arrays()
    pixels, labels, masks = batch_of(blobs(3))
    for group in learner._optimizer.param_groups:
        group["weight_decay"] = 0.0
    learner.step(pixels, labels, 1e-3, masks)
    after = learner.network.to_arrays()
    moved = {name.split(".")[1] for name in before if not np.array_equal(before[name], after[name])}
    taught = {"stem", *[f"block{i}" for i in range(1, 6)]}
    assert moved == taught | {"top"}  # of top, the batch norm's statistics alone
    assert np.array_equal(before["stages.top.0.weight"], after["stages.top.0.weight"])


def test_statistics_of_the_kept_norms_stay_and_are_folded_away():
    learner = started()
    pixels, labels, masks = batch_of(blobs(4))
    with torch.no_grad():
        for norm in learner._kept_norms(learner.network):
            norm.running_mean.uniform_(-0.1, 0.1)
            norm.running_var.uniform_(0.8, 1.2)
    before = learner.network.to_arrays()
    learner.step(pixels, labels, 1e-3, masks)
    after = learner.network.to_arrays()
    statistics = [name for name in before if "running" in name]
    changed = {name for name in statistics if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in statistics if ".top." in name} != set()

    shipped = learner.trained().eval()
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        torch.testing.assert_close(shipped(x), learner.kept.eval()(x), rtol=1e-3, atol=1e-4)
    arrays = shipped.to_arrays()
    means = [name for name in arrays if "running_mean" in name and ".top." not in name]
    assert not any(arrays[name].any() for name in means)


def test_what_is_judged_and_kept_are_the_mean_weights():
    """The first step's, then 2/11 of them and 9/11 of the second's."""
    learner = started()
    pixels, labels, masks = batch_of(blobs(4))
    name, seen = "head.3.weight", []
    for _ in range(2):
        learner.step(pixels, labels, 1e-2, masks)
        seen.append(learner.network.to_arrays()[name])
    expected = 2 / 11 * seen[0] + 9 / 11 * seen[1]
    np.testing.assert_allclose(learner.kept.to_arrays()[name], expected, rtol=1e-5)
    x = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    with torch.inference_mode():
        mean, last = (net.eval()(x).numpy() for net in (learner.kept, learner.network))
    np.testing.assert_allclose(learner.logits(pixels), mean, atol=1e-5)
    assert np.abs(mean - last).max() > 1e-3


def test_an_interrupted_run_goes_on_as_if_it_had_not_been(tmp_path):
    class Stopped(Exception):
        pass

    def stop(record):
        if record["epoch"] == 0:
            raise Stopped

    recipe, images = small(), blobs(8)

    def run(folder, on_epoch=lambda _: None):
        learner = create_learner(recipe, 0, pretrained=False)
        assert learner.network.head[2].p > 0
        history = train(learner, recipe, images, images, RunFolder(folder), 0, on_epoch=on_epoch)
        return history, learner.kept.to_arrays()

    whole, expected = run(tmp_path / "whole")
    with pytest.raises(Stopped):
        run(tmp_path / "parts", stop)
    parts, found = run(tmp_path / "parts")
    assert [r["val_loss"] for r in parts] == [r["val_loss"] for r in whole]
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


class TestRecipe:
    def test_another_network_learns_its_classes_alone(self):
        in_torch = load_recipe(f"{RECIPE}+resnet50").training
        assert in_torch.second_task is None
        assert in_torch.kept_norms == ()
        assert in_torch.averaging == load_recipe(RECIPE).training.averaging > 0
        compared = load_recipe(f"{RECIPE}+efficientnet_b0")
        assert type(create_learner(compared, 0, False)) is TorchLearner

    def test_keras_is_spared_what_it_cannot_do(self):
        in_keras = load_recipe(f"{RECIPE}+mobilenetv2").training
        assert (in_keras.averaging, in_keras.label_smoothing, in_keras.class_weights) == (0, 0, ())
        assert in_keras.phases[0].stage_rate == 1
        assert in_keras.phases[0].schedule == "hill"

    @pytest.mark.parametrize(
        ("old", "new", "said"),
        [
            ("[0.77, 1.11, 1.40]", "[1.0, 2.0]", "class_weights: 2 for 3 classes"),
            ("channels = [96, 64, 32, 16]", "channels = [96]", "as many channels as stages"),
            ('framework = "torch"', 'framework = "keras"', "averaging, class_weights, kept_norms"),
        ],
    )
    def test_settings_that_do_not_fit_are_told(self, old, new, said):
        text = recipe_file(RECIPE).read_text(encoding="utf-8")
        assert old in text
        with pytest.raises(RecipeError, match=said):
            parse_recipe(text.replace(old, new))
