"""The manifest of one examination: hashes, versions and settings that give the same numbers again.

``core.replay`` does that. A manifest names no person: of the file it holds the sha256 alone.
"""

from __future__ import annotations

import base64
import io
import math
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core import __version__
from core.checkpoints import sha256
from core.findings import EvidenceMap, Findings, GuardLevel, Look
from core.processor import processor_name
from core.refusal import Refusal

_ALWAYS = (
    *("numpy", "opencv-python-headless", "pillow", "pydicom", "python-gdcm", "pylibjpeg"),
    *("pylibjpeg-openjpeg", "pylibjpeg-rle", "nibabel"),
)
_LIBRARIES = {"torch": ("torch", "torchvision", "timm"), "keras": ("tensorflow", "keras")}
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class ManifestError(Refusal):
    """A manifest cannot be read or replayed; the text says why and what to do."""


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Pixels(_Record):
    """The frame as it was examined, uint8: its shape and the sha256 of its bytes."""

    shape: tuple[int, int, int]
    sha256: str


class Region(_Record):
    """The outline that was given: a black and white PNG in base64."""

    source: str | None
    png: str


class SetWindow(_Record):
    """The window that the user set."""

    center: float
    width: float = Field(gt=0)
    shape: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]
    inverted: bool


class Weights(_Record):
    """Which of a system's weights."""

    protocol: str
    seed: int
    sha256: str


class Map(_Record):
    """One heatmap: method, settings, raw maximum (none if it was not finite) and the sha256 of
    its values."""

    method: str
    parameters: dict[str, float]
    maximum: float | None
    sha256: str


class PredictionSet(_Record):
    """Classes that could not be ruled out, at a coverage between 0 and 1."""

    classes: tuple[str, ...]
    coverage: float = Field(gt=0, lt=1)


class Likeness(_Record):
    """The guard's verdict, as in ``GuardVerdict``."""

    level: GuardLevel
    distance: float | None


class Spread(_Record):
    """Lowest and highest probability of the likeliest class over slightly changed copies."""

    low: float
    high: float
    changes: str | None


class Manifest(_Record):
    """The record. ``inputs``: sha256 of each file; ``frame`` from 0; ``path`` only where the user
    of the command line gave one; prediction set, guard and spread where they were told."""

    format: Literal["lesionlens-manifest-1"] = "lesionlens-manifest-1"
    made_at: str
    inputs: tuple[str, ...] = Field(min_length=1)
    path: str | None = None
    frame: int
    look: SetWindow | None
    pixels: Pixels
    region: Region | None
    recipe: str
    weights: Weights
    temperature: float
    classes: tuple[str, ...]
    target: int
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]
    maps: tuple[Map, ...]
    prediction_set: PredictionSet | None = None
    guard: Likeness | None = None
    spread: Spread | None = None
    versions: dict[str, str]
    machine: dict[str, str]

    @model_validator(mode="after")
    def _numbers_fit_classes(self) -> Manifest:
        if not len(self.classes) == len(self.logits) == len(self.probabilities):
            raise ValueError("one logit and one probability a class are needed")
        if not 0 <= self.target < len(self.classes):
            raise ValueError("the explained class is none of the classes")
        return self


def manifest(findings: Findings, path: Path | None = None) -> dict:
    """The manifest of an examination, ready for JSON, numbers in full precision.

    ``path`` is where the file lies, for a replay that need not be told; left out if it is no text.
    """
    opinion, look = findings.opinion, findings.look
    return Manifest(
        made_at=findings.made_at.isoformat(),
        inputs=findings.scan_digests,
        path=path and _text(path),
        frame=findings.frame,
        look=look and SetWindow(**_window(look)),
        pixels=pixels_of(opinion.pixels),
        region=_region(findings),
        recipe=findings.recipe.id,
        weights=findings.weights,
        temperature=findings.temperature,
        classes=opinion.classes,
        target=opinion.target,
        logits=[float(one) for one in opinion.logits],
        probabilities=[float(one) for one in opinion.probabilities],
        maps=[map_of(one) for one in findings.maps],
        prediction_set=_prediction_set(findings),
        guard=_likeness(findings),
        spread=_spread(findings),
        versions=library_versions(findings.recipe.architecture.framework),
        machine=this_machine(),
    ).model_dump(mode="json")


def read_manifest(text: str) -> Manifest:
    """A manifest from its JSON. Raises ManifestError."""
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ManifestError(
            f"This is no manifest of an examination ({where}: {first['msg']}). Choose the JSON "
            "file that was saved with the result."
        ) from error


# ---------------------------------------------------------------- writing


def _text(path: Path) -> str | None:
    """The path; None if its bytes are no text, which JSON would not give back."""
    text = str(path)
    return text if text == text.encode(errors="ignore").decode() else None


def _window(look: Look) -> dict:
    # Not its name: that is text of the file.
    window = look.window
    return {
        "center": window.center,
        "width": window.width,
        "shape": window.shape,
        "inverted": look.inverted,
    }


def pixels_of(pixels: np.ndarray) -> Pixels:
    """Shape and hash of a frame."""
    return Pixels(shape=pixels.shape, sha256=sha256(np.ascontiguousarray(pixels).tobytes()))


def _region(findings: Findings) -> Region | None:
    if findings.region is None:
        return None
    file = io.BytesIO()
    Image.fromarray(findings.region.astype(bool)).save(file, "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode("ascii")
    return Region(source=findings.region_source, png=png)


def _prediction_set(findings: Findings) -> PredictionSet | None:
    if findings.prediction_set is None:
        return None
    return PredictionSet(classes=findings.prediction_set, coverage=findings.coverage)


def _likeness(findings: Findings) -> Likeness | None:
    if findings.guard_level is None:
        return None
    return Likeness(level=findings.guard_level, distance=findings.guard_distance)


def _spread(findings: Findings) -> Spread | None:
    if findings.spread is None:
        return None
    low, high = findings.spread
    return Spread(low=low, high=high, changes=findings.spread_note)


def map_of(one: EvidenceMap) -> Map:
    """What is kept of a heatmap."""
    maximum = one.heatmap.maximum
    return Map(
        method=one.method,
        parameters=one.parameters,
        maximum=maximum if math.isfinite(maximum) else None,
        sha256=sha256(np.ascontiguousarray(one.heatmap.values, "<f4").tobytes()),
    )


def library_versions(framework: str) -> dict[str, str]:
    """Versions of this program, of what reads scans and of what computes: "torch" or "keras"."""
    found = {"lesionlens": __version__, "python": platform.python_version()}
    for name in (*_ALWAYS, *_LIBRARIES[framework]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def this_machine() -> dict[str, str]:
    """What sums of floating-point numbers depend on: the processor and the number of threads."""
    settings = {name: os.environ[name] for name in _THREADS if name in os.environ}
    processor = f"{processor_name()}, {os.cpu_count()} processors"
    return {"system": platform.system(), "processor": processor} | settings
