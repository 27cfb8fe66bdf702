"""Classify: upload scans, read the opinion of a trained system, see what it looked at."""

from __future__ import annotations

import numpy as np
import streamlit as st

from core.checkpoints import Checkpoint, CheckpointError, list_trained
from core.explain import Heatmap
from core.figures import (
    COLOUR_MAPS,
    EVIDENCE_CONFIG,
    MALIGNANT_SIGN,
    describe_evidence,
    describe_probabilities,
    evidence_panels,
    percent,
    probability_bars,
)
from core.modality import contradiction
from core.predict import Opinion
from core.recipe import Recipe, load_recipe
from pages import _work as work
from pages._batch import batch_table, choose_item
from pages._frame import plain, quiet, require_frame, themed
from pages._system import reliability, show_system
from pages._uploads import items_of
from pages._viewer import show_viewer

NO_REGION = (
    "This system was trained on images that are black outside the outline of the lesion. Here it "
    "sees the whole image: its figures do not hold."
)

FORMATS = (
    "DICOM, NIfTI, PNG, JPEG, BMP, TIFF or WebP, one or many, or a ZIP archive of them. "
    "They stay in this computer's memory."
)
NO_PERSONAL = "The file names nobody."
NOT_KEPT = "None of it is shown, kept, logged or exported."
STOPPED = "Not examined: you stopped before its turn."
HOW_TO_LOOK = (
    "The three pictures move together: turn the wheel to zoom, drag to move, double-click to see "
    "everything again. The map has the coarse grid of the system's last layer."
)


def main() -> None:
    """The page, from its inputs on the left to the system card at the end."""
    systems = list_trained()
    if not systems:
        st.error(work.NO_SYSTEM)
        return
    with st.sidebar:
        items = choose_scans()
        recipe_id = choose_system(systems)
        colour_map = st.selectbox("Heatmap colours", list(COLOUR_MAPS), key="colours")
    try:
        show(items, work.checkpoint(recipe_id), colour_map)
    except CheckpointError as error:
        st.error(plain(str(error)), icon=":material/error:")


def show(items: list[work.Item], checkpoint: Checkpoint, colour_map: str) -> None:
    """The scans, or what to do without any, and the card of the system."""
    if items:
        show_items(items, checkpoint, colour_map)
    else:
        show_welcome(checkpoint.recipe)
    show_system(checkpoint)


def choose_scans() -> list[work.Item]:
    """The uploaded scans, or the one synthetic sample while one is chosen."""
    folder = st.session_state.get("folder", False)
    uploads = st.file_uploader(
        "Scans",
        accept_multiple_files="directory" if folder else True,
        key="folder uploads" if folder else "uploads",
        on_change=_forget_sample,
        help=FORMATS,
    )
    st.toggle("A whole folder", key="folder")
    name = st.selectbox(
        "Or a synthetic sample",
        list(work.SAMPLES),
        index=None,
        key="sample",
        placeholder="Choose a phantom",
        help="An ultrasound image drawn by a computer, of no patient, to try the page with.",
    )
    return [work.sample(name)] if name else items_of(uploads)


def choose_system(systems: tuple[str, ...]) -> str:
    """Id of the system that gives the opinion; systems of one modality stand together."""
    ordered = sorted(systems, key=lambda one: (-_trained_alike(one, systems), systems.index(one)))
    recipe_id = st.selectbox(
        "System", ordered, format_func=lambda one: load_recipe(one).title, key="system"
    )
    recipe = load_recipe(recipe_id)
    quiet(f"For **{plain(recipe.modality)}**. {plain(recipe.summary)}")
    return recipe_id


def show_welcome(recipe: Recipe) -> None:
    """What the page does, and a way to try it without data."""
    st.header("What does a trained system see in this scan?", anchor=False)
    opening = (
        f"Upload one or more images of {plain(recipe.modality)} on the left. You get the system's "
        "estimate for each class, and a map of the regions that spoke for it. "
    )
    if contradiction("US", recipe.modality):
        st.markdown(f"{opening}Have you other images? Choose another system on the left.")
        return
    st.markdown(f"{opening}No image at hand? Start with one of these, drawn by a computer:")
    for column, name in zip(st.columns(3), list(work.SAMPLES)[::2], strict=True):
        with column.container(border=True):
            alt = f"{name}, a synthetic breast ultrasound image"
            st.image(work.sample_png(name), width="stretch", output_format="PNG", alt=alt)
            label, key = f"Try the {name[0].lower()}{name[1:-2]}", f"try {name}"
            st.button(label, key=key, width="stretch", on_click=_use_sample, args=(name,))


