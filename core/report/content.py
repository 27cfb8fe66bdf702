"""What a report says, in words, numbers and pictures, whatever the file it becomes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from core import __version__
from core.card import INTENDED_USE, PROTOCOLS, SPLIT_TITLES, scaling
from core.doubt import doubt_in, told
from core.explain.registry import METHODS
from core.figures.opinion import malignant_legend
from core.findings import NO_DECISION, NO_REGION, Findings
from core.pictures import UNTOLD_TEXT
from core.report.pictures import Picture, pictures_of
from core.results.tables import CLASS_TITLES, TITLES
from core.wording import percent, signed, with_interval

NOTICE = "Research and teaching tool. Not a medical device."
UNUSED_REGION = "This system examines the whole image; the outline is shown, not used."
LOOK = "Look for a name in it before this report is passed on."
OWN_WINDOW = (
    "The scan was examined through a window that the user set, not as the picture that its file "
    "asks for. The system's figures were measured without such changes."
)
PROPOSED = {
    "proposed": "A network proposed the outline, and this system sees nothing outside it. The "
    "system's figures were measured with outlines that a person drew.",
    "corrected": "A network proposed the outline and a person corrected it; this system sees "
    "nothing outside it. Its figures were measured with outlines that a person drew.",
}
"""By source of the region, what a system that sees nothing else is to be read with."""
SYNTHETIC = "The scan was drawn by a computer. It is of no patient."
MISSING = "–"
MOST_ACROSS = 4

_REGION = {
    "drawn": "drawn by hand",
    "uploaded": "uploaded",
    "proposed": "proposed by a network",
    "corrected": "proposed by a network, corrected by hand",
}
_GUARD = {
    "like": "Like the training images",
    "unusual": "Unusual for this system",
    "foreign": "Not what this system was trained on",
}
_FIGURES = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "mcc", "ece")
_OF_MALIGNANT = ("sensitivity", "specificity", "precision")


@dataclass(frozen=True)
class Bar:
    """One class: its probability in [0, 1], that in words, whether it counts as malignant."""

    name: str
    share: float
    text: str
    malignant: bool
    likeliest: bool

    @property
    def title(self) -> str:
        """The name, with the sign of a class that counts as malignant."""
        return signed(self.name, self.malignant)


@dataclass(frozen=True)
class Note:
    """A titled sentence; ``level`` is "plain", or "caution" or "alarm" for what must be seen."""

    title: str
    text: str
    level: str = "plain"


@dataclass(frozen=True)
class Table:
    """Texts: heads (columns; a second line may follow), rows, and what to know of them."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Content:
    """Everything a report shows, in its order."""

    title: str
    system: str
    made_at: str
    verdict: str
    verdict_text: str
    bars: tuple[Bar, ...]
    bars_note: str
    alarms: tuple[Note, ...]
    notes: tuple[Note, ...]
    pictures: tuple[Picture, ...]
    across: int
    has_maps: bool
    explained: str
    maps_note: str
    figures: Table
    limits: tuple[str, ...]
    record: tuple[tuple[str, str], ...]
    intended_use: str


def content_of(findings: Findings) -> Content:
    """The content of the report on one scan."""
    recipe, opinion = findings.recipe, findings.opinion
    notes = tuple(_notes(findings))
    bars = tuple(_bars(findings))
    best = next(bar for bar in bars if bar.likeliest)
    pictures = pictures_of(findings)
    return Content(
        title=f"{recipe.modality[0].upper()}{recipe.modality[1:]}: opinion of a classifier",
        system=recipe.title,
        made_at=f"{findings.made_at:%Y-%m-%d %H:%M} {findings.made_at.tzname()}",
        verdict=NO_DECISION if findings.abstention else best.title,
        verdict_text=findings.abstention or f"{best.text} estimated",
        bars=bars,
        bars_note=malignant_legend(
            opinion.classes, opinion.probabilities, recipe.malignant_classes
        ),
        alarms=tuple(note for note in notes if note.level != "plain"),
        notes=tuple(note for note in notes if note.level == "plain"),
        pictures=pictures,
        across=_across(len(pictures)),
        has_maps=bool(findings.maps),
        explained=findings.explained,
        maps_note=_maps_note(findings),
        figures=_figures(findings),
        limits=recipe.limits,
        record=tuple(_record(findings)),
        intended_use=INTENDED_USE,
    )


