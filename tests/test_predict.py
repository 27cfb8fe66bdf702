"""The command line: the same answers as the interface, refusals that harm no other file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import copy
from pathlib import Path

import cv2
import numpy as np
import pytest
from networks import system_cases, trained_classifier

from core.archives import pack
from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import probabilities
from core.datasets import __main__ as datasets
from core.datasets.phantoms import phantom
from core.explain import grad_cam
from core.external import __main__ as external
from core.predict import __main__ as predict
from core.predict import classify
from core.predict.__main__ import answer_files, as_sentence, main
from core.preprocessing import to_batch
from core.samples import sample_file
from core.scans import Scan, ScanError, read_scan_file
from tests.dicoms import dicom

WHOLE, OF_KERAS = "busi-efficientnet-b0", "busi-mobilenetv2"
OUTLINED = "busi-efficientnetv2b0"


pytestmark = pytest.mark.usefixtures("loaded_once")
trained = pytest.mark.parametrize("recipe_id", system_cases())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with one phantom and one broken file."""
    folder = tmp_path_factory.mktemp("scans")
    pixels, _ = phantom("malignant", 3)
    cv2.imwrite(str(folder / "good.png"), pixels)
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


@trained
def test_an_opinion_is_what_the_classifier_says(recipe_id, folder):
    classifier = trained_classifier(recipe_id)
    scan = read_scan_file(folder / "good.png")
    opinion = classify(classifier, scan)
    batch = to_batch([scan.pixels[0]], classifier.recipe.preprocessing)
    expected = classifier.logits(batch)
    np.testing.assert_allclose(opinion.logits, expected[0], atol=1e-4)
    shares = probabilities(expected, classifier.temperature)
    np.testing.assert_allclose(opinion.probabilities, shares[0], atol=1e-5)
    assert opinion.label == classifier.recipe.classes[expected[0].argmax()]
    heatmap = grad_cam(classifier, batch, int(expected[0].argmax())).heatmaps[0]
    np.testing.assert_allclose(opinion.heatmap.values, heatmap.values, atol=1e-4)


@trained
def test_the_explained_class_can_be_chosen(recipe_id, folder):
    classifier = trained_classifier(recipe_id)
    scan = read_scan_file(folder / "good.png")
    maps = [
        classify(classifier, scan, target=k).heatmap.values
        for k in range(len(classifier.recipe.classes))
    ]
    assert not any(np.array_equal(maps[0], other) for other in maps[1:])


@trained
def test_the_backbone_runs_once(recipe_id, folder, monkeypatch):
    classifier = trained_classifier(recipe_id)
    calls = []
    features = type(classifier).features
    monkeypatch.setattr(
        type(classifier), "features", lambda *a, **k: calls.append(1) or features(*a, **k)
    )
    monkeypatch.setattr(
        type(classifier), "logits", lambda *_: pytest.fail("a second pass through the backbone")
    )
    classify(classifier, read_scan_file(folder / "good.png"))
    assert len(calls) == 1


def test_a_frame_that_is_not_there_is_refused():
    scan = Scan(np.zeros((2, 4, 4, 3), np.uint8), None, None)
    with pytest.raises(ScanError, match="2 frames; there is no frame 3"):
        classify(None, scan, frame=2)


@pytest.mark.parametrize("recipe_id", [WHOLE, OF_KERAS])
def test_json_has_one_line_a_file_and_the_status_tells_of_refusals(recipe_id, folder, capsys):
    files = [str(folder / name) for name in ("good.png", "broken.png", "absent.png", "good.png")]
    status = main([*files, "--recipe", recipe_id, "--json"])
    records = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert status == 1
    assert [r["file"] for r in records] == files
    fields = ["file", "frames", "recipe", "label", "probabilities", "outlined", "warning", "error"]
    assert all(list(r) == fields for r in records)
    good, broken, absent, again = records
    assert good == again
    assert sum(good["probabilities"].values()) == pytest.approx(1)
    assert good["label"] == max(good["probabilities"], key=good["probabilities"].get)
    for refused in (broken, absent):
        assert refused["label"] is None and refused["probabilities"] is None
        assert refused["error"].endswith(".")


