"""What the user should know of the system that gives the opinion: training, figures, limits."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.card import SPLIT_TITLES
from core.checkpoints import Checkpoint
from core.datasets import READERS
from core.predict import Opinion
from core.recipe import Recipe
from core.results.tables import metric_title
from core.wording import percent, with_interval
from pages._frame import plain, quiet

WHY_GROUPED = (
    "The paper's kind of split is random: pictures of one patient, slide or source, or "
    "near-duplicates, can fall on both sides, so the system is tested on pictures much like those "
    "it learned from. Such figures flatter. The grouped split keeps every group on one side; the "
    "system shown here was trained on it."
)


def show_system(checkpoint: Checkpoint) -> None:
    """Figures, training data, limits and source of a system."""
    recipe, metrics = checkpoint.recipe, checkpoint.metrics
    st.header("About this system", anchor=False)
    left, right = st.columns([1.3, 1], gap="large")
    with left:
        _show_figures(recipe, metrics)
    with right:
        st.markdown(f"**Trained on** {plain(recipe.trained_on)}")
        st.markdown("**Limits**\n" + _bullets(recipe.limits))
    with st.expander("Its figures beside the paper's"):
        st.markdown(WHY_GROUPED)
        st.table(comparison(recipe, metrics), border="horizontal")
    with st.expander("The paper, and where this system departs from it"):
        st.markdown(_reference(recipe))
        st.markdown(_bullets(recipe.departures))


def headline(recipe: Recipe) -> list[str]:
    """The metrics shown first: overall, and how many malignant scans are found."""
    return ["accuracy", "macro_auc", *(f"sensitivity_{name}" for name in recipe.malignant_classes)]


def reliability(opinion: Opinion, metrics: dict) -> str:
    """How often this label was right on unseen scans; empty if that was not measured."""
    measured = _measured(metrics, "grouped", f"precision_{opinion.label}")
    if not measured:
        return ""
    return (
        f"On {metrics['grouped']['n']} unseen scans (grouped split), '{opinion.label}' was "
        f"right {percent(measured['value'])} of the time ({_certainty(measured)}). Where the class "
        "is rarer than among these, it is right less often."
    )


def comparison(recipe: Recipe, metrics: dict) -> pd.DataFrame:
    """What the paper printed beside what was measured here under both protocols, as text."""
    rows = list(dict.fromkeys([*headline(recipe), *recipe.published]))
    table = {"Paper": [_number(recipe.published.get(name)) for name in rows]}
    for protocol in reversed(SPLIT_TITLES):
        if protocol in metrics:
            heading = (
                f"Ours, {SPLIT_TITLES[protocol].lower()} (n\u00a0=\u00a0{metrics[protocol]['n']})"
            )
            table[heading] = [_interval(_measured(metrics, protocol, name)) for name in rows]
    return pd.DataFrame(table, index=[metric_title(name, recipe.classes) for name in rows])


def _show_figures(recipe: Recipe, metrics: dict) -> None:
    shown = [name for name in headline(recipe) if _measured(metrics, "grouped", name)]
    if not shown:
        st.markdown("This system has not been measured on unseen scans.")
        return
    with st.container(horizontal=True, gap="medium"):
        for name in shown:
            _show_figure(metric_title(name, recipe.classes), _measured(metrics, "grouped", name))
    grouped = metrics["grouped"]
    quiet(
        f"Measured on {grouped['n']} scans it had never seen, in {grouped['n_groups']} groups "
        f"({READERS[recipe.data.dataset].groups}), none of which it was trained on (grouped split)."
        + _other_splits(grouped)
    )


def _show_figure(title: str, one: dict) -> None:
    st.metric(
        title,
        percent(one["value"]),
        _certainty(one),
        delta_color="off",
        delta_arrow="off",
        width="content",
    )


def _other_splits(grouped: dict) -> str:
    """How accurate the system was on several splits, or that this is not known."""
    spread = grouped.get("over_seeds")
    if not spread:
        return " This is one training on one split; how far others would differ is not known."
    return (
        f" With {len(spread['seeds'])} different splits, and a training for each, its accuracy was "
        f"{_accuracies(spread)}; the split shown here is one of them."
    )


def _accuracies(spread: dict) -> str:
    """The accuracy over several runs, or of each where they are too few for that."""
    accuracy = spread["values"]["accuracy"]
    if "sd" in accuracy:
        return f"{percent(accuracy['mean'])} on average (SD {percent(accuracy['sd'])})"
    return " and ".join(percent(accuracy[f"seed {n}"]) for n in spread["seeds"])


def _measured(metrics: dict, protocol: str, name: str) -> dict | None:
    """Value and interval of a metric, or None where it was not measured or is undefined."""
    found = metrics.get(protocol, {}).get("values", {}).get(name)
    return found if found and found["value"] is not None else None


def _reference(recipe: Recipe) -> str:
    source = recipe.source
    parts = [plain(source.authors), f"*{plain(source.title)}*", plain(source.venue)]
    link = f"[DOI {source.doi}]({source.link})" if source.doi else source.link
    return ", ".join(part for part in [*parts, str(source.year or ""), link] if part) + "."


def _bullets(sentences: tuple[str, ...]) -> str:
    return "\n".join(f"- {plain(sentence)}" for sentence in sentences)


def _certainty(measured: dict) -> str:
    """The interval; one without width, of groups that are few and alike, tells nothing."""
    low, high = 100 * measured["low"], 100 * measured["high"]
    return f"95 % CI {low:.0f}–{high:.0f} %" if high > low else "no usable CI"


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.2f}" if round(value, 2) == value else f"{value:g}"


def _interval(measured: dict | None) -> str:
    return with_interval(measured, 2, "–") if measured else "–"
