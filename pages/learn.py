"""Learn: how a map comes about, step by step, on the very scan; and whether it holds."""

from __future__ import annotations

import streamlit as st

from core.checkpoints import list_trained
from core.explain import METHODS
from core.figures.lessons import (
    CONFIG,
    bars_figure,
    describe_bars,
    describe_trial,
    trial_figure,
)
from core.lessons import LESSONS, Picture, Step
from core.png import png
from core.recipes import load_recipe
from pages import _inputs as inputs
from pages._doubts import show_doubts, show_remarks
from pages._frame import fragment, guarded, plain, quiet, require_frame, themed
from pages._lessons import lesson, tried
from pages._looked_at import choose_frame, tell_other_view
from pages._maps import Aim, Question
from pages._shared import NO_SYSTEM
from pages._views import View

PAGE = "learn"
WIDTH = 170
"""Of a picture, in pixels: three in a row on a laptop's screen."""
ROOM = r"\rule{0em}{1.2em}"
"""Above an equation: a flat one would lose the stroke of its highest sign, a T, to its box."""
TRIED = (
    "A map that looks right can be wrong. So hide the scan bit by bit, the places that the map "
    "marks first, and watch the class. The yardstick is the same map mirrored within what the "
    "system sees: as large, but in other places. No real scan has such holes, so a part of every "
    "fall is mere confusion."
)


@guarded
def main() -> None:
    """The page: what is explained on the left, the steps one below the other."""
    systems = list_trained()
    if not systems:
        st.error(NO_SYSTEM)
        return
    with st.sidebar:
        item, outline = inputs.choose_scan(PAGE, systems)
        recipe_id = st.selectbox(
            "System",
            systems,
            format_func=lambda one: load_recipe(one).title,
            key="learn system",
            bind="query-params",
        )
        layer = inputs.choose_layer(PAGE, recipe_id)
    frame = choose_frame(item)
    tell_other_view(item)
    view = View(item, frame, recipe_id, layer, outline)
    question = choose_question(view)
    show_doubts([view])
    show_remarks([view])
    show_lesson(view, question)


def choose_question(view: View) -> Question:
    """Method, class and the method's parameters."""
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.subheader("How", anchor=False, width="content")
        method_id = st.segmented_control(
            "Method",
            list(LESSONS),
            default=next(iter(LESSONS)),
            required=True,
            format_func=lambda one: METHODS[one].name,
            key="learn method",
            bind="query-params",
            label_visibility="collapsed",
            wrap=True,
        )
        st.subheader("explains", anchor=False, width="content")
        name = inputs.choose_class(PAGE, view, list(load_recipe(view.recipe_id).classes))
        parameters = ()
        if METHODS[method_id].parameters:
            with st.popover("Settings", icon=":material/tune:"):
                parameters = inputs.choose_parameters(PAGE, method_id)
    return Question(method_id, Aim(name), parameters)


def show_lesson(view: View, question: Question) -> None:
    """Every step, and in the end the trial."""
    method = METHODS[question.method_id]
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        st.latex(method.equation + ROOM, width="content")
        quiet(plain(method.paper))
    with st.spinner("Asking the network …"):
        steps = lesson(view, question)
    for number, step in enumerate(steps, start=1):
        show_step(number, step)
    show_trial(len(steps) + 1, view, question)


def show_step(number: int, step: Step) -> None:
    """What is done on the left, what comes of it on the right."""
    with st.container(border=True, key=f"learn step {number}"):
        told, shown = st.columns([1, 2], gap="medium")
        with told:
            st.subheader(f"{number}. {step.title}", anchor=False)
            st.markdown(step.text)
        with shown:
            if step.bars:
                st.plotly_chart(
                    themed(bars_figure(step.bars)),
                    config=CONFIG,
                    key=f"learn bars {number}",
                    alt=describe_bars(step.bars),
                )
            if step.slider:
                show_one(number, step)
            else:
                show_pictures(step.pictures)


@fragment
def show_one(number: int, step: Step) -> None:
    """One of the pictures, chosen by its title."""
    of_title = {one.title: one for one in step.pictures}
    title = st.select_slider(step.slider, list(of_title), key=f"learn slider {number}")
    show_picture(of_title[title], of_title[title].caption)


def show_pictures(pictures: tuple[Picture, ...]) -> None:
    """Pictures in rows, each with its title and caption."""
    with st.container(horizontal=True, gap="small"):
        for one in pictures:
            words = f"{one.title}: {one.caption}" if one.caption else one.title
            show_picture(one, words)


def show_picture(picture: Picture, words: str) -> None:
    """A picture with what stands below it."""
    with st.container(width=WIDTH, gap="xxsmall"):
        # Streamlit itself would shrink a picture of one line to none.
        st.image(
            png(picture.pixels), width="stretch", alt=f"{picture.title} {picture.caption}".strip()
        )
        quiet(words)


@fragment
def show_trial(number: int, view: View, question: Question) -> None:
    """Whether the system needs what the map marks."""
    with st.container(border=True, key="learn trial"):
        told, shown = st.columns([1, 2], gap="medium")
        with told:
            st.subheader(f"{number}. Does the map hold?", anchor=False)
            st.markdown(TRIED)
        with shown, st.spinner("Hiding the scan bit by bit …"):
            found = tried(view, question)
        if isinstance(found, str):
            shown.info(found, icon=":material/info:")
            return
        told.markdown(f"**{found.sentence}**")
        with shown:
            show_pictures(found.pictures)
            st.plotly_chart(
                themed(trial_figure(found, question.aim.name)),
                config=CONFIG,
                key="learn trial curves",
                alt=describe_trial(found, question.aim.name),
            )


require_frame()
main()
