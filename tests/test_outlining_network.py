"""The outlining network: its ImageNet start, its loss by hand, real steps, resuming, proposals."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from core.datasets import load_table
from core.datasets.phantoms import phantom
from core.outlining import result
from core.outlining.images import training_batches
from core.outlining.learner import OutlineLearner
from core.outlining.network import build, encoder_norms
from core.outlining.outline import Rule
from core.outlining.proposal import Outliner, OutlinesCheckpoint, outlines_checkpoint
from core.outlining.recipe import load_outline_recipe
from core.outlining.splits import SPLITS
from core.outlining.training import (
    epochs_of,
    learning_rate,
    run_folder,
    start_of,
    train,
    validate,
)
from core.torch_compat import import_timm
from core.training.images import ImageSet, read_images
from core.training.loop import DivergedError
from core.training.norms import fold_norms
from core.training.outline_loss import outline_loss
from core.training.run import START, ResumeError, check_interrupted, start_anew
from core.training.state import Progress, RunFolder

SMALL = 64


def small(epochs: int = 2):
    """The shipped recipe on small images, for a few epochs."""
    recipe = load_outline_recipe()
    preprocessing = recipe.preprocessing.model_copy(update={"size": (SMALL, SMALL)})
    phase = recipe.training.phases[0].model_copy(update={"epochs": epochs, "learning_rate": 2e-3})
    training = recipe.training.model_copy(update={"phases": (phase,), "batch_size": 4})
    return recipe.model_copy(update={"preprocessing": preprocessing, "training": training})


def phantoms(n: int, first: int = 0) -> ImageSet:
    """Phantoms with a lesion, and every fourth without one."""
    labels = ["benign", "malignant", "benign", "normal"]
    pairs = [phantom(labels[i % 4], first + i, SMALL) for i in range(n)]
    images, masks = (np.stack(part) for part in zip(*pairs, strict=True))
    return ImageSet(images, masks, np.zeros(n, np.int64), n)


class TestLoss:
    def test_by_hand(self):
        """p = 1/2 on 2 pixels, one of them in the lesion: cross-entropy ln 2; Dice
        (2 * 1/2 + 1) / (1 + 1 + 1)."""
        logits, target = torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])
        assert outline_loss(logits, target).item() == pytest.approx(np.log(2) + 1 - 2 / 3)

    def test_each_lesion_weighs_alike_and_images_without_one_not_at_all(self):
        """p = 1/2 everywhere: lesions of 1 and 4 of 4 pixels have Dice (1 + 1) / (2 + 1 + 1) and
        (4 + 1) / (2 + 4 + 1); the third image has none."""
        target = torch.zeros(3, 1, 2, 2)
        target[0, 0, 0, 0], target[1] = 1, 1
        expected = np.log(2) + 1 - (2 / 4 + 5 / 7) / 2
        assert outline_loss(torch.zeros(3, 1, 2, 2), target).item() == pytest.approx(expected)

    def test_dice_is_that_of_the_library(self):
        """Of one image. Its smoothing stands for half of what is added above and below the
        fraction line."""
        import_timm()
        import segmentation_models_pytorch as smp

        generator = torch.Generator().manual_seed(0)
        logits = torch.randn(1, 1, 8, 8, generator=generator)
        target = (torch.rand(1, 1, 8, 8, generator=generator) > 0.7).float()
        library = smp.losses.DiceLoss("binary", smooth=0.5)(logits, target)
        entropy = torch.nn.BCEWithLogitsLoss()(logits, target)
        assert outline_loss(logits, target).item() == pytest.approx((library + entropy).item())

    def test_nothing_wrong_costs_nothing(self):
        sure = torch.full((1, 1, 4, 4), -40.0)
        assert outline_loss(sure, torch.zeros(1, 1, 4, 4)).item() == pytest.approx(0, abs=1e-6)


class TestRate:
    def test_it_rises_and_falls_in_each_phase(self):
        recipe = small(epochs=10)
        phase = recipe.training.phases[0]
        phases = (phase, phase.model_copy(update={"epochs": 4, "learning_rate": 1e-3}))
        training = recipe.training.model_copy(update={"phases": phases})
        recipe = recipe.model_copy(update={"training": training})
        assert epochs_of(recipe) == 14
        assert learning_rate(recipe, 0, 0) == learning_rate(recipe, 10, 0) == 0
        assert learning_rate(recipe, 0, 0.25) == pytest.approx(2e-3 * 0.5 * 0.975**0.9)
        assert learning_rate(recipe, 5, 0) == pytest.approx(2e-3 * 0.5**0.9)
        assert learning_rate(recipe, 12, 0) == pytest.approx(1e-3 * 0.5**0.9)
        assert learning_rate(recipe, 9, 1) == learning_rate(recipe, 13, 1) == 0


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return build(load_outline_recipe())


def scans(n: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (70 + 9 * i, 90, 3), np.uint8) for i in range(n)]


class TestNetwork:
    def test_a_logit_a_pixel(self, network):
        with torch.inference_mode():
            assert network.eval()(torch.zeros(2, 3, 64, 96)).shape == (2, 1, 64, 96)

    def test_weights_go_through_arrays(self, network):
        other = build(load_outline_recipe())
        other.from_arrays(network.to_arrays())
        x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            assert torch.equal(network.eval()(x), other.eval()(x))

    def test_missing_weights_are_refused(self, network):
        arrays = network.to_arrays()
        arrays.popitem()
        with pytest.raises(ValueError, match="do not fit"):
            build(load_outline_recipe()).from_arrays(arrays)

    def test_imagenet_arrays_give_the_features_of_the_whole_backbone(self, weights_folder):
        """The encoder's last features are those of timm's whole backbone after its fifth stage,
        which ``test_architectures`` compares with Keras'."""
        from core.architectures.efficientnet_names import V2, keras_to_timm
        from core.architectures.torch_arrays import load_arrays
        from core.architectures.torch_efficientnetv2b0_short import ARRAYS, NAME

        arrays = {k: a.astype(np.float32) for k, a in np.load(weights_folder / ARRAYS).items()}
        encoder = build(load_outline_recipe(), pretrained=True).stages["unet"].encoder.eval()
        whole = import_timm().create_model(NAME, num_classes=0).eval()
        load_arrays(whole, arrays, keras_to_timm([*map(len, whole.blocks)], V2))
        x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
        with torch.inference_mode():
            features = whole.blocks[:5](whole.bn1(whole.conv_stem(x)))
            torch.testing.assert_close(encoder(x)[-1], features)

    def test_folded_norms_are_the_same_function(self):
        torch.manual_seed(0)
        net = build(load_outline_recipe()).double()
        for norm in encoder_norms(net):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)
            torch.nn.init.uniform_(norm.weight, 0.5, 2)
            torch.nn.init.uniform_(norm.bias, -1, 1)
        x = torch.rand(1, 3, 64, 64, dtype=torch.double)
        with torch.inference_mode():
            before = net.eval()(x)
            fold_norms(encoder_norms(net))
            torch.testing.assert_close(net(x), before)
        assert before.std() > 1e-3
        assert all((norm.running_mean == 0).all() for norm in encoder_norms(net))


