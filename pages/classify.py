"""Classify: upload scans, read the opinion of a trained system, see what it looked at."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from core.checkpoints import Checkpoint, list_trained
from core.figures.style import COLOUR_MAPS
from core.findings import Look
from core.modality import contradiction
from core.predict import BATCH
from core.recipe import Recipe
from core.recipes import load_recipe
from core.samples import SAMPLES
from pages import _current as current
from pages import _kept as kept
from pages import _shared as shared
from pages._assurance import (
    assess,
    choose_strictness,
    only_when_sure,
    show_assurance,
    show_doubt,
    show_region_warning,
    show_steadiness,
    trust_in,
)
from pages._batch import batch_table, choose_item
from pages._doubts import show_gap
from pages._frame import guarded, plain, quiet, require_frame
from pages._looked_at import choose_frame, look_key
from pages._opinion import show_evidence, show_name, show_verdict
from pages._region import Region, choose_region
from pages._samples import sample, sample_png
from pages._scans import Item
from pages._shared import version
from pages._system import show_system
from pages._take_away import all_reports, show_take_away
from pages._uploads import items_of
from pages._verdicts import Verdict, verdict, verdicts
from pages._viewer import show_viewer
from pages._views import View

FORMATS = (
    "DICOM, NIfTI, PNG, JPEG, BMP, TIFF or WebP, one or many, or a ZIP archive of them. Beside "
    "1.png, 1_mask.png or masks/1.png outlines its lesion. They stay in the server's memory."
)
ONE_WAY = "Choose a folder in place of files. To change it, remove the files first."
STOPPED = "Not examined: you stopped before its turn."


@guarded
def main() -> None:
    """The page, from its inputs on the left to the system card at the end."""
    systems = list_trained()
    if not systems:
        st.error(shared.NO_SYSTEM)
        return
    with st.sidebar:
        items = choose_scans()
        recipe_id = choose_system(systems)
        choose_strictness()
        colour_map = st.selectbox(
            "Heatmap colours", list(COLOUR_MAPS), key="colours", persist_state="session"
        )
    show(items, shared.checkpoint(recipe_id), colour_map)


def show(items: list[Item], checkpoint: Checkpoint, colour_map: str) -> None:
    """The scans, or what to do without any, and the card of the system."""
    if items:
        show_items(items, checkpoint, colour_map)
    else:
        show_welcome(checkpoint.recipe)
    show_system(checkpoint)


def choose_scans() -> list[Item]:
    """The uploaded scans, or the one synthetic sample while one is chosen, or what was there
    before another page was."""
    folder = st.session_state.get("folder", False)
    uploads = st.file_uploader(
        "Scans",
        accept_multiple_files="directory" if folder else True,
        key="folder uploads" if folder else "uploads",
        on_change=_forget_others,
        help=FORMATS,
    )
    st.toggle("A whole folder", key="folder", disabled=bool(uploads), help=ONE_WAY)
    name = st.selectbox(
        "Or a synthetic sample",
        list(SAMPLES),
        index=None,
        key="sample",
        bind="query-params",
        placeholder="Choose a phantom",
        help="An ultrasound image drawn by a computer, of no patient, to try the page with.",
    )
    if name:
        return [sample(name)]
    items = items_of(uploads)
    if items:
        current.hold(items)
    return items or current.left_here()


def choose_system(systems: tuple[str, ...]) -> str:
    """Id of the system that gives the opinion; systems of one modality stand together."""
    ordered = sorted(systems, key=lambda one: (-_trained_alike(one, systems), systems.index(one)))
    recipe_id = st.selectbox(
        "System",
        ordered,
        format_func=lambda one: load_recipe(one).title,
        key="system",
        bind="query-params",
    )
    recipe = load_recipe(recipe_id)
    quiet(f"For **{plain(recipe.modality)}**. {plain(recipe.summary)}")
    return recipe_id


def show_welcome(recipe: Recipe) -> None:
    """What the page does, and a way to try it without data."""
    st.header("What does a trained system see in this scan?", anchor=False)
    opening = (
        f"Upload one or more scans on the left ({plain(recipe.modality)}). You get the system's "
        "estimate for each class, and a map of the regions that spoke for it. "
    )
    if contradiction("US", recipe.modality):
        st.markdown(f"{opening}For other images, choose another system on the left.")
        return
    st.markdown(f"{opening}No image at hand? Start with one of these, drawn by a computer:")
    for column, name in zip(st.columns(3), list(SAMPLES)[::2], strict=True):
        with column.container(border=True):
            alt = f"{name}, a synthetic breast ultrasound image"
            st.image(sample_png(name), width="stretch", output_format="PNG", alt=alt)
            label, key = f"Try the {name[0].lower()}{name[1:-2]}", f"try {name}"
            st.button(label, key=key, width="stretch", on_click=_use_sample, args=(name,))


def show_items(items: list[Item], checkpoint: Checkpoint, colour_map: str) -> None:
    """The table of all scans, if there are several, and one of them in detail."""
    recipe = checkpoint.recipe
    verdicts = examine(items, recipe)
    position = 0
    if len(items) > 1:
        position = choose_item(
            batch_table(items, verdicts, recipe, only_when_sure()),
            items,
            recipe,
            lambda named: all_reports(items, verdicts, recipe.id, named),
        )
    item, found = items[position], verdicts[position]
    if found.error:
        show_name(item)
        st.error(plain(found.error), icon=":material/broken_image:")
        return
    current.remember(item)
    look = st.session_state.get(look_key(item.digest))
    view = View(item, choose_frame(item), recipe.id, look=look)
    answer = st.container()
    region = choose_region(view)
    show_opinion(replace(view, outline=region and region.outline), region, answer, colour_map)


def show_opinion(view: View, region: Region | None, answer, colour_map: str) -> None:
    """All of one opinion; its head goes into the container ``answer``, above the region."""
    first = kept.opinion(view)
    found = assess(view, first, region)
    with answer:
        show_gap(view.item)
        show_doubt(found)
        show_verdict(view, first, trust_in(view, first, region, found), found.abstention)
        place = show_assurance(found)
        if view.look:
            show_look(view.item, view.look)
        show_region_warning(view)
    shown = show_evidence(view, first, colour_map)
    show_viewer(view.item, view.frame)
    show_steadiness(place, view, first)
    show_take_away(view, region, shown, found)


def show_look(item: Item, look: Look) -> None:
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


def examine(items: list[Item], recipe: Recipe) -> list[Verdict]:
    """A verdict for every item; each is computed once a session and system."""
    known, system = st.session_state.setdefault("verdicts", {}), (recipe.id, version(recipe.id))
    keys = [(item.key, *system) for item in items]
    pending = {key: item for key, item in zip(keys, items, strict=True) if key not in known}
    held = pending.keys() & st.session_state.get("stopped", set())
    due = {key: item for key, item in pending.items() if key not in held}
    if held:
        st.button(f"Examine the other {len(held)}", on_click=_go_on, args=(held,))
    if len(due) > 1:
        show_progress(due, recipe, known)
    else:
        for key, item in due.items():
            known[key] = verdict(item, recipe.id)
    late = Verdict(error=STOPPED)
    return [known.get(key, late) for key in keys]


def show_progress(due: dict[tuple, Item], recipe: Recipe, known: dict) -> None:
    """Examine what waits, with a bar and a way to stop."""
    row = st.empty()
    with row.container(horizontal=True, vertical_alignment="center"):
        progress = st.progress(0.0)
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(set(due),))
    waiting = list(due)
    for done in range(0, len(waiting), BATCH):
        progress.progress(done / len(waiting), f"Examining scan {done + 1} of {len(waiting)} …")
        some = waiting[done : done + BATCH]
        for key, found in zip(some, verdicts([due[key] for key in some], recipe.id), strict=True):
            known[key] = found
    row.empty()


def _trained_alike(recipe_id: str, systems: tuple[str, ...]) -> int:
    """How many of the systems share the modality of one."""
    modality = load_recipe(recipe_id).modality
    return sum(load_recipe(one).modality == modality for one in systems)


def _stop(waiting: set[tuple]) -> None:
    """Of these, what is not examined yet waits until it is asked for."""
    st.session_state["stopped"] = st.session_state.get("stopped", set()) | waiting


def _go_on(held: set[tuple]) -> None:
    st.session_state["stopped"] -= held


def _forget_look(digest: str) -> None:
    st.session_state[look_key(digest)] = None


def _forget_others() -> None:
    st.session_state["sample"] = None
    current.forget()


def _use_sample(name: str) -> None:
    st.session_state["sample"] = name


require_frame()
main()
