"""How fast the systems are, as a part of the page docs/results.md."""

from __future__ import annotations

from pathlib import Path

from core.checkpoints import CHECKPOINTS
from core.markdown import markdown_table
from core.predict import BATCH
from core.results.tables import MISSING
from core.timing import read_timings

_HEADS = {
    "milliseconds": "Milliseconds from pixels to answer ↓",
    "opinions_a_second": "Scans a second, one at a time, with Grad-CAM and guard ↑",
    "batch_a_second": f"Scans a second, {BATCH} at a time, with guard ↑",
}


def section(root: Path = CHECKPOINTS) -> str:
    """Markdown on all systems that were timed; "" if none was."""
    timings = read_timings(root)
    if not timings:
        return ""
    figures = [timings.get(kind, {}) for kind in _HEADS]
    lines = [
        [f"`{name}`", *(str(of.get(name, MISSING)) for of in figures)]
        for name in sorted(timings["milliseconds"])
    ]
    reading = (
        f"{timings['scans']} phantoms of 512 x 512 pixels, {timings['processor']}, nothing else "
        "running; the first column is a median, without reading a file. The others go from the "
        "bytes of a PNG file to the guard's verdict, as on the Classify page."
    )
    return f"## Speed\n\n{reading}\n\n{markdown_table(['System', *_HEADS.values()], lines)}\n"
