"""What is explained, as chosen by the user: scan, systems, methods, class, layers, parameters.

``page`` begins the keys of what more than one page asks.
"""

from __future__ import annotations

import streamlit as st

from core.datasets import READERS
from core.explain import METHODS, Parameter
from core.recipe import Recipe
from core.recipes import load_recipe
from core.samples import SAMPLES
from pages import _current as current
from pages import _shared as shared
from pages._drawing import draw, drawing_of, is_drawn_on
from pages._frame import plain, quiet
from pages._looked_at import chosen_frame
from pages._maps import INSTANT, Aim, see
from pages._masks import choose_outline
from pages._outlines import outline_of, sample_outline
from pages._samples import is_sample, sample
from pages._scans import Item, scan_of
from pages._test_images import as_item, held_out, offering
from pages._uploads import uploaded
from pages._views import Outline, View

FIRST_SAMPLE = "Malignant phantom 1"
MASK = "Mask of its lesion, if you have one"
HELD_OUT = (
    "An image of a data set on this computer, with its outline if that is known, which a system "
    "was tested on and not trained on."
)
WHY_DRAW = "Mark by hand where the lesion is; the maps are measured against that."
DEFAULT_SYSTEMS = 3
FIRST_METHODS = 3
"""One line of maps a system; the other instant ones are often the same map by their definitions."""


def choose_scan(page: str, systems: tuple[str, ...]) -> tuple[Item, Outline | None]:
    """The scan, and the outline of its lesion if that is known.

    Raises CheckpointError or DatasetError if the test images of a data set cannot be listed.
    """
    upload = st.file_uploader(
        "Scan",
        key=f"{page} upload",
        help="DICOM, NIfTI, PNG, JPEG, BMP, TIFF or WebP. It stays in the server's memory.",
    )
    if upload:
        item = uploaded(upload)
        return item, _choose_outline(page, item)
    testers = offering(systems)
    if testers and st.toggle("Choose a test image", key=f"{page} tests", help=HELD_OUT):
        tester = _choose_data(page, testers)
        rows = held_out(tester)
        name = st.selectbox("Test image", list(rows), key=f"{page} test {tester}")
        return as_item(rows[name], load_recipe(tester).data.dataset)
    before, last = current.recalled(), current.last_upload()
    if last and _wants(page, last, last is before):
        item = _choose_among(page, last)
        return item, _choose_outline(page, item)
    name = _choose_sample(page, before)
    item = sample(name)
    if before is None or is_sample(before):
        current.remember(item)  # an upload stays at hand
    return item, sample_outline(name)


def _choose_outline(page: str, item: Item) -> Outline | None:
    """A mask is asked for before the frame is; it is one scan's, and not the next one's."""
    return choose_outline(item, chosen_frame(item), f"{page} mask {item.digest}", MASK)


def _choose_data(page: str, testers: list[str]) -> str:
    """Of these systems the one whose test images are offered."""
    chosen = st.selectbox(
        "Data set",
        testers,
        format_func=lambda one: READERS[load_recipe(one).data.dataset].title,
        key=f"{page} test data",
    )
    quiet(f"*{plain(load_recipe(chosen).title)}* was tested on these images.")
    return chosen


def _wants(page: str, before: Item, first: bool) -> bool:
    """Whether the scan that was looked at before is to be explained; ``first``: to start with."""
    key = f"{page} before {before.digest}"
    return st.toggle("The scan from before", value=first, key=key)


def _choose_among(page: str, before: Item) -> Item:
    """The scan that was looked at before, or another of those that came with it."""
    items, place = current.held(), current.place_of(before)
    if len(items) < 2 or place is None:
        st.text(before.name)
        return before
    row = st.selectbox(
        "Scan to explain",
        range(len(items)),
        index=place,
        format_func=lambda row: f"Scan {row + 1}: {items[row].name}",
        key=f"{page} among",
        label_visibility="collapsed",
    )
    current.remember(items[row])
    return items[row]


def _choose_sample(page: str, before: Item | None) -> str:
    """The name of a synthetic sample; to start with, the one that was looked at last."""
    first = before.name if before and is_sample(before) else FIRST_SAMPLE
    return st.selectbox(
        "Or a synthetic sample",
        list(SAMPLES),
        index=list(SAMPLES).index(first),
        key=f"{page} sample",
        help="Drawn by a computer, of no patient; the outline of its lesion is known.",
    )


def wants_to_draw(item: Item) -> bool:
    """Whether the lesion is to be drawn; to start with, if something is drawn on the scan."""
    drawn = is_drawn_on(item)
    key = f"compare draw {drawn} {item.digest}"
    if key not in st.session_state:
        st.session_state[key] = drawn
    return st.toggle("Draw the lesion", key=key, help=WHY_DRAW, persist_state="session")


def draw_outline(item: Item, frame: int) -> Outline | None:
    """The scan to draw on, and the outline that is drawn."""
    scan = scan_of(item.digest, item.read)
    return outline_of(draw(scan, frame, drawing_of(item, frame)))


