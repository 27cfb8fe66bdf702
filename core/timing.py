"""How long each shipped system takes for one scan; ``python -m core.results --time`` measures it.

The figures are kept in ``checkpoints/timings.json``, so that no page load measures anything:
``processor``, ``scans``, and ``milliseconds`` by recipe.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
from pathlib import Path
from time import perf_counter

from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint

SCANS = 30
_WARM_UP = 5
_FILE = "timings.json"


def read_timings(root: Path = CHECKPOINTS) -> dict:
    """What was measured; {} if nothing was."""
    path = root / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_timings(root: Path = CHECKPOINTS, scans: int = SCANS) -> dict:
    """Measure every trained system in ``root`` and keep the result there, beside the processor."""
    measured = {
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "scans": scans,
        "milliseconds": {name: milliseconds(name, root, scans) for name in list_trained(root)},
    }
    text = json.dumps(measured, indent=2, sort_keys=True) + "\n"
    (root / _FILE).write_text(text, encoding="utf-8")
    return measured


def milliseconds(recipe_id: str, root: Path = CHECKPOINTS, scans: int = SCANS) -> float:
    """Median time from the pixels of one scan to its logits, without an explanation.

    Phantoms of 256 x 256 are given one at a time, after a few that do not count.
    """
    from core.datasets.phantoms import PHANTOM_CLASSES, phantom
    from core.preprocessing import to_batch

    classifier = open_checkpoint(recipe_id, root).load()
    taken = []
    for seed in range(_WARM_UP + scans):
        pixels, _ = phantom(PHANTOM_CLASSES[seed % len(PHANTOM_CLASSES)], seed)
        start = perf_counter()
        classifier.logits(to_batch([pixels], classifier.recipe.preprocessing, [None]))
        taken.append(1000 * (perf_counter() - start))
    return round(statistics.median(taken[_WARM_UP:]), 1)


def _processor() -> str:
    """The processor's name, where the system tells it."""
    listing = Path("/proc/cpuinfo")
    lines = listing.read_text(encoding="utf-8").splitlines() if listing.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
