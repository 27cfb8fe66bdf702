"""The systems page without a browser, on the shipped systems: what it shows, and what it skips."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
import tomli_w
from streamlit.testing.v1 import AppTest

from core.checkpoints import (
    FIGURES_ONLY,
    CheckpointError,
    judged,
    list_trained,
    open_checkpoint,
    write_checkpoint,
)
from core.evaluation import EvaluationError
from core.evaluation.comparison import Difference, mcnemar
from core.recipes import list_recipes, load_recipe
from core.recipes.comparison import compare
from core.systems import open_run
from pages import _systems_data, _systems_explanations, _systems_table, _systems_tests
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
CHARTS = {
    "Curves": "ROC and precision-recall",
    "Reliability": "Reliability diagrams",
    "Training": "Training curves",
    "Confusion": "Confusion matrices",
}
A_ROW = {
    "recipe": "one", "figures": "grouped", "title": "One", "status": "measured", "dataset": "set",
    "modality": "ultrasound", "n": 9, "n_groups": 7, "parameters": 4e6, "megabytes": 8.0,
    "milliseconds": np.nan, "accuracy": 0.876, "accuracy_low": 0.5, "accuracy_high": 1.0,
}  # fmt: skip


@pytest.fixture
def comparisons(monkeypatch, tmp_path) -> Path:
    """The folder of comparison runs, empty at first, in place of this computer's."""
    for module in (_systems_data, _systems_explanations):
        monkeypatch.setattr(module, "COMPARISONS", tmp_path)
    return tmp_path


@pytest.fixture(scope="module", autouse=True)
def nothing_kept() -> None:
    """What other tests left, of systems that were none, is forgotten; what these keep is real."""
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(monkeypatch, comparisons) -> AppTest:
    if len(list_trained()) < 2:
        pytest.skip("fewer than two trained systems are shipped")
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    opened = AppTest.from_file(str(APP), default_timeout=60).run()
    return opened.switch_page("pages/systems.py").run()


def view(page: AppTest, name: str) -> AppTest:
    page.session_state["systems view"] = name
    page.run()
    assert not page.exception and not page.error
    return page


def chart(page: AppTest) -> dict:
    (found,) = page.get("plotly_chart")
    return json.loads(found.proto.spec)


def alternative(page: AppTest) -> str:
    (found,) = page.get("plotly_chart")
    return found.proto.alt


def runs(page: AppTest) -> list:
    chosen = page.pills(key="systems chosen").value
    return [open_run(open_checkpoint(name), "grouped") for name in chosen]


# The table


def test_every_recipe_has_a_row_and_untrained_ones_say_so(page):
    table = page.dataframe[0].value
    assert len(table) == len(list_recipes())
    status = table.set_index("title")["status"]
    for recipe in list_recipes():
        known = judged().get(recipe.id)
        kept = known and ("trained" if known.has_weights else "figures only")
        here = kept if known and "grouped" in known.metrics else known and "other split"
        assert status[recipe.title] == (here or "paper only")
    places = table["status"].map(_systems_table.STATUS.index)
    assert places.is_monotonic_increasing  # trained ones first
    assert "95 % intervals" in words(page)


def test_the_protocol_changes_every_figure(page):
    before = page.dataframe[0].value.set_index("title")
    page.segmented_control(key="systems protocol").set_value("published").run()
    after = page.dataframe[0].value.set_index("title")
    for recipe_id in list_trained():
        title = load_recipe(recipe_id).title
        for table, protocol in ((before, "grouped"), (after, "published")):
            entry = open_checkpoint(recipe_id).metrics[protocol]
            assert table.loc[title, "n_groups"] == entry["n_groups"]
            assert table.loc[title, "accuracy"].startswith(
                f"{entry['values']['accuracy']['value']:.2f}"
            )
    assert "random split" in alternative(page) and "grouped split" not in alternative(page)


def test_other_figures_can_be_shown(page):
    page.pills(key="systems metrics").set_value(["mcc"]).run()
    table = page.dataframe[0].value
    assert "mcc_paper" in table and "accuracy" not in table


def test_units_stand_in_the_headings_where_no_width_cuts_them():
    columns = _systems_table._columns(["accuracy"])
    units = {"parameters": "M", "megabytes": "MB", "milliseconds": "ms"}
    for name, unit in units.items():
        assert columns[name]["label"].endswith(f", {unit}")
        assert unit not in columns[name]["type_config"]["format"]


