"""The region of interest of a scan: proposed by a network, drawn by hand, or given as a mask."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import streamlit as st

from core.drawn_region import drawing_figure
from core.findings import RegionSource
from core.mask_files import UNUSED
from core.scans import ScanError
from core.wording import percent
from pages import _kept as kept
from pages import _shared as shared
from pages._drawing import draw, drawing_of
from pages._frame import quiet, themed
from pages._masks import choose_outline
from pages._outlines import outline_beside, outline_of
from pages._region_figures import outlines_text
from pages._scans import Item
from pages._views import Outline, View, needs_outline

WHOLE, PROPOSED, DRAWN, GIVEN = "Whole image", "Proposed", "Draw", "Mask file"
ONLY, ADD, TAKE = "Only what I draw", "Add to the proposal", "Take from the proposal"
HELP = (
    "Where the lesion is. Systems that were trained on outlined lesions see nothing else; for the "
    "others it is measured how much of their evidence lies inside."
)
CHECK = "A network drew this outline. Is it right? If not, draw it yourself or take none."
NO_LESION = "The network sees no lesion to outline here. That does not mean that there is none."


@dataclass(frozen=True, eq=False)
class Region:
    """Where the lesion is said to be, and how that is known."""

    outline: Outline
    source: RegionSource


def choose_region(view: View) -> Region | None:
    """The region that the user accepts, draws or gives; None for the whole image.

    Where masks came with the scan they are the first choice. Systems that see nothing outside a
    region start with the proposal otherwise, if there is one.
    """
    needed, proposes = needs_outline(view.recipe_id), shared.proposes(view.recipe_id)
    first = PROPOSED if needed and proposes else WHOLE
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Region", anchor=False, width="content", help=HELP)
        way = st.segmented_control(
            "Region of interest",
            [WHOLE, *([PROPOSED] if proposes else []), DRAWN, GIVEN],
            default=GIVEN if view.item.masks else first,
            required=True,
            key=f"region {' '.join(view.item.key)} {view.frame} {needed} {proposes}",
            persist_state="session",
            label_visibility="collapsed",
        )
    if way == WHOLE:
        return None
    mask, source = _WAYS[way](view)
    outline = outline_of(mask)
    return Region(outline, source) if outline else None


def region_beside(item: Item) -> tuple[Region | None, str | None]:
    """The region in the masks that came with a scan, at its first frame, if there is one; and why
    they are of no use, if they are not."""
    try:
        outline = outline_beside(item)
    except ScanError as error:
        return None, UNUSED.format(error)
    return (Region(outline, "uploaded") if outline else None), None


def region_text(
    mask: np.ndarray, spacing_mm: tuple[float, float] | None, heatmap: np.ndarray
) -> str:
    """How large a region, bool (H, W), is, and which share of the evidence, float (H, W), is in it.

    >>> mask, heatmap = np.eye(2, dtype=bool), np.array([[3.0, 1.0], [0.0, 0.0]])
    >>> region_text(mask, (0.5, 2.0), heatmap)
    'The region covers 2.0 mm², 50 % of the picture; 75 % of the evidence lies in it.'
    """
    area = f"{mask.sum() * spacing_mm[0] * spacing_mm[1]:.1f} mm², " if spacing_mm else ""
    told = f"The region covers {area}{percent(float(mask.mean()))} of the picture"
    total = float(heatmap.sum())
    if not total:
        return f"{told}."
    return f"{told}; {percent(float(heatmap[mask].sum()) / total)} of the evidence lies in it."


def _propose(view: View) -> tuple[np.ndarray, RegionSource]:
    proposal = kept.proposal(view)
    left, right = st.columns([1.4, 1], gap="large", vertical_alignment="center")
    with left:
        st.plotly_chart(
            themed(drawing_figure(_pixels(view), proposal.mask, view.examined()[0].aspect)),
            key="proposal",
            config={"staticPlot": True},
            alt="The scan with the proposed outline of its lesion",
        )
    with right:
        if proposal.mask.any():
            st.markdown(CHECK)
            quiet(outlines_text())
        else:
            st.info(NO_LESION, icon=":material/info:")
    return proposal.mask, "proposed"


def _draw(view: View) -> tuple[np.ndarray, RegionSource]:
    nothing = np.zeros(_pixels(view).shape[:2], bool)
    proposed = kept.proposal(view).mask if shared.proposes(view.recipe_id) else nothing
    how = ONLY
    if proposed.any():
        how = st.segmented_control(
            "How to draw",
            list(_JOINED),
            default=ONLY,
            required=True,
            key=f"how to draw {view.item.digest} {view.frame}",
            persist_state="session",
            label_visibility="collapsed",
        )
    key = drawing_of(view.item, view.frame)
    mask = draw(*view.examined(), key, partial(_JOINED[how], proposed=proposed))
    if how == ONLY:
        return mask, "drawn"
    return mask, "proposed" if np.array_equal(mask, proposed) else "corrected"


def _read(view: View) -> tuple[np.ndarray, RegionSource]:
    given = choose_outline(view.item, view.frame, f"mask {view.item.digest}")
    mask = given.mask if given else np.zeros(_pixels(view).shape[:2], bool)
    return mask, "uploaded"


def _pixels(view: View) -> np.ndarray:
    scan, frame = view.examined()
    return scan.pixels[frame]


_WAYS = {PROPOSED: _propose, DRAWN: _draw, GIVEN: _read}
_JOINED = {
    ONLY: lambda drawn, proposed: drawn,
    ADD: lambda drawn, proposed: drawn | proposed,
    TAKE: lambda drawn, proposed: proposed & ~drawn,
}
