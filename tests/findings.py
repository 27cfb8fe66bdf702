"""Findings made for tests: a shipped system's opinion on a phantom or a scan."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from functools import cache

from core.checkpoints import list_trained, open_checkpoint
from core.datasets.phantoms import phantom
from core.findings import EvidenceMap, Findings, weights_of
from core.png import png
from core.predict import classify
from core.scans import read_scan

WHEN = datetime(2026, 3, 4, 15, 30, tzinfo=UTC)
SYSTEM = list_trained()[0]


@cache
def opened():
    """A shipped checkpoint and its classifier."""
    checkpoint = open_checkpoint(SYSTEM)
    return checkpoint, checkpoint.load()


@cache
def phantom_png() -> bytes:
    """A phantom as a file."""
    return png(phantom("malignant", 3)[0])


def examined(data: bytes, frame: int = 0, region=None, look=None, system=None, **more) -> Findings:
    """The findings of a system, a checkpoint and its classifier, on a file; ``more`` are further
    fields."""
    checkpoint, classifier = system or opened()
    scan = read_scan(data)
    seen = scan.seen_through(frame, look.window, look.inverted) if look else scan
    opinion = classify(classifier, seen, frame=0 if look else frame, mask=region)
    fields = {
        "scan_digests": (hashlib.sha256(data).hexdigest(),),
        "frames": len(scan.pixels),
        "maps": (EvidenceMap("grad-cam", opinion.heatmap),),
        "spacing_mm": scan.spacing_mm,
        "aspect": scan.aspect,
        "made_at": WHEN,
    }
    return Findings(
        opinion,
        checkpoint.recipe,
        checkpoint.metrics,
        weights_of(checkpoint),
        frame=frame,
        region=region,
        look=look,
        **fields | more,
    )
