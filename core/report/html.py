"""A report as one HTML file: pictures inside it, no script, nothing fetched, everything escaped."""

from __future__ import annotations

import base64
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from core.figures.style import likelihood_colour
from core.report.content import NOTICE, Content
from core.report.pictures import colour_bar_png
from core.wording import unbroken


def html_of(content: Content) -> str:
    """The file's text."""
    return _template().render(
        content=content,
        notice=NOTICE,
        colour_bar=colour_bar_png(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: unbroken(value) if isinstance(value, str) else value,
    )
    environment.filters["base64"] = lambda data: base64.b64encode(data).decode("ascii")
    environment.filters["colour"] = lambda bar: likelihood_colour(bar.share, bar.malignant)
    return environment.get_template("report.html")
