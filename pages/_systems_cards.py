"""The model card of each trained system."""

from __future__ import annotations

import streamlit as st

from pages import _systems_data as data
from pages._downloads import Offer, show_downloads


def show_cards(chosen: list[str]) -> None:
    """The model card of any trained system; at first that of the first one chosen."""
    trained = data.trained()
    recipe_id = st.selectbox(
        "Model card of",
        trained,
        index=trained.index(chosen[0]),
        format_func=data.title,
        key="systems card",
        persist_state="session",
    )
    card = data.checkpoint(recipe_id).card
    offer = Offer("Card (Markdown)", lambda: card.encode("utf-8"), f"{recipe_id}.md")
    show_downloads("systems card", [offer], recipe_id)
    with st.container(border=True):
        st.markdown(card.replace("$", r"\$"), anchors=False)
