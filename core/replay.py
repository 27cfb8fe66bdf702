"""Examine a scan again as a manifest says: the same numbers and maps, or why not."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from core.checkpoints import CHECKPOINTS, WEIGHTS, Checkpoint, CheckpointError, open_checkpoint
from core.classifiers.base import Classifier, probabilities
from core.conformal import of_checkpoint
from core.explain import METHODS
from core.findings import EvidenceMap, weights_of
from core.gathering import scan_in
from core.guard import load_guard
from core.manifest import (
    Manifest,
    ManifestError,
    Map,
    Weights,
    library_versions,
    map_of,
    pixels_of,
    read_manifest,
    this_machine,
)
from core.predict import Opinion, classify
from core.preprocessing import to_batch
from core.scans import Scan, ScanError
from core.windowing import Window

TOLERANCE = 1e-4
"""What probabilities may differ by on another machine, or with other versions of the libraries."""
MAP_TOLERANCE = 1e-2
"""The same for the raw maximum of a heatmap, as a share of it."""
GUARD_TOLERANCE = 1e-3
"""The same for the guard's distance, as a share of it."""


def replay(
    stated: dict | Manifest, data: bytes | Sequence[bytes], root: Path = CHECKPOINTS
) -> dict:
    """Examine the scan again as the manifest says, and compare.

    ``data`` are the bytes of the file, or of all files of a series. The comparison holds
    ``agrees``; ``tolerance``, 0 on the same machine with the same versions, else TOLERANCE;
    ``difference``, the largest of any probability; ``stated`` and ``found`` probabilities by
    class; ``logits``, whether those agree; ``maps``, for each heatmap its method, whether it agrees
    and by what share its raw maximum differs; ``verdicts``, a sentence for what the manifest holds
    otherwise of prediction set and guard; ``changes``, what is another version or machine now. The
    spread under small changes is not made again.
    Raises ManifestError where it cannot be done: another file, other weights, pixels that are
    unpacked differently.
    """
    if isinstance(stated, dict):
        stated = read_manifest(json.dumps(stated))
    files = [data] if isinstance(data, bytes) else list(data)
    _check_files(stated, files)
    checkpoint = _checkpoint(stated, root)
    opinion, maps = _examined(stated, checkpoint, files)
    changes = _changes(stated, checkpoint)
    verdicts = _other_verdicts(stated, checkpoint, opinion, exactly=not changes)
    tolerance = TOLERANCE if changes else 0.0
    difference = float(np.abs(opinion.probabilities - np.array(stated.probabilities)).max())
    logits = _logits_agree(stated, opinion, exactly=not changes)
    compared = [_compare(one, found, exactly=not changes) for one, found in maps]
    return {
        "agrees": difference <= tolerance
        and logits
        and not verdicts
        and all(one["agrees"] for one in compared),
        "tolerance": tolerance,
        "difference": difference,
        "stated": dict(zip(stated.classes, stated.probabilities, strict=True)),
        "found": dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True)),
        "logits": logits,
        "maps": compared,
        "verdicts": verdicts,
        "changes": changes,
    }


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
        known = checkpoint.manifest["files"].get(WEIGHTS, "")
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
    if Weights(**weights_of(checkpoint)) != stated.weights:
        raise ManifestError(
            f"The manifest names another protocol or seed than the weights of {stated.recipe} were "
            "trained under. It was changed: choose the file as it was saved."
        )
    if temperature != stated.temperature:
        raise ManifestError(
            f"The calibration of {stated.recipe} was changed: its temperature is {temperature:g} "
            f"here and {stated.temperature:g} in the manifest. Get the checkpoint that it names."
        )
    return checkpoint


