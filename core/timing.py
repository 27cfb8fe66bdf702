"""How fast each shipped system is; ``python -m core.results --time`` measures it.

The figures are kept in ``checkpoints/timings.json``, so that no page load measures anything:
``processor``, ``scans``, and by recipe

- ``milliseconds``: median from the pixels of one scan to its logits, without an explanation;
- ``opinions_a_second``: from the bytes of a file to probabilities, Grad-CAM and the guard's
  verdict, one scan at a time, as on the Classify page;
- ``batch_a_second``: from the bytes of a file to probabilities and the guard's verdict, eight
  scans at a time, as in a batch there.
"""

from __future__ import annotations

import json
import os
import statistics
from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np

from core.checkpoints import CHECKPOINTS, Checkpoint, list_trained, open_checkpoint
from core.processor import processor_name

if TYPE_CHECKING:
    from core.classifiers.base import Classifier
    from core.guard import Guard

SCANS = 30
_WARM_UP = 5
_FILE = "timings.json"


def read_timings(root: Path = CHECKPOINTS) -> dict:
    """What was measured; {} if nothing was."""
    path = root / _FILE
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def write_timings(root: Path = CHECKPOINTS, scans: int = SCANS) -> dict:
    """Measure every trained system in ``root`` and keep the result there, beside the processor."""
    systems = {name: open_checkpoint(name, root) for name in list_trained(root)}
    taken = {name: measure(one, scans) for name, one in systems.items()}
    measured = {
        "processor": f"{processor_name()}, {os.cpu_count()} cores",
        "scans": scans,
        **{kind: {name: one[kind] for name, one in taken.items()} for kind in MEASURES},
    }
    text = json.dumps(measured, indent=2, sort_keys=True) + "\n"
    (root / _FILE).write_text(text, encoding="utf-8")
    return measured


def measure(checkpoint: Checkpoint, scans: int = SCANS) -> dict[str, float]:
    """Every figure of a system, of phantoms of 512 x 512."""
    from core.guard import load_guard

    system = checkpoint.load(), load_guard(checkpoint)
    pictures = _phantoms(scans)
    return {kind: of(*system, pictures) for kind, of in MEASURES.items()}


def _milliseconds(classifier: Classifier, guard: Guard, pictures: list[np.ndarray]) -> float:
    from core.preprocessing import to_batch

    def answer(some: list[np.ndarray]) -> None:
        classifier.logits(to_batch(some, classifier.recipe.preprocessing, [None]))

    return round(1000 * statistics.median(_seconds(answer, pictures, 1)), 1)


def _opinions(classifier: Classifier, guard: Guard, pictures: list[np.ndarray]) -> float:
    from core.predict import classify
    from core.scans import read_scan

    def answer(some: list[bytes]) -> None:
        found = classify(classifier, read_scan(some[0]))
        guard.judge(found.features, found.pixels)

    return _rate(answer, _files(pictures), 1)


def _batch(classifier: Classifier, guard: Guard, pictures: list[np.ndarray]) -> float:
    from core.predict import BATCH, classify_frames
    from core.scans import read_scan

    def answer(some: list[bytes]) -> None:
        frames = [read_scan(one).pixels[0] for one in some]
        for features, pixels in zip(classify_frames(classifier, frames)[1], frames, strict=True):
            guard.judge(features, pixels)

    return _rate(answer, _files(pictures), BATCH)


MEASURES = {
    "milliseconds": _milliseconds,
    "opinions_a_second": _opinions,
    "batch_a_second": _batch,
}
"""Figure -> what measures it, of a classifier, its guard and pictures."""


def _rate(answer: Callable[[list], None], scans: list, together: int) -> float:
    """Scans a second, over all of them."""
    return round(len(scans) / sum(_seconds(answer, scans, together)), 1)


def _seconds(answer: Callable[[list], None], scans: list, together: int) -> list[float]:
    """What each call takes with so many scans at a time, after a few calls that do not count."""
    groups = [scans[start : start + together] for start in range(0, len(scans), together)]
    for _ in range(_WARM_UP):
        answer(groups[0])
    taken = []
    for group in groups:
        start = perf_counter()
        answer(group)
        taken.append(perf_counter() - start)
    return taken


def _phantoms(count: int) -> list[np.ndarray]:
    from core.datasets.phantoms import PHANTOM_CLASSES, phantom

    return [phantom(PHANTOM_CLASSES[seed % 3], seed, 512)[0] for seed in range(count)]


def _files(pictures: list[np.ndarray]) -> list[bytes]:
    from core.png import png

    return [png(one) for one in pictures]
