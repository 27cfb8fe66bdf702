"""A long list on a page, a part at a time."""

from __future__ import annotations

import pandas as pd
import streamlit as st


def page_of(of: str, rows: pd.DataFrame, length: int) -> pd.DataFrame:
    """The part of the rows that the reader has turned to. Other rows, or the same in another order,
    begin at their first page; ``of`` tells their table from others with the same index."""
    pages = -(-len(rows) // length)
    if pages < 2:
        return rows
    page = st.pagination(pages, key=f"page {hash((of, *rows.columns, *rows.index))}")
    return rows.iloc[(page - 1) * length : page * length]
