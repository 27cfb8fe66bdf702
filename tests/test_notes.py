"""Notes of readers: nothing is lost when many write at once, and nothing written is run."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy.engine import make_url

from core.notes import (
    COLUMNS,
    MAX_TAGS,
    Note,
    Notebook,
    NotesError,
    database,
    newest,
    parse_tags,
)
from core.spreadsheet import safe_csv

ROOT = Path(__file__).parents[1]
NOTE = Note("set", "system", "benign (1)", "benign", "malignant", "AB", "agree", ("shadow",), "x")
WRITER = """
import sys
from core.notes import Note, Notebook
from sqlalchemy.engine import make_url
notebook = Notebook(make_url(sys.argv[1]))
for number in range(25):
    notebook.add(Note("set", "system", f"{number}", "a", "b", sys.argv[2], comment="seen"))
"""


@pytest.fixture
def url(tmp_path):
    return make_url(f"sqlite:///{tmp_path / 'deep' / 'notes.sqlite'}")


def test_a_note_comes_back_as_it_was_written(url):
    Notebook(url).add(NOTE)
    (row,) = Notebook(url).read().to_dict("records")
    assert tuple(row) == COLUMNS
    expected = {
        "dataset": "set",
        "recipe": "system",
        "image_id": "benign (1)",
        "label": "benign",
        "predicted": "malignant",
        "reader": "AB",
        "verdict": "agree",
        "tags": "shadow",
        "comment": "x",
    }
    assert {name: row[name] for name in expected} == expected
    assert pd.Timestamp(row["written"]).tzinfo is not None


def test_nothing_is_made_before_the_first_note(url):
    assert Notebook(url).read().columns.tolist() == list(COLUMNS)
    assert not Path(url.database).parent.exists()


def test_the_newest_note_counts_and_the_older_stays(url):
    notebook = Notebook(url)
    notebook.add(NOTE)
    notebook.add(replace(NOTE, reader="CD"))
    notebook.add(replace(NOTE, verdict="disagree"))
    assert len(notebook.read()) == 3
    last = newest(notebook.read())
    assert last[["reader", "verdict"]].to_numpy().tolist() == [["AB", "disagree"], ["CD", "agree"]]
    assert len(notebook.read(reader="CD")) == 1


def test_a_database_that_was_removed_or_replaced_is_the_one_that_counts(url, tmp_path):
    notebook, elsewhere = Notebook(url), make_url(f"sqlite:///{tmp_path / 'backup.sqlite'}")
    notebook.add(NOTE)
    Path(url.database).unlink()
    assert notebook.read().empty
    notebook.add(replace(NOTE, reader="CD"))
    assert notebook.read()["reader"].tolist() == ["CD"]
    Notebook(elsewhere).add(replace(NOTE, reader="EF"))
    Path(elsewhere.database).replace(url.database)
    notebook.add(replace(NOTE, reader="GH"))
    assert notebook.read()["reader"].tolist() == ["EF", "GH"]


def test_threads_lose_nothing(url):
    notebooks = [Notebook(url) for _ in range(4)]

    def write(number: int) -> None:
        notebooks[number % 4].add(replace(NOTE, image_id=str(number)))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(120)))
    assert sorted(map(int, Notebook(url).read()["image_id"])) == list(range(120))


def test_processes_that_start_at_once_lose_nothing(url):
    address = url.render_as_string(hide_password=False)
    running = [
        subprocess.Popen([sys.executable, "-c", WRITER, address, f"reader {number}"], cwd=ROOT)
        for number in range(3)
    ]
    assert [one.wait(timeout=120) for one in running] == [0, 0, 0]
    assert Notebook(url).read()["reader"].value_counts().to_dict() == {
        f"reader {number}": 25 for number in range(3)
    }


def test_text_is_kept_as_text(url):
    hostile = "'); DROP TABLE notes; -- <script>*bold*"
    Notebook(url).add(replace(NOTE, comment=hostile))
    Notebook(url).add(NOTE)
    assert Notebook(url).read()["comment"].tolist() == [hostile, "x"]


def test_no_note_becomes_a_formula_in_a_spreadsheet(url, tmp_path):
    Notebook(url).add(replace(NOTE, comment='=HYPERLINK("http://x")', reader="@AB", tags=("-1",)))
    path = tmp_path / "notes.csv"
    path.write_bytes(safe_csv(Notebook(url).read()))
    row = pd.read_csv(path, dtype=str).iloc[0]
    assert row["comment"] == '\'=HYPERLINK("http://x")'
    assert row["reader"] == "'@AB"
    assert row["tags"] == "'-1"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"reader": "  "}, "your name"),
        ({"verdict": "", "tags": (), "comment": " "}, "empty"),
        ({"verdict": "maybe"}, "agree or disagree"),
        ({"comment": "x" * 5000}, "Shorten"),
        ({"tags": tuple(map(str, range(MAX_TAGS + 1)))}, "Shorten"),
    ],
)
def test_what_is_no_note_is_refused_with_a_sentence(url, change, told):
    notebook = Notebook(url)
    with pytest.raises(NotesError, match=told):
        notebook.add(replace(NOTE, **change))
    assert notebook.read().empty


def test_the_database_is_a_file_or_any_address(monkeypatch, tmp_path):
    monkeypatch.setenv("LESIONLENS_NOTES", str(tmp_path / "mine.sqlite"))
    assert database().database == str(tmp_path / "mine.sqlite")
    monkeypatch.setenv("LESIONLENS_NOTES", "postgresql://reader@host/notes")
    assert database().host == "host"
    monkeypatch.delenv("LESIONLENS_NOTES")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert database().database == str(tmp_path / "lesionlens" / "notes.sqlite")


def test_a_database_that_cannot_be_used_is_told_without_its_password(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(NotesError, match="cannot be used"):
        Notebook(make_url(f"sqlite:///{blocked / 'notes.sqlite'}")).add(NOTE)
    with pytest.raises(NotesError, match="cannot be used") as told:
        Notebook(make_url("nothing://reader:secret@host/notes"))
    assert "secret" not in str(told.value)
    monkeypatch.setenv("LESIONLENS_NOTES", "://")
    with pytest.raises(NotesError, match="LESIONLENS_NOTES"):
        database()


@pytest.mark.parametrize("address", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
def test_a_database_without_a_file_is_refused(monkeypatch, address):
    monkeypatch.setenv("LESIONLENS_NOTES", address)
    with pytest.raises(NotesError, match="Name a file in LESIONLENS_NOTES"):
        Notebook(database())


def test_tags_are_parted_by_commas():
    assert parse_tags(" shadow, two  words,,shadow ") == ("shadow", "two words")
    assert parse_tags("") == ()