def test_texts_sort_as_their_numbers_do_and_stand_beside_the_paper():
    rows = [
        A_ROW,
        A_ROW | {"recipe": "two", "title": "Two", "accuracy": 0.9, "accuracy_low": 0.85},
        A_ROW | {"recipe": "one", "figures": "paper", "status": "paper", "accuracy": 0.99},
        A_ROW | {"recipe": "two", "figures": "paper", "status": "paper", "accuracy": np.nan},
    ]
    shown = _systems_table.beside(pd.DataFrame(rows), "grouped", ["accuracy"])
    assert shown["accuracy"].tolist() == ["0.88 (0.50–1.00)", "0.90 (0.85–1.00)"]
    assert shown.loc[0, "accuracy_paper"] == 0.99 and np.isnan(shown.loc[1, "accuracy_paper"])
    assert shown["parameters"].tolist() == [4.0, 4.0]
    assert "milliseconds" not in shown  # until they are measured


def test_what_is_not_there_is_told_apart():
    rows = [
        A_ROW | {"recipe": "c", "status": "not trained", "parameters": np.nan, "accuracy": np.nan},
        A_ROW | {"recipe": "b", "status": "not trained", "accuracy": np.nan},
        A_ROW | {"recipe": "a", "milliseconds": 12.0},
        *(A_ROW | {"recipe": name, "figures": "paper"} for name in "abc"),
    ]
    shown = _systems_table.beside(pd.DataFrame(rows), "grouped", ["accuracy"])
    assert shown["status"].tolist() == ["trained", "other split", "paper only"]
    assert shown["accuracy"].isna().tolist() == [False, True, True]
    assert shown["milliseconds"].tolist()[0] == 12.0


def test_a_comparison_run_has_a_row_and_can_be_compared(page, comparisons):
    shipped = open_checkpoint(list_trained()[0])
    recipe = compare(shipped.recipe, "vgg16")
    files = {name: shipped.verified(name) for name in shipped.manifest["files"]}
    files |= {
        "recipe.toml": tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)).encode()
    }
    write_checkpoint(comparisons / recipe.id, files, dict(shipped.manifest))
    page.run()
    row = page.dataframe[0].value.set_index("title").loc[recipe.title]
    assert row["status"] == "comparison" and pd.isna(row["accuracy_paper"])
    assert row["n"] == shipped.metrics["grouped"]["n"]
    page.pills(key="systems chosen").set_value([recipe.id]).run()
    view(page, "Confusion")
    assert recipe.title in alternative(page)


def test_figures_without_weights_have_a_row_and_can_be_compared(page, comparisons):
    shipped = open_checkpoint(list_trained()[0])
    recipe = compare(shipped.recipe, "vgg16")
    names = ("metrics.json", "predictions.parquet", "history.csv", "card.md")
    files = {name: shipped.verified(name) for name in names} | {
        "recipe.toml": tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)).encode()
    }
    write_checkpoint(comparisons / FIGURES_ONLY / recipe.id, files, {"parameters": 123_456_789})
    page.run()
    row = page.dataframe[0].value.set_index("title").loc[recipe.title]
    assert row["parameters"] == 123.456789 and pd.isna(row["megabytes"])
    page.pills(key="systems chosen").set_value([recipe.id]).run()
    view(page, "Curves")
    assert recipe.title in alternative(page)
    view(page, "Explanations")
    assert "weights of this system were not kept" in words(page)


def test_every_view_has_a_heading_and_the_page_its_name(page):
    assert AppTest.from_file(str(APP), default_timeout=60).run().title[0].value == "Classify"
    for name in (*CHARTS, "Tests", "Explanations", "Cards"):
        assert [one.value for one in view(page, name).header] == [name]


def test_what_is_compared_at_first_is_of_one_data_set(page):
    assert len({one.recipe.data.dataset for one in runs(page)}) == 1


# The views


@pytest.mark.parametrize("name", CHARTS)
def test_every_figure_says_its_protocol_its_images_and_its_interval(page, name):
    view(page, name)
    assert alternative(page).startswith(CHARTS[name])
    written = json.dumps(chart(page), ensure_ascii=False)
    for one in runs(page):
        count = f"{one.n_validation} validation" if name == "Training" else f"{one.n} images in"
        assert f"grouped split, {count}" in written
    assert ("carry no interval" if name == "Training" else "95 %") in words(page)