def test_without_refusals_the_status_is_zero(folder, capsys):
    if not list_trained():
        pytest.skip("no trained system is shipped")
    assert main([str(folder / "good.png")]) == 0
    assert "good.png: " in capsys.readouterr().out


def test_overlays_are_saved_at_the_size_of_the_scan(folder, tmp_path, capsys):
    if not list_trained():
        pytest.skip("no trained system is shipped")
    main([str(folder / "good.png"), str(folder / "good.png"), "--explain", str(tmp_path / "new")])
    saved = sorted((tmp_path / "new").glob("*.png"))
    assert len(saved) == 2
    picture = cv2.imread(str(saved[0]))
    assert picture.shape == cv2.imread(str(folder / "good.png")).shape
    assert np.ptp(picture.astype(int), axis=-1).max() > 50  # colours over a grey scan


def test_overlays_lie_as_in_the_body(tmp_path, capsys):
    flat = phantom("benign", 4)[0][::2, :, 0]  # every other line of the scan
    (tmp_path / "flat.dcm").write_bytes(dicom(flat, PixelAspectRatio=["2", "1"]))
    main([str(tmp_path / "flat.dcm"), "--recipe", WHOLE, "--explain", str(tmp_path / "new")])
    (saved,) = (tmp_path / "new").glob("*.png")
    assert cv2.imread(str(saved)).shape[:2] == (2 * flat.shape[0], flat.shape[1])


@pytest.mark.skipif(sys.platform != "linux", reason="file names are text here")
def test_names_that_are_long_or_no_text_stop_no_batch(folder, tmp_path, capsys):
    # What is written keeps 150 bytes of a name, without half a letter, and only what is text.
    kept_of = {
        "x" * 247: "x" * 150,
        "x" + "\u00e9" * 123: "x" + "\u00e9" * 74,
        os.fsdecode(b"caf\xe9"): "caf",
    }
    scans = [tmp_path / f"{stem}.png" for stem in kept_of]
    for scan in scans:
        scan.write_bytes((folder / "good.png").read_bytes())
    maps, records = tmp_path / "maps", tmp_path / "records"
    written = ["--explain", str(maps), "--manifest", str(records)]
    assert main([*map(str, scans), "--recipe", WHOLE, *written]) == 0
    assert "caf\\udce9.png: " in capsys.readouterr().out
    assert len(list(maps.iterdir())) == 3
    saved = sorted(records.iterdir())
    assert [one.name for one in saved] == [
        f"{number:04d} {stem} {WHOLE}.json" for number, stem in enumerate(kept_of.values(), 1)
    ]
    assert main(["--replay", str(saved[2]), str(scans[2])]) == 0


def test_a_sentence_never_claims_certainty():
    shares = {"benign": 0.0004, "malignant": 0.9996}
    record = {"file": "a.png", "frames": 1, "label": "malignant", "probabilities": shares}
    told = as_sentence(record | {"outlined": False, "warning": None, "error": None})
    assert told == "a.png: malignant (benign < 1 %, malignant > 99 %)"


def test_of_several_frames_it_is_told_which_was_seen(folder, tmp_path, capsys):
    frames = np.stack([phantom("benign", number)[0][..., 0] for number in range(3)])
    (tmp_path / "cine.dcm").write_bytes(dicom(frames, NumberOfFrames=3, Modality="US"))
    files = [str(tmp_path / "cine.dcm"), str(folder / "good.png")]
    main([*files, "--recipe", WHOLE, "--json"])
    assert [json.loads(one)["frames"] for one in capsys.readouterr().out.splitlines()] == [3, 1]
    main([*files, "--recipe", WHOLE])
    cine, still = capsys.readouterr().out.splitlines()
    assert cine.startswith(f"{files[0]}, frame 1 of 3: ")
    assert still.startswith(f"{files[1]}: ")