def _examined(
    stated: Manifest, checkpoint: Checkpoint, files: Sequence[bytes]
) -> tuple[Opinion, list[tuple[Map, Map]]]:
    """The opinion, and each heatmap as it is stated and as it is found now."""
    try:
        scan = scan_in(list(files) if len(files) > 1 else files[0])
        scan, frame = _seen(stated, scan)
        if pixels_of(scan.pixels[frame]) != stated.pixels:
            raise ManifestError(
                "The file is the same, but its pixels are unpacked differently here than they "
                f"were. {_said(_changes(stated, checkpoint))}"
            )
        mask, classifier = _mask(stated), checkpoint.load()
        opinion = classify(classifier, scan, stated.target, frame, mask)
        return opinion, [(one, _again(one, classifier, opinion, mask)) for one in stated.maps]
    except (ScanError, CheckpointError) as error:
        raise ManifestError(str(error)) from error


def _again(stated: Map, classifier: Classifier, opinion: Opinion, mask: np.ndarray | None) -> Map:
    """The heatmap made anew from the features of the opinion."""
    if stated.method not in METHODS:
        raise ManifestError(
            f"The manifest's heatmap '{stated.method}' is of a method that is not here."
        )
    batch = to_batch([opinion.pixels], classifier.recipe.preprocessing, [mask])
    try:
        found = METHODS[stated.method].run(
            classifier, batch, opinion.target, features=opinion.features[None], **stated.parameters
        )
    except (TypeError, ValueError) as error:
        raise ManifestError(
            f"The manifest's settings of the heatmap '{stated.method}' cannot be used here."
        ) from error
    return map_of(EvidenceMap(stated.method, found.heatmaps[0], stated.parameters))


def _logits_agree(stated: Manifest, opinion: Opinion, exactly: bool) -> bool:
    """Whether logits are the same, or, elsewhere, stand for the same probabilities."""
    if exactly:
        return stated.logits == tuple(map(float, opinion.logits))
    implied = probabilities(np.array(stated.logits), stated.temperature)
    return bool(np.abs(implied - opinion.probabilities).max() <= TOLERANCE)


def _other_verdicts(
    stated: Manifest, checkpoint: Checkpoint, opinion: Opinion, exactly: bool
) -> list[str]:
    """What is said otherwise now of how far the answer goes, a sentence each."""
    try:
        told = list(_verdicts(stated, checkpoint, opinion, exactly))
    except CheckpointError as error:
        raise ManifestError(str(error)) from error
    return [f"The {name} was '{was}' and is '{now}'." for name, was, now in told if was != now]


def _verdicts(
    stated: Manifest, checkpoint: Checkpoint, opinion: Opinion, exactly: bool
) -> Iterator[tuple[str, str, str]]:
    """Each verdict of the manifest: its name, what it was and what it is. On another machine what
    is as near as it can be may lie beyond a threshold: the set is that of the stated probabilities,
    which are compared by themselves, and of the guard the distance counts."""
    if stated.prediction_set:
        sets = of_checkpoint(checkpoint, stated.prediction_set.coverage)
        shares = opinion.probabilities if exactly else np.array(stated.probabilities)
        found = (stated.prediction_set.classes, sets.classes_in(shares))
        yield "prediction set", *(", ".join(sorted(one)) for one in found)
    if stated.guard:
        guard = load_guard(checkpoint).judge(opinion.features, opinion.pixels)
        was, now = stated.guard.distance, guard.distance
        if exactly or was is None:
            yield "guard's verdict", stated.guard.level, guard.level
        tolerance = 0 if exactly else GUARD_TOLERANCE
        if was is not None and not np.isclose(was, now, rtol=tolerance, atol=0):
            yield "guard's distance", repr(was), repr(now)


def _compare(stated: Map, found: Map, exactly: bool) -> dict:
    """Whether a map is the same, or, elsewhere, as strong within MAP_TOLERANCE."""
    same = stated.sha256 == found.sha256 and stated.maximum == found.maximum
    difference = 0.0
    if not same and None not in (stated.maximum, found.maximum):
        scale = max(abs(stated.maximum), abs(found.maximum))
        difference = abs(stated.maximum - found.maximum) / scale if scale else 0.0
    near = (stated.maximum is None) == (found.maximum is None) and difference <= MAP_TOLERANCE
    agrees = same if exactly else near
    return {"method": stated.method, "agrees": agrees, "difference": difference}


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
