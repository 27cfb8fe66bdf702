"""Verdicts on many scans: a system sees several at a time, which takes it less time for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np

from core.checkpoints import CheckpointError
from core.predict import classify_frames
from pages import _work as work

_log = logging.getLogger("lesionlens")


def verdicts(items: Sequence[work.Item], recipe_id: str) -> list[work.Verdict]:
    """The same as ``work.verdict`` of each, from one pass of the network.

    A scan that cannot be read is left to that, and so are all if the pass fails: no scan harms
    another. Raises CheckpointError if it is the system that cannot be read.
    """
    frames = {at: pixels for at, item in enumerate(items) if (pixels := _frame(item)) is not None}
    try:
        found = _together(items, frames, recipe_id) if frames else {}
    except CheckpointError:
        raise
    except Exception:
        _log.exception("Scans could not be examined together")
        found = {}
    return [found.get(at) or work.verdict(item, recipe_id) for at, item in enumerate(items)]


def _frame(item: work.Item) -> np.ndarray | None:
    """The first frame, uint8 (H, W, 3); None if it cannot be read."""
    try:
        return work.scan_of(item.digest, item.read).pixels[0]
    except Exception:
        return None  # work.verdict reads it again, and says why


def _together(
    items: Sequence[work.Item], frames: dict[int, np.ndarray], recipe_id: str
) -> dict[int, work.Verdict]:
    """The verdict on each frame, by its number."""
    system, guard = work.classifier(recipe_id), work.guard(recipe_id)
    recipe = system.recipe
    shares, features = classify_frames(system, list(frames.values()))
    found = {}
    for (at, pixels), seen, share in zip(frames.items(), features, shares, strict=True):
        likeness = guard.judge(seen, pixels)
        foreign = likeness.sentence if likeness.level == "foreign" else None
        found[at] = work.Verdict(
            recipe.classes[int(share.argmax())],
            tuple(map(float, share)),
            warning=work.mismatch(items[at], recipe) or foreign,
        )
    return found