def test_folders_archives_and_series_are_answered_and_replayed(folder, tmp_path, capsys):
    slices = [dicom(phantom("benign", number)[0][..., 0], **at(number)) for number in range(2)]
    scans, records = tmp_path / "scans", tmp_path / "records"
    scans.mkdir()
    for name, data in zip("ba", slices, strict=True):
        (scans / f"{name}.dcm").write_bytes(data)
    names = {name: (folder / name).read_bytes() for name in ("good.png", "broken.png")}
    (scans / "pictures.zip").write_bytes(pack(names))
    asked = [str(scans), "--recipe", WHOLE, "--manifest", str(records), "--json"]
    assert main(asked) == 1
    series, good, broken = map(json.loads, capsys.readouterr().out.splitlines())
    assert series["file"] == f"{scans / 'b.dcm'} and 1 more slice" and series["frames"] == 2
    assert good["file"] == str(scans / "pictures.zip" / "good.png") and good["label"]
    assert broken["file"].endswith("broken.png") and broken["error"]
    kept = sorted(records.iterdir())
    assert [one.name for one in kept] == [f"0001 b {WHOLE}.json", f"0002 good {WHOLE}.json"]
    for record in kept:
        assert main(["--replay", str(record), str(scans)]) == 0
        assert main(["--replay", str(record)]) == 2
        assert "Give the scan's file" in capsys.readouterr().err


def test_a_damaged_slice_is_left_out_and_told(tmp_path, capsys):
    whole = [dicom(phantom("benign", number)[0][..., 0], **at(number)) for number in range(3)]
    paths = [tmp_path / f"{number}.dcm" for number in range(3)]
    for path, data in zip(paths, [whole[0][:-4], *whole[1:]], strict=True):
        path.write_bytes(data)
    files, records = list(map(str, paths)), tmp_path / "records"
    assert main([*files, "--recipe", WHOLE, "--manifest", str(records), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["frames"] == 2
    assert "Slice 1 of 3 of this series cannot be read and is left out." in told["warning"]
    assert main(["--recipe", WHOLE, "--json", files[1]]) == 0
    assert json.loads(capsys.readouterr().out)["probabilities"] == told["probabilities"]
    assert main(["--replay", str(next(records.iterdir())), *files]) == 0


def at(position: float) -> dict:
    """Elements of a slice of a series."""
    return {
        "SeriesInstanceUID": "1.2.3",
        "ImagePositionPatient": [0, 0, position],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }


def test_a_second_run_replaces_nothing_that_the_first_saved(folder, tmp_path, capsys):
    (tmp_path / "good.png").write_bytes(dicom(phantom("benign", 4)[0][..., 0]))
    maps, records = tmp_path / "maps", tmp_path / "records"
    for scan in (folder / "good.png", tmp_path / "good.png"):
        written = ["--explain", str(maps), "--manifest", str(records)]
        assert main([str(scan), "--recipe", WHOLE, *written]) == 0
    assert len(list(maps.iterdir())) == 2
    kept = sorted(records.iterdir())
    assert [one.name for one in kept] == [f"000{n} good {WHOLE}.json" for n in (1, 2)]
    assert all(main(["--replay", str(one)]) == 0 for one in kept)


def test_an_unknown_recipe_is_a_sentence_and_status_two(folder, capsys):
    assert main([str(folder / "good.png"), "--recipe", "nothing"]) == 2
    assert "No trained system 'nothing'" in capsys.readouterr().err


def test_a_header_that_contradicts_the_system_is_a_warning(tmp_path, capsys):
    pixels, _ = phantom("benign", 3)
    for modality in ("MR", "US"):
        (tmp_path / modality).write_bytes(dicom(pixels[..., 0], Modality=modality))
    files = [str(tmp_path / "MR"), str(tmp_path / "US")]
    assert main([*files, "--recipe", WHOLE, "--json"]) == 0
    foreign, own = map(json.loads, capsys.readouterr().out.splitlines())
    assert "marked as an MRI (MR)" in foreign["warning"] and foreign["label"]
    assert own["warning"] is None
    main([files[0], "--recipe", WHOLE])
    assert "marked as an MRI (MR)" in capsys.readouterr().out


def test_a_picture_of_another_kind_is_a_warning(tmp_path, capsys):
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "noise.png"), noise)
    assert main([str(tmp_path / "noise.png"), "--recipe", WHOLE, "--json"]) == 0
    assert "does not look like what the system was trained on" in capsys.readouterr().out


