"""The shipped outlining network: hashes, size, figures, threads, damage, scans."""

from __future__ import annotations

import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from test_checkpoints import signature

from core.checkpoints import (
    CHECKPOINTS,
    METRICS,
    CheckpointError,
    list_trained,
    open_checkpoint,
    update_checkpoint,
)
from core.datasets.phantoms import phantom
from core.evaluation.localisation import localisation
from core.outlining.evaluation import judge
from core.outlining.proposal import FOLDER, open_outliner, outlines_checkpoint
from core.outlining.recipe import BUSI_UNET, load_outline_recipe
from core.outlining.result import metrics_of
from core.results import outlining
from core.results.reproduction import check

MEGABYTES = 14


@pytest.fixture(scope="module")
def checkpoint():
    return outlines_checkpoint()


@pytest.fixture(scope="module")
def outliner():
    return open_outliner()


@pytest.fixture
def copy(tmp_path):
    """A copy of the shipped folder that a test may damage."""
    shutil.copytree(CHECKPOINTS / FOLDER, tmp_path / FOLDER)
    return tmp_path


class TestFolder:
    def test_every_file_matches_its_hash(self, checkpoint):
        names = set(checkpoint.manifest["files"])
        assert {"weights.safetensors", "metrics.json", "card.md", "recipe.toml"} <= names
        assert names == {path.name for path in checkpoint.folder.iterdir()} - {"manifest.json"}
        for name in names:
            checkpoint.verified(name)

    def test_it_is_small(self, checkpoint):
        size = sum(path.stat().st_size for path in checkpoint.folder.iterdir())
        assert size <= MEGABYTES * 1e6

    def test_it_is_not_taken_for_a_classifier(self):
        assert BUSI_UNET not in list_trained()
        assert FOLDER not in list_trained()

    def test_its_method_is_that_of_the_recipe(self, checkpoint):
        assert checkpoint.recipe.method() == load_outline_recipe().method()

    def test_kernels_are_rounded_and_vectors_are_not(self, checkpoint):
        arrays = checkpoint.arrays()
        assert {a.dtype for a in arrays.values() if a.ndim > 1} == {np.dtype(np.float16)}
        assert {a.dtype for a in arrays.values() if a.ndim == 1} == {np.dtype(np.float32)}
        kernels = [a.view(np.uint16) for a in arrays.values() if a.ndim > 1]
        assert not any((bits & 3).any() for bits in kernels)

    def test_no_imagenet_array_is_shipped_unchanged(self, checkpoint, weights_folder):
        known = {
            signature(array)
            for array in np.load(weights_folder / "efficientnetv2-b0.npz").values()
            if np.ptp(array) > 0
        }
        arrays = checkpoint.arrays()
        assert [n for n, a in arrays.items() if np.ptp(a) > 0 and signature(a) in known] == []