def test_curves_carry_the_figures_of_the_results(page):
    view(page, "Curves")
    label = page.segmented_control(key="systems curve class").value
    for one in runs(page):
        auc = one.metrics["values"][f"auc_{label}"]
        assert f"AUC {auc['value']:.2f} ({auc['low']:.2f}–{auc['high']:.2f})" in alternative(page)


def test_another_class_leaves_out_who_does_not_know_it(page):
    view(page, "Curves")
    classes = page.segmented_control(key="systems curve class").options
    for label in classes:
        page.segmented_control(key="systems curve class").set_value(label).run()
        assert not page.exception and not page.error
        for one in runs(page):
            known = label in one.recipe.classes
            assert (f"*{one.recipe.title}* does not know" not in words(page)) == known
            assert (f"{one.recipe.title}: AUC" in alternative(page)) == known


def test_only_the_open_view_is_computed(page, monkeypatch):
    def unwanted(*arguments):
        raise AssertionError("a view that is closed was computed")

    for name in ("roc_curve", "precision_recall_curve", "pair", "differences"):
        monkeypatch.setattr(_systems_data, name, unwanted)
    for name in ("Reliability", "Training", "Confusion", "Explanations", "Cards"):
        view(page, name)


def test_a_run_and_its_curves_are_computed_once(page, monkeypatch):
    asked = []
    real = _systems_data.curves.roc_curve
    monkeypatch.setattr(
        _systems_data.curves, "roc_curve", lambda *more: asked.append(more) or real(*more)
    )
    for name in ("Cards", "Curves", "Training", "Curves"):
        view(page, name)
    assert asked == []  # the page was drawn once before, with these curves


def test_what_was_chosen_in_a_view_is_there_on_return(page):
    view(page, "Confusion")
    page.segmented_control(key="systems confusion cells").set_value("Shares of a row").run()
    view(page, "Tests")
    third = page.pills(key="systems chosen").value[2]
    page.selectbox(key="systems First").set_value(third).run()
    view(page, "Confusion")
    assert page.segmented_control(key="systems confusion cells").value == "Shares of a row"
    assert view(page, "Tests").selectbox(key="systems First").value == third
    view(page, "Confusion")
    page.pills(key="systems chosen").set_value(page.pills(key="systems chosen").value[:2]).run()
    assert view(page, "Tests").selectbox(key="systems First").value != third  # no longer there


def test_counts_become_shares_of_their_row(page):
    view(page, "Confusion")
    page.segmented_control(key="systems confusion cells").set_value("Shares of a row").run()
    assert chart(page)["data"][0]["text"][0][0].endswith("%")


def test_mcnemar_is_that_of_the_images_both_were_tested_on(page):
    view(page, "Tests")
    first, second = runs(page)[:2]
    try:
        _systems_tests._check(first, second)
        both = _systems_data.pair(first, second)
    except EvaluationError as error:
        assert str(error) in words(page)
        return
    assert f"**{both.n} images in {both.n_groups} groups**" in words(page)
    counts = page.table[0].value
    assert int(counts.to_numpy().sum()) == both.n
    assert int(counts.loc["First right", "Second wrong"]) == mcnemar(both).only_first
    assert "Images of one group are not" in words(page)


def test_a_difference_of_shares_is_that_of_the_shares_beside_it(page, monkeypatch):
    found = Difference(0.8722, 0.7863, 0.0114, 0.1621)
    monkeypatch.setattr(_systems_data, "differences", lambda *_: defaultdict(lambda: found))
    view(page, "Tests")
    told = next(one.value for one in page.markdown if "a difference of" in one.value)
    assert "is right in 87.2\u00a0%," in told and "in 78.6\u00a0%: a difference of +8.6 " in told
    assert "(95\u00a0% CI +1.1 to +16.2)" in told


def test_a_difference_whose_interval_has_no_width_has_none():
    even = Difference(0.9, 0.9, 0.0, 0.0)
    assert _systems_tests._points(even) == "+0.0 percentage points (no usable interval)"
    assert _systems_tests._signed(even) == "+0.000 (no usable interval)"