def show_items(items: list[work.Item], checkpoint: Checkpoint, colour_map: str) -> None:
    """The table of all scans, if there are several, and one of them in detail."""
    recipe = checkpoint.recipe
    verdicts = examine(items, recipe)
    position = 0
    if len(items) > 1:
        position = choose_item(batch_table(items, verdicts, recipe), recipe)
    item, found = items[position], verdicts[position]
    if found.error:
        show_name(item)
        st.error(plain(found.error), icon=":material/broken_image:")
        return
    if found.warning:
        st.error(plain(found.warning), icon=":material/do_not_disturb_on:")
    frame = choose_frame(item)
    look = st.session_state.get(f"look {item.digest}")
    first = work.opinion(item, recipe.id, frame=frame, look=look)
    trusted = {} if found.warning or look else checkpoint.metrics
    show_verdict(item, first, recipe, trusted)
    if look:
        show_look(item, look)
    if recipe.preprocessing.region == "mask":
        st.warning(NO_REGION, icon=":material/crop_free:")
    show_viewer(item, frame)
    show_evidence(item, first, recipe, frame, colour_map)


def show_look(item: work.Item, look: work.Look) -> None:
    """That the opinion is on the user's view of the scan, and the way back."""
    window = f"level {look.window.center:g}, width {look.window.width:g}"
    told = f"{window}, inverted" if look.inverted else window
    with st.container(horizontal=True, vertical_alignment="center"):
        st.info(
            f"This opinion is on your view of the scan ({told}), not on the picture that the file "
            "asks for. The system's figures were measured without such changes.",
            icon=":material/contrast:",
        )
        st.button("Back to the scan", on_click=_forget_look, args=(item.digest,))


def examine(items: list[work.Item], recipe: Recipe) -> list[work.Verdict]:
    """A verdict for every item; each is computed once a session and system."""
    known = st.session_state.setdefault("verdicts", {})
    pending = {item.digest: item for item in items if (item.digest, recipe.id) not in known}
    stopped = st.session_state.get("stopped") == recipe.id
    if len(pending) > 1 or (pending and stopped):
        show_progress(pending, recipe, known, stopped)
    else:
        for item in pending.values():
            known[item.digest, recipe.id] = work.verdict(item, recipe.id)
    late = work.Verdict(error=STOPPED)
    return [known.get((item.digest, recipe.id), late) for item in items]


def show_progress(
    pending: dict[str, work.Item], recipe: Recipe, known: dict, stopped: bool
) -> None:
    """Examine what waits, with a bar and a way to stop; or, once stopped, the way to go on."""
    row = st.empty()
    with row.container(horizontal=True, vertical_alignment="center"):
        if stopped:
            st.button(f"Examine the other {len(pending)}", on_click=_stop, args=(None,))
            return
        progress = st.progress(0.0)
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(recipe.id,))
    for done, item in enumerate(pending.values()):
        progress.progress(done / len(pending), f"Examining scan {done + 1} of {len(pending)} …")
        known[item.digest, recipe.id] = work.verdict(item, recipe.id)
    row.empty()


