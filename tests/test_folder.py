"""Folders and archives of class sub-folders, made by hand; hostile archives among them."""

from __future__ import annotations

import gc
import io
import os
import stat
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from core.datasets import DatasetError, folder, read_mask, read_pixels
from core.datasets.archive import ArchivedFolder
from core.datasets.base import COLUMNS
from core.datasets.known_splits import FOLDERS, known_splits


def picture(seed: int, suffix: str = ".png") -> bytes:
    grey = np.random.default_rng(seed).integers(0, 256, (20, 30), np.uint8)
    return cv2.imencode(suffix, grey)[1].tobytes()


def box() -> bytes:
    mask = np.zeros((20, 30), np.uint8)
    mask[5:10, 5:15] = 255
    return cv2.imencode(".png", mask)[1].tobytes()


PLAIN = {
    "benign/b (2).png": picture(0),
    "benign/b (10).png": picture(1),
    "benign/b (2)_mask.png": box(),
    "benign/notes.txt": b"not an image",
    "malignant/m.png": picture(2),
}
SPLIT = {
    f"{part}/{label}/{number}.png": picture(number)
    for number, (part, label) in enumerate((p, c) for p in ("train", "Val") for c in "xy")
}


def on_disk(root: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def zipped(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


def test_class_folders_are_read_in_natural_order_without_masks_and_strays(tmp_path):
    table = folder.read(on_disk(tmp_path, PLAIN))
    assert tuple(table.columns) == COLUMNS
    assert table["image_id"].tolist() == ["benign/b (2)", "benign/b (10)", "malignant/m"]
    assert table["label"].tolist() == ["benign", "benign", "malignant"]
    assert table["masks"].map(len).tolist() == [1, 0, 0]
    assert table["group"].equals(table["image_id"])
    assert read_mask(table.iloc[0]).sum() == 5 * 10


def test_every_image_has_a_name_of_its_own(tmp_path):
    names = ["x/1.JPG", "x/1.jpg", "x/1.png", "x/1_png.png", "x/2.JPG", "y/1.jpg"]
    table = folder.read(on_disk(tmp_path, {name: picture(1) for name in names}))
    name_of = {Path(row.path).relative_to(tmp_path): row.image_id for row in table.itertuples()}
    assert [name_of[Path(name)] for name in names] == [
        "x/1_jpg",
        "x/1_jpg_2",
        "x/1_png",
        "x/1_png_2",
        "x/2",
        "y/1",
    ]


@pytest.mark.parametrize("wrapping", ["", "set/", "a/b/set/"])
def test_a_folder_around_it_makes_no_difference(tmp_path, wrapping):
    table = folder.read(on_disk(tmp_path, {wrapping + name: data for name, data in PLAIN.items()}))
    assert table["image_id"].tolist() == ["benign/b (2)", "benign/b (10)", "malignant/m"]


def test_folders_named_after_splits_are_splits(tmp_path):
    table = folder.read(on_disk(tmp_path, SPLIT))
    assert table["label"].tolist() == ["x", "y", "x", "y"]
    sides = known_splits(table)[FOLDERS]
    assert sides.to_dict() == {
        "train/x/0": "train",
        "train/y/1": "train",
        "Val/x/2": "validation",
        "Val/y/3": "validation",
    }


def test_what_lies_deeper_belongs_to_its_class(tmp_path):
    files = {"x/2019/1.png": picture(1), "x/2.png": picture(2), "y/a/b/3.png": picture(3)}
    table = folder.read(on_disk(tmp_path, files))
    assert dict(zip(table["image_id"], table["label"], strict=True)) == {
        "x/2": "x",
        "x/2019/1": "x",
        "y/a/b/3": "y",
    }


STRAYS = {
    "set/1.png": picture(1),
    "set/.2.png": picture(2),
    "set/train/3.png": picture(3),
    "set/train/4.jpg": picture(4, ".jpg"),
    "set/train/notes.txt": b"not an image",
    "set/Val/x/deeper/5.png": picture(5),
}


@pytest.mark.parametrize("pictures", ["", "images/"])
@pytest.mark.parametrize("ending", ["", "_mask"])
def test_masks_in_a_folder_of_their_own_outline_the_images(tmp_path, pictures, ending):
    files = {f"{label}/{pictures}{n}.png": picture(n) for label in "xy" for n in (1, 2)}
    files |= {f"x/masks/1{ending}.png": box(), "y/Masks/2.bmp": box(), "y/masks/3.png": box()}
    table = folder.read(on_disk(tmp_path, files))
    assert table["image_id"].tolist() == [f"{k}/{pictures}{n}" for k in "xy" for n in (1, 2)]
    assert table["masks"].map(len).tolist() == [1, 0, 0, 1]
    assert read_mask(table.iloc[0]).sum() == 5 * 10
    packed = ArchivedFolder(zipped(files)).table
    assert packed["masks"].map(len).tolist() == [1, 0, 0, 1]
    assert folder.left_out(tmp_path, table) == (
        "1 mask left out, in folders of masks but of no image."
    )


@pytest.mark.parametrize("below", ["", "images/"])
def test_masks_in_folders_like_those_of_the_images_outline_them(tmp_path, below):
    files = {f"{below}{label}/1.png": picture(1) for label in "xy"} | {"masks/y/1.png": box()}
    table = folder.read(on_disk(tmp_path, files))
    assert table["masks"].map(len).tolist() == [0, 1]
    assert folder.left_out(tmp_path, table) == ""


def test_folders_in_upper_and_lower_case_are_one_class_that_is_always_called_alike(tmp_path):
    packed = zipped({name: picture(1) for name in ("benign/1.png", "Benign/2.png", "x/3.png")})
    assert ArchivedFolder(packed).table["label"].tolist() == ["Benign", "Benign", "x"]
    files = {f"{name}/1.png": picture(1) for name in ("test/x", "test/y", "train/X", "train/Y")}
    table = folder.read(on_disk(tmp_path, files))
    assert table["label"].tolist() == ["x", "y", "x", "y"]


def test_a_name_that_is_no_text_is_a_sentence(tmp_path):
    on_disk(tmp_path, PLAIN)
    (tmp_path / "benign" / os.fsdecode(b"caf\xe9.png")).write_bytes(picture(1))
    with pytest.raises(DatasetError, match=r"caf\\udce9.png is not text in UTF-8. Rename"):
        folder.read(tmp_path)


def test_a_link_back_into_a_class_is_not_followed_and_one_to_another_place_is(tmp_path):
    root = on_disk(tmp_path / "set", PLAIN)
    (root / "benign" / "again").symlink_to("..", target_is_directory=True)
    (root / "benign" / "self").symlink_to(root / "benign", target_is_directory=True)
    assert len(folder.read(root)) == 3
    on_disk(tmp_path / "elsewhere", {"more.png": picture(3)})
    (root / "malignant" / "more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert folder.read(root)["label"].tolist() == ["benign", "benign", "malignant", "malignant"]
    (tmp_path / "elsewhere" / "back").symlink_to(root / "malignant", target_is_directory=True)
    assert len(folder.read(root)) == 4, "nor where another place leads back"


def test_a_mask_that_outlines_nothing_or_another_picture_is_told(tmp_path):
    labels = cv2.imencode(".png", np.arange(600, dtype=np.uint8).reshape(20, 30) % 3)[1].tobytes()
    small = cv2.imencode(".png", np.full((10, 10), 255, np.uint8))[1].tobytes()
    half = cv2.imencode(".png", np.full((10, 15), 255, np.uint8))[1].tobytes()
    masks = {"x/1_mask.png": labels, "x/2_mask.png": small, "y/3_mask.png": half}
    files = {name.replace("_mask", ""): picture(1) for name in masks} | masks
    first, second, third = folder.read(on_disk(tmp_path, files)).itertuples()
    with pytest.raises(DatasetError, match="1_mask.png: Nothing in the mask is bright"):
        read_mask(first)
    with pytest.raises(DatasetError, match="2_mask.png: The mask is 10 x 10 .* the scan 30 x 20"):
        read_mask(second)
    assert read_mask(third).all()


def test_images_beside_the_folders_of_the_classes_are_counted_where_they_lie(tmp_path):
    told = "3 images left out, in no folder of a class: 1 at the top, 2 in train."
    files = {f"set/{name}": data for name, data in SPLIT.items()} | STRAYS
    told = f"1 file left out, of a kind that is not read here. {told}"
    strays = on_disk(tmp_path / "strays", files)
    assert folder.left_out(strays, folder.read(strays)) == told
    kept = ArchivedFolder(zipped(files))
    assert kept.left_out == told
    assert len(kept.table) == len(SPLIT) + 1
    whole = on_disk(tmp_path / "none", SPLIT)
    assert folder.left_out(whole, folder.read(whole)) == ""


@pytest.mark.parametrize("files", [{}, {"1.png": picture(1)}, {"x/1.png": picture(1)}])
def test_what_is_no_folder_of_classes_gets_a_sentence(tmp_path, files):
    with pytest.raises(DatasetError, match="folder for each class"):
        folder.read(on_disk(tmp_path, files))
    with pytest.raises(DatasetError, match="not a folder"):
        folder.read(tmp_path / "nowhere")


@pytest.mark.parametrize("files", [PLAIN, SPLIT])
def test_an_archive_is_the_folder_that_was_packed(tmp_path, files):
    kept = ArchivedFolder(zipped(files))
    table = folder.read(on_disk(tmp_path, files))
    assert kept.table.drop(columns=["path", "masks"]).equals(table.drop(columns=["path", "masks"]))
    for packed, plain in zip(kept.table.itertuples(), table.itertuples(), strict=True):
        assert np.array_equal(read_pixels(packed), read_pixels(plain))
        assert (read_mask(packed) is None) == (read_mask(plain) is None)


def test_what_is_no_image_is_counted_and_passed_over():
    kept = ArchivedFolder(zipped(PLAIN | {"benign/more.zip": zipped({"x": b"y"})}))
    assert kept.left_out == "2 files left out, of a kind that is not read here."
    assert len(kept.table) == 3


def test_an_archive_is_gone_when_nobody_keeps_it():
    kept = ArchivedFolder(zipped(PLAIN))
    row = kept.table.iloc[0]
    assert read_pixels(row).shape == (20, 30, 3)
    del kept
    gc.collect()
    with pytest.raises(DatasetError, match="Upload it again"):
        read_pixels(row)


def test_nothing_of_an_archive_reaches_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    kept = ArchivedFolder(zipped(PLAIN))
    [read_pixels(row) for row in kept.table.itertuples()]
    assert list(tmp_path.rglob("*")) == []


def linked() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        entry = zipfile.ZipInfo("benign/1.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(entry, "/etc/passwd")
        archive.writestr("malignant/1.png", picture(1))
    return stream.getvalue()


def bomb() -> bytes:
    """Many entries that claim to unpack to more than anybody has."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(23):
            archive.writestr(f"x/{number}.png", b"\0" * 1000)
        for entry in archive.filelist:
            entry.file_size = 199 * 2**20
    return stream.getvalue()


HOSTILE = {
    "a path that leads out": (lambda: zipped({"../../evil.png": picture(1)}), "leads out"),
    "an absolute path": (lambda: zipped({"/etc/evil.png": picture(1)}), "leads out"),
    "links": (linked, "links"),
    "a bomb": (bomb, "unpacks to more than the limit"),
    "an unusual method": (lambda: zipped(PLAIN, zipfile.ZIP_LZMA), "unusual"),
    "an archive in it": (lambda: zipped({"inner.zip": zipped(PLAIN)}), "unpack that first"),
    "no archive": (lambda: b"PK\x03\x04 and nothing of the kind", "damaged"),
    "half an archive": (lambda: zipped(PLAIN)[:300], "damaged"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_gets_a_sentence(name):
    make, sentence = HOSTILE[name]
    with pytest.raises(DatasetError, match=sentence):
        ArchivedFolder(make())


def test_a_damaged_image_is_told_by_its_name_and_the_others_can_be_read():
    kept = ArchivedFolder(zipped(PLAIN | {"benign/broken.png": picture(1)[:100]}))
    rows = {row.image_id: row for row in kept.table.itertuples()}
    with pytest.raises(DatasetError, match="broken.png"):
        read_pixels(rows["benign/broken"])
    assert read_pixels(rows["malignant/m"]).any()
