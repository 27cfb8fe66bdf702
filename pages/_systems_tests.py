"""Is one system better than another? Tests on the images that both were tested on."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from core.evaluation import EvaluationError
from core.evaluation.comparison import Pair, delong, mcnemar
from core.systems import Run
from core.wording import in_percent, p_value, unbroken, usable
from pages import _systems_data as data
from pages._frame import plain, quiet

NOT_INDEPENDENT = (
    "Both p values take the images as independent. Images of one group are not, which makes p too "
    "small; the intervals draw whole groups. With several comparisons, some p below 0.05 is "
    "chance."
)


def show_tests(runs: list[Run]) -> None:
    """McNemar and DeLong between two of the chosen systems."""
    if len(runs) < 2:
        st.info("Choose two systems above to test one against the other.", icon=":material/info:")
        return
    by_id = {one.recipe.id: one for one in runs}
    left, right = st.columns(2)
    first = by_id[_choose(left, "First", by_id)]
    others = {key: one for key, one in by_id.items() if one is not first}
    second = by_id[_choose(right, "Second", others)]
    try:
        _show(first, second)
    except EvaluationError as error:
        st.info(plain(str(error)), icon=":material/info:")


def auc_table(first: Run, second: Run, both: Pair) -> pd.DataFrame:
    """One row a class: both AUCs, their difference with its interval, and DeLong's p, as text."""
    return pd.DataFrame([_auc_row(first, second, both, label) for label in both.labels])


def _choose(place, name: str, by_id: dict[str, Run]) -> str:
    return place.selectbox(
        name,
        list(by_id),
        format_func=lambda one: by_id[one].recipe.title,
        key=f"systems {name}",
        persist_state="session",
    )


def _show(first: Run, second: Run) -> None:
    _check(first, second)
    both = data.pair(first, second)
    names = [plain(one.recipe.title) for one in (first, second)]
    st.markdown(
        f"Both were tested on the same **{both.n} images in {both.n_groups} groups** "
        f"({first.about.partition(',')[0]}; of {first.n} and {second.n} test images)."
    )
    for one, name in zip((first, second), names, strict=True):
        if one.recipe.preprocessing.outlined:
            quiet(f"*{name}* is shown the outlined lesion alone: it is told where to look.")
    left, right = st.columns(2, gap="large")
    with left:
        _show_mcnemar(first, second, both, names)
    with right:
        st.markdown("**ROC-AUC a class** (DeLong)")
        if both.labels:
            st.table(auc_table(first, second, both).set_index("Class"), border="horizontal")
        else:
            st.markdown(
                "The shared images hold one class alone, so that there is no ROC-AUC to compare."
            )
    quiet(NOT_INDEPENDENT)


def _check(first: Run, second: Run) -> None:
    """Names of images mean the same only within one data set."""
    if first.recipe.data.dataset != second.recipe.data.dataset:
        raise EvaluationError(
            "The two systems were tested on different data sets, whose images are not matched here."
        )


def _show_mcnemar(first: Run, second: Run, both: Pair, names: list[str]) -> None:
    counts, accuracy = mcnemar(both), data.differences(first, second)["accuracy"]
    st.markdown("**Right answers** (McNemar)")
    table = pd.DataFrame(
        {
            "Second right": [counts.both_right, counts.only_second],
            "Second wrong": [counts.only_first, counts.both_wrong],
        },
        index=["First right", "First wrong"],
    )
    st.table(table, border="horizontal")
    st.markdown(
        unbroken(
            f"{names[0]} is right in {in_percent(accuracy.first, 1)}, {names[1]} in "
            f"{in_percent(accuracy.second, 1)}: a difference of {_points(accuracy)}; exact "
            f"p\u00a0{p_value(counts.p)}."
        )
    )


def _auc_row(first: Run, second: Run, both: Pair, label: str) -> dict:
    drawn = data.differences(first, second)[f"auc_{label}"]
    try:
        p = p_value(delong(both, label).p)
    except EvaluationError:
        p = "too few images"
    return {
        "Class": label,
        "First": f"{drawn.first:.3f}",
        "Second": f"{drawn.second:.3f}",
        "Difference (95 % CI)": _signed(drawn),
        "p": p.removeprefix("= "),
    }


def _signed(found) -> str:
    bounds = usable(found.low, found.high, f"{found.low:+.3f} to {found.high:+.3f}")
    text = f"{found.value:+.3f} ({bounds})"
    return text.replace("-", "\u2212")


def _points(found) -> str:
    value, low, high = (100 * bound for bound in (found.value, found.low, found.high))
    bounds = usable(low, high, f"95 % CI {low:+.1f} to {high:+.1f}")
    text = f"{value:+.1f} percentage points ({bounds})"
    return text.replace("-", "\u2212")
