"""What a lesson is made of: steps with a sentence or two, pictures and bars."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from core.classifiers.base import Classifier, Target
from core.explain import METHODS, Explanation
from core.explain.gradients import own_channels
from core.preprocessing import to_pixels


@dataclass(frozen=True, eq=False)
class Picture:
    """Pixels uint8 (H, W, 3), their title, and what more stands below them."""

    pixels: np.ndarray
    title: str
    caption: str = ""


@dataclass(frozen=True, eq=False)
class Bars:
    """One bar a name or number, and, where one matters, a line ``at`` a place of the axis.

    ``across`` and ``up`` name the axes; negative bars are drawn in the colour of what speaks
    against.
    """

    places: tuple[str, ...] | np.ndarray
    heights: np.ndarray
    across: str
    up: str
    at: float | None = None
    at_name: str = ""


@dataclass(frozen=True, eq=False)
class Step:
    """One step of a lesson. ``text`` is Markdown; with ``slider`` the pictures are shown one at a
    time, chosen by their titles under this heading."""

    title: str
    text: str
    pictures: tuple[Picture, ...] = ()
    bars: Bars | None = None
    slider: str | None = None


@dataclass(frozen=True, eq=False)
class Scene:
    """One scan before one system, and what is asked of it.

    ``pixels`` uint8 (H, W, 3) to draw upon; ``batch`` float32 (1, h, w, 3); ``features`` float32
    (1, h', w', K) of ``layer`` (None: the last); ``aim`` names what ``target`` is.
    """

    classifier: Classifier
    pixels: np.ndarray
    batch: np.ndarray
    features: np.ndarray
    aim: str
    target: Target
    layer: str | None = None
    parameters: dict[str, float] = field(default_factory=dict)

    @property
    def maps(self) -> np.ndarray:
        """The layer's own channels, float64 (h', w', K)."""
        return own_channels(self.classifier, self.layer, self.features)[0][0]

    @property
    def nothing(self) -> np.ndarray:
        """The colour, uint8 (3,), of places hidden from the system: there its input is 0."""
        return nothing(self.classifier)

    def setting(self, method_id: str, name: str) -> float:
        """A parameter of the method, as chosen or by default."""
        default = next(one for one in METHODS[method_id].parameters if one.name == name).default
        return self.parameters.get(name, default)

    def explained(self, method_id: str) -> Explanation:
        """What a method answers, with everything that the system was already asked."""
        return METHODS[method_id].run(
            self.classifier,
            self.batch,
            self.target,
            layer=self.layer,
            features=self.features,
            **self.parameters,
        )


def nothing(classifier: Classifier) -> np.ndarray:
    """The colour, uint8 (3,), that an input of 0 stands for: black, or grey where 0 is centred."""
    return to_pixels(np.zeros((1, 1, 1, 3), np.float32), classifier.recipe.preprocessing)[0, 0, 0]


Lesson = Callable[[Scene], tuple[Step, ...]]