def show_name(item: work.Item) -> None:
    """Name of the scan, as plain text, and whether it is synthetic."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.text(item.name, width="content")
        if item.synthetic:
            st.badge("synthetic", color="gray", help="Drawn by a computer, of no patient.")


def show_personal_data(item: work.Item) -> None:
    """What a DICOM file holds of its patient, and a copy of it without that."""
    scan = work.scan_of(item.digest, item.read)
    if not scan.dicom:
        return
    with st.popover("Patient data", icon=":material/shield_person:"):
        held = f"The file holds: {', '.join(scan.personal)}." if scan.personal else NO_PERSONAL
        st.markdown(f"{held} {NOT_KEPT}")
        if scan.text_risk:
            st.warning(f"Look for a name in the picture itself: {scan.text_risk}.")
        st.download_button(
            "De-identified copy",
            lambda: work.deidentified(item),
            file_name=f"deidentified.{'zip' if item.several else 'dcm'}",
            icon=":material/download:",
            on_click="ignore",
            help="DICOM PS3.15 Basic Profile. Text in the picture itself stays.",
        )


def choose_frame(item: work.Item) -> int:
    """Index of the frame to examine: a slider where the scan holds several, counted from 1."""
    count = len(work.scan_of(item.digest, item.read).pixels)
    if count == 1:
        return 0
    return st.slider("Frame", 1, count, key=f"frame {item.digest}") - 1


def show_verdict(item: work.Item, opinion: Opinion, recipe: Recipe, metrics: dict) -> None:
    """The likeliest class, all probabilities, and how far to trust the label."""
    best = float(opinion.probabilities.max())
    left, right = st.columns([1, 2.4], gap="large", vertical_alignment="center")
    with left:
        show_name(item)
        show_personal_data(item)
    left.metric(
        "Most likely",
        f"{opinion.label} {MALIGNANT_SIGN}" if _malignant(opinion, recipe) else opinion.label,
        f"{percent(best)} estimated",
        delta_color="off",
        delta_arrow="off",
    )
    right.plotly_chart(
        themed(probability_bars(opinion.classes, opinion.probabilities, recipe.malignant_classes)),
        config={"displayModeBar": False},
        key="bars",
        alt=describe_probabilities(opinion.classes, opinion.probabilities),
    )
    trust = "" if recipe.preprocessing.region == "mask" else reliability(opinion, metrics)
    with right:
        quiet(" ".join(filter(None, [_legend(opinion, recipe), trust])))


def show_evidence(
    item: work.Item, first: Opinion, recipe: Recipe, frame: int, colour_map: str
) -> None:
    """The three pictures, for the likeliest class or the one chosen here."""
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.subheader("Evidence for", anchor=False, width="content", help=HOW_TO_LOOK)
        explained = st.segmented_control(
            "Class to explain",
            recipe.classes,
            default=first.label,
            required=True,
            key=f"explained {item.digest} {recipe.id} {frame} {first.label}",
            label_visibility="collapsed",
        )
    opinion = first
    if explained != first.label:
        target = recipe.classes.index(explained)
        look = st.session_state.get(f"look {item.digest}")
        opinion = work.opinion(item, recipe.id, target=target, frame=frame, look=look)
    heatmap: Heatmap = opinion.heatmap
    values = heatmap.resized(*opinion.pixels.shape[:2])
    if heatmap.note:
        st.info(heatmap.note, icon=":material/info:")
    else:
        quiet(
            f"Bright regions raised the score of '{plain(explained)}' most within this scan. "
            "The map shows what the system used, not where disease is."
        )
    figure = evidence_panels(
        opinion.pixels,
        values,
        explained,
        colour_map,
        empty="No positive evidence" if heatmap.note else None,
    )
    st.plotly_chart(
        themed(figure),
        config=EVIDENCE_CONFIG,
        key="evidence",
        alt=describe_evidence(item.name, values, explained, heatmap.note),
    )


def _malignant(opinion: Opinion, recipe: Recipe) -> bool:
    return opinion.label in recipe.malignant_classes


def _legend(opinion: Opinion, recipe: Recipe) -> str:
    """What the sign beside a class means; with several malignant classes, also their sum."""
    marked = np.isin(opinion.classes, recipe.malignant_classes)
    together = percent(float(opinion.probabilities[marked].sum()))
    total = f", together {together}" if marked.sum() > 1 else ""
    return f"{MALIGNANT_SIGN} counts as malignant{total}."


def _trained_alike(recipe_id: str, systems: tuple[str, ...]) -> int:
    """How many of the systems share the modality of one."""
    modality = load_recipe(recipe_id).modality
    return sum(load_recipe(one).modality == modality for one in systems)


def _stop(recipe_id: str | None) -> None:
    st.session_state["stopped"] = recipe_id


def _forget_look(digest: str) -> None:
    st.session_state[f"look {digest}"] = None


def _forget_sample() -> None:
    st.session_state["sample"] = None


def _use_sample(name: str) -> None:
    st.session_state["sample"] = name


require_frame()
main()
