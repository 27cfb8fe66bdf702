"""Verdicts, the opinions in brief: on one scan, or on several that a system sees at a time, which
takes it less time for each."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from core.checkpoints import CheckpointError
from core.doubt import doubt, told
from core.mask_files import UNUSED
from core.predict import classify_frames
from core.recipes import load_recipe
from core.scans import ScanError
from pages import _kept as kept
from pages import _shared as shared
from pages._outlines import outline_beside
from pages._scans import Item, modality_of, scan_of
from pages._views import Outline, View, needs_outline

LARGEST = 50 * 2**20
"""Bytes of a frame that is seen together with others: more than a mammogram has."""
UNREADABLE = (
    "This file could not be examined, for a reason we did not foresee. Other files are not "
    "affected; save it as PNG and try again."
)

_log = logging.getLogger("lesionlens")


@dataclass(frozen=True)
class Verdict:
    """What the table of scans says about one: probabilities, or why there are none.

    ``warning``: why the probabilities are not to be relied on, if that is known, and which slices
    are missing; ``classes``: the prediction set where it holds; ``frames``: how many the scan has;
    the first was examined; ``outlined``: whether it was seen within its masks.
    """

    label: str | None = None
    probabilities: tuple[float, ...] = ()
    error: str | None = None
    warning: str | None = None
    classes: tuple[str, ...] | None = None
    frames: int = 1
    outlined: bool = False

    @property
    def decided(self) -> bool:
        """Whether one class is the only one that cannot be ruled out."""
        return self.classes is not None and len(self.classes) == 1


@dataclass(frozen=True, eq=False)
class Frame:
    """The first frame of a scan, uint8 (H, W, 3), the modality that its file names, how many frames
    there are, and which are missing; the outline in the masks that came with it, if the system
    needs one, and why they were of no use, if they were not."""

    pixels: np.ndarray
    modality: str | None
    frames: int
    gap: str | None = None
    outline: Outline | None = None
    flaw: str | None = None


def verdict(item: Item, recipe_id: str) -> Verdict:
    """The opinion in brief; a file that cannot be examined gets its sentence.

    Raises CheckpointError if it is the system that cannot be read.
    """
    try:
        seen = first_frame(item, recipe_id)
        found = kept.opinion(View(item, 0, recipe_id, outline=seen.outline))
        return judged(recipe_id, seen, found.probabilities, found.features)
    except ScanError as error:
        return Verdict(error=str(error))
    except CheckpointError:
        raise
    except Exception:
        # The file's name stays out of the log: it may hold a patient's.
        _log.exception("A scan could not be examined")
        return Verdict(error=UNREADABLE)


def first_frame(item: Item, recipe_id: str) -> Frame:
    """The frame that stands for a scan in a system's table. Raises ScanError."""
    scan = scan_of(item.digest, item.read)
    seen = Frame(scan.pixels[0], modality_of(item), len(scan.pixels), scan.gap)
    if not needs_outline(recipe_id):
        return seen
    try:
        return replace(seen, outline=outline_beside(item))
    except ScanError as error:
        return replace(seen, flaw=UNUSED.format(error))


def judged(recipe_id: str, seen: Frame, shares: np.ndarray, features: np.ndarray) -> Verdict:
    """The verdict of a system on a frame, from its probabilities (C,) and features (h, w, K).

    Raises CheckpointError.
    """
    recipe, outlined = load_recipe(recipe_id), seen.outline is not None
    likeness = shared.guard(recipe_id).judge(features, seen.pixels)
    doubts = doubt(recipe, seen.modality, likeness, outlined, seen.flaw)
    return Verdict(
        recipe.classes[int(shares.argmax())],
        tuple(map(float, shares)),
        warning=told(seen.gap, doubts),
        classes=None if doubts else shared.conformal(recipe_id).classes_in(shares),
        frames=seen.frames,
        outlined=outlined,
    )


def verdicts(items: Sequence[Item], recipe_id: str) -> list[Verdict]:
    """The same as ``verdict`` of each, from one pass of the network.

    A scan that cannot be read is left to that, and so are all if the pass fails: no scan harms
    another. Raises CheckpointError if it is the system that cannot be read.
    """
    frames = {at: seen for at, item in enumerate(items) if (seen := _frame(item, recipe_id))}
    try:
        found = _together(frames, recipe_id) if frames else {}
    except CheckpointError:
        raise
    except Exception:
        _log.exception("Scans could not be examined together")
        found = {}
    return [found.get(at) or verdict(item, recipe_id) for at, item in enumerate(items)]


def _frame(item: Item, recipe_id: str) -> Frame | None:
    """None if the scan cannot be read, or is so large that it is better seen alone."""
    try:
        first = first_frame(item, recipe_id)
        if first.pixels.nbytes > LARGEST:
            return None
        return replace(first, pixels=first.pixels.copy())  # a view would keep the whole cine
    except Exception:
        return None  # verdict reads it, and says what is wrong


def _together(frames: dict[int, Frame], recipe_id: str) -> dict[int, Verdict]:
    """The verdict on each frame, by its number."""
    system = shared.classifier(recipe_id)
    pixels = [frame.pixels for frame in frames.values()]
    masks = [frame.outline and frame.outline.mask for frame in frames.values()]
    shares, features = classify_frames(system, pixels, masks)
    answers = zip(frames.items(), shares, features, strict=True)
    return {at: judged(recipe_id, frame, *answer) for (at, frame), *answer in answers}
