"""Notes of readers: the form beside an image, and the table of all of them."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.evaluation.mistakes import Judged
from core.notes import (
    MAX_COMMENT,
    MAX_READER,
    VERDICTS,
    Note,
    Notebook,
    NotesError,
    database,
    newest,
    parse_tags,
)
from core.spreadsheet import safe_csv
from pages._downloads import Offer, show_downloads, told_apart
from pages._errors_run import Question
from pages._frame import HERE, plain, quiet

READER = "errors reader name"
TOLD = f"{HERE}errors note told"
"""Session state: of which form and image, and why a note was not kept, or None where it was."""
WHERE = (
    "Notes are kept in the database that LESIONLENS_NOTES names, or in a file on the server; "
    "nothing is ever overwritten."
)


@st.cache_resource(max_entries=4, show_spinner=False)
def _notebook(address: str, _url) -> Notebook:
    return Notebook(_url)


def notebook() -> Notebook:
    """The notes of this server. Raises NotesError."""
    url = database()
    return _notebook(url.render_as_string(hide_password=False), url)


def show_note_form(question: Question, one: pd.Series) -> None:
    """The notes on an image, and a form for another."""
    key = f"{question.key} {one['image_id']}"
    st.markdown("**Notes**")
    try:
        book = notebook()
        mine = {"dataset": question.dataset, "image_id": one["image_id"]}
        with st.form(f"errors note {key}", border=False):
            st.segmented_control(
                f"The label '{plain(one['label'])}':",
                VERDICTS,
                format_func=lambda name: {"agree": "I agree", "disagree": "I disagree"}[name],
                key=f"errors verdict {key}",
            )
            st.text_area("Comment", max_chars=MAX_COMMENT, height=80, key=f"errors comment {key}")
            tags, reader = st.columns([1.4, 1])
            tags.text_input("Tags", placeholder="shadow, calipers", key=f"errors tags {key}")
            reader.text_input(
                "Your name or initials",
                value=st.session_state.get(READER, ""),
                max_chars=MAX_READER,
                key=f"errors reader {key}",
            )
            st.form_submit_button(
                "Save note", icon=":material/save:", on_click=_save, args=(question, one, key)
            )
            tell_saved(key)
        for note in newest(book.read(**mine)).itertuples():
            st.markdown(_in_words(note))
    except NotesError as error:
        st.error(plain(str(error)), icon=":material/error:")


def show_notes(question: Question, found: Judged) -> None:
    """All notes, or those on this system alone, and their export."""
    book = notebook()
    with st.container(horizontal=True, vertical_alignment="center"):
        only = st.toggle(
            "Only this system and data set",
            value=True,
            key="errors notes here",
            persist_state="session",
        )
        where = {"recipe": question.recipe_id, "dataset": question.dataset} if only else {}
        notes = book.read(**where)
        if not notes.empty:
            offer = Offer("All versions (CSV)", lambda: safe_csv(notes), "lesionlens-notes.csv")
            show_downloads("errors notes", [offer], told_apart(notes))
    if notes.empty:
        elsewhere = " on this system and data set" if only else ""
        st.info(
            f"There are no notes{elsewhere} yet. Under Mistakes, open an image: the form is beside "
            "it.",
            icon=":material/edit_note:",
        )
    else:
        shown = newest(notes)
        st.dataframe(
            shown.drop(columns=["id"]),
            hide_index=True,
            column_order=[
                "image_id",
                "label",
                "predicted",
                "verdict",
                "tags",
                "comment",
                "reader",
                "written",
                *([] if only else ["recipe", "dataset"]),
            ],
            column_config=_COLUMNS,
            alt=f"Table of {len(shown)} notes: image, label, answer, verdict, comment, reader",
        )
    quiet(WHERE)


_COLUMNS = {
    "image_id": st.column_config.TextColumn("Image", pinned=True),
    "label": st.column_config.TextColumn("Label"),
    "predicted": st.column_config.TextColumn("Answer"),
    "verdict": st.column_config.TextColumn("On the label"),
    "tags": st.column_config.TextColumn("Tags"),
    "comment": st.column_config.TextColumn("Comment", width="large"),
    "reader": st.column_config.TextColumn("Reader"),
    "written": st.column_config.DatetimeColumn("Written (UTC)", format="YYYY-MM-DD HH:mm"),
    "recipe": st.column_config.TextColumn("System"),
    "dataset": st.column_config.TextColumn("Data set"),
}


def _save(question: Question, one: pd.Series, key: str) -> None:
    """Before the page runs, which may draw this form no more: where a click on Next or on Close
    follows at once, it goes with the same run."""
    state, names = st.session_state, ("verdict", "tags", "comment", "reader")
    verdict, tags, comment, reader = (state.get(f"errors {name} {key}") or "" for name in names)
    note = Note(
        dataset=question.dataset,
        recipe=question.recipe_id,
        image_id=one["image_id"],
        label=one["label"],
        predicted=one["predicted"],
        reader=reader,
        verdict=verdict,
        tags=parse_tags(tags),
        comment=comment,
    )
    state[TOLD] = key, one["image_id"], None
    try:
        notebook().add(note)
    except NotesError as error:
        state[TOLD] = key, one["image_id"], str(error)
    else:
        state[READER] = reader.strip()


def tell_saved(key: str = "") -> None:
    """What became of the last note: beside the form of this ``key``; elsewhere, as when the image
    was closed at once, only that it was not kept."""
    told, image_id, problem = st.session_state.get(TOLD, ("", "", None))
    if problem and told == key:
        st.warning(plain(problem))  # and again where the image is left: nobody may have read it
        return
    st.session_state.pop(TOLD, None)
    if problem:
        st.warning(plain(f"The note on {image_id} was not kept. {problem}"))
    elif told and told == key:
        st.success("Saved.")


def _in_words(note) -> str:
    said = {"agree": "agrees with the label", "disagree": "disagrees with the label", "": "notes"}
    tags = f" ({plain(note.tags)})" if note.tags else ""
    comment = f": {plain(' '.join(note.comment.split()))}" if note.comment else ""
    return f"**{plain(note.reader)}** {said[note.verdict]}{tags}{comment}"
