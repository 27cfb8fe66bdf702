"""One opinion: the likeliest class, all probabilities, and the evidence for a class in the scan."""

from __future__ import annotations

import streamlit as st

from core.explain import Heatmap
from core.figures.opinion import (
    EVIDENCE_CONFIG,
    EVIDENCE_WIDTH,
    describe_evidence,
    describe_probabilities,
    evidence_panels,
    malignant_legend,
    probability_bars,
)
from core.figures.panels import MAX_PICTURE_SIDE
from core.findings import NO_DECISION
from core.picture_size import size_within
from core.predict import Opinion
from core.recipe import Recipe
from core.recipes import load_recipe
from core.scans import Scan
from core.wording import percent, signed
from pages import _kept as kept
from pages._downloads import Offer, hand_over, show_buttons
from pages._frame import fragment, plain, quiet, themed
from pages._originals import deidentified
from pages._region import region_text
from pages._scans import Item, scan_of
from pages._views import View

NO_PERSONAL = "The file names nobody."
NOT_KEPT = "None of it is shown, kept or logged, nor exported unless you tick that."
HOW_TO_LOOK = (
    "The three pictures move together: turn the wheel to zoom, drag to move, double-click to see "
    "everything again. The map has the coarse grid of the system's last layer."
)


def show_name(item: Item) -> None:
    """Name of the scan, as plain text, and whether it is synthetic."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(item.name, width="content")
        if item.synthetic:
            st.badge("synthetic", color="gray", help="Drawn by a computer, of no patient.")


@fragment
def show_personal_data(item: Item) -> None:
    """What a DICOM file holds of its patient, and a copy of it without that."""
    scan = scan_of(item.digest, item.read)
    if scan.dicom:
        _show_held(item, scan)
    hand_over("copy")  # also if the popover is closed, or another scan shown, while it is made


def _show_held(item: Item, scan: Scan) -> None:
    with st.popover("Patient data", icon=":material/shield_person:"):
        held = f"The file holds: {', '.join(scan.personal)}." if scan.personal else NO_PERSONAL
        st.markdown(f"{held} {NOT_KEPT}")
        if scan.text_risk:
            st.warning(f"Look for a name in the picture itself: {scan.text_risk}.")
        show_buttons("copy", [_copy_of(item)], item.digest)


def _copy_of(item: Item) -> Offer:
    return Offer(
        "De-identified copy",
        lambda: deidentified(item),
        f"deidentified.{'zip' if item.several else 'dcm'}",
        help="DICOM PS3.15 Basic Profile. Text in the picture itself stays.",
    )


def show_verdict(view: View, opinion: Opinion, trust: str, abstain: str | None) -> None:
    """The likeliest class, all probabilities, and how far to ``trust`` the label, a sentence.

    ``abstain`` says why there is no decision, if there is none.
    """
    recipe, best = load_recipe(view.recipe_id), float(opinion.probabilities.max())
    left, right = st.columns([1, 1.7], gap="medium", vertical_alignment="center")
    with left:
        show_name(view.item)
        show_personal_data(view.item)
    label = signed(opinion.label, _malignant(opinion, recipe))
    left.metric(
        "Most likely",
        NO_DECISION if abstain else label,
        abstain or f"{percent(best)} estimated",
        delta_color="off",
        delta_arrow="off",
    )
    shares = (opinion.classes, opinion.probabilities, recipe.malignant_classes)
    right.plotly_chart(
        themed(probability_bars(*shares)),
        config={"displayModeBar": False},
        key="bars",
        alt=describe_probabilities(opinion.classes, opinion.probabilities),
    )
    with right:
        quiet(f"{malignant_legend(*shares)} {plain(trust)}".strip())


def show_evidence(view: View, first: Opinion, colour_map: str) -> Opinion:
    """The three pictures, for the likeliest class or the one chosen here; the opinion shown."""
    recipe, item = load_recipe(view.recipe_id), view.item
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Evidence for", anchor=False, width="content", help=HOW_TO_LOOK)
        explained = st.segmented_control(
            "Class to explain",
            recipe.classes,
            default=first.label,
            required=True,
            key=f"explained {item.digest} {recipe.id} {view.frame} {first.label}",
            persist_state="session",
            label_visibility="collapsed",
        )
    opinion = first
    if explained != first.label:
        opinion = kept.opinion(view, recipe.classes.index(explained))
    heatmap: Heatmap = opinion.heatmap
    values = heatmap.resized(*size_within(*opinion.pixels.shape[:2], MAX_PICTURE_SIDE))
    if heatmap.note:
        st.info(heatmap.note, icon=":material/info:")
    outline, scan = view.outline.mask if view.outline else None, view.examined()[0]
    figure = evidence_panels(
        opinion.pixels,
        values,
        explained,
        colour_map,
        empty="No positive evidence" if heatmap.note else None,
        outline=outline,
        aspect=scan.aspect,
    )
    st.plotly_chart(
        themed(figure),
        width=EVIDENCE_WIDTH,
        config=EVIDENCE_CONFIG,
        key="evidence",
        alt=describe_evidence(item.name, values, explained, heatmap.note),
    )
    if not heatmap.note:
        quiet(
            f"Colours from the top of the scale: what raised the score of '{plain(explained)}' "
            "most within this scan. The map shows what the system used, not where disease is."
        )
    st.page_link("pages/learn.py", label="How such a map is made", icon=":material/school:")
    if outline is not None:
        quiet(region_text(outline, scan.spacing_mm, heatmap.resized(*outline.shape)))
    return opinion


def _malignant(opinion: Opinion, recipe: Recipe) -> bool:
    return opinion.label in recipe.malignant_classes
