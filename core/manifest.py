"""The manifest of one examination: hashes, versions and settings that give the same numbers again.

A manifest names no person: of the file it holds the sha256 alone.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import os
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from core.checkpoints import CHECKPOINTS, Checkpoint, CheckpointError, open_checkpoint, sha256
from core.dicom_series import read_series
from core.findings import Findings, View
from core.predict import Opinion, classify
from core.scans import Scan, ScanError, read_scan
from core.windowing import Window

TOLERANCE = 1e-4
"""What probabilities may differ by on another machine, or with other versions of the libraries."""

_ALWAYS = (
    *("numpy", "opencv-python-headless", "pillow", "pydicom", "python-gdcm", "pylibjpeg"),
    *("pylibjpeg-openjpeg", "pylibjpeg-rle", "nibabel"),
)
_LIBRARIES = {"torch": ("torch", "torchvision", "timm"), "keras": ("tensorflow", "keras")}
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")


class ManifestError(ValueError):
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


class Look(_Record):
    """The window that the user set."""

    center: float
    width: float
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


class Manifest(_Record):
    """The record. ``inputs``: sha256 of each file; ``frame`` from 0; ``path`` only where the user
    of the command line gave one."""

    format: Literal["lesionlens-manifest-1"] = "lesionlens-manifest-1"
    made_at: str
    inputs: tuple[str, ...] = Field(min_length=1)
    path: str | None = None
    frame: int
    look: Look | None
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

    ``path`` is where the file lies, for a replay that need not be told.
    """
    opinion, look = findings.opinion, findings.look
    return Manifest(
        made_at=findings.made_at.isoformat(),
        inputs=findings.scan_digests,
        path=None if path is None else str(path),
        frame=findings.frame,
        look=look and Look(**_window(look)),
        pixels=_pixels(opinion.pixels),
        region=_region(findings),
        recipe=findings.recipe.id,
        weights=findings.weights,
        temperature=findings.temperature,
        classes=opinion.classes,
        target=opinion.target,
        logits=[float(one) for one in opinion.logits],
        probabilities=[float(one) for one in opinion.probabilities],
        maps=[_map(one) for one in findings.maps],
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


def replay(
    stated: dict | Manifest, data: bytes | Sequence[bytes], root: Path = CHECKPOINTS
) -> dict:
    """Examine the scan again as the manifest says, and compare.

    ``data`` are the bytes of the file, or of all files of a series. The comparison holds
    ``agrees``; ``tolerance``, 0 on the same machine with the same versions, else TOLERANCE;
    ``difference``, the largest of any probability; ``stated`` and ``found`` probabilities by
    class; ``changes``, what is another version or machine now. Raises ManifestError where it
    cannot be done: another file, other weights, pixels that are unpacked differently.
    """
    if isinstance(stated, dict):
        stated = read_manifest(json.dumps(stated))
    files = [data] if isinstance(data, bytes) else list(data)
    _check_files(stated, files)
    checkpoint = _checkpoint(stated, root)
    opinion = _examined(stated, checkpoint, files)
    changes = _changes(stated, checkpoint)
    tolerance = TOLERANCE if changes else 0.0
    difference = float(np.abs(opinion.probabilities - np.array(stated.probabilities)).max())
    return {
        "agrees": difference <= tolerance,
        "tolerance": tolerance,
        "difference": difference,
        "stated": dict(zip(stated.classes, stated.probabilities, strict=True)),
        "found": dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True)),
        "changes": changes,
    }


# ---------------------------------------------------------------- writing


def _window(look: View) -> dict:
    # Not its name: that is text of the file.
    window = look.window
    return {
        "center": window.center,
        "width": window.width,
        "shape": window.shape,
        "inverted": look.inverted,
    }


def _pixels(pixels: np.ndarray) -> Pixels:
    return Pixels(shape=pixels.shape, sha256=sha256(np.ascontiguousarray(pixels).tobytes()))


def _region(findings: Findings) -> Region | None:
    if findings.region is None:
        return None
    file = io.BytesIO()
    Image.fromarray(findings.region.astype(bool)).save(file, "PNG", optimize=True)
    png = base64.b64encode(file.getvalue()).decode("ascii")
    return Region(source=findings.region_source, png=png)


def _map(one) -> Map:
    maximum = one.heatmap.maximum
    return Map(
        method=one.method,
        parameters=one.parameters,
        maximum=maximum if math.isfinite(maximum) else None,
        sha256=sha256(np.ascontiguousarray(one.heatmap.values, "<f4").tobytes()),
    )


