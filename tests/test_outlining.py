"""Proposed outlines without a network: rule, its choice, figures, split and card."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import ndimage
from sklearn.metrics import f1_score, jaccard_score

from core.checkpoints import CHECKPOINTS
from core.datasets import DatasetError
from core.outlining import __main__ as outlining
from core.outlining import images
from core.outlining.card import render
from core.outlining.evaluation import figures
from core.outlining.images import read_table, split_table, training_batches
from core.outlining.outline import VIEWS, Rule, kept, outline_of, parts_of
from core.outlining.proposal import proposal_of
from core.outlining.recipe import load_outline_recipe
from core.outlining.regions import REGIONS, _unseen_by_both, answers, region_figures
from core.outlining.result import metrics_of
from core.outlining.selection import choose
from core.outlining.splits import over_splits, with_split
from core.outlining.training import run_folder
from core.training.images import ImageSet

# Two parts: a ring of 8 pixels around a hole on the left, one pixel on the right.
MAP = np.array(
    [[0.0, 0.0, 0.0, 0.0, 0.0, 0.0],
     [0.7, 0.7, 0.7, 0.0, 0.0, 0.0],
     [0.7, 0.1, 0.8, 0.0, 0.0, 0.9],
     [0.7, 0.7, 0.7, 0.0, 0.0, 0.0]], np.float32)  # fmt: skip
LEFT = np.zeros((4, 6), bool)
LEFT[1:, :3] = True
RIGHT = np.zeros((4, 6), bool)
RIGHT[2, 5] = True


class TestRule:
    def test_holes_are_filled_and_all_parts_kept(self):
        assert np.array_equal(outline_of(MAP, Rule(0.5)), LEFT | RIGHT)

    def test_small_parts_go(self):
        assert np.array_equal(outline_of(MAP, Rule(0.5, smallest=1 / 24)), LEFT | RIGHT)
        assert np.array_equal(outline_of(MAP, Rule(0.5, smallest=2 / 24)), LEFT)

    def test_parts_without_a_peak_go(self):
        assert np.array_equal(outline_of(MAP, Rule(0.5, peak=0.85)), RIGHT)

    def test_the_largest_of_those_left_is_kept_alone(self):
        assert np.array_equal(outline_of(MAP, Rule(0.5, largest_only=True)), LEFT)
        both = Rule(0.5, peak=0.85, largest_only=True)
        assert np.array_equal(outline_of(MAP, both), RIGHT)

    def test_the_threshold_belongs_to_the_outline(self):
        assert outline_of(np.full((2, 2), 0.5, np.float32), Rule(0.5)).all()
        assert not outline_of(np.full((2, 2), 0.49, np.float32), Rule(0.5)).any()

    def test_neighbours_across_a_corner_are_one_part(self):
        assert len(parts_of(np.eye(3, dtype=np.float32), 0.5).areas) == 1

    def test_nothing_is_left_of_an_empty_map(self):
        for rule in (Rule(), Rule(largest_only=True), Rule(smallest=0.5, peak=1)):
            assert not outline_of(np.zeros((5, 7), np.float32), rule).any()

    @pytest.mark.parametrize("seed", range(5))
    def test_parts_are_those_of_scipy(self, seed):
        noise = np.random.default_rng(seed).random((60, 47)).astype(np.float32)
        smooth = ndimage.gaussian_filter(noise, 2)
        smooth = (smooth - smooth.min()) / np.ptp(smooth)
        filled = ndimage.binary_fill_holes(smooth >= 0.55)
        labels, count = ndimage.label(filled, structure=np.ones((3, 3)))
        numbers = range(1, count + 1)
        parts = parts_of(smooth, 0.55)
        assert count > 3
        assert np.array_equal(parts.labels > 0, filled)
        areas = ndimage.sum_labels(filled, labels, numbers) / filled.size
        np.testing.assert_allclose(np.sort(parts.areas), np.sort(areas))
        peaks = ndimage.maximum(smooth, labels, numbers)
        np.testing.assert_allclose(np.sort(parts.peaks), np.sort(peaks))
        rule = Rule(0.55, smallest=float(np.median(areas)))
        assert kept(parts, rule).sum() == (areas >= np.median(areas)).sum()


class TestProposal:
    def test_confidence_is_the_mean_inside_the_outline(self):
        proposal = proposal_of(MAP, Rule(0.5))
        assert proposal.confidence == pytest.approx((7 * 0.7 + 0.8 + 0.1 + 0.9) / 10)

    def test_without_an_outline_it_is_0(self):
        proposal = proposal_of(MAP, Rule(0.95))
        assert not proposal.mask.any()
        assert proposal.confidence == 0


def same(map_: np.ndarray) -> dict[str, np.ndarray]:
    """One map, whatever the network was shown."""
    return dict.fromkeys(VIEWS, map_)


class TestChoice:
    def test_a_speck_in_healthy_tissue_is_ruled_out(self):
        """A lesion with a sure core, and a scan without one in which a dull speck is seen: only a
        rule that drops the speck scores 1 on both."""
        lesion, nothing = np.zeros((40, 40), np.float32), np.zeros((40, 40), np.float32)
        lesion[10:20, 10:20] = 0.97
        nothing[5:8, 5:8] = 0.65
        mask = lesion > 0.5
        choice = choose([(same(lesion), mask), (same(nothing), np.zeros((40, 40), bool))])
        assert (choice.score, choice.n) == (1, 2)
        assert not outline_of(nothing, choice.rule).any()
        assert np.array_equal(outline_of(lesion, choice.rule), mask)

    @pytest.mark.parametrize("best", VIEWS)
    def test_the_views_of_the_best_map_win_and_the_fewest_of_equals(self, best):
        mask = np.zeros((20, 20), bool)
        mask[4:9, 4:9] = True
        good, bad = mask.astype(np.float32), np.roll(mask, 8, axis=1).astype(np.float32)
        assert choose([(same(bad) | {best: good}, mask)]).rule.views == best
        assert choose([(same(good), mask)]).rule.views == "plain"

    def test_its_score_is_that_of_the_outlines_it_makes(self):
        rng = np.random.default_rng(0)
        smooth = [ndimage.gaussian_filter(rng.random((50, 40)), 3) for _ in range(4)]
        maps = [((m - m.min()) / np.ptp(m)).astype(np.float32) for m in smooth]
        masks = [ndimage.shift(m, (1, 1)) > 0.6 for m in maps]
        choice = choose([(same(m), mask) for m, mask in zip(maps, masks, strict=True)])
        found = [outline_of(m, choice.rule) for m in maps]
        dice = [f1_score(t.ravel(), f.ravel()) for t, f in zip(masks, found, strict=True)]
        assert choice.score == pytest.approx(np.mean(dice))


def predictions() -> pd.DataFrame:
    """Three lesions, 3/4, 0.4 and nothing of them found, and four scans without one."""
    rows = [
        ("a", "benign", "g1", 6 / 7, 0.75, True),
        ("b", "benign", "g2", 4 / 7, 0.4, True),
        ("c", "malignant", "g2", 0.0, 0.0, False),
        *((f"n{i}", "normal", f"n{i}", np.nan, np.nan, i == 0) for i in range(4)),
    ]
    columns = ["image_id", "label", "group", "dice", "iou", "proposed"]
    return pd.DataFrame(rows, columns=columns)


class TestFigures:
    def test_worked_out_by_hand(self):
        result = figures(predictions(), ("benign", "malignant"))
        lesions = result["lesions"]
        values = {name: figure["value"] for name, figure in lesions["values"].items()}
        assert (lesions["n"], lesions["n_groups"]) == (3, 2)
        expected = {"dice": 10 / 21, "iou": 1.15 / 3, "found": 1 / 3, "not_proposed": 1 / 3}
        assert values == pytest.approx(expected)
        assert result["benign"]["values"]["dice"]["value"] == pytest.approx(5 / 7)
        assert result["malignant"]["values"]["not_proposed"]["value"] == 1

    def test_half_an_overlap_counts_as_found(self):
        found = figures(predictions().replace({"iou": {0.4: 0.5}}), ("benign", "malignant"))
        assert found["lesions"]["values"]["found"]["value"] == pytest.approx(2 / 3)

    def test_other_splits_are_averaged(self):
        """Dice 10/21, then 6/7 twice (a second seed, whose lesions are all found so): SD of
        (a, b, b) is |a - b| / sqrt(3)."""
        lesions = predictions().dropna(subset="dice").assign(dice=6 / 7, proposed=True)
        known = with_split(None, predictions(), 7)
        for seed in (7, 3):  # the first takes the place of what was known of its seed
            known = with_split(known, lesions, seed)
        assert known["seed"].tolist() == [3] * 3 + [7] * 3
        found = over_splits(predictions(), known, ("benign", "malignant"))
        assert found["n"] == 3
        assert found["dice"] == pytest.approx([10 / 21, 6 / 7, 6 / 7])
        mean, sd = 46 / 63, (8 / 21) / 3**0.5
        assert found["values"]["dice"] == pytest.approx({"mean": mean, "sd": sd})
        assert found["values"]["not_proposed"]["mean"] == pytest.approx(1 / 9)
        assert "false_proposal" not in found["values"]  # two of the three had no such image
        assert over_splits(predictions(), None, ("benign", "malignant")) is None

    def test_intervals_draw_groups(self):
        """Of two groups, each sample holds one of them twice or both: means of IoU are 0.75, 0.2,
        or 1.15 / 3, so the bounds are the two outer ones."""
        iou = figures(predictions(), ("benign", "malignant"))["lesions"]["values"]["iou"]
        assert (iou["low"], iou["high"]) == pytest.approx((0.2, 0.75))

    def test_false_proposals_have_an_interval_over_groups(self):
        """1 of 4 groups: samples hold Binomial(4, 1/4) of it, whose quantiles are 0 and 3."""
        entry = figures(predictions(), ("benign", "malignant"))["without_lesion"]
        figure = entry["values"]["false_proposal"]
        assert entry["n"] == 4
        assert (figure["value"], figure["low"], figure["high"]) == pytest.approx((0.25, 0, 0.75))


def test_overlap_is_that_of_scikit_learn():
    from core.evaluation.localisation import localisation

    rng = np.random.default_rng(1)
    found, mask = rng.random((2, 30, 40)) > 0.6
    overlap = localisation(found.astype(np.float32), mask)
    assert overlap.dice == pytest.approx(f1_score(mask.ravel(), found.ravel()))
    assert overlap.iou == pytest.approx(jaccard_score(mask.ravel(), found.ravel()))


class TestRegions:
    def test_only_lesions_that_neither_network_was_trained_on_count(self):
        table = pd.DataFrame(
            {
                "image_id": list("abcd"),
                "label": ["benign", "malignant", "benign", "normal"],
                "split": ["test", "train", "test", "test"],
            }
        )
        tested = pd.DataFrame({"image_id": ["a", "b", "d"]})
        system = SimpleNamespace(
            shipped_run=lambda split: tested if split == "test" else None,
            recipe=SimpleNamespace(classes=("benign", "malignant", "normal")),
        )
        found = _unseen_by_both(table, system, ("benign", "malignant"))
        assert found["image_id"].tolist() == ["a"]

    def test_without_an_image_to_ask_about_there_are_columns_and_no_figures(self):
        table = pd.DataFrame({"image_id": ["a"], "label": ["benign"], "split": ["train"]})
        recipe = load_outline_recipe()
        system = SimpleNamespace(
            shipped_run=lambda _: table,
            load=lambda: None,
            recipe=SimpleNamespace(classes=("benign", "malignant")),
        )
        rows = answers(system, SimpleNamespace(recipe=recipe), table)
        assert len(rows) == 0 and {"recipe", "region", "benign", "malignant"} <= {*rows.columns}
        tested = predictions().assign(split="test")
        both = pd.concat([tested, tested.assign(split="validation")])
        assert (
            metrics_of(both, rows, recipe, {"a-system": ("benign", "malignant")})["regions"] == {}
        )

    def test_figures_by_hand(self):
        """Four images: right with the drawn outline on all, with the proposed on three."""
        labels = ["benign", "benign", "malignant", "malignant"]
        right = {"true": [1, 1, 1, 1], "proposed": [1, 1, 1, 0], "none": [0, 0, 1, 1]}
        rows = []
        for region in REGIONS:
            for i, (label, hit) in enumerate(zip(labels, right[region], strict=True)):
                malignant = 0.8 if (label == "malignant") == bool(hit) else 0.2
                rows.append(
                    {
                        "region": region, "image_id": f"{i}", "label": label, "group": f"g{i}",
                        "outlined": region == "true" or (region == "proposed" and i < 3),
                        "benign": 1 - malignant, "malignant": malignant,
                    }
                )  # fmt: skip
        result = region_figures(pd.DataFrame(rows), ("benign", "malignant"))
        assert (result["n"], result["n_groups"], result["not_proposed"]) == (4, 4, 1)
        accuracy = {r: one["accuracy"]["value"] for r, one in result["regions"].items()}
        assert accuracy == {"true": 1, "proposed": 0.75, "none": 0.5}
        assert result["regions"]["none"]["specificity_malignant"]["value"] == 0
        assert result["regions"]["proposed"]["sensitivity_malignant"]["value"] == 0.5
        assert result["change"]["proposed"]["value"] == -0.25
        assert result["change"]["none"]["value"] == -0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("train --shipped", "train goes without --shipped; leave it out"),
        ("train --figures-only --output x", "train goes without --figures-only, --output"),
        ("evaluate --resume", "evaluate goes without --resume"),
        ("evaluate --from-scratch", "evaluate goes without --from-scratch"),
        ("evaluate --shipped --seed 1 --runs x", "--shipped goes without --seed, --runs"),
        ("evaluate --shipped --figures-only", "--shipped goes without --figures-only"),
        ("train --seed -1", "argument --seed: give a whole number from 0 to 4000000"),
    ],
)
def test_what_the_command_has_no_use_for_is_told(arguments, message, capsys):
    with pytest.raises(SystemExit):
        outlining.main(arguments.split())
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_second_training_is_told_of_the_first(tmp_path, capsys):
    with run_folder(load_outline_recipe(), 0, tmp_path).held():
        assert outlining.main(["train", "--runs", str(tmp_path), "--data", "nowhere"]) == 2
    assert "Another training is using" in " ".join(capsys.readouterr().err.split())


def test_a_folder_that_cannot_be_written_to_is_told_first(tmp_path, capsys):
    (tmp_path / "file").write_text("")
    command = ["evaluate", "--data", "nowhere", "--output", str(tmp_path / "file")]
    assert outlining.main(command) == 2
    assert "Nothing can be written to" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize(
    ("arguments", "stopped_in", "said"),
    [
        ("evaluate", "result.write_result", "No file is half written; give the same command"),
        ("evaluate --shipped", "result.judge_again", "No file is half written; give the same"),
        ("train", "images.read_table", "nothing of this run is kept"),
    ],
)
def test_ctrl_c_promises_no_more_than_is_kept(
    arguments, stopped_in, said, tmp_path, monkeypatch, capsys
):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(f"core.outlining.{stopped_in}", stop)
    assert outlining.main(arguments.split()) == 130
    told = " ".join(capsys.readouterr().err.split())
    assert said in told and "--resume" not in told


class TestSplit:
    def table(self) -> pd.DataFrame:
        rng = np.random.default_rng(0)
        labels = ["benign"] * 60 + ["malignant"] * 40 + ["normal"] * 30
        groups = [f"g{n}" for n in rng.integers(0, 90, 100)] + [f"n{i // 2}" for i in range(30)]
        groups[100:103] = groups[0], groups[50], groups[99]
        ids = [f"{label}/{i}" for i, label in enumerate(labels)]
        return pd.DataFrame({"image_id": ids, "label": labels, "group": groups})

    def test_no_group_is_on_two_sides(self):
        split = split_table(self.table(), load_outline_recipe(), 0)
        assert split.groupby("group")["split"].nunique().max() == 1
        assert set(split["split"]) == {"train", "validation", "test"}
        assert split["split"].notna().all()

    def test_lesions_are_split_as_if_nothing_else_were_there(self):
        from core.datasets.splits import assign

        table, recipe = self.table(), load_outline_recipe()
        lesions = table[table["label"] != "normal"].reset_index(drop=True)
        alone = assign(lesions, "grouped", recipe.data.fractions, 3)
        assert split_table(table, recipe, 3)["split"][:100].tolist() == alone.tolist()

    def test_its_test_lesions_are_those_of_the_system_that_needs_outlines(self):
        """The shipped predictions of the classifier and of the outlining network agree."""
        from core.checkpoints import open_checkpoint
        from core.outlining.proposal import outlines_checkpoint

        outlined = outlines_checkpoint().predictions()
        system = open_checkpoint("busi-efficientnetv2b0").predictions()
        system = system[(system["protocol"] == "grouped") & (system["seed"] == 0)]
        for split in ("validation", "test"):
            lesions = outlined[(outlined["split"] == split) & (outlined["label"] != "normal")]
            assert set(lesions["image_id"]) == set(system["image_id"][system["split"] == split])


class TestTooFew:
    def read(self, monkeypatch, lesions: int, others: int = 0):
        """The table of so many images with a lesion and without one, each a group of its own."""
        labels = ["benign"] * lesions + ["normal"] * others
        ids = [f"{label}/{i}" for i, label in enumerate(labels)]
        table = pd.DataFrame({"image_id": ids, "label": labels, "group": ids})
        monkeypatch.setattr(images, "load_table", lambda *_: table)
        return read_table(load_outline_recipe(), None, 0)

    def test_every_part_needs_a_lesion(self, monkeypatch):
        sentence = "41 images in 41 groups are too few to split: none with a lesion is left for val"
        with pytest.raises(DatasetError, match=sentence):
            self.read(monkeypatch, 1, 40)

    def test_training_needs_a_whole_batch(self, monkeypatch):
        """Of 10 images at 70/15/15, 2 validate and 1 tests; of 12, 2 and 2."""
        with pytest.raises(DatasetError, match="too few to split: train has 7 of .* takes 8. Give"):
            self.read(monkeypatch, 10)
        assert (self.read(monkeypatch, 12)["split"] == "train").sum() == 8


class TestBatches:
    def test_batches_depend_on_seed_and_epoch_alone(self):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 256, (20, 32, 32, 3), np.uint8)
        masks = rng.random((20, 32, 32)) > 0.8
        images = ImageSet(images, masks, np.zeros(20, np.int64), 20)
        recipe = load_outline_recipe()

        def draw(seed, epoch):
            return list(training_batches(images, recipe, seed, epoch))

        first, again, other = draw(0, 0), draw(0, 0), draw(0, 1)
        assert [len(batch) for batch, _ in first] == [8, 8]
        for (batch, marked), (batch2, marked2) in zip(first, again, strict=True):
            assert np.array_equal(batch, batch2) and np.array_equal(marked, marked2)
        assert not np.array_equal(first[0][0], other[0][0])


def test_the_card_says_what_a_reader_must_know():
    from core.outlining.proposal import outlines_checkpoint

    checkpoint = outlines_checkpoint(CHECKPOINTS)
    text = render(checkpoint.recipe, checkpoint.metrics)
    assert text == checkpoint.card
    for needed in (
        "Not a medical device",
        "647",
        "Ronneberger",
        "dib.2019.104863",
        "20 test images without a lesion (15 groups)",
    ):
        assert needed in text
