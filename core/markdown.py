"""Pieces of text in Markdown."""

from __future__ import annotations

from collections.abc import Sequence


def markdown_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    rule = ["---"] * len(heads)
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, rule, *lines))


def sentence_case(text: str) -> str:
    """With a capital at its beginning, and all else as it was."""
    return text[:1].upper() + text[1:]


def bullets(title: str, sentences: tuple[str, ...]) -> str:
    """A section of one sentence a line; "" without any."""
    return f"{title}\n\n" + "\n".join(f"- {s}" for s in sentences) if sentences else ""
