"""What a page says, for tests."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest


def words(page: AppTest) -> str:
    """All prose of the page, without the escapes of Markdown and with plain spaces."""
    prose = (page.header, page.markdown, page.subheader, page.text)
    boxes = (page.error, page.info, page.success)
    text = "\n".join(str(part.value) for parts in (*prose, *boxes) for part in parts)
    return text.replace("\\", "").replace("\u00a0", " ")