class TestFigures:
    def test_its_tables_give_its_figures(self, checkpoint):
        predictions = checkpoint.predictions()
        regions = checkpoint.table("regions.parquet")
        names = checkpoint.metrics["regions"]
        systems = {name: open_checkpoint(name).recipe.classes for name in names}
        found = metrics_of(predictions, regions, checkpoint.recipe, systems)
        stated = {name: checkpoint.metrics[name] for name in found}
        assert flat(json.loads(json.dumps(found))) == pytest.approx(flat(stated), abs=1e-9)

    def test_a_figure_that_its_tables_do_not_give_is_named(self, copy):
        """Beside it lies the system that looks at its outlines."""
        shutil.copytree(CHECKPOINTS / "busi-efficientnetv2b0", copy / "busi-efficientnetv2b0")
        assert check(copy) == []
        checkpoint = outlines_checkpoint(copy)
        metrics = json.loads(json.dumps(checkpoint.metrics))
        metrics["test"]["lesions"]["values"]["dice"]["value"] = 0.79
        metrics["over_splits"]["dice"][1] = 0.8
        update_checkpoint(checkpoint, {METRICS: json.dumps(metrics).encode()})
        first, second, card = check(copy)
        assert first.startswith("busi-unet: over_splits, dice, 1: 0.8 in metrics.json, 0.79")
        assert second.startswith("busi-unet: test, lesions, values, dice, value: 0.79 in metrics")
        assert card.startswith("busi-unet: The card is not that of recipe and figures.")
        del metrics["regions"]
        update_checkpoint(checkpoint, {METRICS: json.dumps(metrics).encode()})
        lost = [one for one in check(copy) if "busi-unet: regions, busi-efficientnetv2b0" in one]
        assert lost and all(": nothing in metrics.json, " in one for one in lost)

    def test_with_the_drawn_outline_the_system_reaches_its_own_figures(self, checkpoint):
        one = checkpoint.metrics["regions"]["busi-efficientnetv2b0"]
        system = open_checkpoint("busi-efficientnetv2b0").metrics["grouped"]
        assert one["n"] == system["n"]
        for metric, figure in one["regions"]["true"].items():
            assert figure["value"] == pytest.approx(system["values"][metric]["value"], abs=0.005)

    def test_the_page_shows_them(self, checkpoint):
        text = outlining.section()
        dice = checkpoint.metrics["test"]["lesions"]["values"]["dice"]
        assert f"{dice['value']:.3f} ({dice['low']:.3f} to {dice['high']:.3f})" in text
        assert "## Proposed outlines" in text
        assert outlining.section(CHECKPOINTS / "none") == ""

    def test_real_scans_give_what_is_stored(self, checkpoint, outliner, tables):
        """Eight test images of BUSI, every label among them."""
        stored = checkpoint.predictions()
        stored = stored[stored["split"] == "test"].groupby("label").head(3).head(8)
        stored = stored.set_index("image_id")
        table = tables("busi")
        table = table[table["image_id"].isin(stored.index)].assign(split="test")
        found = judge(outliner, table).set_index("image_id")
        assert len(found) == 8
        for column in ("dice", "iou", "confidence"):
            np.testing.assert_allclose(found[column], stored[column][found.index], atol=5e-3)
        assert found["proposed"].tolist() == stored["proposed"][found.index].tolist()


class TestProposals:
    def test_phantoms_with_a_sharp_lesion_are_outlined_better_than_by_chance(self, outliner):
        """It never saw a phantom. A benign lesion there is dark, round and smooth, as in BUSI; a
        map that knew nothing would have the Dice of the mask's own share."""
        scores, chance = [], []
        for seed in range(6):
            pixels, mask = phantom("benign", seed)
            found = outliner.propose(pixels).probability
            scores.append(localisation(found, mask).dice)
            chance.append(2 * mask.mean() / (1 + mask.mean()))
        assert np.mean(scores) > np.mean(chance) + 0.2

    def test_a_blank_scan_has_no_lesion(self, outliner):
        proposal = outliner.propose(np.zeros((300, 400, 3), np.uint8))
        assert not proposal.mask.any()
        assert proposal.confidence == 0

    @pytest.mark.slow
    def test_threads_get_what_one_alone_gets(self, outliner):
        scans = [phantom("malignant", seed)[0] for seed in range(8)]
        alone = [outliner.propose(scan) for scan in scans]
        with ThreadPoolExecutor(4) as pool:
            together = list(pool.map(outliner.propose, scans))
        for a, b in zip(alone, together, strict=True):
            assert np.array_equal(a.probability, b.probability)
            assert np.array_equal(a.mask, b.mask)
            assert a.confidence == b.confidence

    def test_it_opens_offline_and_alike(self, outliner, monkeypatch):
        def refuse(*_, **__):
            raise OSError("no network here")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        scan = phantom("benign", 3)[0]
        again = open_outliner().propose(scan)
        assert np.array_equal(again.probability, outliner.propose(scan).probability)


class TestDamage:
    @pytest.mark.parametrize("name", ["weights.safetensors", "metrics.json", "recipe.toml"])
    def test_a_changed_file_is_refused_by_name(self, copy, name):
        path = copy / FOLDER / BUSI_UNET / name
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(CheckpointError, match=f"{BUSI_UNET}/{name} does not match its hash"):
            open_outliner(copy)

    def test_a_missing_file_is_refused_by_name(self, copy):
        (copy / FOLDER / BUSI_UNET / "weights.safetensors").unlink()
        with pytest.raises(CheckpointError, match="weights.safetensors is missing"):
            open_outliner(copy)

    def test_without_a_network_the_sentence_says_what_to_do(self, tmp_path):
        with pytest.raises(CheckpointError, match="Draw the region by hand, or train"):
            open_outliner(tmp_path)


def flat(entry: dict, name: str = "") -> dict[str, float]:
    """Every number of a nested record by its path."""
    if not isinstance(entry, dict):
        return {name: entry}
    return {k: v for key, inner in entry.items() for k, v in flat(inner, f"{name}/{key}").items()}