def _across(count: int) -> int:
    """Pictures side by side, so that the rows are as equal as can be."""
    return max(2, -(-count // -(-count // MOST_ACROSS)))


def _bars(findings: Findings) -> Iterator[Bar]:
    opinion = findings.opinion
    for name, share in zip(opinion.classes, opinion.probabilities, strict=True):
        malignant = name in findings.recipe.malignant_classes
        yield Bar(name, float(share), percent(share), malignant, name == opinion.label)


# ---------------------------------------------------------------- how far to trust it


def _notes(findings: Findings) -> Iterator[Note]:
    if findings.warning:
        yield Note("Another kind of image", findings.warning, "alarm")
    if findings.guard:
        level = {"like": "plain", "foreign": "alarm"}.get(findings.guard_level, "caution")
        yield Note(_GUARD.get(findings.guard_level, "Guard"), findings.guard, level)
    if findings.synthetic:
        yield Note("Synthetic scan", SYNTHETIC, "caution")
    if findings.look:
        yield Note("Another window", OWN_WINDOW, "caution")
    if findings.needs_region and findings.region is None:
        yield Note("No outline", told(findings.flaw, NO_REGION), "caution")
    if proposed := _proposed(findings):
        yield Note("Proposed outline", proposed, "caution")
    if findings.text_risk:
        level = "plain" if findings.text_risk == UNTOLD_TEXT else "caution"
        yield Note("Text in the picture", f"{findings.text_risk.capitalize()}. {LOOK}", level)
    if findings.gap:
        yield Note("Slices that are missing", findings.gap, "caution")
    if findings.region is not None and not findings.needs_region:
        yield Note("Outline", UNUSED_REGION)
    if findings.prediction_set is not None:
        yield _set_note(findings)
    elif findings.set_note:
        yield Note("Prediction set", findings.set_note)
    if findings.spread is not None:
        low, high = map(percent, findings.spread)
        text = f"Over the scan and slightly changed copies of it, it ran from {low} to {high}."
        if findings.spread_note:
            text += f" The copies were {findings.spread_note}."
        yield Note(f"{findings.opinion.label.capitalize()}, if the scan changes", text)
    yield Note("Calibration", _calibration(findings))
    if findings.trust:
        yield Note("How often it was right", findings.trust)


def _set_note(findings: Findings) -> Note:
    classes, coverage = findings.prediction_set, percent(findings.coverage)
    title = f"Prediction set at {coverage} coverage: {', '.join(classes)}"
    covers = findings.set_note or (
        f"Such sets are made to hold the true class of {coverage} of scans like the validation "
        "images, on average over all classes."
    )
    if len(classes) == 1:
        return Note(title, covers)
    undecided = "It holds more than one class: at this coverage the system cannot decide."
    return Note(title, f"{undecided} {covers}", "caution")


def _calibration(findings: Findings) -> str:
    fitted = _of_weights(findings).get("calibration", {})
    if not fitted:
        return "The probabilities are not calibrated."
    text = f"Probabilities are {scaling(fitted)}"
    error = fitted.get("values", {}).get("ece")
    if not _defined(error) or fitted["temperature"] == 1:
        return f"{text}."
    return (
        f"{text}. With it the expected calibration error on test images is "
        f"{with_interval(error)}; the table has it without."
    )


def _maps_note(findings: Findings) -> str:
    if not findings.maps:
        return "No heatmap was chosen."
    return (
        f"Colours from the top of the scale: what speaks most for '{findings.explained}' within "
        "this scan. A map shows what the system used, not where disease is."
    )


# ---------------------------------------------------------------- the system


def _of_weights(findings: Findings) -> dict:
    return findings.metrics.get(findings.weights["protocol"], {})


def _figures(findings: Findings) -> Table:
    """The paper's figures beside ours under both protocols, with n and intervals."""
    recipe, metrics = findings.recipe, findings.metrics
    protocols = [name for name in PROTOCOLS if name in metrics]
    heads = [_heading(name, metrics[name]) for name in protocols]
    rows = []
    for key, title in _titles(recipe).items():
        paper = recipe.published.get(key)
        cells = [with_interval(metrics[name]["values"].get(key)) for name in protocols]
        rows.append((title, *cells, MISSING if paper is None else f"{paper:g}"))
    told = [f"{SPLIT_TITLES[name]}: {PROTOCOLS[name]}." for name in protocols]
    ranges = (
        "In brackets 95 % intervals, bootstrapped over groups. There is none where no error was "
        "seen or the groups are too few; such a figure is not certain. Papers give none."
    )
    return Table(("Figure", *heads, "Paper"), tuple(rows), (*told, ranges))


def _titles(recipe) -> dict[str, str]:
    kinds = {
        f"{kind}_{name}": f"{CLASS_TITLES[kind]}, {name}"
        for name in recipe.malignant_classes
        for kind in _OF_MALIGNANT
    }
    return {key: TITLES[key] for key in _FIGURES} | kinds


def _heading(protocol: str, measured: dict) -> str:
    groups = f", {measured['n_groups']} groups" if "n_groups" in measured else ""
    return f"{SPLIT_TITLES[protocol]}\nn = {measured['n']}{groups}"


def _defined(figure: dict | None) -> bool:
    return bool(figure) and figure["value"] is not None


# ---------------------------------------------------------------- the record


def _record(findings: Findings) -> Iterator[tuple[str, str]]:
    """What it takes to get the same numbers again."""
    recipe, weights = findings.recipe, findings.weights
    height, width = findings.opinion.pixels.shape[:2]
    if findings.name:
        yield "File", findings.name
    several = f", first of {len(findings.scan_digests)} files" if findings.scan_digests[1:] else ""
    yield "Scan, sha256", findings.scan_digests[0] + several
    yield "Frame", f"{findings.frame + 1} of {findings.frames}, {width} × {height} pixels"
    if findings.spacing_mm:
        down, across = findings.spacing_mm
        yield "Pixel", f"{across:.3g} × {down:.3g} mm (width × height)"
    yield "Window", window_told(findings)
    yield "Outline", _outline(findings)
    yield "System", f"{recipe.title} ({recipe.id})"
    protocol, seed = SPLIT_TITLES[weights["protocol"]].lower(), weights["seed"]
    yield "Weights, sha256", weights["sha256"]
    yield "Protocol", f"{protocol}, seed {seed}: {PROTOCOLS[weights['protocol']]}"
    yield "Trained on", recipe.trained_on
    yield "Heatmaps", "; ".join(map(_method, findings.maps)) or "none"
    yield "After", _source(recipe)
    yield "Made by", f"LesionLens {__version__}"


def window_told(findings: Findings) -> str:
    """The window through which a scan was examined."""
    look = findings.look
    if look is None:
        return "as the file asks for"
    window, inverted = look.window, ", inverted" if look.inverted else ""
    shape = "" if window.shape == "LINEAR" else f", {window.shape}"
    return (
        f"centre {window.center:.15g}, width {window.width:.15g}{shape}{inverted}, set by the user"
    )


def limits_of(findings: Findings) -> str:
    """What must be known of a picture that goes without its report: why no class is named, what
    speaks against the answer, whose outline and window it is; "" if there is nothing."""
    undecided = findings.abstention and f"{NO_DECISION.capitalize()}: {findings.abstention}."
    window = findings.look and f"Window: {window_told(findings)}."
    return told(undecided, doubt_in(findings), _proposed(findings), window) or ""


def _proposed(findings: Findings) -> str | None:
    """What to know of an outline that a network began, if the system sees nothing outside it."""
    return PROPOSED.get(findings.region_source) if findings.needs_region else None


def _outline(findings: Findings) -> str:
    if findings.region is None:
        return "none"
    count = int(findings.region.sum())
    size = f"{count} pixels"
    if findings.spacing_mm:
        size += f", {count * findings.spacing_mm[0] * findings.spacing_mm[1]:.1f} mm²"
    return f"{_REGION.get(findings.region_source, 'given')}, {size}"


def _method(one) -> str:
    method = METHODS[one.method]
    settings = ", ".join(f"{name} {value:g}" for name, value in one.parameters.items())
    return f"{method.name} ({method.paper}{'; ' if settings else ''}{settings})"


def _source(recipe) -> str:
    source = recipe.source
    parts = [source.authors, source.title, source.venue, str(source.year or ""), source.link]
    return ", ".join(part for part in parts if part)