def library_versions(framework: str) -> dict[str, str]:
    """Versions of what reads scans and of what computes: "torch" or "keras"."""
    found = {"python": platform.python_version()}
    for name in (*_ALWAYS, *_LIBRARIES[framework]):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "none"
    return found


def this_machine() -> dict[str, str]:
    """What sums of floating-point numbers depend on: the processor and the number of threads."""
    settings = {name: os.environ[name] for name in _THREADS if name in os.environ}
    return {"system": platform.system(), "processor": _processor()} | settings


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    cores = os.cpu_count()
    return f"{next(names, platform.processor() or platform.machine())}, {cores} processors"


# ---------------------------------------------------------------- replaying


def _check_files(stated: Manifest, files: Sequence[bytes]) -> None:
    found = tuple(hashlib.sha256(data).hexdigest() for data in files)
    if found != stated.inputs:
        raise ManifestError(
            f"This is not the file that was examined: its sha256 begins with {found[0][:12]}, the "
            f"manifest's with {stated.inputs[0][:12]}. It was changed, or it is another one."
            if len(found) == len(stated.inputs) == 1
            else f"These are not the {len(stated.inputs)} files that were examined, in their order."
        )


def _checkpoint(stated: Manifest, root: Path) -> Checkpoint:
    try:
        checkpoint = open_checkpoint(stated.recipe, root)
        known = checkpoint.manifest["files"].get("weights.safetensors", "")
        temperature = checkpoint.temperature
    except CheckpointError as error:
        raise ManifestError(str(error)) from error
    if checkpoint.recipe.classes != stated.classes:
        raise ManifestError(f"The classes of {stated.recipe} here are not those of the manifest.")
    if known != stated.weights.sha256:
        raise ManifestError(
            f"The weights of {stated.recipe} here are others (sha256 {known[:12]}…) than those of "
            f"the manifest ({stated.weights.sha256[:12]}…). Get the checkpoint that it names."
        )
    if temperature != stated.temperature:
        raise ManifestError(
            f"The calibration of {stated.recipe} was changed: its temperature is {temperature:g} "
            f"here and {stated.temperature:g} in the manifest. Get the checkpoint that it names."
        )
    return checkpoint


def _examined(stated: Manifest, checkpoint: Checkpoint, files: Sequence[bytes]) -> Opinion:
    try:
        scan = read_series(files) if len(files) > 1 else read_scan(files[0])
        scan, frame = _seen(stated, scan)
        if _pixels(scan.pixels[frame]) != stated.pixels:
            raise ManifestError(
                "The file is the same, but its pixels are unpacked differently here than they "
                f"were. {_said(_changes(stated, checkpoint))}"
            )
        mask = _mask(stated)
        return classify(checkpoint.load(), scan, stated.target, frame, mask)
    except (ScanError, CheckpointError) as error:
        raise ManifestError(str(error)) from error


def _seen(stated: Manifest, scan: Scan) -> tuple[Scan, int]:
    """The scan through the user's window, and the number of its frame then."""
    if not 0 <= stated.frame < len(scan.pixels):
        raise ManifestError(f"The scan has no frame {stated.frame + 1}, which the manifest names.")
    look = stated.look
    if look is None:
        return scan, stated.frame
    window = Window(look.center, look.width, look.shape)
    return scan.seen_through(stated.frame, window, look.inverted), 0


def _mask(stated: Manifest) -> np.ndarray | None:
    if stated.region is None:
        return None
    try:
        png = base64.b64decode(stated.region.png, validate=True)
        with Image.open(io.BytesIO(png), formats=["PNG"]) as image:
            if (image.height, image.width) != stated.pixels.shape[:2]:
                raise ValueError("the size is another")
            return np.asarray(image.convert("1"))
    except Exception as error:  # a hostile file makes the decoder raise nearly anything
        raise ManifestError(
            "The manifest's region cannot be read. Choose the file as it was saved."
        ) from error


def _changes(stated: Manifest, checkpoint: Checkpoint) -> dict[str, tuple[str, str]]:
    """What was and what is, by name of a library or part of the machine."""
    was = stated.versions | stated.machine
    now = library_versions(checkpoint.recipe.architecture.framework) | this_machine()
    names = dict.fromkeys([*was, *now])
    pairs = {name: (was.get(name, "none"), now.get(name, "none")) for name in names}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def _said(changes: dict[str, tuple[str, str]]) -> str:
    if not changes:
        return "Versions and machine are the same; the manifest may have been changed."
    parts = (f"{name} was {was} and is {now}" for name, (was, now) in changes.items())
    return f"What is different: {', '.join(parts)}."
