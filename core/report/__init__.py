"""What a user takes away of scans: a report as HTML, PDF or DICOM, and a ZIP of many."""

from __future__ import annotations

from collections.abc import Sequence

from core.archives import pack
from core.findings import Findings, Refused
from core.report.content import content_of
from core.report.html import html_of
from core.report.pdf import pdf_of
from core.scan_table import Row, scan_table
from core.spreadsheet import safe_csv


def report_html(findings: Findings) -> str:
    """One self-contained HTML file, for screens light and dark and for paper."""
    return html_of(content_of(findings))


def report_pdf(findings: Findings) -> bytes:
    """The same as PDF, A4; equal findings give equal bytes."""
    return pdf_of(content_of(findings), findings.made_at)


def reports_zip(scans: Sequence[Findings | Refused]) -> bytes:
    """A ZIP of ``scans.csv``, one row a scan, and one report (HTML) a scan that was examined.

    Files are numbered as the rows; a scan's name stands in the table if its findings hold it.
    """
    files = {"scans.csv": safe_csv(scan_table([_row(scan) for scan in scans]))}
    for number, scan in enumerate(scans, start=1):
        if isinstance(scan, Findings):
            files[f"scan {number:04d}.html"] = report_html(scan).encode("utf-8")
    return pack(files)


def _row(scan: Findings | Refused) -> Row:
    if isinstance(scan, Refused):
        return Row(file=scan.name, error=scan.error)
    opinion = scan.opinion
    return Row(
        file=scan.name,
        recipe=opinion.recipe_id,
        label=opinion.label,
        shares=dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True)),
        prediction_set=None if scan.prediction_set is None else "; ".join(scan.prediction_set),
        guard=scan.guard,
        warning=scan.warning,
    )
