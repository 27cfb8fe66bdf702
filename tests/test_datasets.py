"""Readers: BUSI-like folders made by hand, the phantoms, and BUSI itself."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from core.datasets import (
    READERS,
    DatasetError,
    find_folder,
    fingerprint,
    load_table,
    read_mask,
    read_pixels,
)
from core.datasets.base import COLUMNS, natural_key
from core.datasets.busi import CLASSES


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix.lower(), pixels)[1].tobytes())


def noise(seed, shape=(40, 50)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def box(top, bottom, left, right, shape=(40, 50)):
    mask = np.zeros(shape, np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@pytest.fixture
def busi(tmp_path):
    """benign 1, 2 and 10 (with three, one, no masks), malignant 1, normal 1, and stray files."""
    root = tmp_path / "data" / "busi" / "Dataset_BUSI_with_GT"
    for seed, number in enumerate((1, 10, 2)):
        write(root / "benign" / f"benign ({number}).png", noise(seed))
    write(root / "benign" / "benign (1)_mask.png", box(0, 10, 0, 10))
    write(root / "benign" / "benign (1)_mask_1.png", box(5, 20, 5, 10))
    write(root / "benign" / "benign (1)_mask_10.png", box(30, 40, 40, 50))
    write(root / "benign" / "benign (2)_mask.png", box(1, 2, 3, 4))
    write(root / "malignant" / "malignant (1).PNG", noise(3))
    write(root / "malignant" / "malignant (1)_MASK.PNG", box(10, 20, 10, 20, (80, 100)))
    write(root / "normal" / "normal (1).png", noise(4))
    write(root / "normal" / "normal (1)_mask.png", box(0, 0, 0, 0))
    for stray in ("Thumbs.db", ".DS_Store", "._benign (1).png", "notes.txt"):
        (root / "benign" / stray).write_bytes(b"\0\1stray")
    (root / "benign" / "folder.png").mkdir()
    return root


def test_every_image_is_a_row_and_no_mask_is_one(busi):
    table = load_table("busi", busi)
    assert tuple(table.columns) == COLUMNS
    assert table["image_id"].tolist() == [
        "benign/benign (1)",
        "benign/benign (2)",
        "benign/benign (10)",
        "malignant/malignant (1)",
        "normal/normal (1)",
    ]
    assert table["label"].tolist() == ["benign"] * 3 + ["malignant", "normal"]
    assert table["masks"].map(len).tolist() == [3, 1, 0, 1, 1]
    assert table["group"].tolist() == table["image_id"].tolist()
    assert table["masks"].map(type).eq(tuple).all()


@pytest.mark.parametrize("above", range(3))
def test_busi_is_found_from_its_folder_or_one_or_two_above(busi, above):
    folder = [busi, *busi.parents][above]
    assert load_table("busi", folder)["path"].equals(load_table("busi", busi)["path"])


def test_a_relative_folder_gives_absolute_paths(busi, monkeypatch):
    monkeypatch.chdir(busi.parent)
    table = load_table("busi", "Dataset_BUSI_with_GT")
    assert table["path"].str.startswith(str(busi)).all()


def test_lesionlens_data_is_where_datasets_are_looked_for(busi, monkeypatch):
    monkeypatch.setenv("LESIONLENS_DATA", str(busi.parents[1]))
    assert find_folder("busi") == busi.parent
    assert len(load_table("busi")) == 5
    monkeypatch.setenv("LESIONLENS_DATA", str(busi / "nowhere"))
    assert find_folder("busi") is None
    monkeypatch.delenv("LESIONLENS_DATA")
    assert find_folder("busi") is None
    with pytest.raises(DatasetError, match="Set LESIONLENS_DATA"):
        load_table("busi")


def test_pixels_are_those_of_the_file(busi):
    row = load_table("busi", busi).iloc[2]
    pixels = read_pixels(row)
    assert pixels.dtype == np.uint8
    assert np.array_equal(pixels, np.repeat(noise(1)[..., None], 3, axis=2))


def test_several_masks_are_united(busi):
    table = load_table("busi", busi)
    expected = box(0, 10, 0, 10) | box(5, 20, 5, 10) | box(30, 40, 40, 50)
    mask = read_mask(table.iloc[0])
    assert mask.dtype == bool
    assert np.array_equal(mask, expected > 0)
    assert mask.sum() == 100 + 50 + 100
    assert not read_mask(table.iloc[4]).any()


def test_no_mask_is_none_and_not_an_empty_one(busi):
    assert read_mask(load_table("busi", busi).iloc[2]) is None


def test_a_mask_of_another_size_is_brought_to_the_image(busi):
    mask = read_mask(load_table("busi", busi).iloc[3])
    assert np.array_equal(mask, box(5, 10, 5, 10) > 0)


def test_rows_may_be_tuples_series_or_anything_alike(busi):
    table = load_table("busi", busi)
    record = next(table.itertuples())
    alike = SimpleNamespace(path=record.path, masks=record.masks)
    assert np.array_equal(read_mask(record), read_mask(table.iloc[0]))
    assert np.array_equal(read_mask(record), read_mask(alike))
    assert np.array_equal(read_pixels(record), read_pixels(alike))


def test_copies_share_a_group(busi):
    write(busi / "normal" / "normal (7).png", noise(3))
    table = load_table("busi", busi).set_index("image_id")
    assert table.loc["normal/normal (7)", "group"] == "malignant/malignant (1)"


def test_another_folder_is_refused_with_what_was_looked_for_and_where(tmp_path):
    (tmp_path / "benign").mkdir()
    with pytest.raises(DatasetError) as error:
        load_table("busi", tmp_path)
    for word in (str(tmp_path), "does not hold BUSI", *CLASSES, "Dataset_BUSI_with_GT"):
        assert word in str(error.value)


def test_a_folder_of_masks_only_is_refused(busi):
    for path in busi.glob("normal/normal (1).png"):
        path.unlink()
    with pytest.raises(DatasetError, match=r"normal.*image of 'normal \(1\)' is missing"):
        load_table("busi", busi)


def test_an_empty_class_folder_is_refused(busi):
    for path in busi.glob("normal/*"):
        path.unlink()
    with pytest.raises(DatasetError, match="normal is not .*: it has no images"):
        load_table("busi", busi)


def test_unreadable_images_are_all_named(busi):
    for name in ("benign/benign (10).png", "normal/normal (1).png"):
        (busi / name).write_bytes(b"this is no picture")
    with pytest.raises(DatasetError) as error:
        load_table("busi", busi)
    assert "2 of the dataset's images cannot be read" in str(error.value)
    assert "benign (10).png" in str(error.value)
    assert "normal (1).png" in str(error.value)


def test_an_unreadable_mask_is_named(busi):
    table = load_table("busi", busi)
    (busi / "benign" / "benign (1)_mask_1.png").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"benign \(1\)_mask_1.png"):
        read_mask(table.iloc[0])


def test_fingerprint_tells_content_and_ids_but_not_place_or_order(busi, tmp_path):
    table = load_table("busi", busi)
    original = fingerprint(table)
    assert len(original) == 64
    assert fingerprint(table.sample(frac=1, random_state=0)) == original
    assert fingerprint(table.iloc[:-1]) != original
    assert fingerprint(table.assign(image_id=table["image_id"] + "x")) != original
    busi.rename(tmp_path / "Dataset_BUSI_with_GT")
    assert fingerprint(load_table("busi", tmp_path)) == original
    write(tmp_path / "Dataset_BUSI_with_GT" / "benign" / "benign (2).png", noise(99))
    assert fingerprint(load_table("busi", tmp_path)) != original


def test_phantoms_need_no_folder_and_have_pixels_and_masks():
    table = load_table("phantoms")
    assert tuple(table.columns) == COLUMNS
    assert table["image_id"].is_unique
    assert set(table["label"]) == set(READERS["phantoms"].classes)
    lesion = table[table["label"] == "malignant"].iloc[0]
    pixels, mask = read_pixels(lesion), read_mask(lesion)
    assert pixels.shape == (*mask.shape, 3)
    assert 0 < mask.mean() < 0.5
    assert not read_mask(table[table["label"] == "normal"].iloc[0]).any()
    assert find_folder("phantoms") is None


def test_fingerprint_of_phantoms_draws_none_of_them():
    table = load_table("phantoms")
    assert fingerprint(table) == fingerprint(load_table("phantoms"))
    assert fingerprint(table) != fingerprint(table.iloc[1:])


def test_an_unknown_dataset_is_told_with_the_known_ones():
    with pytest.raises(DatasetError, match="'bsui': choose one of busi, phantoms"):
        load_table("bsui")


def test_natural_order():
    names = ["b (10)", "b (2)", "B (1)", "b (2)_mask", "10", "9"]
    assert sorted(names, key=natural_key) == ["9", "10", "B (1)", "b (2)", "b (2)_mask", "b (10)"]


@pytest.fixture(scope="module")
def published(tables):
    return tables("busi")


def test_busi_has_the_published_counts(published):
    assert published["label"].value_counts().to_dict() == {
        "benign": 437,
        "malignant": 210,
        "normal": 133,
    }
    assert published["masks"].map(len).value_counts().to_dict() == {1: 763, 2: 16, 3: 1}
    assert published["masks"].map(len).sum() == 798
    assert published["image_id"].iloc[[0, 1, 437, 779]].tolist() == [
        "benign/benign (1)",
        "benign/benign (2)",
        "malignant/malignant (1)",
        "normal/normal (133)",
    ]


def test_masks_of_busi_fit_their_images(published):
    several = published[published["masks"].map(len) > 1]
    for row in several.itertuples():
        mask, pixels = read_mask(row), read_pixels(row)
        parts = [read_mask(SimpleNamespace(path=row.path, masks=(part,))) for part in row.masks]
        assert mask.shape == pixels.shape[:2]
        assert np.array_equal(mask, np.any(parts, axis=0))
    normal = published[published["label"] == "normal"]
    assert not any(read_mask(row).any() for row in normal.itertuples())
