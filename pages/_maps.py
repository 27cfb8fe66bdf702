"""Maps of any method on any system, each computed once and kept for a while, as in ``_kept``."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from core.classifiers.base import Target, probabilities
from core.evaluation.faithfulness import Faithfulness, faithfulness
from core.explain import METHODS, Heatmap
from core.preprocessing import shown, to_batch
from pages._keeping import keep
from pages._shared import classifier
from pages._views import View

FAILED = "No map: the method failed on this scan. Try another one"
INSTANT = "instant"
"""Cost of a method that needs no progress bar."""

_log = logging.getLogger("lesionlens")


@dataclass(frozen=True, eq=False)
class Seen:
    """One pass of the backbone, which all methods share.

    ``pixels`` uint8 (H, W, 3) is the scan as the system sees it; ``batch`` float32 (1, h, w, 3);
    ``features`` of the explained layer; ``probabilities`` (C,).
    """

    pixels: np.ndarray
    batch: np.ndarray
    features: np.ndarray
    probabilities: np.ndarray


@dataclass(frozen=True)
class Aim:
    """What is explained: the score of a class, or how far it is above another's."""

    name: str
    rather_than: str | None = None

    def __str__(self) -> str:
        return f"{self.name} rather than {self.rather_than}" if self.rather_than else self.name

    def target(self, classes: tuple[str, ...]) -> Target:
        """The same for ``Classifier.head``."""
        if self.rather_than is None:
            return classes.index(self.name)
        return np.array([float(c == self.name) - float(c == self.rather_than) for c in classes])


@dataclass(frozen=True)
class Question:
    """Which map is wanted: a method, its parameters by name, and the aim."""

    method_id: str
    aim: Aim
    parameters: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, eq=False)
class Answer:
    """A map and the seconds it took beyond the shared pass, or a note why there is none."""

    heatmap: Heatmap | None
    seconds: float
    note: str | None = None


@keep(max_entries=32, max_size="256MiB")
def see(key: tuple, *, _view: View) -> Seen:
    """What a system makes of a view. Raises ScanError or CheckpointError."""
    system, mask = classifier(_view.recipe_id), _view.within and _view.within.mask
    scan, frame = _view.examined()
    pixels, preprocessing = scan.pixels[frame], system.recipe.preprocessing
    batch = to_batch([pixels], preprocessing, [mask])
    features = system.features(batch, _view.layer)
    logits = system.logits_from(features, _view.layer)
    share = probabilities(logits[0], system.temperature)
    return Seen(shown(pixels, preprocessing, mask), batch, features, share)


def known(view: View, question: Question) -> Answer | None:
    """The answer, if it was given before."""
    return _recalled(view, question, "answer")


def answer(
    view: View, question: Question, progress: Callable[[float], None] | None = None
) -> Answer:
    """The map that was asked for, from memory or computed now.

    ``progress`` gets the share done, 0 to 1. A method that fails gets a note in place of a map.
    """
    return known(view, question) or _kept(view, question, "answer", _run(view, question, progress))


def known_judgement(view: View, question: Question) -> Faithfulness | None:
    """The judgement, if it was made before."""
    return _recalled(view, question, "judgement")


def judge(
    view: View, question: Question, progress: Callable[[float], None] = lambda share: None
) -> Faithfulness:
    """Whether the system uses what its map marks: the score of the explained class while it is
    hidden or shown. From memory or computed now, in some 35 predictions; ``progress`` gets the
    share done, 0 to 1."""
    return known_judgement(view, question) or _kept(
        view, question, "judgement", _judgement(view, question, progress)
    )


class _UnansweredError(Exception):
    """It is not there yet."""


@keep(max_entries=1024, max_size="256MiB")
def _kept(key: tuple, question: Question, kind: str, _found, *, _view: View):
    """A store: an exception is not kept, so that asking in vain leaves no trace."""
    if _found is None:
        raise _UnansweredError
    return _found


def _recalled(view: View, question: Question, kind: str):
    try:
        return _kept(view, question, kind, None)
    except _UnansweredError:
        return None


def _judgement(view: View, question: Question, progress: Callable[[float], None]) -> Faithfulness:
    system, image = classifier(view.recipe_id), see(view).batch[0]
    values = answer(view, question).heatmap.resized(*image.shape[:2])
    target = system.recipe.classes.index(question.aim.name)
    return faithfulness(system, image, values, target, progress=progress)


def _run(view: View, question: Question, progress: Callable[[float], None] | None) -> Answer:
    system, seen = classifier(view.recipe_id), see(view)
    start = perf_counter()
    try:
        explanation = METHODS[question.method_id].run(
            system,
            seen.batch,
            question.aim.target(system.recipe.classes),
            layer=view.layer,
            features=seen.features,
            progress=progress,
            **dict(question.parameters),
        )
    except Exception:
        _log.exception("%s failed on %s", question.method_id, view.recipe_id)
        return Answer(None, perf_counter() - start, FAILED)
    heatmap = explanation.heatmaps[0]
    return Answer(heatmap, perf_counter() - start, heatmap.note)
