"""What a user takes away of scans: a report as HTML, PDF or DICOM, and a ZIP of many."""

from __future__ import annotations

from collections.abc import Iterable

from core.archives import pack
from core.doubt import doubt_in
from core.findings import Findings, Refused
from core.report.content import content_of
from core.report.html import html_of
from core.report.pdf import pdf_of
from core.scan_table import Row, frame_of, scan_table
from core.spreadsheet import safe_csv


def report_html(findings: Findings) -> str:
    """One self-contained HTML file, for screens light and dark and for paper."""
    return html_of(content_of(findings))


def report_pdf(findings: Findings) -> bytes:
    """The same as PDF, A4; equal findings give equal bytes."""
    return pdf_of(content_of(findings), findings.made_at)


def reports_zip(scans: Iterable[Findings | Refused]) -> bytes:
    """A ZIP of ``scans.csv``, one row a scan, and one report (HTML) a scan that was examined.

    Files are numbered as the rows; a scan's name stands in the table if its findings hold it.
    Scans are taken one by one, and none is kept: together they may fill the memory.
    """
    rows, reports = [], {}
    for number, scan in enumerate(scans, start=1):
        report = f"scan {number:04d}.html"
        rows.append(_row(scan, report))
        if isinstance(scan, Findings):
            reports[report] = report_html(scan).encode("utf-8")
    return pack({"scans.csv": safe_csv(scan_table(rows)), **reports})


def _row(scan: Findings | Refused, report: str) -> Row:
    if isinstance(scan, Refused):
        return Row(file=scan.name, error=scan.error)
    opinion = scan.opinion
    return Row(
        file=scan.name,
        recipe=opinion.recipe_id,
        label=scan.label,
        shares=dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True)),
        frame=frame_of(scan.frame, scan.frames),
        outline=scan.region_source if scan.needs_region else None,
        prediction_set=None if scan.prediction_set is None else "; ".join(scan.prediction_set),
        guard=scan.guard,
        report=report,
        warning=doubt_in(scan),
    )
