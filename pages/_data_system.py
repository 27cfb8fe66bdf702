"""How a trained system does on images of the user's own, which it has never seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st

from core.checkpoints import list_trained
from core.datasets import read_pixels, usable_mask
from core.external import External, classes_named, grouped, limits, told_unlike
from core.figures.errors import FIGURE_CONFIG, confusion_figure, describe_confusion
from core.png import png
from core.recipe import Recipe
from core.recipes import load_recipe
from core.wording import PERCENT_COLUMN, counted, for_column, percent, with_interval
from pages import _current as current
from pages import _shared as shared
from pages._data_overview import download
from pages._data_pictures import row_of, show_open_picture, show_picture
from pages._data_source import Source, answered, known_answers
from pages._frame import plain, quiet, themed
from pages._paging import page_of
from pages._scans import Item, item_of

NOT_HERE = (
    "How systems do on this data set stands on the pages Systems and Errors, for images that they "
    "were not trained on. Here one is tested on images of your own: give a folder or a .zip file "
    "on the left."
)
NO_SYSTEM = (
    "No folder of classes is named after a class of a trained system. Name the folders as a system "
    "names its classes, such as benign and malignant."
)
UNFITTED = "Nothing was fitted to these images."
PER_PAGE = 10
METRIC_WIDTH, MATRIX_WIDTH, TABLE_WIDTH = 200, 380, 490
SHOWN = {
    "accuracy": "Accuracy",
    "macro_auc": "Macro ROC-AUC",
    "sensitivity_malignant": "Malignant sensitivity",
    "specificity_malignant": "Malignant specificity",
}


def show_system(source: Source) -> None:
    """The choice of a system and, once it was asked, what came of it."""
    if source.dataset_id and not source.synthetic:
        st.info(NOT_HERE, icon=":material/info:")
        return
    labels = source.table["label"].unique()
    systems = [one for one in list_trained() if classes_named(labels, load_recipe(one))]
    if not systems:
        st.info(NO_SYSTEM, icon=":material/info:")
        return
    with st.container(horizontal=True, vertical_alignment="bottom"):
        recipe_id = st.selectbox(
            "System",
            systems,
            format_func=lambda one: load_recipe(one).title,
            key="data system",
            persist_state="session",
            width=420,
        )
        found = known_answers(source, recipe_id)
        count = counted(len(source.table), "image")
        ask = found is None and st.button(f"Ask about {count}", key="data ask")
    if ask:
        answered(source, recipe_id)
        st.rerun()
    if found:
        show_figures(source, found, recipe_id)
        show_answers(found, load_recipe(recipe_id))
        show_mistakes(source, found.mistakes, load_recipe(recipe_id))
        _show_left_out(found.left_out)
        show_open_picture(source)
    else:
        modality = plain(load_recipe(recipe_id).modality)
        quiet(f"For **{modality}**. {UNFITTED} {plain(grouped(source.table))}")


def show_figures(source: Source, found: External, recipe_id: str) -> None:
    """The main figures, each above what the system reaches on its own unseen images."""
    checkpoint = shared.checkpoint(recipe_id)
    own = checkpoint.shipped_figures
    names = [name for name in SHOWN if name in found.figures["values"]]
    with st.container(horizontal=True):
        for name in names:
            here, there = (one["values"].get(name) for one in (found.figures, own))
            value, _, interval = with_interval(here, 2, "–").partition(" ")
            st.metric(
                SHOWN[name],
                value,
                interval.strip("()") or None,
                delta_color="off",
                delta_arrow="off",
                help=f"On its own {own['n']} unseen images {with_interval(there)}.",
                width=METRIC_WIDTH,
            )
    n, groups = found.figures["n"], found.figures["n_groups"]
    quiet(
        f"{counted(n, 'image')}, {counted(groups, 'group')}. {UNFITTED} "
        f"{plain(grouped(source.table))} {plain(told_unlike(found))}"
    )
    for sentence in limits(found, checkpoint.recipe):
        st.warning(plain(sentence), icon=":material/warning:")


def show_answers(found: External, recipe: Recipe) -> None:
    """The confusion matrix, and the answer to each image, the mistakes first."""
    counts = np.array(found.figures["confusion"])
    table = found.answers.sort_values("wrong", ascending=False, kind="stable")
    row = st.container(horizontal=True)  # in half a window one comes below the other
    with row.container(width=MATRIX_WIDTH):
        st.subheader("Confusion", anchor=False)
        st.plotly_chart(
            themed(confusion_figure(counts, recipe.classes)),
            config=FIGURE_CONFIG,
            key="data confusion",
            alt=describe_confusion(counts, recipe.classes),
        )
    with row.container(width=TABLE_WIDTH):
        st.subheader("Answers, mistakes first", anchor=False)
        st.dataframe(
            table.assign(**{name: for_column(table[name]) for name in recipe.classes}),
            hide_index=True,
            column_config=_columns(recipe),
            alt=f"The answer to each of {counted(len(table), 'image')}",
        )
        download("Answers (CSV)", table, f"answers-{recipe.id}")


def show_mistakes(source: Source, mistakes: pd.DataFrame, recipe: Recipe) -> None:
    """The images that were answered wrongly, each with a way to see where the system looked."""
    if mistakes.empty:
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader("Mistakes", anchor=False, width="content")
        quiet("Explain takes an image to the page Compare.")
    grid = st.grid(5, min_column_width=150, gap="small")
    for row in page_of(source.key, mistakes, PER_PAGE).to_dict("records"):
        name, called = row["image_id"], row["predicted"]
        with grid.cell(), st.container(border=True, gap="xsmall"):
            told = f"{row['label']}, called {called} ({percent(row[called])})"
            show_picture(source, name, told)
            key, icon = f"data explain {name}", ":material/compare:"
            if st.button("Explain", key=key, icon=icon, type="tertiary"):
                current.remember(_item(row_of(source, name), source.synthetic))
                # As the page's link does, which names systems by their titles.
                st.switch_page("pages/compare.py", query_params={"compare systems": recipe.title})


def _item(row, synthetic: bool) -> Item:
    """An image of a table, with its outline if that is known, as if it were uploaded."""
    mask, _ = usable_mask(row)
    masks = ()
    if mask is not None and mask.any():
        white = np.repeat(255 * mask[..., None].astype(np.uint8), 3, axis=-1)
        masks = (item_of(f"{row.image_id} (mask)", png(white)),)
    return item_of(row.image_id, png(read_pixels(row)), synthetic=synthetic, masks=masks)


def _columns(recipe: Recipe) -> dict:
    share = st.column_config.NumberColumn(format=PERCENT_COLUMN)
    return {
        "image_id": st.column_config.TextColumn("Image", pinned=True),
        "label": st.column_config.TextColumn("Label"),
        "predicted": st.column_config.TextColumn("Answer"),
        **dict.fromkeys(recipe.classes, share),
        "guard": st.column_config.TextColumn("Guard"),
        "similarity": st.column_config.NumberColumn("Nearest training image", format="%.3f"),
        "outlined": st.column_config.CheckboxColumn("Outlined")
        if recipe.preprocessing.outlined
        else None,
        "group": None,
        "wrong": None,
    }


def _show_left_out(sentences: tuple[str, ...]) -> None:
    if sentences:
        with st.expander("Left out", icon=":material/filter_alt_off:"):
            for sentence in sentences[:50]:
                quiet(plain(sentence))
