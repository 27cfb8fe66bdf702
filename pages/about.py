"""About: what the tool is for, how to read it, what happens to uploads."""

from __future__ import annotations

import streamlit as st

from core.checkpoints import list_trained
from core.recipes import load_recipe
from pages._frame import plain, require_frame

require_frame()
st.header("About LesionLens", anchor=False)
left, right = st.columns(2, gap="large")
with left:
    st.subheader("What it is for", anchor=False)
    st.markdown(
        "Trying, teaching and checking published classifiers of breast images: what they answer, "
        "what they look at, and how often they are right on scans they have never seen.\n\n"
        "It is **not** for patients in care. No system here has been tested for that, and a "
        "confident answer can be wrong."
    )
    st.subheader("What happens to uploads", anchor=False)
    st.markdown(
        "They are examined in the memory of the computer that runs this server, by systems that "
        "run there too. Nothing is written to disk, logged or sent elsewhere; what was made of a "
        "scan is forgotten when you close the page, everything else after an hour, as soon as the "
        "server is used again. Notes written on the Errors page are kept, on that computer, until "
        "somebody deletes them."
    )
with right:
    st.subheader("How to read an opinion", anchor=False)
    st.markdown(
        "- **Percentages** are the system's own estimates. They add up to 100 % over the classes "
        "it knows, also for a picture that is none of them.\n"
        "- **The heatmap** (Grad-CAM) shows which regions raised the score of one class, relative "
        "to the rest of the same scan. It is coarse, it is no outline of a lesion, and a "
        "plausible map does not make the answer right. *Learn* shows how it comes about.\n"
        "- **The prediction set** is made to hold the true class in nine of ten scans of the "
        "system's own kind, on average over all classes: of one class it may be less. Two classes "
        "in it mean: it does not know.\n"
        "- **Like its training images?** compares the scan with those. What a system says of "
        "another kind of picture means nothing, however sure it sounds.\n"
        "- **Figures** come with the number of scans behind them and a 95 % confidence interval, "
        "and with how the test scans were kept apart from the training."
    )
    st.subheader("Systems", anchor=False)
    st.markdown(
        "\n".join(
            f"- **{plain(recipe.title)}** ({plain(recipe.modality)}): {plain(recipe.summary)}"
            for recipe in map(load_recipe, list_trained())
        )
    )
