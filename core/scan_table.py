"""The table of many scans: one row a scan, one column a class, and what limits each answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pandas as pd

REMARKS = ("frame", "outline", "prediction_set", "guard", "report")
"""Columns that stand only where a row has something to say in them."""
PROBLEMS = ("warning", "error")


@dataclass(frozen=True)
class Row:
    """What the table says about one scan.

    ``shares``: probability in [0, 1] by class, empty if the scan was not examined; ``error`` then
    tells why. ``warning`` tells why the probabilities are not to be relied on. Without a
    ``file``'s name the row has its number. ``frame`` tells which frame was examined, where there
    are several; ``outline`` where the outline is from within which it was seen; ``report`` is the
    name of the file that tells more.
    """

    file: str | None = None
    recipe: str | None = None
    label: str | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    frame: str | None = None
    outline: str | None = None
    prediction_set: str | None = None
    guard: str | None = None
    report: str | None = None
    warning: str | None = None
    error: str | None = None


def frame_of(number: int, count: int) -> str | None:
    """Which frame of a scan, counted from 0, was examined; None if it is the only one.

    >>> frame_of(0, 65), frame_of(0, 1)
    ('1 of 65', None)
    """
    return f"{number + 1} of {count}" if count > 1 else None


def scan_table(rows: Sequence[Row], classes: Sequence[str] = ()) -> pd.DataFrame:
    """Columns: file, recipe, label, one a class, remarks, problems.

    ``classes`` stand first and always; those of the rows follow. A class that the system of a row
    does not know is left empty.
    """
    named = dict.fromkeys([*classes, *(name for row in rows for name in row.shares)])
    remarks = [name for name in REMARKS if any(getattr(row, name) is not None for row in rows)]
    facts = ["recipe", "label", *remarks, *PROBLEMS]
    records = [
        {"file": row.file or f"scan {number}", **row.shares}
        | {name: getattr(row, name) for name in facts}
        for number, row in enumerate(rows, start=1)
    ]
    return pd.DataFrame(records, columns=["file", "recipe", "label", *named, *remarks, *PROBLEMS])


def without_names(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a scan's number in place of its file's name, which may be a patient's."""
    return table.assign(file=[f"scan {number}" for number in range(1, len(table) + 1)])
