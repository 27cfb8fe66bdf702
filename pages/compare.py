"""Compare: maps of several methods and systems on one scan, measured against its lesion."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import numpy as np
import streamlit as st

from core.card import INTENDED_USE
from core.checkpoints import list_trained
from core.evaluation.score_cam_agreement import agreement
from core.explain import METHODS
from core.figures.opinion import EVIDENCE_CONFIG
from core.figures.panel_grid import WIDEST, Panel, PanelRow, describe_grid, panel_grid
from core.figures.panel_png import grid_png
from core.figures.style import COLOUR_MAPS
from core.recipes import load_recipe
from core.wording import counted, percent
from pages import _inputs as inputs
from pages import _shared as shared
from pages._comparison import Entry, entry, offers, show_methods, show_table
from pages._doubts import show_doubts, show_remarks
from pages._downloads import Offer, show_downloads
from pages._frame import guarded, plain, quiet, require_frame, themed
from pages._looked_at import choose_frame, tell_other_view
from pages._maps import (
    INSTANT,
    Aim,
    Question,
    answer,
    judge,
    known,
    known_judgement,
    see,
)
from pages._scans import Item
from pages._views import Outline, View

PAGE = "compare"
STOPPED = "compare stopped"
"""Session state: the methods that the user did not want to wait for."""
FAST = "fast-score-cam"
FILES_WAIT = "A file that you ask for now comes after it."
WHAT_JUDGES = (
    "Under each map: the score of the class while what the map marks is hidden (deletion, lower "
    "is better) or brought back into a blurred scan (insertion, higher is better). It takes some "
    "35 predictions a map."
)
HOW_TO_LOOK = (
    "All pictures move together: turn the wheel to zoom, drag to move, double-click to see "
    "everything again. Each row begins with the scan as that system sees it."
)


def main() -> None:
    """The page, from its inputs on the left to the text on the methods at the end."""
    systems = list_trained()
    if not systems:
        st.error(shared.NO_SYSTEM)
        return
    choose_and_compare(systems)
    show_methods()


@guarded
def choose_and_compare(systems: tuple[str, ...]) -> None:
    """The inputs, and the maps of what is chosen."""
    with st.sidebar:
        item, outline = inputs.choose_scan(PAGE, systems)
        drawing = inputs.wants_to_draw(item)
        recipe_ids = inputs.choose_systems(systems)
        method_ids = inputs.choose_methods()
        colour_map = st.selectbox(
            "Heatmap colours", list(COLOUR_MAPS), key="compare colours", persist_state="session"
        )
    if recipe_ids and method_ids:
        frame = choose_frame(item)
        outline = (inputs.draw_outline(item, frame) if drawing else None) or outline
        compare(item, frame, outline, recipe_ids, method_ids, colour_map)
    else:
        st.info("Choose a system and a method on the left.", icon=":material/info:")


def compare(
    item: Item,
    frame: int,
    outline: Outline | None,
    recipe_ids: list[str],
    method_ids: list[str],
    colour_map: str,
) -> None:
    """The maps that are there, their figures, and then, with progress, those that take time."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("Evidence for", anchor=False, width="content", help=HOW_TO_LOOK)
        aim = inputs.choose_aim(item, frame, recipe_ids, outline)
        with st.popover("Settings", icon=":material/tune:"):
            layers = {one: inputs.choose_layer(PAGE, one) for one in recipe_ids}
            settings = {one: inputs.choose_parameters(PAGE, one) for one in method_ids}
        outlined = st.toggle(
            "Outline",
            value=True,
            disabled=not outline,
            key="compare outline",
            persist_state="session",
        )
        judged = st.toggle(
            "Deletion and insertion",
            key="compare judged",
            persist_state="session",
            help=WHAT_JUDGES,
        )
    if aim is None:
        return
    if missing := inputs.left_out(recipe_ids):
        quiet(missing)
    views = [View(item, frame, one, layers[one], outline) for one in recipe_ids]
    questions = [Question(one, aim, settings[one]) for one in method_ids]
    progress, held = st.container(), st.empty()
    asked = [(_seen_by(question, view), question) for view in views for question in questions]
    entries = [find(view, question, judged) for view, question in asked]
    rows = [_row(view, entries, aim) for view in views]
    drawn = outline.mask if outline and outlined else None
    tell_other_view(item)
    show_doubts(views)
    show_maps(rows, str(aim), colour_map, drawn)
    show_remarks(views)
    for question in questions:
        if question.method_id == FAST:
            show_agreement(views, question)
    show_table(entries, aim)
    picture = offer_of_picture(rows, str(aim), colour_map, drawn)
    shown = [(one.key, one.outline and one.outline.digest) for one in views]
    looks = colour_map, outlined, judged
    show_downloads("compare", [*offers(entries, aim, outline), picture], (shown, questions, looks))
    lacking = [one for one in asked if known(*one) is None]
    awaited = [one for one in lacking if not _is_stopped(one[1])]
    judgeable = [one for one in asked if judged and _has_evidence(*one)]
    unjudged = [one for one in judgeable if known_judgement(*one) is None]
    # In a place of its own, empty at once: at a click on "Stop" it would still hold room beside it.
    if lacking and not awaited:
        with held:
            offer_to_go_on(len(lacking))
    with progress:
        if awaited:
            compute(awaited, len(asked) - len(lacking) + 1, len(asked))
        elif unjudged:
            judge_next(unjudged, len(judgeable))