def after_one_step(rate: float):
    """All weights of the network in training before and after its first step."""
    recipe = small()
    learner = OutlineLearner(recipe, seed=0, pretrained=False)
    before = learner.network.to_arrays()
    learner.step(*next(training_batches(phantoms(4), recipe, 0, 0)), rate)
    return before, learner.network.to_arrays()


class TestTraining:
    def test_steps_lower_the_loss(self):
        recipe = small()
        learner = OutlineLearner(recipe, seed=0, pretrained=False)
        batch, masks = next(training_batches(phantoms(4), recipe, 0, 0))
        losses = [learner.step(batch, masks, 2e-3) for _ in range(6)]
        assert losses[-1] < 0.9 * losses[0]

    def test_the_encoders_statistics_stay_and_the_decoders_learn(self):
        before, after = after_one_step(2e-3)
        means = [name for name in before if name.endswith("running_mean")]
        changed = {name for name in means if not np.array_equal(before[name], after[name])}
        assert changed == {name for name in means if ".decoder." in name}
        kernel = "stages.unet.encoder.model.conv_stem.weight"
        assert not np.array_equal(before[kernel], after[kernel])

    def test_the_kept_weights_are_a_running_mean(self):
        """The first step's, then 2/11 of them and 9/11 of the second's."""
        recipe = small()
        learner = OutlineLearner(recipe, seed=0, pretrained=False)
        name = "stages.unet.segmentation_head.0.weight"
        seen = []
        for batch, masks in training_batches(phantoms(8), recipe, 0, 0):
            learner.step(batch, masks, 2e-3)
            seen.append(learner.network.to_arrays()[name])
        expected = 2 / 11 * seen[0] + 9 / 11 * seen[1]
        np.testing.assert_allclose(learner.kept.to_arrays()[name], expected, rtol=1e-5)

    def test_the_encoder_learns_more_slowly(self):
        """The first step of AdamW without decay moves each weight by its rate."""
        before, after = after_one_step(1e-3)
        encoder, head = (
            np.median(np.abs(after[name] - before[name]))
            for name in (
                "stages.unet.encoder.model.bn1.weight",
                "stages.unet.segmentation_head.0.weight",
            )
        )
        assert head == pytest.approx(1e-3, rel=0.05)
        assert encoder == pytest.approx(1e-3 * small().encoder_rate, rel=0.1)

    def test_a_resumed_run_ends_like_one_in_one_go(self, tmp_path):
        recipe, images = small(), phantoms(4)

        class Stop(Exception):
            pass

        def stop(_):
            raise Stop

        def run(name, on_epoch=lambda _: None):
            learner = OutlineLearner(recipe, seed=0, pretrained=False)
            folder = RunFolder(tmp_path / name)
            history = train(learner, recipe, images, images, folder, 0, on_epoch=on_epoch)
            return history, folder.load_best()

        whole, weights = run("whole")
        with pytest.raises(Stop):
            run("parts", stop)
        resumed, weights2 = run("parts")
        assert [r["epoch"] for r in resumed] == [0, 1]
        assert [r["loss"] for r in resumed] == pytest.approx([r["loss"] for r in whole], rel=1e-4)
        for name, array in weights.items():
            np.testing.assert_allclose(weights2[name], array, rtol=1e-3, atol=1e-5)

    def test_other_settings_are_not_resumed(self, tmp_path):
        run = RunFolder(tmp_path)
        with pytest.raises(ResumeError, match="no interrupted run"):
            check_interrupted(run, {"method": small().method()})
        start_anew(run, {"method": small().method(), "data": "x"})
        run.save(Progress(), {"w": np.zeros(1)}, {})
        check_interrupted(run, {"method": small().method()})
        with pytest.raises(ResumeError, match="changed"):
            check_interrupted(run, {"method": small(epochs=3).method()})
        with pytest.raises(ResumeError, match="images, masks, labels or their split"):
            check_interrupted(run, {"method": small().method(), "data": "y"})

    def test_a_network_that_has_diverged_is_told(self, tmp_path):
        recipe = small()
        (phase,) = recipe.training.phases
        steep = phase.model_copy(update={"learning_rate": 1e30})
        training = recipe.training.model_copy(update={"phases": (steep,)})
        recipe = recipe.model_copy(update={"training": training})
        learner = OutlineLearner(recipe, seed=0, pretrained=False)
        with pytest.raises(DivergedError, match="diverged. Lower the learning rate"):
            train(learner, recipe, phantoms(8), phantoms(4), RunFolder(tmp_path), 0)

    def test_validation_counts_lesions_and_others_apart(self):
        """A learner that marks the left half of each image; the lesion is the left quarter."""

        class Half:
            def logits(self, batch):
                maps = np.full((len(batch), 1, SMALL, SMALL), -9.0, np.float32)
                maps[..., : SMALL // 2] = 9
                return maps

        masks = np.zeros((3, SMALL, SMALL), bool)
        masks[0, :, : SMALL // 4] = True
        images = ImageSet(np.zeros((3, SMALL, SMALL, 3), np.uint8), masks, np.zeros(3, int), 3)
        result = validate(Half(), small(), images)
        assert result == pytest.approx({"val_dice": 2 * 0.25 / 0.75, "val_false": 1.0})


@pytest.fixture(scope="module")
def outliner(network):
    return Outliner(load_outline_recipe(), network, Rule(views="enlarged"))


class TestOutliner:
    def test_shapes_and_ranges(self, outliner):
        for scan in scans(3):
            proposal = outliner.propose(scan)
            assert proposal.probability.shape == proposal.mask.shape == scan.shape[:2]
            assert proposal.probability.dtype == np.float32 and proposal.mask.dtype == bool
            assert 0 <= proposal.probability.min() <= proposal.probability.max() <= 1
            assert 0 <= proposal.confidence <= 1

    def test_a_mirrored_scan_gives_the_mirrored_map(self, outliner):
        scan = phantom("benign", 0, 224)[0]
        other = np.ascontiguousarray(scan[:, ::-1])
        for views in ("mirrored", "enlarged"):
            both = outliner.probability(scan, views)
            mirrored = outliner.probability(other, views)
            np.testing.assert_allclose(mirrored[:, ::-1], both, atol=1e-4)
        alone = outliner.probability(scan, "plain")
        assert np.abs(alone - outliner.probability(scan, "mirrored")).max() > 1e-4

    def test_an_enlarged_scan_is_seen_at_two_sizes(self, outliner):
        """The mean of the mirrored maps of this network and of one whose size is 1.2 times that."""
        scan, recipe = phantom("benign", 0, 224)[0], outliner.recipe
        size = tuple(round(1.2 * side) for side in recipe.preprocessing.size)
        preprocessing = recipe.preprocessing.model_copy(update={"size": size})
        larger = recipe.model_copy(update={"preprocessing": preprocessing})
        other = Outliner(larger, outliner._network, Rule())
        parts = [one.probability(scan, "mirrored") for one in (outliner, other)]
        expected = np.mean(parts, axis=0)
        np.testing.assert_allclose(outliner.probability(scan, "enlarged"), expected, atol=1e-5)

    def test_the_scan_is_left_alone_and_may_be_read_only(self, outliner):
        scan = scans(1)[0]
        before = scan.copy()
        scan.setflags(write=False)
        outliner.propose(scan)
        assert np.array_equal(scan, before)

    @pytest.mark.slow
    def test_threads_get_what_one_alone_gets(self, outliner):
        some = scans(6)
        alone = [outliner.propose(scan).probability for scan in some]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(lambda scan: outliner.propose(scan).probability, some))
        assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((4, 4), np.uint8),
            np.zeros((4, 4, 3), np.float32),
            np.zeros((2, 4, 4, 3), np.uint8),
            np.zeros((0, 4, 3), np.uint8),
        ],
    )
    def test_what_is_no_frame_is_refused_with_a_sentence(self, outliner, array):
        with pytest.raises(ValueError, match="one frame of uint8 pixels"):
            outliner.propose(array)


