"""One image, looked at closely: where the system looked, what it was thinking of, and notes."""

from __future__ import annotations

import streamlit as st

from core.datasets import read_pixels
from core.evaluation.mistakes import Judged
from core.explain import METHODS
from core.figures.errors import thumbnail
from core.figures.opinion import (
    EVIDENCE_CONFIG,
    EVIDENCE_WIDTH,
    describe_evidence,
    describe_probabilities,
    evidence_panels,
    probability_bars,
)
from core.refusal import Refusal
from core.wording import counted, percent
from pages import _errors_run as runs
from pages._errors_notes import show_note_form, tell_saved
from pages._frame import HERE, guarded, plain, quiet, themed
from pages._maps import Aim, answer
from pages._maps import Question as MapQuestion
from pages._pictures import show_image

OPEN, ORDER = f"{HERE}errors open", "errors order"
NOT_KEPT = (
    "The weights of this run were not kept, only its answers: heatmaps and similar images are "
    "there for the grouped split of the shipped system."
)


WAITS = "{} … To stop it, close this."
"""All else in the dialog waits for a slow map; one that takes minutes is for Compare."""


def open_image(image_id: str) -> None:
    """Look closer at an image from the next run of the page on."""
    st.session_state[OPEN] = image_id


def show_open_image(question: runs.Question, found: Judged) -> None:
    """The dialog, if an image of this table is open."""
    known = found.table.set_index("image_id", drop=False)
    if st.session_state.get(OPEN) not in known.index:
        return
    dialog = st.dialog("Look closer", width="large", icon=":material/zoom_in:", on_dismiss=_close)
    dialog(guarded(_show))(question, known)


def tell_lost_note() -> None:
    """Of an image that was closed before the dialog could tell that its note was not kept."""
    if OPEN not in st.session_state:
        tell_saved()


def _close() -> None:
    st.session_state.pop(OPEN, None)


def _show(question: runs.Question, known) -> None:
    one = known.loc[st.session_state[OPEN]]
    with st.container(horizontal=True, vertical_alignment="center"):
        _show_steps(one["image_id"])
        sign = "a mistake" if one["wrong"] else "right"
        st.markdown(
            f"**{plain(one['image_id'])}**: labelled **{plain(one['label'])}**, called "
            f"**{plain(one['predicted'])}** ({percent(one['confidence'])}), {sign}",
            width="content",
        )
    _show_evidence(question, one)
    left, right = st.columns([1, 1], gap="large")
    with left:
        _show_answer(question, one)
        _show_similar(question, one)
    with right:
        show_note_form(question, one)


def _show_steps(image_id: str) -> None:
    order = st.session_state.get(ORDER, [])
    if image_id not in order:
        return
    place = order.index(image_id)
    for label, icon, step in (
        ("Previous", ":material/arrow_back:", -1),
        ("Next", ":material/arrow_forward:", 1),
    ):
        target = place + step
        inside = 0 <= target < len(order)
        st.button(
            label,
            key=f"errors {label}",
            icon=icon,
            disabled=not inside,
            on_click=open_image,
            args=(order[target] if inside else image_id,),
        )
    quiet(f"{place + 1} of {len(order)}")


@guarded
def _show_evidence(question: runs.Question, one) -> None:
    if told := runs.missing(question):
        quiet(plain(told))
        return
    row = runs.images(question).get(one["image_id"])
    if row is None:
        quiet("This image is not in the data set on this computer.")
    elif question.shipped:
        _show_maps(question, one, row)
    else:
        st.image(
            thumbnail(read_pixels(row), size=(360, 450)),
            output_format="PNG",
            alt=f"Scan {one['image_id']}",
        )
        quiet(NOT_KEPT)


def _show_maps(question: runs.Question, one, row) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown("Evidence for", width="content")
        name = st.segmented_control(
            "Evidence for",
            question.recipe.classes,
            default=one["predicted"],
            required=True,
            key=f"errors explained {question.key} {one['image_id']}",
            label_visibility="collapsed",
        )
        method_id = st.selectbox(
            "Method",
            [name for name, method in METHODS.items() if method.cost != "minutes"],
            format_func=lambda one: METHODS[one].name,
            key="errors method",
            label_visibility="collapsed",
            width=220,
        )
    place = st.empty()
    with place.container():
        text = WAITS.format(METHODS[method_id].name)
        bar = st.progress(0.0, text)
        view = runs.view_of(question, row)
        asked = MapQuestion(method_id, Aim(name))
        found = answer(view, asked, lambda share: bar.progress(share, text))
    place.empty()
    if found.heatmap is None:
        st.warning(found.note)
        return
    figure = evidence_panels(read_pixels(row), found.heatmap.values, name, empty=found.note)
    st.plotly_chart(
        themed(figure),
        key="errors evidence",
        width=EVIDENCE_WIDTH,
        config=EVIDENCE_CONFIG,
        alt=describe_evidence(one["image_id"], found.heatmap.values, name, found.note),
    )


def _show_answer(question: runs.Question, one) -> None:
    recipe = question.recipe
    shares = one[list(recipe.classes)].to_numpy(float)
    st.plotly_chart(
        themed(probability_bars(recipe.classes, shares, recipe.malignant_classes)),
        key="errors bars",
        config={"displayModeBar": False},
        alt=describe_probabilities(recipe.classes, shares),
    )
    if one["likely_label"]:
        st.markdown(
            f":material/flag: Confident learning suggests the label "
            f"**{plain(one['likely_label'])}**."
        )
    if one["other_labels"]:
        names = plain(_brief(one["other_labels"]))
        st.markdown(f":material/flag: In its group, with another label: {names}.")
    if one["trained_relatives"]:
        st.markdown(
            f":material/flag: Of its group, {counted(one['trained_relatives'], 'image')} "
            "trained the system."
        )


def _brief(names: str, most: int = 4) -> str:
    parts = names.split("; ")
    more = f" and {len(parts) - most} more" if len(parts) > most else ""
    return ", ".join(parts[:most]) + more


def _show_similar(question: runs.Question, one) -> None:
    """What it was thinking of: the training images nearest in its features."""
    if not question.shipped or runs.missing(question):
        return
    row = runs.images(question).get(one["image_id"])
    if row is None:
        return
    try:
        found = runs.similar(question, row)
    except Refusal:
        return  # told above, where the scan would be
    st.markdown(
        "**Most alike among its training images**",
        help="Cosine similarity of the pooled features of the last layer, from which the system "
        "answers; among the training images kept here, at most 1,000.",
    )
    trained = runs.training_pictures(question)
    columns = st.columns(len(found))
    for column, other in zip(columns, found.itertuples(), strict=True):
        with column, st.container(gap="xsmall"):
            if other.image_id in trained:
                show_image(
                    lambda other=other: thumbnail(
                        read_pixels(trained[other.image_id]), size=(150, 150)
                    ),
                    f"{other.image_id}, labelled {other.label}",
                )
            st.markdown(f"**{plain(other.label)}** {other.similarity:.2f}")
            quiet(plain(other.image_id))