def choose_systems(systems: tuple[str, ...]) -> list[str]:
    """Ids of the systems, one row of maps each."""
    chosen = st.pills(
        "Systems",
        systems,
        selection_mode="multi",
        default=systems[:DEFAULT_SYSTEMS],
        format_func=lambda one: load_recipe(one).title,
        key="compare systems",
        bind="query-params",
    )
    if len(chosen) > shared.MAX_SYSTEMS:
        quiet(f"The first {shared.MAX_SYSTEMS} of them are shown.")
    return [one for one in systems if one in chosen][: shared.MAX_SYSTEMS]


def choose_methods() -> list[str]:
    """Ids of the methods in the order of the registry; slow ones are marked and not chosen yet."""
    instant = [name for name, method in METHODS.items() if method.cost == INSTANT]
    chosen = st.pills(
        "Methods",
        list(METHODS),
        selection_mode="multi",
        default=instant[:FIRST_METHODS],
        format_func=_method_label,
        key="compare methods",
        bind="query-params",
        help="Those with an hourglass take seconds to minutes a map; the others come at once.",
    )
    return [name for name in METHODS if name in chosen]


def choose_aim(
    item: Item, frame: int, recipe_ids: list[str], outline: Outline | None
) -> Aim | None:
    """The class to explain among those all systems know; the likeliest of the first to start."""
    classes = common_classes(recipe_ids)
    if not classes:
        st.info(
            "These systems share no class that could be explained side by side. Choose others.",
            icon=":material/info:",
        )
        return None
    name = choose_class("compare", View(item, frame, recipe_ids[0], outline=outline), classes)
    others = [one for one in classes if one != name]
    rather_than = st.selectbox(
        "Rather than",
        others,
        index=None,
        format_func=lambda one: f"vs {one}",
        placeholder="rather than …",
        key=f"compare instead {name} {' '.join(classes)}",
        label_visibility="collapsed",
        width=160,
        persist_state="session",
    )
    return Aim(name, rather_than)


def choose_class(page: str, view: View, classes: list[str]) -> str:
    """One of the classes, to start with the likeliest of the view."""
    return st.segmented_control(
        "Class to explain",
        classes,
        default=likeliest(view, classes),
        required=True,
        key=f"{page} explained {view.item.digest} {view.frame} {' '.join(classes)}",
        persist_state="session",
        label_visibility="collapsed",
    )


def common_classes(recipe_ids: list[str]) -> list[str]:
    """Classes that all systems know, in the order of the first."""
    first, *others = (load_recipe(one).classes for one in recipe_ids)
    return [name for name in first if all(name in classes for classes in others)]


def left_out(recipe_ids: list[str]) -> str:
    """Which classes some of the systems know and some do not, as a sentence; empty if there are
    none."""
    recipes = [load_recipe(one) for one in recipe_ids]
    common = common_classes(recipe_ids)
    told = [
        f"*{plain(name)}* (unknown to {', '.join(_without(recipes, name))})"
        for name in dict.fromkeys(name for recipe in recipes for name in recipe.classes)
        if name not in common
    ]
    return f"Left out: {'; '.join(told)}." if told else ""


def _without(recipes: list[Recipe], name: str) -> list[str]:
    """Titles of the systems that do not know a class."""
    return [plain(recipe.title) for recipe in recipes if name not in recipe.classes]


def likeliest(view: View, classes: list[str]) -> str:
    """That of the classes to which the system gives the highest probability."""
    shares = dict(zip(load_recipe(view.recipe_id).classes, see(view).probabilities, strict=True))
    return max(classes, key=shares.__getitem__)


def choose_layer(page: str, recipe_id: str) -> str | None:
    """The explained layer of a system; None for its last."""
    last, *others = reversed(shared.classifier(recipe_id).layers)
    layer = st.selectbox(
        f"Layer of {load_recipe(recipe_id).title}",
        [last, *others],
        format_func=lambda one: f"{one} (last)" if one == last else one,
        key=f"{page} layer {recipe_id}",
        persist_state="session",
    )
    return None if layer == last else layer


def choose_parameters(page: str, method_id: str) -> tuple[tuple[str, float], ...]:
    """Names and values of a method's parameters."""
    method = METHODS[method_id]
    if method.parameters:
        st.markdown(f"**{plain(method.name)}**")
    return tuple((one.name, _choose_number(page, method_id, one)) for one in method.parameters)


def _choose_number(page: str, method_id: str, one: Parameter) -> float:
    numbers = (one.low, one.high, one.default, one.step)
    whole = all(float(number).is_integer() for number in numbers)
    low, high, default, step = map(int if whole else float, numbers)
    key = f"{page} {method_id} {one.name}"
    return st.slider(
        one.label, low, high, default, step, help=one.help, key=key, persist_state="session"
    )


def _method_label(method_id: str) -> str:
    method = METHODS[method_id]
    return method.name if method.cost == INSTANT else f"{method.name} :material/hourglass:"