def test_a_system_that_needs_an_outline_warns(folder):
    classifier = copy(trained_classifier(WHOLE))
    (plain,) = answer_files([folder / "good.png"], classifier)
    recipe = classifier.recipe
    outlined = recipe.preprocessing.model_copy(update={"region": "mask"})
    classifier.recipe = recipe.model_copy(update={"preprocessing": outlined})
    (warned,) = answer_files([folder / "good.png"], classifier)
    assert plain.warning is None and "no outline was given" in warned.warning


@pytest.fixture(scope="module")
def beside(tmp_path_factory):
    """A folder with phantoms, one with a mask, one with two halves of one, one of another size."""
    folder = tmp_path_factory.mktemp("beside")
    for number in range(3):
        pixels, mask = phantom("malignant", number)
        halves = [mask.copy(), mask.copy()]
        halves[0][:, 128:], halves[1][:, :128] = False, False
        masks = [[mask], halves, [mask[::2]]][number]
        cv2.imwrite(str(folder / f"{number}.png"), pixels)
        for end, part in zip(("_mask", "_mask_1"), masks, strict=False):
            cv2.imwrite(str(folder / f"{number}{end}.png"), 255 * part.astype(np.uint8))
    return folder


def test_masks_outline_the_scans_that_they_lie_beside(beside, tmp_path, capsys):
    asked = [str(beside), "--recipe", OUTLINED, "--manifest", str(tmp_path), "--json"]
    assert main(asked) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["outlined"] for one in told] == [True, True, False]
    classifier = trained_classifier(OUTLINED)
    for number, one in enumerate(told[:2]):
        _, mask = phantom("malignant", number)
        scan = read_scan_file(beside / f"{number}.png")
        expected = classify(classifier, scan, mask=mask).probabilities
        assert list(one["probabilities"].values()) == pytest.approx(expected, abs=1e-6)
        assert not np.allclose(expected, classify(classifier, scan).probabilities, atol=1e-3)
        assert "no outline was given" not in (one["warning"] or "")
    assert "Its mask was not used. The mask is 256 x 128 pixels" in told[2]["warning"]
    assert "no outline was given" in told[2]["warning"]
    assert all(main(["--replay", str(one)]) == 0 for one in sorted(tmp_path.iterdir()))


def test_a_system_that_needs_no_outline_is_answered_without(beside, folder, capsys):
    assert main([str(beside), "--recipe", WHOLE]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        str(beside / f"{number}.png") for number in range(3)
    ]
    main([str(beside), "--recipe", OUTLINED])
    assert capsys.readouterr().out.startswith(f"{beside / '0.png'}, outlined by its mask: ")


def test_a_folder_of_busi_gives_the_shipped_predictions(tables, tmp_path):
    """Its masks, found by their names, are those that the system was judged with."""
    rows = tables("busi").set_index("image_id")
    shipped = open_checkpoint(OUTLINED).shipped_run("test").set_index("image_id")
    for image in [*shipped.index[:2], *shipped.index[-2:]]:
        for path in (rows.path[image], *rows.masks[image]):
            (tmp_path / Path(path).name).symlink_to(path)
    answers = list(answer_files([tmp_path], trained_classifier(OUTLINED)))
    assert len(answers) == 4
    for answer in answers:
        expected = shipped.loc[f"{answer.source.path.stem.split()[0]}/{answer.source.path.stem}"]
        found = answer.opinion
        # Batches of other lengths, processors and library builds round differently.
        np.testing.assert_allclose(
            probabilities(found.logits), list(expected[list(found.classes)]), atol=2e-3
        )


@pytest.fixture
def predicted(folder, tmp_path, capsys):
    """A scan's copy, and the manifest of the opinion on it."""
    scan = tmp_path / "scan.png"
    scan.write_bytes((folder / "good.png").read_bytes())
    main([str(scan), "--recipe", WHOLE, "--manifest", str(tmp_path / "kept"), "--json"])
    record = json.loads(capsys.readouterr().out)
    (kept,) = (tmp_path / "kept").glob("*.json")
    return scan, kept, record


