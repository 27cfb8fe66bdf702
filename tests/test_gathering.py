"""Files, folders and archives: which scans are found in them, and what is told of the others."""

from __future__ import annotations

import hashlib
import os
import sys
import threading
from pathlib import Path

import pytest

from core.archives import pack
from core.gathering import files_at, scan_in, single_file, sources_of
from core.scans import ScanError
from tests.dicoms import slices


def scans_at(*paths: Path) -> dict:
    """Sources by name."""
    sources = sources_of([file for path in paths for file in files_at(path)])
    return {one.name: one for one in sources}


def test_a_folder_gives_what_lies_below_it_by_name(tmp_path):
    kept = {"b.png": b"2", "a/z.png": b"1", "a/b/c.png": b"3"}
    beside = (".hidden.png", ".git/x.png", "a/.DS_Store", "a/._z.png", "__MACOSX/b.png")
    for name, data in (kept | dict.fromkeys(beside, b"x")).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = scans_at(tmp_path)
    assert list(found) == [str(tmp_path / name) for name in ("a/b/c.png", "a/z.png", "b.png")]
    assert {one.path: one.read() for one in found.values()} == {
        tmp_path / name: data for name, data in kept.items()
    }


def test_an_archive_is_opened_and_its_files_keep_their_places(tmp_path):
    scans, files = tmp_path / "scans", {"a/one.png": b"1", "two.png": b"2"}
    scans.mkdir()
    (scans / "all.zip").write_bytes(pack(files))
    for asked in (scans / "all.zip", scans):
        found = scans_at(asked)
        names = [str(scans / "all.zip" / name) for name in files]
        assert [(one.name, one.read(), one.path) for one in found.values()] == [
            (name, data, None) for name, data in zip(names, files.values(), strict=True)
        ]
        assert found[names[0]].digest == hashlib.sha256(b"1").hexdigest()


def test_slices_go_together_wherever_they_lie(tmp_path):
    low, high, middle = slices(3)
    (tmp_path / "rest.zip").write_bytes(pack({"middle.dcm": middle, "low.dcm": low}))
    (tmp_path / "high.dcm").write_bytes(high)
    (tmp_path / "still.png").write_bytes(b"1")
    series, still = scans_at(tmp_path).values()
    assert series.name == f"{tmp_path / 'rest.zip' / 'low.dcm'} and 2 more slices"
    assert series.read() == [low, middle, high]
    assert series.path is None and still.path == tmp_path / "still.png"
    assert series.digest not in {file.digest for file in series.files}
    assert len(scan_in(series.read()).pixels) == 3


def test_a_mask_lies_with_its_scan_and_is_none(tmp_path):
    files = {"1.png": b"1", "1_mask.png": b"2", "1_mask_1.png": b"3", "2_mask.png": b"4"}
    scans = tmp_path / "scans"
    scans.mkdir()
    for name, data in files.items():
        (scans / name).write_bytes(data)
    (tmp_path / "all.zip").write_bytes(pack(files))
    found = [
        ([one.read() for one in source.files], sorted(one.read() for one in source.masks))
        for source in scans_at(scans, tmp_path / "all.zip").values()
    ]
    assert found[0] == ([b"1"], [b"2", b"3"])
    assert found[1] == ([b"4"], []), "a mask without its scan is a picture like any other"
    assert found[2:] == found[:2], "in the archive too"


def test_masks_of_names_that_several_files_share_are_told_not_used():
    """Two of one name with other bytes; the same bytes twice are the same scan and mask."""
    names = {"1.png": (b"a", b"b"), "1_mask.png": (b"c", b"d"), "2.png": (b"e", b"e")}
    names["2_mask.png"] = (b"f",)
    files = [
        single_file(name, lambda data=data: data, name)
        for name, several in names.items()
        for data in several
    ]
    found = sources_of(files)
    assert [source.read() for source in found] == [b"a", b"b", b"e", b"e"]
    assert [[mask.read() for mask in source.masks] for source in found[2:]] == [[b"f"], [b"f"]]
    for source in found[:2]:
        (mask,) = source.masks
        with pytest.raises(ScanError, match="Different files have one name"):
            mask.read()
        assert mask.digest not in {file.digest for file in files}


def test_slices_of_a_series_have_no_masks(tmp_path):
    low, high = slices(2)
    files = {"low.dcm": low, "high.dcm": high, "low_mask.png": b"1"}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    series, picture = scans_at(tmp_path).values()
    assert len(series.files) == 2 and not series.masks
    assert picture.read() == b"1"


def test_where_there_is_no_scan_that_is_told_when_it_is_read(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "cut.zip").write_bytes(pack({"a": b"1"})[:30])
    reasons = {
        tmp_path / "empty": "The folder holds no files",
        tmp_path / "cut.zip": "The archive is damaged",
        tmp_path / "absent": "cannot be opened",
        Path("a\0b"): "cannot be opened",
    }
    found = scans_at(*reasons)
    assert list(found) == [str(path) for path in reasons]
    assert len({one.digest for one in found.values()}) == len(found)
    for path, reason in reasons.items():
        with pytest.raises(ScanError, match=reason):
            found[str(path)].read()


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
def test_a_pipe_is_read_once(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(b"all of it"))
    writer.start()
    [found] = scans_at(pipe).values()
    writer.join()
    assert found.read() == found.read() == b"all of it"
    assert found.digest == hashlib.sha256(b"all of it").hexdigest()
