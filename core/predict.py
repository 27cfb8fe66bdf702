"""Classify scans and explain the answer, without a browser.

    python -m core.predict FILE... [--recipe ID] [--explain DIR] [--json]

With --json, one line a file: file, recipe, label, probabilities, error. The exit status is 1 if
any file was refused; the others are still answered.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers.base import Classifier, probabilities
from core.explain import Heatmap, grad_cam
from core.preprocessing import to_batch
from core.scans import Scan, ScanError, read_scan_file


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a system says of one frame, and where it looked.

    ``probabilities`` and ``logits`` (C,) in the order of ``classes``; ``heatmap`` explains class
    number ``target``; ``pixels`` uint8 (H, W, 3) is the frame that was classified; ``features``
    float32 (h, w, K) are those of the last layer, for the guard.
    """

    recipe_id: str
    classes: tuple[str, ...]
    probabilities: np.ndarray
    logits: np.ndarray
    label: str
    target: int
    heatmap: Heatmap
    pixels: np.ndarray
    features: np.ndarray


def classify(
    classifier: Classifier,
    scan: Scan,
    target: int | None = None,
    frame: int = 0,
    mask: np.ndarray | None = None,
) -> Opinion:
    """Probabilities of one frame and the Grad-CAM of ``target`` (default: the likeliest class).

    ``mask`` bool (H, W) is the outline of the lesion; systems that were trained on outlined
    lesions need it, others do not use it. The backbone runs once for both answers.
    Raises ScanError if the scan has no such frame.
    """
    if not 0 <= frame < len(scan.pixels):
        raise ScanError(f"The scan has {len(scan.pixels)} frames; there is no frame {frame + 1}.")
    recipe, pixels = classifier.recipe, scan.pixels[frame]
    features = classifier.features(to_batch([pixels], recipe.preprocessing, [mask]))
    logits, _ = classifier.head(features, 0)
    predicted = int(logits[0].argmax())
    target = predicted if target is None else target
    explanation = grad_cam(classifier, None, target, features=features)
    return Opinion(
        recipe_id=recipe.id,
        classes=recipe.classes,
        probabilities=probabilities(logits[0], classifier.temperature),
        logits=logits[0],
        label=recipe.classes[predicted],
        target=target,
        heatmap=explanation.heatmaps[0],
        pixels=pixels,
        features=features[0],
    )


def answer_files(
    paths: Iterable[Path], classifier: Classifier
) -> Iterator[tuple[Path, Opinion | ScanError]]:
    """The opinion on each file, or why it was refused; one bad file harms no other."""
    for path in paths:
        try:
            yield path, classify(classifier, read_scan_file(path))
        except ScanError as error:
            yield path, error


def as_record(path: Path, recipe_id: str, answer: Opinion | ScanError) -> dict:
    """The fields of one line of JSON."""
    record = {"file": str(path), "recipe": recipe_id, "label": None, "probabilities": None}
    if isinstance(answer, ScanError):
        return record | {"error": str(answer)}
    shares = dict(zip(answer.classes, (float(p) for p in answer.probabilities), strict=True))
    return record | {"label": answer.label, "probabilities": shares, "error": None}


def as_sentence(record: dict) -> str:
    """The same for people."""
    if record["error"]:
        return f"{record['file']}: refused. {record['error']}"
    shares = ", ".join(f"{name} {p:.1%}" for name, p in record["probabilities"].items())
    return f"{record['file']}: {record['label']} ({shares})"


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    try:
        checkpoint = open_checkpoint(options.recipe or _default_recipe())
        classifier = checkpoint.load()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    refused = False
    for number, (path, answer) in enumerate(answer_files(options.files, classifier), start=1):
        record = as_record(path, checkpoint.recipe.id, answer)
        print(json.dumps(record) if options.json else as_sentence(record), flush=True)
        refused = refused or isinstance(answer, ScanError)
        if options.explain and isinstance(answer, Opinion):
            _save_overlay(options.explain, number, path, answer)
    return 1 if refused else 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    parser.add_argument("--recipe", help=f"one of: {', '.join(list_trained())}")
    parser.add_argument("--explain", type=Path, metavar="DIR", help="save overlays as PNG here")
    parser.add_argument("--json", action="store_true", help="one JSON line a file")
    return parser.parse_args(arguments)


def _default_recipe() -> str:
    trained = list_trained()
    return trained[0] if trained else ""


def _save_overlay(folder: Path, number: int, path: Path, opinion: Opinion) -> None:
    """Numbered, since files of different folders may share a name."""
    import cv2

    from core.explain.overlay import overlay

    folder.mkdir(parents=True, exist_ok=True)
    name = f"{number:04d} {path.stem} {opinion.recipe_id} {opinion.classes[opinion.target]}.png"
    picture = overlay(opinion.pixels, opinion.heatmap)
    cv2.imencode(".png", picture[..., ::-1])[1].tofile(folder / name)


if __name__ == "__main__":
    sys.exit(main())
