"""The leakage audit on images whose kinship is known, and on the published sets."""

from __future__ import annotations

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import adjusted_rand_score
from sklearn.neighbors import KNeighborsClassifier

from core.datasets import (
    READERS,
    DatasetError,
    __main__,
    find_folder,
    load_table,
    read_pixels,
)
from core.datasets.audit import Audit, audit, crossings, nearest_neighbour, what_relatives_are
from core.datasets.base import read_frame
from core.datasets.duplicates import COPY, MIRRORED
from core.datasets.known_splits import known_splits
from core.datasets.phantoms import phantom
from core.datasets.turned import TURNED, TURNED_MIRRORED, find_turned, on_dark, square


def scan(seed: int) -> np.ndarray:
    return phantom(("benign", "malignant", "normal")[seed % 3], seed, 160)[0]


def turned(image, degrees):
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    return cv2.warpAffine(image, matrix, (width, height))


def sharpened(image):
    return cv2.addWeighted(image, 2.5, cv2.GaussianBlur(image, (0, 0), 2), -1.5, 0)


def brighter(image):
    return cv2.convertScaleAbs(image, alpha=0.8, beta=30)


CHANGES = {
    "exact": (lambda image: image.copy(), "exact"),
    "brighter": (brighter, COPY),
    "turned by 17 degrees": (lambda image: turned(image, 17), TURNED),
    "turned by 90 degrees": (lambda image: np.ascontiguousarray(np.rot90(image)), TURNED),
    "turned by -140 degrees": (lambda image: turned(image, -140), TURNED),
    "sharpened twice": (lambda image: sharpened(sharpened(image)), COPY),
    "sharpened and turned": (lambda image: turned(sharpened(image), 33), TURNED),
    "mirrored": (lambda image: np.ascontiguousarray(image[:, ::-1]), MIRRORED),
    "upside down": (lambda image: np.ascontiguousarray(image[::-1]), MIRRORED),
    "mirrored and turned": (lambda image: turned(image[:, ::-1].copy(), 50), TURNED_MIRRORED),
    "cropped at one side": (lambda image: image[:, 40:].copy(), COPY),
}


def audit_of(
    images: dict[str, np.ndarray | None],
    labels: dict[str, str] | None = None,
    groups: dict[str, str] | None = None,
) -> Audit:
    """The audit of images by their names; "x" is the label, the name the group of all others."""
    labels, groups = labels or {}, groups or {}
    table = pd.DataFrame(
        {
            "image_id": list(images),
            "label": [labels.get(name, "x") for name in images],
            "group": [groups.get(name, name) for name in images],
        }
    )

    def read(row):
        if images[row.image_id] is None:
            raise DatasetError("It is broken.")
        return images[row.image_id]

    return audit(table, read)


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_is_paired_with_its_source_and_nothing_else(change):
    alter, kind = CHANGES[change]
    found = audit_of({"a": scan(1), "b": scan(2), "c": alter(scan(1)), "d": scan(3)})
    assert found.pairs[["a", "b", "kind"]].values.tolist() == [["a", "c", kind]]
    assert found.groups.to_dict() == {"a": "a", "b": "b", "c": "a", "d": "d"}


def test_a_mammogram_and_its_negative_are_one_and_white_grounds_alone_are_nothing():
    def breast(seed, rows):
        """A body of tissue that touches the left side, on air."""
        y, x = np.ogrid[:160, :160]
        body = (x / 90) ** 2 + ((y - 80) / rows) ** 2 < 1
        tissue = 60 + scan(seed)[..., :1].astype(int) // 2
        return np.repeat(np.where(body[..., None], tissue, 0), 3, axis=2).astype(np.uint8)

    one, other = breast(1, 70), breast(2, 60)
    found = audit_of({"a": one, "b": 255 - one, "c": 255 - other})
    assert found.pairs[["a", "b"]].values.tolist() == [["a", "b"]]
    for image in (one, scan(1), scan(2)):
        grey = image[..., 0]
        assert np.array_equal(on_dark(grey), grey)
    assert np.array_equal(on_dark(255 - one[..., 0]), one[..., 0])


def test_progress_never_steps_back_and_ends_at_one():
    told = []
    table = pd.DataFrame({"image_id": list("abc"), "label": "x", "group": list("abc")})
    audit(table, lambda row: scan(ord(row.image_id)), told.append)
    assert told == sorted(told) and told[-1] == 1


def test_phantoms_are_not_each_others_copies():
    names = [str(seed) for seed in range(40)]
    assert find_turned(names, [square(scan(seed)[..., 0]) for seed in range(40)]).empty