class TestResult:
    """From finished runs of two seeds to a checkpoint, on a dozen phantoms."""

    @pytest.fixture
    def judged(self, tmp_path, monkeypatch):
        """Runs of seeds 0 and 1 with random weights, the first shipped, the second added."""
        recipe = small(epochs=1)
        data = recipe.data.model_copy(update={"dataset": "phantoms"})
        recipe = recipe.model_copy(update={"data": data})
        monkeypatch.setattr(result, "read_table", lambda recipe, data, seed: self.table(seed))
        monkeypatch.setattr(result, "milliseconds", lambda _: 1.0)
        for seed in (0, 1):
            torch.manual_seed(seed)
            weights = build(recipe).to_arrays()
            run = run_folder(recipe, seed, tmp_path / "runs")
            start_anew(run, self.start(recipe, seed))
            run.save(Progress(epoch=1, history=[{"epoch": 0}]), weights, {})
            run.save_best(weights)
        where = (tmp_path / "runs", tmp_path)
        result.write_result(recipe, None, 0, *where)
        with pytest.raises(ValueError, match="Seed 0 is that of the shipped network"):
            result.add_split(recipe, None, 0, *where)
        result.add_split(recipe, None, 1, *where)
        return outlines_checkpoint(tmp_path)

    def start(self, recipe, seed: int) -> dict:
        """What a run of the table begins with."""
        table = self.table(seed)
        parts = (read_images(table[table["split"] == x], recipe) for x in ("train", "validation"))
        return start_of(recipe, *parts, pretrained=True)

    def table(self, seed: int):
        labels = ("benign", "malignant", "normal")
        table = load_table("phantoms").groupby("label").head(4)
        table = table[table["label"].isin(labels)].reset_index(drop=True)
        return table.assign(split=np.roll(["train", "validation", "test", "test"] * 3, seed))

    @pytest.mark.slow
    def test_another_seed_leaves_its_figures_and_no_weights(self, judged):
        further, spread = judged.table(SPLITS), judged.metrics["over_splits"]
        assert set(further["seed"]) == {1} and set(further["split"]) == {"test"}
        own = judged.metrics["test"]["lesions"]["values"]["dice"]["value"]
        lesions = further[further["label"] != "normal"]
        assert spread["dice"] == pytest.approx([own, lesions["dice"].mean()])
        assert spread["values"]["dice"]["mean"] == pytest.approx(np.mean(spread["dice"]))
        assert "Over 2 splits" in judged.card
        assert judged.manifest["weights"]["seed"] == 0

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "value", "sentence"),
        [
            ("data", "of other images", "what is to test it may be among them. Train it again."),
            ("pretrained", False, "began from random weights"),
            ("method", {}, "The recipe has changed since the network was trained."),
        ],
    )
    def test_a_run_that_began_with_anything_else_is_not_judged(
        self, judged, tmp_path, name, value, sentence
    ):
        recipe, before = judged.recipe, judged.folder.stat().st_mtime_ns
        for seed in (0, 1):
            path = run_folder(recipe, seed, tmp_path / "runs").folder / START
            path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))
        with pytest.raises(ValueError, match=sentence):
            result.write_result(recipe, None, 0, tmp_path / "runs", tmp_path)
        with pytest.raises(ValueError, match=sentence):
            result.add_split(recipe, None, 1, tmp_path / "runs", tmp_path)
        assert judged.folder.stat().st_mtime_ns == before

    def test_judging_again_keeps_them(self, judged):
        before = judged.metrics
        folder = result.judge_again(None, judged.folder.parents[1])
        after = OutlinesCheckpoint(folder)
        assert after.metrics == before
        assert after.table(SPLITS).equals(judged.table(SPLITS))
