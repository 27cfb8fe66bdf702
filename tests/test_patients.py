"""A list of patients beside a folder of classes: groups by hand, and lists that cannot be used."""

from __future__ import annotations

import pytest
from test_folder import on_disk, picture, zipped

from core.datasets import DatasetError, folder, read_pixels
from core.datasets.archive import ArchivedFolder
from core.datasets.audit import audit, crossings
from core.datasets.known_splits import known_splits
from core.datasets.patients import FILE, MOST_BYTES

IMAGES = {name: picture(seed) for seed, name in enumerate(("b/1.png", "b/2.png", "m/1.png"))}
LIST = "image,patient\nb/1.png,Ms A\nb/2.png,NA\nm/1.png,Ms A\n"
GROUPS, NUMBERS = ["b/1", "b/2", "b/1"], [1, 2, 1]


@pytest.mark.parametrize(
    "content",
    [
        LIST.encode(),
        LIST.replace("\n", "\r\n").encode("utf-8-sig"),
        LIST.replace(",", ";").encode(),
        LIST.replace(",", "\t").replace("/", "\\").encode(),
        b'Patient , age,IMAGE\n"Ms A",40,./b/1.png\nNA,,b/2.png\n Ms A,40,m/1.png\n\nB,3,m/9.png\n',
    ],
)
@pytest.mark.parametrize("wrapping", ["", "set/"])
def test_the_images_of_a_patient_are_a_group_that_does_not_tell_the_name(
    tmp_path, content, wrapping
):
    files = {wrapping + name: data for name, data in (IMAGES | {FILE: content}).items()}
    archived = ArchivedFolder(zipped(files))
    for table in (folder.read(on_disk(tmp_path, files)), archived.table):
        assert table["group"].tolist() == GROUPS
        assert table["patient"].tolist() == NUMBERS
        assert "Ms A" not in table.drop(columns="path").to_csv()
    assert archived.left_out == "", "the list is not a file that was left out"


def test_the_list_may_be_written_in_capitals_and_its_letters_composed(tmp_path):
    """As macOS stores names: a letter, then its dots."""
    files = {f"gut_a\u0308/{n}.png": picture(n) for n in (1, 2)} | {"b/1.png": picture(3)}
    rows = "image,patient\ngut_\u00e4/1.png,A\ngut_\u00e4/2.png,A\nb/1.png,B\n"
    archived = ArchivedFolder(zipped(files | {"Patients.CSV": rows.encode()}))
    on_disk(tmp_path, files | {"Patients.CSV": rows.encode()})
    for table in (folder.read(tmp_path), archived.table):
        assert sorted(table["patient"].value_counts()) == [1, 2]
    assert archived.left_out == ""


def test_a_list_above_the_folders_that_wrap_the_classes_counts_too(tmp_path):
    files = {f"set/{name}": data for name, data in IMAGES.items()}
    content = LIST.replace("b/", "set/b/").replace("m/", "set/m/").encode()
    table = folder.read(on_disk(tmp_path, files | {FILE: content}))
    assert table["group"].tolist() == GROUPS


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"image,patient\nb/1.png,A\n", "tells no patient of 2 of 3 images, such as b/2.png"),
        (LIST.encode() + b"b/1.png,B\n", "tells two patients of b/1.png. Leave one of them."),
        (LIST.replace("NA", "").encode(), "tells no patient of 1 of 3 images, such as b/2.png"),
        (b"file,patient\nb/1.png,A\n", "lacks the columns image and patient"),
        (b"", "lacks the columns image and patient"),
        (LIST.encode("utf-16"), "is no table in UTF-8"),
        (b"image,patient\n" + b"x" * MOST_BYTES, "is larger than 5 MB"),
    ],
)
def test_a_list_that_cannot_be_used_gets_its_sentence(tmp_path, content, sentence):
    files = IMAGES | {FILE: content}
    with pytest.raises(DatasetError, match=sentence):
        folder.read(on_disk(tmp_path, files))
    with pytest.raises(DatasetError, match=sentence):
        ArchivedFolder(zipped(files))


def test_a_patient_on_two_sides_of_a_split_is_a_leak(tmp_path):
    names = ("train/b/1.png", "train/m/1.png", "test/b/1.png", "test/m/1.png")
    files = {name: picture(seed) for seed, name in enumerate(names)}
    rows = "".join(f"{name},{patient}\n" for name, patient in zip(names, "ABAC", strict=True))
    table = folder.read(on_disk(tmp_path, files | {FILE: f"image,patient\n{rows}".encode()}))
    found = crossings(audit(table, read_pixels), known_splits(table)).iloc[0]
    assert (found["crossing"], found["test images"], found["leaked"]) == (1, 2, 1)