def on_screen(image: np.ndarray, number: int) -> np.ndarray:
    """A picture in a scanner's screen, whose date and settings change."""
    screen = np.zeros((400, 560, 3), np.uint8)
    screen[40:360, 60:480] = cv2.resize(image, (420, 320))
    font, white = cv2.FONT_HERSHEY_SIMPLEX, (255, 255, 255)
    cv2.putText(screen, f"BREAST L12-5  {number + 10}.10.2024", (60, 22), font, 0.5, white)
    for row, name in enumerate(("Gn", "DR", "FR", "D", "MI", "TI", "P", "F")):
        told = f"{name} {10 + (7 * number + row) % 89}"
        cv2.putText(screen, told, (488, 60 + 28 * row), font, 0.45, white)
    for row in range(40, 360, 20):
        cv2.line(screen, (52, row), (58, row), white)
    return screen


def test_what_a_scanner_draws_around_every_scan_makes_no_copies():
    images = {str(n): on_screen(scan(n), n) for n in range(15)}
    assert len(set(audit_of(images).groups)) == 15
    images["cropped"] = on_screen(scan(3)[:, 10:], 20)
    [pair] = audit_of(images).pairs.itertuples()
    assert (pair.a, pair.b, pair.kind) == ("3", "cropped", COPY)


def test_a_chain_of_changes_is_one_group_and_its_two_labels_a_conflict():
    images = {
        "a": scan(1),
        "b": turned(scan(1), 25),
        "c": scan(1).copy(),
        "d": scan(1)[:, 40:].copy(),
        "e": scan(2),
    }
    found = audit_of(images, {"c": "y", "e": "y"})
    assert found.groups.tolist() == ["a"] * 4 + ["e"]
    assert ["a", "c"] in found.conflicts[["a", "b"]].values.tolist()
    assert set(found.conflicts["label_a"] + found.conflicts["label_b"]) <= {"xy", "yx"}


def test_few_blank_and_broken_images_are_no_error():
    blank = np.zeros((50, 60, 3), np.uint8)
    assert audit_of({"a": blank}).pairs.empty
    assert audit_of({"a": blank, "b": scan(1)}).pairs.empty
    found = audit_of({"a": None, "b": scan(1), "c": scan(1)})
    assert found.unreadable == {"a": "It is broken."}
    assert found.groups.to_dict() == {"b": "b", "c": "b"}


def test_where_no_image_can_be_read_no_split_leaks():
    none = audit_of({"a": None, "b": None})
    sides = pd.DataFrame({"half": ["train", "test"]}, index=["a", "b"])
    assert crossings(none, sides)[["images", "groups", "leaked"]].iloc[0].tolist() == [0, 0, 0]


def test_crossings_by_hand():
    images = {"a": scan(1), "b": scan(1), "c": turned(scan(1), 9), "d": scan(2), "e": scan(2)}
    sides = ["train", "test", "validation", "train", "train"]
    splits = pd.DataFrame({"one": sides, "none": ["train"] * 5}, index=list(images))
    rows = crossings(audit_of(images), splits).set_index("split")
    columns = ["images", "groups", "crossing", "test images", "leaked"]
    assert rows.loc["one", columns].tolist() == [5, 2, 1, 2, 2]
    assert rows.loc["none", columns].tolist() == [5, 2, 0, 0, 0]


def test_images_of_one_slide_are_relatives_whether_or_not_they_look_alike():
    images = {"a": scan(1), "b": scan(2), "c": scan(2), "d": scan(3), "e": scan(4), "f": None}
    slides = {"a": "one", "b": "one", "d": "two", "f": "two"}
    found = audit_of(images, {"a": "y"}, slides)
    assert found.pairs[["a", "b"]].values.tolist() == [["b", "c"]]
    assert found.groups.to_dict() == {"a": "a", "b": "b", "c": "b", "d": "d", "e": "e"}
    assert found.relatives.tolist() == ["one", "one", "one", "two", "e", "two"]
    splits = pd.DataFrame({"s": ["train", "test", "test", "train", "test", "test"]}, list(images))
    row = crossings(found, splits).iloc[0]
    columns = ["images", "groups", "crossing", "test images", "leaked"]
    assert row[columns].tolist() == [5, 1, 1, 3, 2]


def test_no_image_of_its_slide_may_answer_for_an_image():
    images = {"a": scan(1), "b": scan(2), "c": scan(3)}
    found = audit_of(images, {"a": "y", "b": "y"}, {"a": "one", "b": "one"})
    assert nearest_neighbour(found)["other group"] == 0  # a and b may ask c alone, c has no peer


