"""Readers of the published layouts: folders made by hand, folders of something else, real data."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from core.datasets import (
    READERS,
    DatasetError,
    find_folder,
    load_table,
    origin,
    read_mask,
    read_pixels,
)
from core.datasets.base import COLUMNS, EXTRA_COLUMNS, read_frames
from core.datasets.duplicates import COPY, FRAME, find_pairs
from core.polarity import is_inverted, normalise_polarity

BREAKHIS = [f"breakhis-{magnification}" for magnification in (40, 100, 200, 400)]


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(path.suffix, pixels)[1].tobytes())


def noise(seed, shape=(24, 32)):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def veins(seed):
    """A body with a texture of its own before a black background, as segmented thermograms are."""
    texture = cv2.resize(noise(seed, (25, 54)), (540, 250), interpolation=cv2.INTER_CUBIC)
    body = np.zeros((250, 540), np.uint8)
    cv2.ellipse(body, (270, 125), (250, 110), 0, 0, 360, 1, -1)
    return np.clip(100 + texture.astype(int) // 2, 0, 255).astype(np.uint8) * body


# Dataset -> its folder below the root that is given, and (path there, label, group) in order.
BUILT = {
    "thermograms": (
        "breast_cancer_patients_mri",
        [
            ("train/Healthy/H_1.jpg", "Healthy", "train/Healthy/H_1"),
            ("train/Healthy/H_3.jpg", "Healthy", "train/Healthy/H_1"),
            ("train/Healthy/H_21.jpg", "Healthy", "train/Healthy/H_1"),
            ("train/Healthy/H_22.jpg", "Healthy", "train/Healthy/H_22"),
            ("train/Sick/S_1.jpg", "Sick", "train/Sick/S_1"),
            ("train/Sick/S_652.jpg", "Sick", "train/Sick/S_652"),
            ("train/Sick/S_665.jpg", "Sick", "train/Sick/S_652"),
            ("train/Sick/S_666.jpg", "Sick", "train/Sick/S_666"),
            ("validation/Healthy/S_2.jpg", "Healthy", "validation/Healthy/S_2"),
            ("validation/Sick/S_2.jpg", "Sick", "validation/Sick/S_2"),
        ],
    ),
    "ultrasound-9016": (
        "ultrasound_9016",
        [
            ("train/benign/benign (2)-rotated1.png", "benign", "benign (2)"),
            ("train/benign/benign (10).png", "benign", "benign (10)"),
            ("train/benign/benign (10)-rotated1-sharpened.png", "benign", "benign (10)"),
            ("train/malignant/malignant (10).png", "malignant", "malignant (10)"),
            ("train/malignant/malignant (81).png", "malignant", "malignant (80)"),
            ("val/benign/benign (2).png", "benign", "benign (2)"),
            ("val/malignant/malignant (80)-sharpened.png", "malignant", "malignant (80)"),
        ],
    ),
    "mammograms": (
        "mammography_hayder17",
        [
            ("benign/5_64_png.rf.99.png", "benign", "5"),
            ("benign/106_70_png.rf.aa.png", "benign", "106"),
            ("malignant/106_20_png.rf.84.png", "malignant", "106"),
            ("malignant/500_20_png.rf.84.png", "malignant", "500"),
        ],
    ),
    "ucsb": (
        "ucsb_histology",
        [
            ("ytma10_010704_benign1_ccd.tif", "benign", "ytma10_010704"),
            ("ytma12_010804_benign1_ccd.tif", "benign", "ytma12_010804"),
            ("ytma10_010704_malignant2_ccd.tif", "malignant", "ytma10_010704"),
        ],
    ),
    "breakhis-40": (
        "breakhis/BreaKHis_v1/histology_slides/breast",
        [
            (
                "benign/SOB/adenosis/SOB_B_A_14-22549AB/40X/SOB_B_A-14-22549AB-40-001.png",
                "benign",
                "14-22549AB",
            ),
            (
                "benign/SOB/tubular_adenoma/SOB_B_TA_14-3411F/40X/SOB_B_TA-14-3411F-40-002.png",
                "benign",
                "14-3411F",
            ),
            (
                "malignant/SOB/lobular_carcinoma/SOB_M_LC_14-13412/40X/SOB_M_LC-14-13412-40-1.png",
                "malignant",
                "14-13412",
            ),
        ],
    ),
    "bach": (
        "bach/ICIAR2018_BACH_Challenge/Photos",
        [
            ("Normal/n002.tif", "Normal", "Normal/n002"),
            ("Normal/n010.tif", "Normal", "Normal/n010"),
            ("Benign/b001.tif", "Benign", "Benign/b001"),
            ("InSitu/is001.tif", "InSitu", "InSitu/is001"),
            ("Invasive/iv001.tif", "Invasive", "Invasive/iv001"),
        ],
    ),
    "mini-ddsm": (
        "mini_ddsm/MINI-DDSM-Complete-JPEG-8",
        [
            ("Normal/0002/A_0002_1.LEFT_CC.png", "Normal", "0002"),
            ("Normal/0010/A_0010_1.RIGHT_MLO.png", "Normal", "0010"),
            ("Benign/0029/C_0029_1.LEFT_CC.png", "Benign", "0029"),
            ("Cancer/0029/C_0029_1.LEFT_MLO.png", "Cancer", "0029"),
            ("Cancer/0029/C_0029_1.RIGHT_CC.png", "Cancer", "0029"),
        ],
    ),
}
STRAYS = ("Thumbs.db", ".DS_Store", "notes.txt", "._{name}")


def build(root, dataset_id):
    """The folder of a dataset below `root`, with stray files beside every image."""
    below, files = BUILT[dataset_id]
    for seed, (name, _, _) in enumerate(files):
        path = root / below / name
        write(path, veins(seed) if dataset_id == "thermograms" else noise(seed))
        for stray in STRAYS:
            (path.parent / stray.format(name=path.name)).write_bytes(b"\0\1stray")
    return root / below


@pytest.mark.parametrize("dataset_id", BUILT)
def test_every_image_is_a_row_with_its_label_and_group(dataset_id, tmp_path):
    folder = build(tmp_path, dataset_id)
    table = load_table(dataset_id, folder)
    files = BUILT[dataset_id][1]
    assert table["path"].tolist() == [str(folder / name) for name, _, _ in files]
    assert table["label"].tolist() == [label for _, label, _ in files]
    assert table["group"].tolist() == [group for _, _, group in files]
    assert table["image_id"].is_unique
    assert set(table["label"]) == set(READERS[dataset_id].classes)
    assert tuple(table.columns[:5]) == COLUMNS
    assert set(table.columns[5:]) <= EXTRA_COLUMNS.keys()
    assert table["masks"].tolist() == [()] * len(files)
    assert read_mask(table.iloc[0]) is None
    assert read_pixels(table.iloc[0]).shape[2] == 3


@pytest.mark.parametrize("dataset_id", BUILT)
def test_a_dataset_is_found_from_above(dataset_id, tmp_path, monkeypatch):
    folder = build(tmp_path, dataset_id)
    expected = load_table(dataset_id, folder)
    monkeypatch.setenv("LESIONLENS_DATA", str(tmp_path))
    assert find_folder(dataset_id) == tmp_path / READERS[dataset_id].folder
    assert load_table(dataset_id, tmp_path).equals(expected)
    assert load_table(dataset_id).equals(expected)


@pytest.mark.parametrize("dataset_id", [i for i in READERS if READERS[i].folder])
def test_a_folder_of_something_else_is_refused(dataset_id, tmp_path):
    write(tmp_path / "other" / "cat_1.png", noise(0))
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(DatasetError, match="does not hold .* Give the folder") as error:
            load_table(dataset_id, folder)
        assert str(folder) in str(error.value)


@pytest.mark.parametrize("dataset_id", [i for i in BUILT if i not in {"ucsb", *BREAKHIS}])
def test_a_dataset_is_not_taken_for_another(dataset_id, tmp_path):
    folder = build(tmp_path, dataset_id)
    for other in READERS.keys() - {"phantoms", dataset_id}:
        with pytest.raises(DatasetError):
            load_table(other, folder)


@pytest.mark.parametrize("dataset_id", ["thermograms", "ultrasound-9016", "bach", "mini-ddsm"])
def test_a_class_folder_without_images_is_refused(dataset_id, tmp_path):
    folder = build(tmp_path, dataset_id)
    last = folder / BUILT[dataset_id][1][-1][0]
    for path in last.parent.iterdir():
        path.unlink()
    with pytest.raises(DatasetError, match="is not a complete part of .*: it has no images"):
        load_table(dataset_id, folder)


@pytest.mark.parametrize("dataset_id", ["thermograms", "ultrasound-9016", "mammograms", "bach"])
def test_an_unreadable_image_is_named(dataset_id, tmp_path):
    folder = build(tmp_path, dataset_id)
    last = folder / BUILT[dataset_id][1][-1][0]
    last.write_bytes(b"this is no picture")
    with pytest.raises(DatasetError, match=r"1 of the dataset's images cannot be read") as error:
        load_table(dataset_id, folder)
    assert str(last) in str(error.value)


def test_files_that_differ_in_their_suffix_alone_are_two_images(tmp_path):
    folder = build(tmp_path, "ultrasound-9016")
    write(folder / "train/benign/benign (10).jpg", noise(1))
    ids = load_table("ultrasound-9016", folder)["image_id"].tolist()
    assert ids[1:4] == [
        "train/benign/benign (10)_jpg",
        "train/benign/benign (10)_png",
        "train/benign/benign (10)-rotated1-sharpened",
    ]


def test_copies_in_the_9016_set_tell_their_source_and_alike_sources_share_a_group(tmp_path):
    folder = build(tmp_path, "ultrasound-9016")
    write(folder / "val/malignant/malignant (7).png", noise(1))  # the pixels of benign (10)
    table = load_table("ultrasound-9016", folder).set_index("source")
    assert table.index[:3].tolist() == ["benign (2)", "benign (10)", "benign (10)"]
    assert set(table.loc[["benign (10)"], "group"]) == {"benign (10)"}
    assert table.loc["malignant (7)", "group"] == "benign (10)"


def test_thermograms_of_one_woman_share_a_group_wherever_they_are_filed(tmp_path):
    folder = build(tmp_path, "thermograms")
    again = np.roll(veins(4), 3, axis=1)  # train/Sick/S_1, moved by three pixels
    write(folder / "validation" / "Sick" / "S_60.jpg", again)
    table = load_table("thermograms", folder).set_index("image_id")
    assert table.loc["validation/Sick/S_60", "group"] == "train/Sick/S_1"
    assert table["group"].nunique() == 7


def test_fields_of_bach_that_are_alike_stay_apart_and_copies_do_not(tmp_path):
    """Half of one field and half of another would be a frame of it, were it ultrasound."""
    folder = build(tmp_path, "bach")
    first = folder / "Benign/b001.tif"
    field = cv2.imread(str(first), cv2.IMREAD_GRAYSCALE)
    write(folder / "Benign/b002.tif", field // 2 + noise(99) // 2)
    write(folder / "Benign/b003.tif", field)
    paths = [folder / f"Benign/b00{i}.tif" for i in (1, 2, 3)]
    pairs = find_pairs(list("123"), read_frames(paths)).set_index(["a", "b"])["kind"]
    assert pairs["1", "3"] == COPY and pairs["1", "2"] == FRAME
    table = load_table("bach", folder).set_index("image_id")["group"]
    assert table["Benign/b003"] == table["Benign/b001"] != table["Benign/b002"]


def test_thermograms_are_not_called_mri():
    assert "thermograms" in READERS["thermograms"].title
    assert "published as" in READERS["thermograms"].title


def test_a_negative_mammogram_is_read_as_a_positive(tmp_path):
    folder = build(tmp_path, "mammograms")
    breast = np.full((60, 50), 4, np.uint8)
    breast[10:50, 0:30] = 180
    negatives = ("benign/5_64_png.rf.99.png", "malignant/500_20_png.rf.84.png")
    for name, _, _ in BUILT["mammograms"][1]:
        write(folder / name, 255 - breast if name in negatives else breast)
    table = load_table("mammograms", folder)
    assert table["inverted"].tolist() == [True, False, False, True]
    expected = np.repeat(breast[..., None], 3, axis=2)
    for row in table.itertuples():
        assert np.array_equal(read_pixels(row), expected)
    raw = read_pixels(SimpleNamespace(path=table["path"][0]))
    assert np.array_equal(raw, 255 - expected)
    assert is_inverted(raw)
    assert np.array_equal(normalise_polarity(raw), expected)
    assert np.array_equal(normalise_polarity(expected), expected)


def test_nuclei_of_ucsb_are_no_images(tmp_path):
    folder = build(tmp_path, "ucsb")
    write(folder / "ytma10_010704_benign1.tif", noise(9))
    assert len(load_table("ucsb", folder)) == 3


def test_breakhis_keeps_magnifications_apart_in_any_tree(tmp_path):
    names = (
        "a/SOB_B_F-14-25197-40-022.png",
        "a/deeper/SOB_B_F-14-25197-40-023.png",
        "a/SOB_B_F-14-25197-400-033.png",
        "a/SOB_B_F-14-40-100-001.png",
        "a/copy/SOB_B_F-14-25197-40-022.png",
        "b/SOB_M_MC-14-18842D-40-016.png",
        "b/SOB_M_PC-14-9146-400-001.png",
        "b/SOB_X_PC-14-9146-400-001.png",
    )
    for seed, name in enumerate(names):
        write(tmp_path / name, noise(seed))
    low, high = (load_table(f"breakhis-{m}", tmp_path) for m in (40, 400))
    assert low["image_id"].tolist() == [
        "benign/SOB_B_F-14-25197-40-022",
        "benign/SOB_B_F-14-25197-40-023",
        "malignant/SOB_M_MC-14-18842D-40-016",
    ]
    assert low["subtype"].tolist() == ["F", "F", "MC"]
    assert low["group"].tolist() == ["14-25197", "14-25197", "14-18842D"]
    assert set(low["magnification"]) == {40}
    assert high["subtype"].tolist() == ["F", "PC"]
    assert set(high["magnification"]) == {400}
    with pytest.raises(DatasetError, match="does not hold BreaKHis at 200X"):
        load_table("breakhis-200", tmp_path)


def test_copies_within_bach_share_a_group(tmp_path):
    folder = build(tmp_path, "bach")
    write(folder / "Invasive" / "iv002.tif", noise(0))  # the pixels of Normal/n002
    table = load_table("bach", folder).set_index("image_id")
    assert table.loc["Invasive/iv002", "group"] == "Normal/n002"


def test_masks_of_mini_ddsm_belong_to_their_view(tmp_path):
    folder = build(tmp_path, "mini-ddsm")
    first, second = np.zeros((2, 24, 32), np.uint8)
    first[2:6, 3:8], second[10:12, 20:30] = 255, 255
    write(folder / "Cancer/0029/C_0029_1.LEFT_MLO_Mask.png", first)
    write(folder / "Cancer/0029/C_0029_1.LEFT_MLO_Mask2.png", second)
    (folder / "Cancer" / "0029" / "C-0029-1.ics").write_text("not a view")
    write(folder / "Cancer/0029/overview.png", noise(7))
    table = load_table("mini-ddsm", folder)
    assert len(table) == len(BUILT["mini-ddsm"][1])
    assert table["masks"].map(len).tolist() == [0, 0, 0, 2, 0]
    assert np.array_equal(read_mask(table.iloc[3]), (first | second) > 0)
    write(folder / "Benign/0029/C_0029_1.RIGHT_CC_Mask.png", first)
    with pytest.raises(DatasetError, match=r"the image of 'C_0029_1.RIGHT_CC' is missing"):
        load_table("mini-ddsm", folder)


def test_of_two_copies_of_mini_ddsm_one_is_read(tmp_path):
    folder = build(tmp_path, "mini-ddsm")
    write(folder.parent / "MINI-DDSM-Complete-PNG-16/Cancer/0029/D_0029_1.LEFT_CC.png", noise(1))
    assert load_table("mini-ddsm", tmp_path).equals(load_table("mini-ddsm", folder))


def counts(table):
    return table["label"].value_counts().to_dict()


def labels_of_groups(table):
    return table.groupby("group")["label"].nunique()


def test_the_thermograms_are_of_eighty_women(tables):
    table = tables("thermograms")
    assert counts(table) == {"Healthy": 740, "Sick": 740}
    assert labels_of_groups(table).to_list() == [1] * 80
    assert table["image_id"].str.split("/").str[0].groupby(table["group"]).nunique().max() == 1
    sizes = table["group"].value_counts()
    assert sizes.iloc[0] == 42
    assert sizes.index[0] == "train/Healthy/H_150"
    assert sizes.iloc[1] == 21
    assert (sizes >= 20).sum() == 58


@pytest.mark.slow
def test_identical_thermograms_share_a_group(tables):
    table = tables("thermograms")
    content = table["path"].map(lambda path: read_pixels(SimpleNamespace(path=path)).tobytes())
    copies = table.groupby(content.map(hash))["group"].agg(["size", "nunique"])
    assert (copies["size"] > 1).sum() == 42
    assert copies["nunique"].max() == 1


def test_the_9016_ultrasound_images_are_496_of_busi(tables):
    table = tables("ultrasound-9016")
    assert len(table) == 9016
    assert counts(table) == {"benign": 4574, "malignant": 4442}
    assert counts(table.drop_duplicates("source")) == {"benign": 286, "malignant": 210}
    busi = tables("busi").set_index("image_id")["group"]
    sources = table.drop_duplicates("source")
    in_busi = busi.loc[sources["label"] + "/" + sources["source"]].to_list()
    assert len(set(in_busi)) == sources["group"].nunique() == 384
    assert len(set(zip(in_busi, sources["group"], strict=True))) == 384
    originals = {origin("ultrasound-9016", one) for one in table["image_id"]}
    assert len(originals) == 496
    assert originals <= {origin("busi", one) for one in busi.index}


@pytest.mark.slow
def test_550_of_the_mammograms_are_negatives(tables):
    table = tables("mammograms")
    assert counts(table) == {"benign": 2225, "malignant": 1158}
    assert (labels_of_groups(table) == 2).sum() == 19
    assert table["inverted"].sum() == 550
    negatives = table[table["inverted"]].iloc[::50]
    assert not any(is_inverted(read_pixels(row)) for row in negatives.itertuples())


def test_ucsb_has_ten_slides(tables):
    table = tables("ucsb")
    assert counts(table) == {"benign": 32, "malignant": 26}
    assert sorted(table["group"].value_counts()) == [4] + [6] * 9


def test_the_samples_of_breakhis_are_shared_out_by_magnification(data_folder):
    tables = [load_table(name, data_folder / "breakhis_samples") for name in BREAKHIS]
    assert [counts(table) for table in tables] == [
        {"benign": 8, "malignant": 5},
        {"benign": 2, "malignant": 1},
        {"benign": 2, "malignant": 2},
        {"benign": 6, "malignant": 4},
    ]
    assert [table["group"].nunique() for table in tables] == [12, 3, 4, 9]
