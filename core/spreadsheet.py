"""Tables that leave the program: CSV in which no cell is a formula."""

from __future__ import annotations

import pandas as pd

# A spreadsheet would run a cell that starts like this as a formula (OWASP, "CSV injection").
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def safe_csv(table: pd.DataFrame) -> bytes:
    """The table as CSV in UTF-8, by RFC 4180; texts that a spreadsheet would run get an apostrophe
    in front."""
    safe = table.map(_harmless).rename(columns=_harmless)
    return safe.to_csv(index=False, lineterminator="\r\n").encode("utf-8")


def _harmless(cell):
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(FORMULA_STARTS) else cell
