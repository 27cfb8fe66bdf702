"""Verdicts on many scans: a system sees several at a time, which takes it less time for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.checkpoints import CheckpointError
from core.doubt import doubt
from core.predict import classify_frames
from pages import _work as work

LARGEST = 50 * 2**20
"""Bytes of a frame that is seen together with others: more than a mammogram has."""

_log = logging.getLogger("lesionlens")


def verdicts(items: Sequence[work.Item], recipe_id: str) -> list[work.Verdict]:
    """The same as ``work.verdict`` of each, from one pass of the network.

    A scan that cannot be read is left to that, and so are all if the pass fails: no scan harms
    another. Raises CheckpointError if it is the system that cannot be read.
    """
    frames = {at: seen for at, item in enumerate(items) if (seen := _frame(item)) is not None}
    try:
        found = _together(frames, recipe_id) if frames else {}
    except CheckpointError:
        raise
    except Exception:
        _log.exception("Scans could not be examined together")
        found = {}
    return [found.get(at) or work.verdict(item, recipe_id) for at, item in enumerate(items)]


@dataclass(frozen=True, eq=False)
class _Frame:
    """The first frame of a scan, uint8 (H, W, 3), and the modality that its file names."""

    pixels: np.ndarray
    modality: str | None


def _frame(item: work.Item) -> _Frame | None:
    """None if the scan cannot be read, or is so large that it is better seen alone."""
    try:
        first = work.scan_of(item.digest, item.read).pixels[0]
        if first.nbytes > LARGEST:
            return None
        return _Frame(first.copy(), work.modality_of(item))  # a view would keep the whole cine
    except Exception:
        return None  # work.verdict reads it, and says what is wrong


def _together(frames: dict[int, _Frame], recipe_id: str) -> dict[int, work.Verdict]:
    """The verdict on each frame, by its number."""
    system, guard = work.classifier(recipe_id), work.guard(recipe_id)
    recipe = system.recipe
    shares, features = classify_frames(system, [frame.pixels for frame in frames.values()])
    found = {}
    for (at, frame), seen, share in zip(frames.items(), features, shares, strict=True):
        likeness = guard.judge(seen, frame.pixels)
        found[at] = work.Verdict(
            recipe.classes[int(share.argmax())],
            tuple(map(float, share)),
            warning=doubt(recipe, frame.modality, likeness),
        )
    return found
