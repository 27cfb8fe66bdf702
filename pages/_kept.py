"""What systems make of a view, each computed once and kept for a while."""

from __future__ import annotations

from core.outlining.proposal import Proposal
from core.predict import Opinion, classify
from core.stability import Stability, stability
from pages import _shared as shared
from pages._keeping import keep
from pages._views import View


@keep(max_entries=64, max_size="256MiB")
def opinion(key: tuple, target: int | None = None, *, _view: View) -> Opinion:
    """The opinion of a system on a view, explained for ``target`` or the likeliest class.

    Raises ScanError or CheckpointError.
    """
    scan, frame = _view.examined()
    mask = _view.within.mask if _view.within else None
    return classify(shared.classifier(_view.recipe_id), scan, target=target, frame=frame, mask=mask)


@keep(max_entries=256)
def spread(key: tuple, *, _view: View) -> Stability:
    """How far a system's answer moves when the view changes a little.

    Raises ScanError or CheckpointError.
    """
    scan, frame = _view.examined()
    mask = _view.within.mask if _view.within else None
    return stability(shared.classifier(_view.recipe_id), scan.pixels[frame], mask)


def _of_proposal(view: View) -> tuple:
    return (view.item.digest, view.frame, view.look, shared.outliner_version())


@keep(_of_proposal, max_entries=32, max_size="64MiB")
def proposal(key: tuple, *, _view: View) -> Proposal:
    """The lesion outline that a network proposes. Raises ScanError or CheckpointError."""
    scan, frame = _view.examined()
    return shared.outliner().propose(scan.pixels[frame])
