"""What a user takes away of scans: a report as HTML or PDF, and a ZIP of many with their table."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from core.archives import pack
from core.findings import Findings, Refusal
from core.report_content import content_of
from core.report_html import html_of
from core.report_pdf import pdf_of
from core.spreadsheet import safe_csv


def report_html(findings: Findings) -> str:
    """One self-contained HTML file, for screens light and dark and for paper."""
    return html_of(content_of(findings))


def report_pdf(findings: Findings) -> bytes:
    """The same as PDF, A4; equal findings give equal bytes."""
    return pdf_of(content_of(findings), findings.made_at)


FORMATS: dict[str, Callable[[Findings], bytes]] = {
    "pdf": report_pdf,
    "html": lambda findings: report_html(findings).encode("utf-8"),
}
"""Ending of a report's file -> what writes it."""


def reports_zip(scans: Sequence[Findings | Refusal], form: str = "pdf") -> bytes:
    """A ZIP of ``scans.csv``, one row a scan, and one report a scan that was examined.

    Files are numbered as the rows; a scan's name stands in the table if its findings hold it.
    ``form`` is one of FORMATS.
    """
    files = {"scans.csv": safe_csv(batch_table(scans))}
    for number, scan in enumerate(scans, start=1):
        if isinstance(scan, Findings):
            files[f"scan {number:04d}.{form}"] = FORMATS[form](scan)
    return pack(files)


def batch_table(scans: Sequence[Findings | Refusal]) -> pd.DataFrame:
    """One row a scan: file, recipe, label, a probability a class, and what limits the answer.

    Systems may differ from scan to scan; a class that a system does not know is left empty.
    """
    rows = [{"file": scan.name or f"scan {at}"} | _row(scan) for at, scan in enumerate(scans, 1)]
    examined = [scan for scan in scans if isinstance(scan, Findings)]
    classes = dict.fromkeys(name for scan in examined for name in scan.opinion.classes)
    return pd.DataFrame(rows, columns=["file", "recipe", "label", *classes, *_REMARKS])


_REMARKS = ("prediction_set", "guard", "warning", "error")


def _row(scan: Findings | Refusal) -> dict:
    if isinstance(scan, Refusal):
        return {"error": scan.error}
    opinion = scan.opinion
    shares = dict(zip(opinion.classes, map(float, opinion.probabilities), strict=True))
    held = None if scan.prediction_set is None else "; ".join(scan.prediction_set)
    return {
        "recipe": opinion.recipe_id,
        "label": opinion.label,
        **shares,
        "prediction_set": held,
        "guard": scan.guard,
        "warning": scan.warning,
    }
