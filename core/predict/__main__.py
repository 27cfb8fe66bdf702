"""Classify scans and explain the answer, without a browser; replay what was answered before.

    python -m core.predict FILE... [--recipe ID] [--explain DIR] [--manifest DIR] [--json]
    python -m core.predict --replay MANIFEST [FILE...] [--json]

A FILE may be a folder or a ZIP archive: all scans in it are classified; DICOM slices of one series
are one scan. Beside 1.png, 1_mask.png or masks/1.png outlines its lesion for systems that need that
(more lesions: 1_mask_1.png and so on). With --json, one line a scan: file, frames, recipe, label,
probabilities, outlined, warning, error; of several frames the first is classified. The exit status
is 1 if any file was refused; the others are still answered. What is saved in DIR replaces nothing
there. A replay takes those of the files that the manifest names by their sha256; with none given
the file at the manifest's path, or the phantom of the pages that it names. Its status is 0 if
probabilities, heatmaps, prediction set and guard agree, 1 if they do not, 2 if it cannot be done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np

from core import command
from core.checkpoints import list_trained, open_chosen
from core.classifiers.base import Classifier
from core.doubt import doubt, told
from core.findings import EvidenceMap, Findings, weights_of
from core.gathering import File, Source, files_at, scan_in, sources_of
from core.guard import Guard, GuardVerdict, load_guard
from core.manifest import Manifest, ManifestError, manifest, read_manifest
from core.mask_files import UNUSED, outline_in
from core.picture_size import square
from core.predict import Opinion, classify
from core.recipe import Recipe
from core.replay import replay
from core.samples import sample_of
from core.scan_table import frame_of
from core.scans import Scan, ScanError
from core.wording import percent

_STEM_BYTES = 150  # of the 255 that a file's name may have


@dataclass(frozen=True, eq=False)
class Answer:
    """What came of one scan: an opinion on its first frame, within ``outline`` bool (H, W) if the
    system needs one and there is one, with the guard's verdict, and a warning where it is not to be
    relied on or slices of the scan are missing; or the error for which it was refused."""

    source: Source
    opinion: Opinion | None = None
    scan: Scan | None = None
    outline: np.ndarray | None = None
    likeness: GuardVerdict | None = None
    warning: str | None = None
    error: str | None = None


def answer_files(
    paths: Iterable[Path], classifier: Classifier, guard: Guard | None = None
) -> Iterator[Answer]:
    """The answer to each scan of the files, folders and archives; one bad file harms no other.
    ``guard`` tells of scans that are unlike the training images."""
    for source in sources_of([file for path in paths for file in files_at(path)]):
        try:
            scan = scan_in(source.read())
            outline, flaw = _outline(source, scan, classifier.recipe)
            opinion = classify(classifier, scan, mask=outline)
        except ScanError as error:
            yield Answer(source, error=str(error))
        else:
            likeness = guard.judge(opinion.features, opinion.pixels) if guard else None
            outlined = outline is not None
            doubts = doubt(classifier.recipe, scan.modality, likeness, outlined, flaw)
            yield Answer(source, opinion, scan, outline, likeness, told(scan.gap, doubts))


def _outline(source: Source, scan: Scan, recipe: Recipe) -> tuple[np.ndarray | None, str | None]:
    """The outline that a system is given, if it needs one and the masks hold one; and why they
    were of no use, if they were not."""
    if not recipe.preprocessing.outlined:
        return None, None
    try:
        masks = [scan_in(one.read()).pixels for one in source.masks]
        outline = outline_in(masks, scan.pixels.shape[:3])
    except ScanError as error:
        return None, UNUSED.format(error)
    return outline if outline.any() else None, None


def as_record(answer: Answer, recipe_id: str) -> dict:
    """The fields of one line of JSON."""
    frames = len(answer.scan.pixels) if answer.scan else None
    record = {"file": answer.source.name, "frames": frames, "recipe": recipe_id}
    record |= {"label": None, "probabilities": None}
    if answer.opinion:
        opinion = answer.opinion
        shares = dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True))
        record |= {"label": opinion.label, "probabilities": shares}
    outlined = answer.outline is not None
    return record | {"outlined": outlined, "warning": answer.warning, "error": answer.error}


def as_sentence(record: dict) -> str:
    """The same for people."""
    if record["error"]:
        return f"{record['file']}: refused. {record['error']}"
    frame = frame_of(0, record["frames"])
    named = f"{record['file']}, frame {frame}" if frame else record["file"]
    named += ", outlined by its mask" if record["outlined"] else ""
    warning = f" {record['warning']}" if record["warning"] else ""
    return f"{named}: {record['label']} ({_shares(record['probabilities'])}){warning}"


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    options = _parse(arguments)
    sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be text
    return command.run(lambda: _replay(options) if options.replay else _predict(options))


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m core.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("files", nargs="*", type=command.path, metavar="FILE")
    trained = ", ".join(list_trained())
    parser.add_argument("--recipe", help=f"one of: {trained} (default: the first)")
    parser.add_argument(
        "--explain", type=command.path, metavar="DIR", help="save overlays as PNG here"
    )
    parser.add_argument("--manifest", type=command.path, metavar="DIR", help="save manifests here")
    parser.add_argument(
        "--replay", type=command.path, metavar="MANIFEST", help="examine again and compare"
    )
    parser.add_argument("--json", action="store_true", help="one JSON line a file")
    options = parser.parse_args(arguments)
    if not (options.files or options.replay):
        parser.error("the following arguments are required: FILE")
    others = ("recipe", "explain", "manifest")
    idle = [f"--{name}" for name in others if getattr(options, name) is not None]
    if options.replay and idle:
        parser.error(f"--replay does what its manifest says; leave out {', '.join(idle)}")
    return options


# ---------------------------------------------------------------- predicting


def _predict(options: argparse.Namespace) -> int:
    checkpoint = open_chosen(options.recipe)
    classifier = checkpoint.load()
    refused = False
    answers = answer_files(options.files, classifier, load_guard(checkpoint))
    for number, answer in enumerate(answers, start=1):
        record = as_record(answer, checkpoint.recipe.id)
        print(json.dumps(record) if options.json else as_sentence(record), flush=True)
        refused = refused or answer.opinion is None
        if options.explain and answer.opinion:
            _save_overlay(options.explain, number, answer)
        if options.manifest and answer.opinion:
            _save_manifest(options.manifest, number, answer, checkpoint)
    return 1 if refused else 0


def _save_overlay(folder: Path, number: int, answer: Answer) -> None:
    import cv2

    from core.explain.overlay import overlay

    folder.mkdir(parents=True, exist_ok=True)
    opinion = answer.opinion
    explained = opinion.classes[opinion.target]
    name = f"{_stem(answer.source)} {opinion.recipe_id} {explained}.png"
    picture = overlay(square(opinion.pixels, answer.scan.aspect), opinion.heatmap)
    cv2.imencode(".png", picture[..., ::-1])[1].tofile(_unused(folder, number, name))


def _save_manifest(folder: Path, number: int, answer: Answer, checkpoint) -> None:
    opinion, likeness = answer.opinion, answer.likeness
    findings = Findings(
        opinion,
        checkpoint.recipe,
        checkpoint.metrics,
        weights_of(checkpoint),
        scan_digests=tuple(file.digest for file in answer.source.files),
        frames=len(answer.scan.pixels),
        gap=answer.scan.gap,
        region=answer.outline,
        region_source="uploaded" if answer.outline is not None else None,
        maps=(EvidenceMap("grad-cam", opinion.heatmap),),
        guard_level=likeness and likeness.level,
        guard_distance=likeness and likeness.distance,
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = answer.source.path
    text = json.dumps(manifest(findings, path and path.resolve()), indent=2)
    name = f"{_stem(answer.source)} {opinion.recipe_id}.json"
    _unused(folder, number, name).write_text(text + "\n", encoding="utf-8")


def _unused(folder: Path, number: int, name: str) -> Path:
    """A path of this name with the first number from ``number`` on that no file has yet: files of
    different folders may share a name, and what an earlier run saved is not to be lost."""
    paths = (folder / f"{one:04d} {name}" for one in count(number))
    return next(path for path in paths if not path.exists())


def _stem(source: Source) -> str:
    """The beginning of a file's name, so that there is room for more in another's."""
    stem = Path(source.files[0].name).stem
    return stem.encode(errors="ignore")[:_STEM_BYTES].decode(errors="ignore")


# ---------------------------------------------------------------- replaying


def _replay(options: argparse.Namespace) -> int:
    try:
        stated = read_manifest(options.replay.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(
            f"The manifest '{options.replay}' cannot be read. Choose the JSON file that was saved "
            "with the answer."
        ) from error
    compared = replay(stated, _find(stated, options.files))
    print(json.dumps(compared) if options.json else _comparison(compared))
    return 0 if compared["agrees"] else 1


def _find(stated: Manifest, files: Sequence[Path]) -> list[bytes]:
    """Bytes of the files that a manifest names, in its order."""
    looked = files or ([Path(stated.path)] if stated.path else [])
    if not looked:
        return [_sample(stated)]
    files = [file for path in looked for file in files_at(path)]
    found = {file.digest: file.read for file in files}
    missing = [digest for digest in stated.inputs if digest not in found]
    if missing:
        _open_all(files)  # that one of them cannot be opened tells more
        raise ManifestError(_absence(files, missing, len(stated.inputs)))
    return [found[digest]() for digest in stated.inputs]


def _sample(stated: Manifest) -> bytes:
    """The phantom of the pages that a manifest names: a file that nobody has."""
    data = sample_of(stated.inputs[0]) if len(stated.inputs) == 1 else None
    if data is None:
        raise ManifestError("The manifest tells no path. Give the scan's file beside it.")
    return data


def _open_all(files: Sequence[File]) -> None:
    """Raise ManifestError, which names the file, if one has no bytes."""
    for file in files:
        try:
            file.read()
        except ScanError as error:
            raise ManifestError(f"{file.name}: {error}") from error


def _absence(looked: Sequence[File], missing: Sequence[str], examined: int) -> str:
    """What to say of files that were examined and are ``missing``, by sha256, among ``looked``."""
    if examined > 1:
        return (
            f"The files given lack {len(missing)} of the {examined} that were examined (sha256 "
            f"{', '.join(missing)}). Give all of them, as they were."
        )
    given = f"'{looked[0].name}' is not" if len(looked) == 1 else f"None of {len(looked)} files is"
    return (
        f"{given} the file that was examined (sha256 {missing[0]}). It was changed since, or it "
        "is another one."
    )


def _comparison(compared: dict) -> str:
    """What a replay found, for people."""
    lines = [
        f"Stated: {_exact(compared['stated'])}",
        f"Found:  {_exact(compared['found'])}",
        _judgement(compared),
    ]
    return "\n".join(lines)


def _judgement(compared: dict) -> str:
    changes = ", ".join(f"{k} {was} -> {now}" for k, (was, now) in compared["changes"].items())
    where = f"other versions or machine: {changes}" if changes else "same machine and versions"
    needed = f"to {compared['tolerance']:g}" if changes else "exactly"
    verdict = "They agree" if compared["agrees"] else "They do not agree"
    maps = [
        f"{one['method']} {'agrees' if one['agrees'] else 'differs'}" for one in compared["maps"]
    ]
    told = "" if compared["logits"] else " The logits differ."
    told += f" Heatmaps: {', '.join(maps)}." if maps else ""
    told = " ".join([told, *compared["verdicts"]])
    return f"{verdict} {needed} ({where}); largest difference {compared['difference']:.3g}.{told}"


def _shares(probabilities: dict[str, float]) -> str:
    return ", ".join(f"{name} {percent(share)}" for name, share in probabilities.items())


def _exact(probabilities: dict[str, float]) -> str:
    return ", ".join(f"{name} {share!r}" for name, share in probabilities.items())


if __name__ == "__main__":
    sys.exit(main())
