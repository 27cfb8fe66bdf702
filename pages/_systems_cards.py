"""The model card of each trained system."""

from __future__ import annotations

import streamlit as st

from core.checkpoints import list_trained
from core.recipe import load_recipe
from pages import _work as work


def show_cards(chosen: list[str]) -> None:
    """The model card of any trained system; at first that of the first one chosen."""
    trained = list_trained()
    recipe_id = st.selectbox(
        "Model card of",
        trained,
        index=trained.index(chosen[0]),
        format_func=lambda one: load_recipe(one).title,
        key="systems card",
    )
    card = work.checkpoint(recipe_id).card
    st.download_button(
        "Card (Markdown)",
        card.encode("utf-8"),
        file_name=f"{recipe_id}.md",
        mime="text/markdown",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.container(border=True):
        st.markdown(card.replace("$", r"\$"), anchors=False)