def test_the_most_alike_pairs_come_first_and_exact_ones_before_all():
    images = {"a": scan(1), "b": turned(sharpened(scan(1)), 33), "c": scan(2)}
    images |= {"d": scan(2)[:, 40:].copy(), "e": brighter(scan(3)), "f": scan(3), "g": scan(3)}
    images |= {"h": scan(4), "i": brighter(scan(4)), "j": turned(scan(4), 17)}
    pairs = audit_of(images).pairs
    assert pairs["kind"].nunique() >= 3
    assert pairs["similarity"].is_monotonic_decreasing
    assert pairs["similarity"].max() <= 1
    assert pairs.loc[0, ["a", "b", "kind"]].tolist() == ["f", "g", "exact"]


def test_an_image_that_a_split_leaves_out_is_on_no_side():
    images = {"a": scan(1), "b": scan(1), "c": scan(2)}
    splits = pd.DataFrame({"one": ["train", None, "test"]}, index=list(images))
    row = crossings(audit_of(images), splits).iloc[0]
    assert row[["images", "groups", "crossing", "leaked"]].tolist() == [2, 0, 0, 0]


def random_audit(count: int = 60) -> Audit:
    random = np.random.default_rng(0)
    tiny = random.normal(size=(count, 1024)).astype(np.float32)
    tiny -= tiny.mean(axis=1, keepdims=True)
    tiny /= np.linalg.norm(tiny, axis=1, keepdims=True)
    names = [str(number) for number in range(count)]
    labels = pd.Series(random.choice(["x", "y"], count), index=names)
    groups = pd.Series([str(number // 2 * 2) for number in range(count)], index=names)
    return Audit(pd.DataFrame(), groups, labels, tiny, {}, groups)


def test_the_nearest_neighbour_is_scikit_learns():
    found = random_audit()
    labels = found.labels.to_numpy()
    split = pd.Series(np.where(np.arange(60) % 3 == 0, "test", "train"), index=found.labels.index)
    known = (split == "train").to_numpy()
    oracle = KNeighborsClassifier(1).fit(found.tiny[known], labels[known])
    across = oracle.score(found.tiny[~known], labels[~known])
    assert nearest_neighbour(found, split)["across"] == pytest.approx(across)
    one_out = [
        KNeighborsClassifier(1)
        .fit(np.delete(found.tiny, i, 0), np.delete(labels, i))
        .score(found.tiny[i : i + 1], labels[i : i + 1])
        for i in range(60)
    ]
    assert nearest_neighbour(found)["any"] == pytest.approx(np.mean(one_out))


def test_an_images_own_group_may_not_answer_for_it():
    images = {"a": scan(1), "b": scan(1), "c": scan(2), "d": scan(2)}
    shares = nearest_neighbour(audit_of(images, {"a": "y", "b": "y"}))
    assert shares == {"any": 1, "other group": 0, "majority": 0.5}


def test_the_command_prints_the_audit_and_writes_every_pair(tmp_path, capsys):
    images = {"train/x/1": scan(1), "val/x/2": turned(scan(1), 20), "train/y/3": scan(2)}
    images["val/y/4"] = scan(1)
    for name, image in images.items():
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    cv2.imwrite(str(tmp_path / "set/5.png"), scan(3))
    csv = tmp_path / "pairs.csv"
    assert __main__.main(["audit", str(tmp_path / "set"), "--csv", str(csv)]) == 0
    printed = capsys.readouterr().out
    assert "4 images, 2 groups" in printed
    assert "1 image left out, in no folder of a class: 1 at the top." in printed
    assert "Groups that cross splits" in printed
    pairs = pd.read_csv(csv)
    assert set(zip(pairs["a"], pairs["b"], strict=True)) == {
        ("train/x/1", "val/y/4"),
        ("train/x/1", "val/x/2"),
    }
    assert pairs["its own folders: b"].tolist() == ["validation", "validation"]


def test_the_command_takes_odd_names_and_writes_no_formulas(tmp_path, capsys):
    image = scan(1)
    for name in ("[benign]/1 [/]", "=1+1/:smile: 2"):
        path = tmp_path / "set" / f"{name}.png"
        path.parent.mkdir(parents=True)
        cv2.imwrite(str(path), image)
    csv = tmp_path / "[red] pairs.csv"
    assert __main__.main(["audit", str(tmp_path / "set"), "--csv", str(csv)]) == 0
    printed = capsys.readouterr().out
    assert "[benign]/1 [/]" in printed and "=1+1/:smile: 2" in printed
    assert "2 images, 1 group. Copies or near-duplicates: 2 images in 1 group (" in printed
    assert f"1 pair written: {csv}" in printed
    row = pd.read_csv(csv).iloc[0]
    assert "'=1+1/:smile: 2" in row[["a", "b"]].tolist()
    assert "'=1+1" in row[["label_a", "label_b"]].tolist()


def test_the_command_tells_what_relatives_are(tmp_path, capsys, monkeypatch):
    few = load_table("phantoms").groupby("label").head(2).reset_index(drop=True)
    monkeypatch.setattr(__main__, "load_table", lambda _: few)
    assert __main__.main(["audit", "phantoms"]) == 0
    assert what_relatives_are(READERS["phantoms"].groups) in capsys.readouterr().out


def test_the_command_refuses_what_is_no_data_set_with_a_sentence(tmp_path, capsys):
    assert __main__.main(["audit", str(tmp_path / "nowhere")]) == 2
    assert "is not a folder" in capsys.readouterr().err
    for label in "xy":
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.png").write_bytes(b"no image")
    assert __main__.main(["audit", str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert "Fewer than two images can be read" in told.err
    assert told.out.count("Left out: ") == 2


def test_a_folder_named_like_a_data_set_is_told_from_it_by_its_path(tmp_path, capsys, monkeypatch):
    for number, label in enumerate("xy"):
        (tmp_path / "busi" / label).mkdir(parents=True)
        cv2.imwrite(str(tmp_path / "busi" / label / "1.png"), scan(number))
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LESIONLENS_DATA", raising=False)
    assert __main__.main(["audit", "busi"]) == 2
    for path in ("./busi", "busi/"):
        assert __main__.main(["audit", path]) == 0
        assert "2 images, 2 groups" in capsys.readouterr().out


@pytest.fixture
def present(tables):
    """The table of a data set, where that is present."""

    def read(dataset_id: str) -> pd.DataFrame:
        if find_folder(dataset_id) is None:
            pytest.skip(f"{dataset_id} is not in the data folder")
        return tables(dataset_id)

    return read


@pytest.mark.slow
def test_busi_has_the_groups_of_its_reader_and_the_published_conflicts(present):
    table = present("busi")
    found = audit(table, read_pixels)
    assert found.groups.tolist() == table["group"].tolist()
    conflicts = set(map(tuple, found.conflicts[["a", "b"]].values))
    assert conflicts >= {
        ("benign/benign (433)", "malignant/malignant (145)"),
        ("benign/benign (131)", "malignant/malignant (51)"),
        ("benign/benign (42)", "malignant/malignant (51)"),
        ("benign/benign (399)", "malignant/malignant (93)"),
        ("benign/benign (85)", "malignant/malignant (52)"),
        ("benign/benign (269)", "normal/normal (1)"),
        ("benign/benign (437)", "normal/normal (34)"),
    }
    assert (found.pairs["kind"] == "exact").sum() == 1
    rows = crossings(found, known_splits(table, "busi")).set_index("split")
    assert (rows.loc[rows.index.str.startswith("grouped"), "crossing"] == 0).all()
    assert (rows.loc[rows.index.str.startswith("published"), "crossing"] > 40).all()


def test_a_random_split_of_slides_leaks_and_a_grouped_one_does_not(present):
    table = present("ucsb")
    found = audit(table, read_pixels)
    rows = crossings(found, known_splits(table, "ucsb")).set_index("split")
    columns = ["crossing", "test images", "leaked"]
    assert rows.loc["published 60/10/30", columns].tolist() == [10, 24, 24]
    assert rows.loc["grouped 60/10/30", ["crossing", "leaked"]].tolist() == [0, 0]


@pytest.mark.slow
def test_thermograms_have_42_exact_groups_and_no_pair_of_two_women(present):
    """Of all exact copies and every fifth image of the rest; the whole set takes half a minute."""
    table = present("thermograms")
    content = table["path"].map(lambda path: read_frame(path).tobytes())
    copied = content.duplicated(keep=False)
    assert content[copied].nunique() == 42
    table = table[copied | (table.index % 5 == 0)].reset_index(drop=True)
    found = audit(table, read_pixels)
    exact = found.pairs[found.pairs["kind"] == "exact"]
    assert exact["a"].nunique() == 42
    woman = table.set_index("image_id")["group"]
    assert (woman[found.pairs["a"]].to_numpy() == woman[found.pairs["b"]].to_numpy()).all()


@pytest.mark.slow
def test_sources_of_the_9016_set_are_found_without_their_names(present):
    """A sixth of the sources with all their copies; the whole set takes a minute."""
    table = present("ultrasound-9016")
    sources = np.sort(table["source"].unique())[::6]
    table = table[table["source"].isin(sources)].reset_index(drop=True)
    found = audit(table, read_pixels)
    whole = found.groups.groupby(table["source"].to_numpy()).nunique()
    assert (whole == 1).all()
    assert adjusted_rand_score(table["group"], found.groups) > 0.95
