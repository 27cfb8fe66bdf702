"""The last step of every lesson: does the network need what the map marks?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from core.classifiers.base import Classifier
from core.evaluation.faithfulness import deleted, ranks, scores
from core.explain.heatmap import Heatmap
from core.lessons.step import Picture, nothing

LEVELS = 8
SHOWN = (1, 2, 4)
"""Levels of which a picture is shown: 1/8, 1/4 and 1/2 of the scan hidden."""
NO_EVIDENCE = "There is no evidence in this map, so there is nothing to try."
OUTSIDE = (
    "The map lies outside the outlined lesion alone, where this system sees nothing: there is "
    "nothing to hide."
)
_CLEARLY = 0.05
_SAME_PLACE = 0.5


@dataclass(frozen=True, eq=False)
class Trial:
    """``hidden``: shares of the scan, from 0 to 1; the calibrated probability of the class while
    the map's strongest places are hidden first (``marked``), and those of the same map
    mirrored (``mirrored``). ``alike``: which share of the map's strongest quarter its mirror images
    mark as well, 0.25 by chance."""

    hidden: np.ndarray
    marked: np.ndarray
    mirrored: np.ndarray
    alike: float
    pictures: tuple[Picture, ...]

    @property
    def sentence(self) -> str:
        """What the curves say, in words."""
        marked, mirrored = self._fall(self.marked), self._fall(self.mirrored)
        if max(marked, mirrored) <= 0:
            return (
                "This trial cannot tell: the class becomes likelier when the scan is hidden, where "
                "the map marks it as well as elsewhere."
            )
        gain = marked - mirrored
        if gain > _CLEARLY:
            return "It holds: hiding what the map marks costs the class more than hiding elsewhere."
        if gain < -_CLEARLY:
            return "It does not hold: hiding elsewhere costs the class more."
        if self.alike > _SAME_PLACE:
            return (
                "This trial cannot tell: the map lies so much in the middle of what the system "
                "sees that its mirror images mark the same place."
            )
        return "It makes no clear difference here whether the map or another place is hidden."

    def _fall(self, curve: np.ndarray) -> float:
        """By how much the class becomes less likely, on average over all that is hidden."""
        return float(curve[0] - np.trapezoid(curve, self.hidden))


def trial(
    classifier: Classifier, pixels: np.ndarray, batch: np.ndarray, heatmap: Heatmap, target: int
) -> Trial | str:
    """Hide the scan bit by bit; a sentence if the map ranks nothing of what the system sees.

    The yardstick is the map itself mirrored left to right, top to bottom, and both, the mean of
    the three: as large and as coherent as the map, in other places. (Single pixels at random would
    be a poor one: hidden pixels all over the scan upset a network more than any hidden region.)
    All of it happens within what the system sees: of one that is shown the outlined lesion alone,
    the box around that.

    ``pixels`` uint8 (H, W, 3) to draw upon, ``batch`` float32 (1, h, w, 3). What is hidden becomes
    0 in the recipe's value range, and is drawn in the colour that this stands for.
    """
    if not heatmap.values.any():
        return NO_EVIDENCE
    image = batch[0]
    outlined = classifier.recipe.preprocessing.outlined
    box = box_of(image) if outlined else np.s_[:, :]
    values = heatmap.resized(*image.shape[:2])[box]
    if not values.any():
        return OUTSIDE

    def curve(map_: np.ndarray) -> np.ndarray:
        return scores(classifier, deleted(image, _places(map_, image, box), LEVELS), target)

    others = (values[:, ::-1], values[::-1], values[::-1, ::-1])
    mirrored = [curve(one) for one in others]
    drawn_box = box_of(pixels) if outlined else box
    large = heatmap.resized(*pixels.shape[:2])[drawn_box]
    drawn = _places(large, pixels, drawn_box) / pixels[..., 0].size
    whole = "what the system sees" if outlined else "the scan"
    pictures = tuple(
        Picture(
            np.where((drawn < share)[..., None], nothing(classifier), pixels),
            f"{100 * share:.3g} % of {whole} hidden",
        )
        for share in (level / LEVELS for level in SHOWN)
    )
    hidden = np.linspace(0, 1, LEVELS + 1)
    alike = float(np.mean([_shared(values, one) for one in others]))
    return Trial(hidden, curve(values), np.mean(mirrored, axis=0), alike, pictures)


def box_of(image: np.ndarray) -> tuple[slice, slice]:
    """The smallest box around what is not 0 in an image (H, W, 3); all of it if nothing is."""
    seen = image.any(axis=-1)
    if not seen.any():
        return np.s_[:, :]
    rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    return np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def _shared(one: np.ndarray, other: np.ndarray) -> float:
    """Which share of a map's strongest quarter (or of less, if less holds evidence) is in that of
    another, too."""
    first, second = ((each > 0) & (each >= np.quantile(each, 0.75)) for each in (one, other))
    return float(second[first].mean())


def _places(values: np.ndarray, image: np.ndarray, box: tuple[slice, slice]) -> np.ndarray:
    """Each pixel's place in the order of removal, int (H, W), for a map of the box, (h, w): its own
    pixels are spread over all places, and those outside are last."""
    size = image[..., 0].size
    places = np.full(image.shape[:2], size - 1)
    places[box] = ranks(values, image[box]) * size // values.size
    return places