def _seen_by(question: Question, view: View) -> View:
    """The view as a method looks at it: on no layer, if it knows none."""
    return view if METHODS[question.method_id].layered else replace(view, layer=None)


def find(view: View, question: Question, judged: bool) -> Entry:
    """A map and its figures; what is slow only if it was computed before."""
    instant = METHODS[question.method_id].cost == INSTANT
    found = answer(view, question) if instant else known(view, question)
    classes = load_recipe(view.recipe_id).classes
    score = float(see(view).probabilities[classes.index(question.aim.name)])
    judgement = known_judgement(view, question) if judged else None
    return entry(view, question, score, found, judgement, _is_stopped(question))


def show_maps(
    rows: list[PanelRow], explained: str, colour_map: str, mask: np.ndarray | None
) -> None:
    """The figure of all maps."""
    st.plotly_chart(
        themed(panel_grid(rows, explained, colour_map, outline=mask)),
        width=WIDEST,
        config=EVIDENCE_CONFIG,
        key="comparison",
        alt=describe_grid(rows, explained),
    )


def offer_of_picture(
    rows: list[PanelRow], explained: str, colour_map: str, mask: np.ndarray | None
) -> Offer:
    """The figure as one picture."""
    heading, foot = f"Evidence for {explained}", f"LesionLens. {INTENDED_USE}"
    return Offer(
        "Figure (PNG)",
        lambda: grid_png(rows, heading, explained, colour_map, outline=mask, foot=foot),
        "lesionlens-comparison.png",
        icon=":material/image:",
    )


def show_agreement(views: list[View], question: Question) -> None:
    """How near Fast Score-CAM comes to the exact map, where it was measured: on the last layer, for
    one class, with its parameters as they are to start with."""
    defaults = {one.name: one.default for one in METHODS[FAST].parameters}
    as_measured = dict(question.parameters) == defaults and not question.aim.rather_than
    unknown = []
    for view in views:
        title = plain(load_recipe(view.recipe_id).title)
        comparable = as_measured and view.layer is None
        found = agreement(shared.checkpoint(view.recipe_id)) if comparable else None
        if found is None:
            unknown.append(title)
            continue
        quiet(
            f"*Fast Score-CAM on {title}* agrees with the exact map to correlation "
            f"{found.fast:.3f} on average over {found.scans} test scans (worst {found.worst:.3f}; "
            f"{found.without_scores:.3f} with no score at all)."
        )
    if unknown:
        quiet(
            "How near Fast Score-CAM comes to the exact map was not measured in this way on "
            f"*{', '.join(unknown)}*."
        )


