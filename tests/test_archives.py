"""ZIP archives: what comes out is what went in, and whatever could do harm is refused."""

from __future__ import annotations

import gc
import gzip
import io
import stat
import struct
import zipfile
import zlib

import cv2
import numpy as np
import pytest

from core import gathering
from core.archives import Archive, ArchiveError, Limits, gunzip, inflate
from core.datasets import DatasetError, read_pixels
from core.datasets.archive import ArchivedFolder
from core.scans import ScanError
from pages._uploads import items_of

FILES = {"a/one.png": b"1" * 1000, "a/two.dcm": bytes(range(256)) * 9, "three": b""}


def packed(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()


def refused(data: bytes, sentence: str, limits: Limits | None = None) -> None:
    with pytest.raises(ArchiveError, match=sentence) as error:
        archive = Archive(data, limits)
        [archive.read(member) for member in archive.members]
    assert str(error.value).endswith(".")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_everything_comes_out_as_it_went_in(tmp_path, method):
    data = packed(FILES, method)
    path = tmp_path / "x.zip"
    path.write_bytes(data)
    for source in (data, path, str(path), io.BytesIO(data)):
        with Archive(source) as archive:
            assert {one.path: archive.read(one) for one in archive.members} == FILES


def test_folders_and_side_files_are_passed_over():
    beside = {"a/": b"", "__MACOSX/a/._one.png": b"x", "a/.DS_Store": b"x", "a/._b": b"x"}
    assert [one.path for one in Archive(packed(beside | FILES)).members] == list(FILES)


@pytest.mark.parametrize(
    "name",
    [
        *("../x", "a/../../x", "/etc/x", "\\x", "..\\x", "C:/x", "C:\\x", "."),
        *("a\nb", "a\x1bb", "a\x7fb", "a\x85b", "a/" * 40 + "b"),
    ],
)
def test_names_that_lead_out_are_refused(tmp_path, name):
    refused(packed({"ok": b"1", name: b"2"}), "leads out of it")


@pytest.mark.parametrize(
    "name",
    [
        "Screenshot 2024-05-01 at 9.41.00\u202fAM.png",
        "\u80f8\u90e8\u3000\u753b\u50cf.png",
        "a\u00a0b",
        "a\u00adb",
        "\U0001f469\u200d\u2695\ufe0f.png",
        "\u200f\u05e9.png",
    ],
    ids=["narrow", "ideographic", "no-break", "soft hyphen", "joined", "right to left"],
)
def test_names_with_unusual_spaces_and_marks_are_kept(name):
    assert [one.path for one in Archive(packed({name: b"1"})).members] == [name]


def test_names_of_old_programs_are_kept():
    # 0xff, a no-break space in cp437, which archives without the mark for UTF-8 are read as
    data = packed({"a_b.png": b"1"}).replace(b"a_b.png", b"a\xffb.png")
    assert [one.path for one in Archive(data).members] == ["a\u00a0b.png"]


class Upload(io.BytesIO):
    """What Streamlit hands over."""

    name, file_id = "all.zip", "1"


@pytest.mark.parametrize("files", [{"a/": b""}, {"a/": b"", "__MACOSX/a/._one.png": b"x"}])
def test_an_upload_without_files_is_told(files):
    [item] = items_of([Upload(packed(files))])
    assert item.name == "all.zip"
    with pytest.raises(ScanError, match=r"^The archive holds no files\. "):
        item.read()


def test_an_upload_is_looked_through_once_for_all_its_files(monkeypatch):
    opened = []

    class Counted(Archive):
        def __init__(self, *arguments):
            opened.append(arguments)
            super().__init__(*arguments)

    monkeypatch.setattr(gathering, "Archive", Counted)
    upload = Upload(packed({f"{number}.png": bytes([number]) for number in range(9)}))
    upload.file_id = "of nine files"
    items = items_of([upload])
    assert [item.read() for item in items] == [bytes([number]) for number in range(9)]
    assert len(opened) == 1


def test_names_that_would_overwrite_each_other_are_refused():
    refused(packed({"Scan.png": b"1", "scan.PNG": b"2"}), "two files of one name")
    refused(packed({"\u00e9": b"1", "e\u0301": b"2"}), "two files of one name")


def test_links_and_encryption_are_refused():
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    refused(file.getvalue(), "holds links")
    locked = bytearray(packed({"a": b"1"}))
    locked[locked.rindex(b"PK\x01\x02") + 8] |= 1
    refused(bytes(locked), "encrypted")
    refused(packed({"a": b"1"}, zipfile.ZIP_LZMA), "unusual way")


def test_the_limits():
    data = packed(FILES)
    refused(data, "more files than the limit of 2", Limits(files=2))
    refused(packed({"a": bytes(2**20 + 1)}), "larger than the limit of 1 MB", Limits(5, 2**20))
    # What a Mac leaves beside each file is none, but there is no end of it either.
    sides = {f"__MACOSX/._{name}": b"1" for name in "abc"}
    assert len(Archive(packed({"a": b"1", "b": b"2"} | sides), Limits(files=2)).members) == 2
    refused(packed({"a": b"1"} | sides), "more files than the limit of 1", Limits(files=1))
    many = packed({str(i): bytes(2**20) for i in range(3)})
    refused(many, "unpacks to more than the limit of 2 MB", Limits(total_bytes=2 * 2**20))


def test_a_size_that_is_not_true_is_refused():
    data = bytearray(packed({"bomb": bytes(10**6)}))
    place = data.rindex(b"PK\x01\x02") + 24
    for claim in (10, 10**6 + 1):
        struct.pack_into("<I", data, place, claim)
        refused(bytes(data), "damaged")


def test_entries_that_share_their_bytes_are_refused():
    data = packed({"a": b"1" * 500, "b": b"1" * 500})
    second = data.rindex(b"PK\x01\x02")
    shared = data[: second + 42] + struct.pack("<I", 0) + data[second + 46 :]
    with pytest.raises(ArchiveError, match="damaged"):
        Archive(shared)  # before anything is unpacked


def test_a_truncated_or_damaged_archive_is_refused_or_whole():
    data = packed(FILES)
    for end in range(len(data)):
        refused(data[:end], "damaged")
    damaged = bytearray(data)
    damaged[45] ^= 0xFF
    refused(bytes(damaged), "damaged")


def test_an_archive_that_is_not_there(tmp_path):
    with pytest.raises(ArchiveError, match="cannot be opened"):
        Archive(tmp_path / "missing.zip")


def test_gzip_and_bare_deflate_within_the_limit():
    content = bytes(100_000) + b"end"
    squeezed = gzip.compress(content)
    assert gunzip(squeezed, len(content)) == content
    packer = zlib.compressobj(wbits=-15)
    assert inflate(packer.compress(content) + packer.flush(), len(content)) == content
    with pytest.raises(ArchiveError, match="more than the limit"):
        gunzip(squeezed, len(content) - 1)
    several = gzip.compress(b"a" * 70_000) + squeezed + gzip.compress(b"") + gzip.compress(b"z")
    for end in (b"", bytes(9), b"anything"):
        assert gunzip(several + end, 10**6) == b"a" * 70_000 + content + b"z"
    with pytest.raises(ArchiveError, match="more than the limit"):
        gunzip(several, 70_000 + len(content))
    with pytest.raises(ArchiveError, match="damaged"):
        gunzip(several[:-9], 10**6)
    for damaged in (squeezed[:-9], b"\x1f\x8b" + bytes(30), b""):
        with pytest.raises(ArchiveError, match="damaged"):
            gunzip(damaged, 10**6)


def picture(grey: int) -> bytes:
    return cv2.imencode(".png", np.full((6, 7), grey, np.uint8))[1].tobytes()


PICTURES = {"benign/1.png": picture(10), "malignant/1.png": picture(20)}


@pytest.mark.parametrize(
    "name",
    ["./{}", "a/./{}", "set//{}", "set\\{}", "{}"],
    ids=["dot", "dot inside", "two strokes", "backslash", "plain"],
)
def test_names_of_every_packer_are_a_folder_of_classes(name):
    backslash = "\\" in name
    files = {
        name.format(one.replace("/", "\\") if backslash else one): data
        for one, data in PICTURES.items()
    }
    kept = ArchivedFolder(packed(files))
    assert kept.table["image_id"].tolist() == ["benign/1", "malignant/1"]
    assert [read_pixels(row)[0, 0, 0] for row in kept.table.itertuples()] == [10, 20]
    assert kept.left_out == ""


def test_a_folder_that_is_stored_as_a_file_is_a_folder():
    kept = ArchivedFolder(packed({"benign": b""} | PICTURES))
    assert kept.table["label"].tolist() == ["benign", "malignant"]


def test_an_archive_stays_open_until_the_last_who_opened_it_is_gone():
    data = packed(PICTURES)
    first, second = ArchivedFolder(data), ArchivedFolder(data)
    row = first.table.iloc[0]
    del second
    gc.collect()
    assert read_pixels(row)[0, 0, 0] == 10
    third = ArchivedFolder(data)
    del first
    gc.collect()
    assert read_pixels(third.table.iloc[1])[0, 0, 0] == 20
    del third
    gc.collect()
    with pytest.raises(DatasetError, match="no longer open"):
        read_pixels(row)


def test_a_mask_without_its_image_is_told_by_its_folder_in_the_archive():
    with pytest.raises(DatasetError, match="^The folder benign is not a complete"):
        ArchivedFolder(packed(PICTURES | {"benign/2_mask.png": picture(0)}))
