"""What a method is: a function, and what a page or a report needs to know of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from core.explain.heatmap import Explanation

Progress = Callable[[float], None]
"""Called with the share of the work done, 0 to 1. What it raises stops the work."""

NEGLIGIBLE = 1e-6
"""Scores of changed images that differ by a smaller share are the same up to rounding."""


class Cancelled(Exception):
    """For a ``Progress`` to raise when nobody waits for the map any more."""


@dataclass(frozen=True)
class Parameter:
    """A number that a user may set; ``name`` is the keyword of the method's function."""

    name: str
    label: str
    default: float
    low: float
    high: float
    step: float
    help: str


@dataclass(frozen=True)
class Method:
    """One way to explain.

    ``cost`` is "instant" (one pass of the network), "seconds" or "minutes" for one scan on two
    processor cores. ``run(classifier, batch, target, layer=None, features=None, progress=None,
    **parameters)`` takes what ``core.explain.grad_cam.grad_cam`` takes. ``layered``: whether it
    looks at a layer, or at the scan and the answer alone.
    """

    id: str
    name: str
    paper: str
    equation: str
    cost: str
    run: Callable[..., Explanation]
    parameters: tuple[Parameter, ...] = ()
    layered: bool = True


def portion(progress: Progress | None, index: int, count: int) -> Progress:
    """Progress within part number ``index`` of ``count`` equal parts of the work."""
    if progress is None:
        return lambda share: None
    return lambda share: progress((index + share) / count)
