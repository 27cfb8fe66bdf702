"""How good a system's explanations are: method by metric, measured on its test images."""

from __future__ import annotations

import pandas as pd
import streamlit as st
from pandas.io.formats.style import Styler

from core.checkpoints import CHECKPOINTS, COMPARISONS, EXPLANATIONS, Checkpoint
from core.evaluation.explanations import OUTLINED, summary
from core.explain import METHODS
from core.spreadsheet import safe_csv
from core.wording import usable
from pages import _systems_data as data
from pages._comparison import SHOWN, WHAT_IT_MEASURES
from pages._downloads import Offer, show_downloads
from pages._frame import quiet
from pages._systems_table import choose_columns

FIRST_METRICS = ["iou", "energy_inside", "pointing", "deletion", "insertion", "seconds"]
READING = (
    "Means over test images with a lesion's outline (grouped split), 95 % intervals bootstrapped "
    "over groups, and the number of images, fewer where it takes long. Deletion: lower is better. "
    "A map that lies on the lesion may still not be what the system used."
)


NO_WEIGHTS = (
    "The weights of this system were not kept, so that nothing can be explained. Train it without "
    "`--figures-only` to measure its explanations."
)
NO_OUTLINES = (
    "The data of this system come without outlines of lesions, so that there is nothing to measure "
    "its explanations against."
)


def show_explanations(chosen: list[str]) -> None:
    """One system at a time, since a table of all would be too wide to read."""
    recipe_id = st.selectbox(
        "Explanations of",
        chosen,
        index=first_measured(chosen),
        format_func=data.title,
        key="systems explained",
        persist_state="session",
    )
    checkpoint = data.checkpoint(recipe_id)
    if missing := why_unmeasured(recipe_id, checkpoint):
        st.info(missing, icon=":material/info:")
        return
    figures = _summary(checkpoint.manifest["files"][EXPLANATIONS], checkpoint)
    titles = {name: metric_name(name) for name in dict.fromkeys(figures["metric"])}
    first = [name for name in FIRST_METRICS if name in titles]
    metrics = choose_columns("Metrics", titles, first, key="systems explanation metrics")
    table = by_method(figures, metrics)
    st.dataframe(
        table,
        hide_index=True,
        height="content",
        placeholder="–",
        column_config={
            metric_name(name): st.column_config.NumberColumn(help=WHAT_IT_MEASURES.get(name))
            for name in metrics
        },
        alt=f"Table of {len(table.index)} explanation methods by {len(metrics)} metrics",
    )
    quiet(READING)
    name = f"lesionlens-explanations-{recipe_id}.csv"
    offer = Offer("Explanations (CSV)", lambda: safe_csv(figures), name)
    show_downloads("systems explanations", [offer], recipe_id)


def why_unmeasured(recipe_id: str, checkpoint: Checkpoint) -> str | None:
    """A sentence on a system whose explanations have no figures; None if they have."""
    if not checkpoint.has_weights:
        return NO_WEIGHTS
    if EXPLANATIONS in checkpoint.manifest["files"]:
        return None
    if checkpoint.recipe.data.dataset not in OUTLINED:
        return NO_OUTLINES
    command = f"python -m core.evaluation.explanations --recipe {recipe_id} --data DIR"
    if checkpoint.folder.parent == COMPARISONS:
        command += f" --output {COMPARISONS.relative_to(CHECKPOINTS.parent)}"
    return f"The explanations of this system have not been measured. To measure them: `{command}`"


def first_measured(chosen: list[str]) -> int:
    """Position of the first system whose explanations were measured, or 0."""
    measured = (EXPLANATIONS in data.checkpoint(one).manifest["files"] for one in chosen)
    return next((at for at, known in enumerate(measured) if known), 0)


def by_method(figures: pd.DataFrame, metrics: list[str]) -> Styler:
    """One row a method, one column a metric: sorted by its mean, shown with interval and images."""
    cells = [
        f"{one.mean:.2f} ({usable(one.low, one.high, f'{one.low:.2f}–{one.high:.2f}')}), {one.n}"
        for one in figures.itertuples()
    ]
    wide = figures.assign(cell=cells).pivot(
        index="method", columns="metric", values=["mean", "cell"]
    )
    wide = wide.reindex(list(dict.fromkeys(figures["method"])))
    table = pd.DataFrame(
        {"Method": [METHODS[name].name if name in METHODS else name for name in wide.index]}
        | {metric_name(name): wide["mean", name].to_numpy(float) for name in metrics}
    )
    shown = table.style
    for name in metrics:
        for row, text in enumerate(wide["cell", name]):
            shown.format(lambda _, text=text: text, subset=(row, metric_name(name)), na_rep="–")
    return shown


def metric_name(name: str) -> str:
    """A metric's name for people."""
    return SHOWN.get(name) or name.replace("_", " ").capitalize()


@st.cache_data(max_entries=16, show_spinner="Averaging …")
def _summary(digest: str, _checkpoint: Checkpoint) -> pd.DataFrame:
    return summary(_checkpoint)
