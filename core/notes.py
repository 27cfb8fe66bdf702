"""What readers think of images: agree, disagree, comment and tags, kept in a database.

Notes are only ever added, never changed or removed, so that two readers, or two windows of one, who
write at the same time lose nothing; of several notes of a reader on an image the newest counts.

LESIONLENS_NOTES names the database: a file of SQLite, or any URL that SQLAlchemy knows, such as
``postgresql://user@host/notes``. Without it, a file in the user's data folder is used.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import sqlalchemy as sql
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.schema import CreateTable

from core.refusal import Refusal

SETTING = "LESIONLENS_NOTES"
VERDICTS = ("agree", "disagree")
MAX_READER, MAX_COMMENT, MAX_TAGS, MAX_TAG = 80, 4000, 12, 40
PATIENCE = 30
"""Seconds that a writer waits for another before it gives up."""
_OF_A_FILE = {"connect_args": {"timeout": PATIENCE}, "poolclass": sql.NullPool}
"""A connection that is kept would go on with a file that was removed or replaced meanwhile."""
_OF_A_SERVER = {"pool_pre_ping": True}

_NOTES = sql.Table(
    "notes",
    sql.MetaData(),
    sql.Column("id", sql.Integer, primary_key=True, autoincrement=True),
    sql.Column("written", sql.String(32), nullable=False),
    sql.Column("dataset", sql.String(200), nullable=False),
    sql.Column("recipe", sql.String(200), nullable=False),
    sql.Column("image_id", sql.String(500), nullable=False),
    sql.Column("label", sql.String(200), nullable=False),
    sql.Column("predicted", sql.String(200), nullable=False),
    sql.Column("reader", sql.String(MAX_READER), nullable=False),
    sql.Column("verdict", sql.String(20), nullable=False),
    sql.Column("tags", sql.String(MAX_TAGS * (MAX_TAG + 2)), nullable=False),
    sql.Column("comment", sql.Text, nullable=False),
)
COLUMNS = tuple(column.name for column in _NOTES.columns)
_ONE_OPINION = ["dataset", "recipe", "image_id", "reader"]


class NotesError(Refusal):
    """Notes cannot be kept or read; the text says why and what to do."""


@dataclass(frozen=True)
class Note:
    """One reader's view of one image.

    ``verdict`` is of VERDICTS, on the label of the data set, or "" for none; ``label`` and
    ``predicted`` are what the reader was shown.
    """

    dataset: str
    recipe: str
    image_id: str
    label: str
    predicted: str
    reader: str
    verdict: str = ""
    tags: tuple[str, ...] = ()
    comment: str = ""


class Notebook:
    """The notes in a database. Any number of threads and processes may share one database."""

    def __init__(self, url: URL) -> None:
        """Nothing is made before the first note. Raises NotesError for an unknown kind of URL, or
        one of SQLite that names no file: its notes would be gone at once."""
        self._name = url.render_as_string(hide_password=True)
        self._file = None
        if url.get_backend_name() == "sqlite":
            if not url.database or ":memory:" in url.database:
                raise NotesError(
                    f"The database of notes, {self._name}, names no file to keep notes in. Name a "
                    f"file in {SETTING}, such as sqlite:////folder/notes.sqlite."
                )
            self._file = Path(url.database)
        with self._in_words():
            self._engine = sql.create_engine(url, **(_OF_A_FILE if self._file else _OF_A_SERVER))

    def add(self, note: Note) -> None:
        """Keep a note. Raises NotesError if it says nothing or cannot be kept."""
        row = {**_checked(note), "written": datetime.now(UTC).isoformat(timespec="milliseconds")}
        with self._in_words():
            if self._file:
                self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                connection.execute(CreateTable(_NOTES, if_not_exists=True))
                connection.execute(sql.insert(_NOTES), row)

    def read(self, **where: str) -> pd.DataFrame:
        """All notes, the oldest first; ``where`` fixes columns, e.g. ``recipe="..."``.

        Columns are COLUMNS: ``written`` is the time in UTC (ISO 8601), ``tags`` are joined by ", ".
        """
        wanted = sql.select(_NOTES).filter_by(**where).order_by(_NOTES.c.id)
        with self._in_words():
            return pd.DataFrame(self._rows(wanted), columns=COLUMNS)

    def _rows(self, wanted: sql.Select) -> list:
        if self._file and not self._file.exists():
            return []
        with self._engine.connect() as connection:
            known = sql.inspect(connection).has_table(_NOTES.name)
            return connection.execute(wanted).all() if known else []

    @contextmanager
    def _in_words(self) -> Iterator[None]:
        try:
            yield
        except (SQLAlchemyError, OSError, ModuleNotFoundError) as error:
            raise NotesError(
                f"The database of notes, {self._name}, cannot be used: {_reason(error)}. Check "
                f"{SETTING}, and that its folder can be written to."
            ) from error


def newest(notes: pd.DataFrame) -> pd.DataFrame:
    """Of each reader and image the last note, the latest of all first."""
    return notes.drop_duplicates(_ONE_OPINION, keep="last").iloc[::-1].reset_index(drop=True)


def database() -> URL:
    """The database that LESIONLENS_NOTES names, or the one in the user's data folder.

    Raises NotesError for a setting that is no URL.
    """
    setting = os.environ.get(SETTING, "")
    if "://" in setting:
        try:
            return make_url(setting)
        except ArgumentError as error:
            raise NotesError(
                f"{SETTING} is not an address that SQLAlchemy knows. Give the path of a file, or "
                "an address such as sqlite:////folder/notes.sqlite."
            ) from error
    path = Path(setting).expanduser() if setting else _data_home() / "lesionlens" / "notes.sqlite"
    return URL.create("sqlite", database=str(path))


def parse_tags(text: str) -> tuple[str, ...]:
    """Tags from text with commas between them, without repeats.

    >>> parse_tags("shadow,  calipers, shadow")
    ('shadow', 'calipers')
    """
    return tuple(dict.fromkeys(" ".join(one.split()) for one in text.split(",") if one.strip()))


def _data_home() -> Path:
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")


def _reason(error: Exception) -> str:
    """The driver's own words, without the statement and its values, which are the reader's."""
    return " ".join(str(getattr(error, "orig", None) or error).split())[:200]


def _checked(note: Note) -> dict[str, str]:
    reader, comment = note.reader.strip(), note.comment.strip()
    if not reader:
        raise NotesError("Write your name or initials first, so that others know whose note it is.")
    if note.verdict not in ("", *VERDICTS):
        raise NotesError(f"A reader can {' or '.join(VERDICTS)}, not {note.verdict!r}.")
    if not (note.verdict or note.tags or comment):
        raise NotesError("The note is empty: agree, disagree, add a tag or write a comment.")
    if len(reader) > MAX_READER or len(comment) > MAX_COMMENT:
        raise NotesError(
            f"A name may have {MAX_READER} letters and a comment {MAX_COMMENT}. Shorten it."
        )
    if len(note.tags) > MAX_TAGS or any(len(tag) > MAX_TAG for tag in note.tags):
        raise NotesError(f"A note may have {MAX_TAGS} tags of {MAX_TAG} letters each. Shorten it.")
    return {
        "dataset": note.dataset,
        "recipe": note.recipe,
        "image_id": note.image_id,
        "label": note.label,
        "predicted": note.predicted,
        "reader": reader,
        "verdict": note.verdict,
        "tags": ", ".join(note.tags),
        "comment": comment,
    }
