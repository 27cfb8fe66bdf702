"""Why what a system makes of a view is not to be relied on, told above maps that look convincing
all the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import streamlit as st

from core.doubt import doubt
from core.recipes import load_recipe
from pages import _shared as shared
from pages._frame import plain, quiet
from pages._keeping import keep
from pages._maps import see
from pages._scans import Item, modality_of, scan_of
from pages._test_images import was_seen
from pages._views import View, needs_outline

SEEN = (
    "trained or calibrated with this very image, or a copy of it; its answer here tells nothing of "
    "new scans."
)


def show_gap(item: Item) -> None:
    """Which slices of a series are missing, if any are."""
    if gap := scan_of(item.digest, item.read).gap:
        st.warning(plain(gap), icon=":material/layers_clear:")


def show_doubts(views: Sequence[View]) -> None:
    """What speaks against each system's answer to a scan; what is the same of several, once."""
    for item in dict.fromkeys(view.item for view in views):
        show_gap(item)
    if seen := [view.recipe_id for view in views if was_seen(view.recipe_id, view.item)]:
        titles = ", ".join(plain(load_recipe(one).title) for one in seen)
        st.warning(f"**{titles}:** {SEEN}", icon=":material/history_edu:")
    of_systems: dict[str, list[str]] = {}
    for view in views:
        if told := _doubt(view):
            of_systems.setdefault(told, []).append(plain(load_recipe(view.recipe_id).title))
    for told, titles in of_systems.items():
        st.warning(f"**{', '.join(titles)}:** {plain(told)}", icon=":material/do_not_disturb_on:")


def show_remarks(views: Sequence[View]) -> None:
    """What systems that were trained on outlined lesions are shown."""
    for view in views:
        if needs_outline(view.recipe_id):
            quiet(f"*{plain(load_recipe(view.recipe_id).title)}* {_outlined(view)}")


@keep(max_entries=64)
def _doubt(key: tuple, *, _view: View) -> str | None:
    """What ``core.doubt`` says, but for a missing outline, of which the remarks tell.

    Raises ScanError or CheckpointError.
    """
    scan, frame = _view.examined()
    last = see(replace(_view, layer=None)).features[0]
    likeness = shared.guard(_view.recipe_id).judge(last, scan.pixels[frame])
    recipe = load_recipe(_view.recipe_id)
    return doubt(recipe, modality_of(_view.item), likeness, outlined=True)


def _outlined(view: View) -> str:
    if view.within:
        return "is shown the scan with everything outside the known outline black, as in training."
    return "was trained on outlined lesions and sees the whole image here: its figures do not hold."
