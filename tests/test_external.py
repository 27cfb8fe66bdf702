"""A system on images of one's own: the same answers as elsewhere, and what limits the figures."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from shutil import copytree

import cv2
import numpy as np
import pandas as pd
import pytest
from networks import trained_classifier
from sklearn.metrics import balanced_accuracy_score, confusion_matrix

from core.archives import pack
from core.checkpoints import list_trained, open_checkpoint
from core.datasets import DatasetError
from core.datasets.phantoms import phantom, phantom_table
from core.evaluation.calibration import apply_temperature
from core.external import judge_own, limits
from core.external.__main__ import main
from core.findings import NO_REGION
from core.predict import classify
from core.scans import read_scan_file

WHOLE, OUTLINED = "busi-efficientnet-b0", "busi-efficientnetv2b0"

pytestmark = [
    pytest.mark.skipif(WHOLE not in list_trained(), reason="the system is not shipped"),
    pytest.mark.usefixtures("loaded_once"),
]


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Two phantoms a class, one of them twice, a file that is broken, an image beside the folders,
    and a class of no system."""
    folder = tmp_path_factory.mktemp("own")
    for name, label in (("Benign", "benign"), ("MALIGNANT", "malignant"), ("cyst", "normal")):
        (folder / name).mkdir()
        for number in (1, 2):
            cv2.imwrite(str(folder / name / f"{number}.png"), phantom(label, number)[0])
    cv2.imwrite(str(folder / "Benign" / "copy.png"), phantom("benign", 1)[0])
    cv2.imwrite(str(folder / "stray.png"), phantom("benign", 3)[0])
    (folder / "MALIGNANT" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    return folder


def told(capsys) -> dict:
    return json.loads(capsys.readouterr().out)


def test_the_answers_are_those_of_an_upload_and_the_figures_those_of_the_answers(
    own, tmp_path, capsys
):
    table = tmp_path / "answers.csv"
    assert main([str(own), "--recipe", WHOLE, "--json", "--csv", str(table)]) == 0
    found, answers = told(capsys), pd.read_csv(table)
    classifier = trained_classifier(WHOLE)
    classes = list(classifier.recipe.classes)
    for row in answers.itertuples():
        opinion = classify(classifier, read_scan_file(own / f"{row.image_id}.png"))
        shares = [getattr(row, name) for name in classes]
        np.testing.assert_allclose(shares, opinion.probabilities, atol=1e-5)
        assert (row.predicted, row.label) == (opinion.label, row.image_id.partition("/")[0].lower())
    matrix = confusion_matrix(answers["label"], answers["predicted"], labels=classes)
    assert found["confusion"] == matrix.tolist()
    right = np.trace(matrix) / 5
    assert found["values"]["accuracy"]["value"] == pytest.approx(right)
    assert found["values"]["balanced_accuracy"]["value"] is None, "nothing is normal"
    assert (found["n"], found["n_groups"]) == (5, 4), "one picture is there twice"
    assert found["unlike"]["value"] == np.mean(answers["guard"] != "like")
    assert found["familiar"] == 0 and found["protocol"] == "external"


def test_what_is_left_out_is_told(own, capsys):
    assert main([str(own), "--recipe", WHOLE]) == 0
    printed = capsys.readouterr().out
    assert "5 images in 4 groups. Nothing was fitted" in printed
    assert "the intervals are too narrow" in printed
    assert "Left out: 2 images of 'cyst', which is no class of the system" in printed
    assert "Left out: MALIGNANT/broken: " in printed
    assert "\n1 image left out, in no folder of a class: 1 at the top." in printed
    assert "are known here" not in printed, "all that it was trained on are"


def test_where_not_all_training_images_are_remembered_that_is_told():
    """Of 6,317, 2,035 and 1,036 training images 1,000 are: most copies of them look new."""
    checkpoint = open_checkpoint("mammography-dalaresnet50")
    rows = [*phantom_table(1).itertuples(index=False)]
    found = judge_own(checkpoint, trained_classifier(checkpoint.recipe.id), pd.DataFrame(rows))
    assert found.remembered == 1000
    assert any("1,000 are known here" in one for one in limits(found, checkpoint.recipe))


def test_an_archive_gives_the_same_as_its_folder(own, tmp_path, capsys):
    files = {str(path.relative_to(own)): path.read_bytes() for path in own.rglob("*.png")}
    (tmp_path / "own.zip").write_bytes(pack(files))
    found = []
    for place in (own, tmp_path / "own.zip"):
        assert main([str(place), "--recipe", WHOLE, "--json"]) == 0
        found.append(told(capsys))
    left = [one.pop("left_out") for one in found]
    assert found[0] == found[1]
    assert [len(one) for one in left] == [3, 3]


def test_intervals_are_over_the_patients_that_a_list_tells(own, tmp_path, capsys):
    kept = tmp_path / "own"
    copytree(own, kept)
    patients = {"Benign/1.png": "Ms A", "MALIGNANT/1.png": "Ms A", "MALIGNANT/2.png": "Ms B"}
    names = sorted(str(path.relative_to(kept)) for path in kept.rglob("*.png"))
    rows = [f"{name},{patients.get(name, name)}\n" for name in names]
    (kept / "patients.csv").write_text("image,patient\n" + "".join(rows))
    answers = tmp_path / "answers.csv"
    assert main([str(kept), "--recipe", WHOLE, "--csv", str(answers)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "5 images in 3 groups. Nothing was fitted to them. Images of one patient, and" in printed
    assert "nothing is known" not in printed.lower() and "Ms A" not in answers.read_text()
    groups = pd.read_csv(answers).set_index("image_id")["group"]
    assert groups[["Benign/1", "Benign/copy", "MALIGNANT/1"]].nunique() == 1
    assert groups[["Benign/1", "Benign/2", "MALIGNANT/2"]].nunique() == 3


def test_a_table_that_cannot_be_written_loses_no_figures(own, tmp_path, capsys):
    nowhere = tmp_path / "nowhere" / "answers.csv"
    assert main([str(own), "--recipe", WHOLE, "--csv", str(nowhere)]) == 2
    told = capsys.readouterr()
    assert "accuracy" in told.out.lower() and "No such file" in told.err


def test_a_system_that_needs_masks_takes_those_beside_the_images(tmp_path, capsys):
    for label in ("benign", "malignant"):
        (tmp_path / label).mkdir()
        for number in (1, 2):
            pixels, mask = phantom(label, number)
            cv2.imwrite(str(tmp_path / label / f"{number}.png"), pixels)
            if number == 1:
                white = 255 * mask.astype(np.uint8)
                cv2.imwrite(str(tmp_path / label / f"{number}_mask.png"), white)
    kept = tmp_path / "answers.csv"
    assert main([str(tmp_path), "--recipe", OUTLINED, "--csv", str(kept)]) == 0
    assert f"2 images without a mask. {NO_REGION}" in capsys.readouterr().out
    classifier = trained_classifier(OUTLINED)
    for row in csv.DictReader(kept.open()):
        label, _, number = row["image_id"].partition("/")
        mask = phantom(label, int(number))[1] if number == "1" else None
        assert row["outlined"] == str(mask is not None)
        scan = read_scan_file(tmp_path / f"{row['image_id']}.png")
        expected = classify(classifier, scan, mask=mask).probabilities
        shares = [float(row[name]) for name in classifier.recipe.classes]
        np.testing.assert_allclose(shares, expected, atol=1e-5)


def test_of_busi_it_finds_what_was_trained_on_and_the_shipped_answers(tables):
    checkpoint = open_checkpoint(OUTLINED)
    run = checkpoint.shipped_run().set_index("image_id")
    tested, trained = run[run["split"] == "test"][::8], run[run["split"] == "train"][::80]
    rows = tables("busi").set_index("image_id", drop=False)
    mine = rows.loc[[*tested.index, *trained.index]]
    found = judge_own(checkpoint, trained_classifier(OUTLINED), mine)
    answers = found.answers.set_index("image_id").loc[tested.index]
    classes = list(checkpoint.recipe.classes)
    expected = apply_temperature(tested[classes].to_numpy(), checkpoint.temperature)
    # Batches of other lengths, processors and library builds round differently.
    np.testing.assert_allclose(answers[classes], expected, atol=2e-3)
    predicted = np.array(classes)[expected.argmax(axis=1)]
    assert balanced_accuracy_score(answers["label"], answers["predicted"]) == pytest.approx(
        balanced_accuracy_score(tested["label"], predicted)
    )
    np.testing.assert_allclose(answers["similarity"], tested["similarity"], atol=2e-3)
    assert found.familiar == len(trained)
    assert answers["outlined"].all() and not found.left_out


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (("a", "b"), "None of the folders is named after a class of"),
        (("benign",), "Two classes with images or more were not found"),
    ],
)
def test_a_folder_that_cannot_be_judged_gets_its_sentence(tmp_path, names, sentence, capsys):
    for name in names:
        (tmp_path / name).mkdir()
        cv2.imwrite(str(tmp_path / name / "1.png"), phantom("benign", 1)[0])
    assert main([str(tmp_path), "--recipe", WHOLE]) == 2
    assert sentence in capsys.readouterr().err


def test_images_of_which_none_can_be_read_are_refused(tmp_path):
    for name in ("benign", "malignant"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    from core.datasets import folder

    with pytest.raises(DatasetError, match="None of the images can be read"):
        judge_own(open_checkpoint(WHOLE), trained_classifier(WHOLE), folder.read(tmp_path))
