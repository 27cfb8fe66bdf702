"""The record of one examined scan, from which everything is made that a user takes away."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

import numpy as np

from core.checkpoints import WEIGHTS, Checkpoint
from core.explain.heatmap import Heatmap
from core.predict import Opinion
from core.recipe import Recipe
from core.windowing import Window

NO_REGION = (
    "This system was trained on outlined lesions alone and no outline was given. On a whole image "
    "its figures do not hold."
)

NO_DECISION = "no decision"
"""In place of a class, where none is to be named."""

RegionSource = Literal["drawn", "uploaded", "proposed", "corrected"]
"""Where an outline is from; a corrected one is a proposal that a person changed."""
BY_NETWORK = ("proposed", "corrected")
"""Sources of outlines that a network began."""
GuardLevel = Literal["like", "unusual", "foreign"]


@dataclass(frozen=True, eq=False)
class EvidenceMap:
    """One heatmap for ``Opinion.target``: the method's id in ``core.explain.registry``, its map,
    and the parameters that were set by hand."""

    method: str
    heatmap: Heatmap
    parameters: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Look:
    """The window through which a scan was examined in place of the file's own."""

    window: Window
    inverted: bool = False


@dataclass(frozen=True, eq=False)
class Findings:
    """What is known of one frame after it was examined; it names no person unless ``name`` does.

    ``metrics`` are the checkpoint's, ``weights`` its protocol, seed and sha256 (``weights_of``).
    ``scan_digests``: sha256 of the uploaded bytes, one a file, in the order of the slices, or of
    the de-identified copy that is told of in their place. ``frame`` counts from 0. ``region`` bool
    (H, W) is the outline that was shown or used, with where it is from. ``prediction_set`` holds
    the conformal set of classes at ``coverage``, a share such as 0.9, and ``set_note`` what such a
    set means, or why there is none. ``trust``: how often such an answer was right, a sentence,
    where that was measured on scans seen alike. ``abstention``: why no class is to be named, in a
    few words, where the user wanted that. ``guard`` is the guard's sentence, ``guard_level`` and
    ``guard_distance`` as in ``GuardVerdict``; ``warning`` is that of a header which contradicts the
    system. ``spread``: lowest and highest probability of the likeliest class over the scan and
    changed copies, with what was changed in ``spread_note``. ``spacing_mm``, ``aspect``,
    ``text_risk`` and ``gap`` as in ``Scan``. ``flaw``: why a mask that came with the scan is of no
    use. ``synthetic``: no patient's. ``name`` is the file's name, only if the user wants it told.
    ``made_at`` is aware.
    """

    opinion: Opinion
    recipe: Recipe
    metrics: dict
    weights: dict
    scan_digests: tuple[str, ...]
    frame: int = 0
    frames: int = 1
    look: Look | None = None
    region: np.ndarray | None = None
    region_source: RegionSource | None = None
    maps: tuple[EvidenceMap, ...] = ()
    prediction_set: tuple[str, ...] | None = None
    coverage: float | None = None
    set_note: str | None = None
    trust: str | None = None
    abstention: str | None = None
    guard: str | None = None
    guard_level: GuardLevel | None = None
    guard_distance: float | None = None
    warning: str | None = None
    spread: tuple[float, float] | None = None
    spread_note: str | None = None
    spacing_mm: tuple[float, float] | None = None
    aspect: float = 1.0
    text_risk: str | None = None
    gap: str | None = None
    flaw: str | None = None
    synthetic: bool = False
    name: str | None = None
    made_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        if self.made_at.tzinfo is None:
            raise ValueError("The time of an examination needs its time zone.")
        if self.region is not None and self.region.shape != self.opinion.pixels.shape[:2]:
            raise ValueError("The region and the frame differ in size.")

    @property
    def temperature(self) -> float:
        """That of the weights' own protocol; 1 changes nothing."""
        calibration = self.metrics.get(self.weights["protocol"], {}).get("calibration", {})
        return calibration.get("temperature", 1.0)

    @property
    def needs_region(self) -> bool:
        """Whether the system was trained on outlined lesions alone."""
        return self.recipe.preprocessing.outlined

    @property
    def label(self) -> str:
        """The likeliest class, or that none is to be named."""
        return NO_DECISION if self.abstention else self.opinion.label

    @property
    def explained(self) -> str:
        """The class that the maps speak for."""
        return self.opinion.classes[self.opinion.target]


@dataclass(frozen=True)
class Refused:
    """A scan of a batch that was not examined, and the sentence that says why."""

    error: str
    name: str | None = None


def weights_of(checkpoint: Checkpoint) -> dict:
    """Protocol, seed and sha256 of a checkpoint's weights, for ``Findings.weights``."""
    digest = checkpoint.manifest["files"][WEIGHTS]
    return {**checkpoint.manifest["weights"], "sha256": digest}