def test_a_replay_finds_the_file_and_the_same_numbers(predicted, folder, capsys):
    scan, kept, record = predicted
    for files in ([], [str(folder / "broken.png"), str(folder / "good.png")]):
        assert main(["--replay", str(kept), *files, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["found"] == found["stated"] == record["probabilities"]
    assert main(["--replay", str(kept)]) == 0
    out = capsys.readouterr().out
    assert "They agree exactly (same machine and versions)" in out
    assert all(repr(share) in out for share in record["probabilities"].values())


def test_what_was_said_of_a_phantom_of_the_pages_is_replayed_without_its_file(tmp_path, capsys):
    scan = tmp_path / "sample.png"
    scan.write_bytes(sample_file("Normal phantom 2"))
    main([str(scan), "--recipe", WHOLE, "--manifest", str(tmp_path / "kept"), "--json"])
    record = json.loads(capsys.readouterr().out)
    (kept,) = (tmp_path / "kept").glob("*.json")
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"path": None}))  # as a page saves it
    scan.unlink()
    assert main(["--replay", str(kept), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["found"] == record["probabilities"]


def test_a_replay_that_finds_other_numbers_has_status_one(predicted, capsys):
    _, kept, _ = predicted
    stated = json.loads(kept.read_text())
    stated["probabilities"][0] += 1e-9
    kept.write_text(json.dumps(stated))
    assert main(["--replay", str(kept)]) == 1
    out = capsys.readouterr().out
    assert "They do not agree exactly" in out and "logits" not in out
    stated["probabilities"][0] -= 1e-9
    stated["logits"][0] += 1e-3
    kept.write_text(json.dumps(stated))
    assert main(["--replay", str(kept)]) == 1
    assert "The logits differ." in capsys.readouterr().out
    stated["logits"][0] -= 1e-3
    was = stated["guard"]["level"]
    stated["guard"]["level"] = other = "foreign" if was == "like" else "like"
    kept.write_text(json.dumps(stated))
    assert main(["--replay", str(kept)]) == 1
    assert f"The guard's verdict was '{other}' and is '{was}'." in capsys.readouterr().out


@pytest.mark.parametrize("option", ["--recipe", "--explain", "--manifest"])
def test_options_that_have_no_say_in_a_replay_are_refused(option, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--replay", "record.json", option, "busi-mobilenetv2"])
    assert ended.value.code == 2
    assert f"leave out {option}" in capsys.readouterr().err


def test_a_replay_that_cannot_be_done_is_a_sentence_and_status_two(predicted, folder, capsys):
    scan, kept, _ = predicted
    (folder / "other.png").write_bytes(b"other")
    stated = json.loads(kept.read_text())
    pathless = kept.with_name("pathless.json")
    pathless.write_text(json.dumps(stated | {"path": None}))
    several = kept.with_name("several.json")
    several.write_text(json.dumps(stated | {"inputs": stated["inputs"] + ["0" * 64, "1" * 64]}))
    scan.write_bytes(scan.read_bytes()[:-1] + b"x")
    cases = {
        (str(kept),): "scan.png' is not the file that was examined",
        (str(kept), str(folder / "other.png")): "other.png' is not the file",
        (str(kept), str(scan), str(folder / "other.png")): "None of 2 files is the file",
        (str(several), str(folder / "good.png")): "lack 2 of the 3 that were examined",
        (str(pathless),): "tells no path",
        (str(kept), str(folder / "absent.png")): "cannot be opened",
        (str(kept), str(scan), str(folder / "gone.png")): "gone.png: The file cannot be opened",
        (str(folder / "good.png"),): "cannot be read",
        (str(folder / "other.png"),): "no manifest of an examination",
    }
    for arguments, sentence in cases.items():
        assert main(["--replay", *arguments]) == 2
        assert sentence in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_as_a_module(predicted):
    _, kept, _ = predicted
    command = [sys.executable, "-m", "core.predict", "--replay", str(kept)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "They agree" in done.stdout


def test_without_files_the_usage_is_told(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "FILE" in capsys.readouterr().err


@pytest.mark.parametrize("command", [predict, external, datasets], ids=lambda one: one.__name__)
def test_a_name_that_is_empty_is_not_taken_for_the_folder_one_is_in(command, capsys):
    first = ["audit"] if command is datasets else []
    with pytest.raises(SystemExit, match="2"):
        command.main([*first, ""])
    assert "the name is empty; give a file or a folder" in capsys.readouterr().err
