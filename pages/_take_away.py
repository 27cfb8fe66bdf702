"""What a user takes away of opinions: reports, the record that reproduces one, DICOM."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.archives import pack
from core.explain import METHODS
from core.findings import EvidenceMap, Findings, Refused, weights_of
from core.manifest import manifest
from core.predict import Opinion
from core.report import report_html, report_pdf, reports_zip
from core.report.content import limits_of
from core.report.pictures import marked, marking
from core.scans import ScanError
from pages import _kept as kept
from pages import _shared as shared
from pages._assurance import NO_SET, Assurance, assess, lacks_region, trust_in
from pages._downloads import Offer, hand_over, show_buttons
from pages._frame import fragment, plain, quiet
from pages._maps import INSTANT, Aim, Question, answer
from pages._originals import source_of
from pages._region import Region, region_beside
from pages._region_figures import accuracy_text
from pages._scans import Item, scan_of, text_risk_of
from pages._verdicts import Verdict
from pages._views import View

TITLE = "Take it with you: report, record, DICOM"
NAMES = "A file's name may hold a patient's name, and so may what a DICOM file says."
KEPT_OUT = (
    "Without the tick nothing that the file's name or header says of the patient goes into these "
    "files. Text within the picture stays: look at it first."
)
IN_DICOM = (
    "A secondary capture and a structured report; without the tick also the de-identified copy of "
    "the scan that they refer to."
)
FIRST_MAP = "grad-cam"


@fragment
def show_take_away(view: View, region: Region | None, opinion: Opinion, found: Assurance) -> None:
    """The files there are, in a fold that costs nothing while it is closed; each is made when it
    is asked for."""
    fold = st.expander(TITLE, icon=":material/download:", key="take away", on_change="rerun")
    if fold.open:
        with fold:
            _show_files(view, region, opinion, found)
    hand_over("take away")  # also what was asked for before the fold was closed


def _show_files(view: View, region: Region | None, opinion: Opinion, found: Assurance) -> None:
    methods = st.pills(
        "Heatmaps in them",
        [name for name, method in METHODS.items() if method.cost == INSTANT],
        selection_mode="multi",
        default=[FIRST_MAP],
        format_func=lambda one: METHODS[one].name,
        key="report maps",
    )
    named = st.checkbox("With the patient's data and the file's name", key="named", help=NAMES)

    def made() -> Findings:
        record = findings_of(view, opinion, found, region, methods, named)
        spread_note = kept.spread(view).changes
        return replace(record, spread=_spread(view, opinion), spread_note=spread_note)

    offers = [
        Offer("Report (PDF)", lambda: report_pdf(made()), "lesionlens-report.pdf"),
        Offer("Report (HTML)", lambda: report_html(made()).encode(), "lesionlens-report.html"),
        Offer("Record (JSON)", lambda: _as_json(manifest(made())), "lesionlens-record.json"),
    ]
    unfit = _why_no_dicom(view)
    if unfit is None:
        offers.append(
            Offer(
                "DICOM (ZIP)",
                lambda: _dicom(view, made(), named),
                "lesionlens-dicom.zip",
                help=IN_DICOM,
            )
        )
    with st.container(horizontal=True):
        outline = view.outline and view.outline.digest
        show_buttons("take away", offers, (view.key, outline, methods, named))
    risk = text_risk_of(view.item)
    quiet(" ".join(filter(None, [KEPT_OUT, risk and f"{risk.capitalize()}.", unfit])))


def _why_no_dicom(view: View) -> str | None:
    """Why nothing can be filed beside the scan, a sentence; None if it can, "" if no DICOM."""
    if not scan_of(view.item.digest, view.item.read).dicom:
        return ""
    from core.report.dicom import check_source  # a second to import

    try:
        check_source(source_of(view.item, view.frame, named=True))
    except ScanError as error:
        return plain(str(error))
    return None


def findings_of(
    view: View,
    opinion: Opinion,
    found: Assurance,
    region: Region | None = None,
    methods: Sequence[str] = (FIRST_MAP,),
    named: bool = False,
) -> Findings:
    """The record of one opinion. Raises ScanError or CheckpointError."""
    checkpoint, item = shared.checkpoint(view.recipe_id), view.item
    scan = scan_of(item.digest, item.read)
    return Findings(
        opinion=opinion,
        recipe=checkpoint.recipe,
        metrics=checkpoint.metrics,
        weights=weights_of(checkpoint),
        scan_digests=_digests(item),
        frame=view.frame,
        frames=len(scan.pixels),
        look=view.look,
        region=view.outline and view.outline.mask,
        region_source=region and region.source,
        maps=_maps(view, opinion, methods),
        prediction_set=found.classes,
        coverage=found.classes and found.conformal.coverage,
        set_note=found.conformal.sentence if found.classes else NO_SET,
        trust=trust_in(view, opinion, region, found) or _cost(view) or None,
        guard=found.guard.sentence,
        guard_level=found.guard.level,
        guard_distance=found.guard.distance,
        warning=found.contradiction,
        abstention=found.abstention,
        text_risk=text_risk_of(item),
        gap=scan.gap,
        synthetic=item.synthetic,
        spacing_mm=scan.spacing_mm,
        aspect=scan.aspect,
        name=item.name if named else None,
    )


def all_reports(
    items: Sequence[Item], verdicts: Sequence[Verdict], recipe_id: str, named: bool
) -> bytes:
    """A ZIP of the table of all scans and a report (HTML) of the first frame of each that was
    examined."""
    pairs = zip(items, verdicts, strict=True)
    return reports_zip(_in_brief(item, found, recipe_id, named) for item, found in pairs)


def _in_brief(item: Item, found: Verdict, recipe_id: str, named: bool) -> Findings | Refused:
    if found.error:
        return Refused(found.error, item.name if named else None)
    region, flaw = region_beside(item)
    view = View(item, 0, recipe_id, outline=region and region.outline)
    opinion = kept.opinion(view)
    made = findings_of(view, opinion, assess(view, opinion, region), region, named=named)
    return replace(made, flaw=flaw)


def _cost(view: View) -> str:
    """How often a system that was given no region was right without one, if it needs one."""
    return accuracy_text(view.recipe_id, "none") if lacks_region(view) else ""


def _maps(view: View, opinion: Opinion, methods: Sequence[str]) -> tuple[EvidenceMap, ...]:
    """The maps asked for; a method that failed on this scan is left out."""
    aim = Aim(opinion.classes[opinion.target])
    others = [name for name in methods if name != FIRST_MAP]
    answers = {name: answer(view, Question(name, aim)).heatmap for name in others}
    found = ({FIRST_MAP: opinion.heatmap} if FIRST_MAP in methods else {}) | answers
    return tuple(EvidenceMap(name, one) for name, one in found.items() if one is not None)


def _spread(view: View, opinion: Opinion) -> tuple[float, float]:
    """Lowest and highest probability of the likeliest class over the scan and changed copies."""
    spread, index = kept.spread(view), opinion.classes.index(opinion.label)
    return float(spread.low[index]), float(spread.high[index])


def _digests(item: Item) -> tuple[str, ...]:
    """sha256 of each file of a scan."""
    if not item.several:
        return (item.digest,)
    return tuple(hashlib.sha256(data).hexdigest() for data in item.read())


def _dicom(view: View, made: Findings, named: bool) -> bytes:
    """A ZIP of the overlay as secondary capture and of the structured report; and, without the
    patient's data, of the copy of the scan that both refer to, which nobody else has."""
    from core.report.dicom import secondary_capture, structured_report  # a second to import

    source = source_of(view.item, view.frame, named)
    if not named:  # what is told of the upload would link the copy with it
        made = replace(made, scan_digests=(hashlib.sha256(source).hexdigest(),))
    capture = secondary_capture(
        source, marked(made), marking(made), view.frame, made.aspect, limits_of(made)
    )
    files = {
        "secondary capture.dcm": capture,
        "structured report.dcm": structured_report(source, made),
    }
    return pack(files if named else files | {"scan.dcm": source})


def _as_json(content: dict) -> bytes:
    return (json.dumps(content, indent=1) + "\n").encode("utf-8")
