"""Results kept one by one, so that a long measurement can be interrupted and go on."""

from __future__ import annotations

import json
from pathlib import Path


class Journal:
    """What is measured so far: one line of JSON a map and part, safe at every moment."""

    def __init__(self, path: Path):
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[tuple[str, str, str], dict]:
        """Records by image, method and part; the last of several counts."""
        if not self._path.is_file():
            return {}
        lines = self._path.read_text(encoding="utf-8").splitlines()
        records = (record for record in map(_parsed, lines) if record)
        return {_key(record): record for record in records}

    def add(self, record: dict) -> None:
        """Append one record; it is on disk when this returns."""
        with self._path.open("a", encoding="utf-8") as file:
            # The line end comes first: an interruption may have left the last line without one.
            file.write("\n" + json.dumps(record))

    def hand_over(self, other: Journal) -> None:
        """Add all records to another journal, where they count, and be gone."""
        for record in self.read().values():
            other.add(record)
        self._path.unlink(missing_ok=True)


def _parsed(line: str) -> dict | None:
    """A record, or None for a line that an interruption cut short."""
    try:
        return json.loads(line)
    except ValueError:
        return None


def _key(record: dict) -> tuple[str, str, str]:
    return record["image_id"], record["method"], record["part"]