def test_one_system_cannot_be_tested_against_itself(page):
    """Also after another view, and the first of three was taken away there."""
    page.pills(key="systems chosen").set_value(list(list_trained()[:3])).run()
    view(page, "Tests")
    for _ in range(3):
        first, second = (page.selectbox(key=f"systems {name}") for name in ("First", "Second"))
        assert first.value not in second.options and first.value != second.value
        page.selectbox(key="systems First").set_value(second.value).run()
    taken = page.selectbox(key="systems First").value
    view(page, "Curves")
    page.pills(key="systems chosen").set_value(
        [one for one in list_trained()[:3] if one != taken]
    ).run()
    view(page, "Tests")
    first, second = (page.selectbox(key=f"systems {name}") for name in ("First", "Second"))
    assert taken not in (first.value, second.value) and first.value != second.value


def test_images_of_other_data_sets_are_never_matched_by_name(page):
    first = runs(page)[0]
    other = first.recipe.model_copy(
        update={"data": first.recipe.data.model_copy(update={"dataset": "elsewhere"})}
    )
    with pytest.raises(EvaluationError, match="different data sets, whose images are not matched"):
        _systems_tests._check(first, replace(first, recipe=other, digest="another"))


@pytest.mark.parametrize(("number", "sentence"), [(0, "Choose a system above"), (1, "two systems")])
def test_too_few_systems_get_a_sentence(page, number, sentence):
    page.pills(key="systems chosen").set_value(list(list_trained()[:number])).run()
    view(page, "Tests")
    assert sentence in words(page)


def test_a_protocol_without_a_run_gets_a_sentence(page, monkeypatch):
    def untrained(recipe_id, protocol):
        raise EvaluationError(f"{recipe_id} was not trained under this protocol.")

    monkeypatch.setattr(_systems_data, "run", untrained)
    for name in (*CHARTS, "Tests"):
        view(page, name)
        assert words(page).count("was not trained under this protocol") == len(runs(page))
        assert not page.get("plotly_chart")


def test_the_card_of_every_system_can_be_read(page):
    view(page, "Cards")
    for recipe_id in list_trained():
        page.selectbox(key="systems card").set_value(recipe_id).run()
        assert f"(`{recipe_id}`)" in words(page) and "Intended use" in words(page)


def test_a_damaged_checkpoint_gets_a_sentence(page, monkeypatch):
    def damaged():
        raise CheckpointError("a/metrics.json does not match its hash.")

    monkeypatch.setattr(_systems_data, "table", damaged)
    page.run()
    assert [one.value for one in page.error] == ["a/metrics.json does not match its hash."]
    assert not page.exception


# Explanations


def test_explanations_that_were_not_measured_name_the_command(page, monkeypatch):
    monkeypatch.setattr(_systems_explanations, "EXPLANATIONS", "nothing.parquet")
    view(page, "Explanations")
    chosen = page.selectbox(key="systems explained").value
    command = f"python -m core.evaluation.explanations --recipe {chosen}"
    assert command in words(page)


def test_a_system_whose_data_have_no_outlines_names_no_command(page, monkeypatch):
    monkeypatch.setattr(_systems_explanations, "EXPLANATIONS", "nothing.parquet")
    monkeypatch.setattr(_systems_explanations, "OUTLINED", ())
    view(page, "Explanations")
    assert "The data of this system come without outlines of lesions" in words(page)
    assert "core.evaluation.explanations" not in words(page)


def test_explanations_stand_method_by_metric_and_sort_by_their_means():
    figures = pd.DataFrame(
        [("grad-cam", "iou", 0.4, 0.3, 0.5, 9), ("other", "iou", 0.2, 0.1, 0.3, 5),
         ("grad-cam", "seconds", 10.01, 10.0, 10.02, 9)],
        columns=["method", "metric", "mean", "low", "high", "n"],
    )  # fmt: skip
    shown = _systems_explanations.by_method(figures, ["seconds", "iou"])
    assert shown.data.columns.tolist() == ["Method", "Seconds", "IoU"]
    assert shown.data["Method"].tolist() == ["Grad-CAM", "other"]
    assert shown.data["IoU"].tolist() == [0.4, 0.2]
    written = shown.to_html()
    for text in ("0.40 (0.30–0.50), 9", "0.20 (0.10–0.30), 5", "10.01 (10.00–10.02), 9"):
        assert f">{text}<" in written
    assert shown.data["Seconds"].isna().tolist() == [False, True]
