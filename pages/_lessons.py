"""Lessons on a view, each computed once and kept for a while, as in ``_kept``."""

from __future__ import annotations

import numpy as np

from core.lessons import LESSONS, Scene, Step, Trial, trial
from core.lessons.trial import NO_EVIDENCE
from core.picture_size import shrunk, square
from pages._keeping import keep
from pages._maps import Question, answer, see
from pages._shared import classifier
from pages._views import View

LARGEST_SIDE = 360
"""Of the pictures, in pixels: about twice as large as they are shown, for sharp screens."""


@keep(max_entries=16, max_size="64MiB")
def lesson(key: tuple, question: Question, *, _view: View) -> tuple[Step, ...]:
    """The steps to a map. Raises ScanError or CheckpointError."""
    system, seen = classifier(_view.recipe_id), see(_view)
    scene = Scene(
        classifier=system,
        pixels=_picture(_view),
        batch=seen.batch,
        features=seen.features,
        aim=str(question.aim),
        target=question.aim.target(system.recipe.classes),
        layer=_view.layer,
        parameters=dict(question.parameters),
    )
    return LESSONS[question.method_id](scene)


@keep(max_entries=16, max_size="64MiB")
def tried(key: tuple, question: Question, *, _view: View) -> Trial | str:
    """What hiding does, or a sentence why there is nothing to hide."""
    system, seen = classifier(_view.recipe_id), see(_view)
    heatmap = answer(_view, question).heatmap
    if heatmap is None:
        return NO_EVIDENCE
    target = system.recipe.classes.index(question.aim.name)
    return trial(system, _picture(_view), seen.batch, heatmap, target)


def _picture(view: View) -> np.ndarray:
    """What the system sees, as it lies in the body, small: uint8 (H, W, 3)."""
    small = shrunk(see(view).pixels, LARGEST_SIDE)
    return shrunk(square(small, view.examined()[0].aspect), LARGEST_SIDE)