def compute(awaited: list[tuple[View, Question]], number: int, count: int) -> None:
    """The first of the slow maps; then the page is drawn again with it, and goes on to the next.

    Whatever the user changes meanwhile interrupts the work at its next report of progress; a file
    alone does not, and is made when the map is there.
    """
    view, question = awaited[0]
    name = f"{METHODS[question.method_id].name} on {load_recipe(view.recipe_id).title}"
    text = f"Map {number} of {count}: {plain(name)}. {FILES_WAIT}"
    methods = {question.method_id for _, question in awaited}
    with st.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text)
        st.button("Stop", icon=":material/stop:", on_click=_stop, args=(methods,))
    answer(view, question, lambda share: bar.progress(min(max(share, 0.0), 1.0), text))
    st.rerun()


def offer_to_go_on(count: int) -> None:
    """Methods that were stopped compute nothing more, of whatever scan, until they are asked to."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"{counted(count, 'map')} stopped.", width="content")
        st.button("Go on", icon=":material/play_arrow:", on_click=_go_on)


def judge_next(unjudged: list[tuple[View, Question]], count: int) -> None:
    """Deletion and insertion of the first map that has none yet, then the page is drawn again."""
    done = count - len(unjudged)
    text = f"Deletion and insertion: map {done + 1} of {count}. {FILES_WAIT}"
    with st.container(horizontal=True, vertical_alignment="center"):
        bar = st.progress(0.0, text)
        st.button("Stop", icon=":material/stop:", on_click=_judge_no_more)
    judge(*unjudged[0], lambda share: bar.progress(share, text))
    st.rerun()


def _has_evidence(view: View, question: Question) -> bool:
    """Whether there is a map, and something in it to hide or to show."""
    found = known(view, question)
    return bool(found and found.heatmap and not found.note)


def _judge_no_more() -> None:
    st.session_state["compare judged"] = False


def _is_stopped(question: Question) -> bool:
    return question.method_id in st.session_state.get(STOPPED, ())


def _stop(methods: set[str]) -> None:
    st.session_state[STOPPED] = st.session_state.get(STOPPED, set()) | methods


def _go_on() -> None:
    st.session_state.pop(STOPPED, None)  # a double click comes twice


def _row(view: View, entries: list[Entry], aim: Aim) -> PanelRow:
    recipe = load_recipe(view.recipe_id)
    seen = see(view)
    shares = dict(zip(recipe.classes, seen.probabilities, strict=True))
    told = [name for name in (aim.name, aim.rather_than) if name]
    scores = ", ".join(f"{name} {percent(float(shares[name]))}" for name in told)
    mine = [one for one in entries if one.recipe_id == view.recipe_id]
    panels, aspect = tuple(_panel(one) for one in mine), view.examined()[0].aspect
    return PanelRow(f"{recipe.title}: {scores}", seen.pixels, panels, aspect)


def _panel(one: Entry) -> Panel:
    name, found = METHODS[one.method_id].name, one.answer
    if found is None or found.heatmap is None:
        return Panel(name, None, note=one.note)
    lines = [f"score {percent(one.score)}", _duration(found.seconds)]
    if place := one.located:
        lines += [f"IoU {place.iou:.2f}", f"Dice {place.dice:.2f}", f"recall {place.recall:.2f}"]
        lines.append(f"energy {_figure(place.energy_inside)}")
    if one.judged:
        lines.append(f"deletion {one.judged.deletion:.2f}")
        lines.append(f"insertion {one.judged.insertion:.2f}")
    lines += one.changed
    return Panel(name, found.heatmap.values, "\n".join(lines), _brief(found.note))


def _figure(value: float) -> str:
    return "–" if isnan(value) else f"{value:.2f}"


def _brief(note: str | None) -> str | None:
    """The part of a note that fits on a picture; the table holds the whole."""
    return note.partition(":")[0].rstrip(".") if note else None


def _duration(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"


require_frame()
main()
