"""The errors page without a browser: whose mistakes it shows, in which order, and what it keeps.

The figures are those of the shipped checkpoints; on phantoms a system answers that calls every scan
malignant, so that all counts are known.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from sklearn.metrics import confusion_matrix
from streamlit.testing.v1 import AppTest

from core.checkpoints import list_trained, open_checkpoint
from core.datasets import DatasetError, read_pixels
from core.evaluation.attributes import associations
from core.evaluation.calibration import apply_temperature
from core.evaluation.thresholds import predictive_values
from core.notes import Note, Notebook, database
from core.recipes import load_recipe
from pages import _errors_detail, _errors_gallery, _errors_run, _errors_why, _maps
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
SYSTEM = "busi-efficientnet-b0"
SHARES = {"benign": 0.2, "malignant": 0.7, "normal": 0.1}

pytestmark = pytest.mark.skipif(
    SYSTEM not in list_trained(), reason="the system that these tests look at is not shipped"
)


class CallsAllMalignant:
    """Gives every scan the same probabilities, and counts how many it was shown."""

    layers = ("only",)
    temperature = 1.0

    def __init__(self) -> None:
        self.recipe, self.shown = load_recipe(SYSTEM), 0

    def features(self, batch, layer=None):
        self.shown += len(batch)
        return np.ones((len(batch), 2, 2, 1280), np.float32)

    def channels(self, layer=None):
        return slice(None)

    def head(self, features, target, layer=None):
        return self.logits_from(features), np.ones_like(features)

    def logits_from(self, features, layer=None):
        logits = np.log([[SHARES[name] for name in self.recipe.classes]] * len(features))
        return logits.astype(np.float32)


@pytest.fixture
def system(monkeypatch, tmp_path):
    known = CallsAllMalignant()
    monkeypatch.delenv("LESIONLENS_DATA", raising=False)
    monkeypatch.setenv("LESIONLENS_NOTES", str(tmp_path / "notes.sqlite"))
    monkeypatch.setattr("core.checkpoints.list_trained", lambda *root: (SYSTEM,))
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    monkeypatch.setattr(_errors_run, "PHANTOMS_A_CLASS", 5)
    for module in (_maps, _errors_run):
        monkeypatch.setattr(module, "classifier", lambda recipe_id: known)
    st.cache_data.clear()
    st.cache_resource.clear()
    yield known
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(system) -> AppTest:
    return (
        AppTest.from_file(str(APP), default_timeout=60).run().switch_page("pages/errors.py").run()
    )


@pytest.fixture
def phantoms(page) -> AppTest:
    return page.toggle(key="errors phantoms").set_value(True).run()


def open_tab(page: AppTest, word: str) -> AppTest:
    titles = [tab.label for tab in page.tabs]
    page.session_state["errors tab"] = next(one for one in titles if word in one)
    return page.run()


def shown(page: AppTest) -> pd.DataFrame:
    return page.dataframe[0].value


def options(page: AppTest):
    (box,) = (one for one in page.selectbox if one.label == "Show")
    return box


def test_the_mistakes_are_those_of_the_metrics(page):
    metrics = open_checkpoint(SYSTEM).metrics["grouped"]
    matrix = np.array(metrics["confusion"])
    wrong = int(matrix.sum() - np.trace(matrix))
    assert not page.exception
    assert f"{wrong} mistakes" in words(page)
    assert f"on {metrics['n']} test images" in words(page)
    assert len(shown(page)) == wrong
    assert (shown(page)["label"] != shown(page)["predicted"]).all()
    assert shown(page)["confidence"].is_monotonic_decreasing
    (chart,) = page.get("plotly_chart")
    notes = json.loads(chart.proto.spec)["layout"]["annotations"]
    assert [int(note["text"]) for note in notes] == matrix.ravel().tolist()


@pytest.mark.parametrize(
    ("error", "low", "high", "told"),
    [
        (1 / 6, 1 / 6, 1 / 6, "16.7 % wrong (no usable interval)"),
        (0.0, 0.0, 0.0, "0.0 % wrong (no usable interval)"),
        (0.1, 0.05, 0.151, "10.0 % wrong (95 % CI 5.0–15.1 %)"),
    ],
)
def test_an_interval_without_width_is_none(page, monkeypatch, error, low, high, told):
    known = _errors_run.judged
    monkeypatch.setattr(
        _errors_run, "judged", lambda one: replace(known(one), error=error, low=low, high=high)
    )
    assert told in words(page.run())


@pytest.mark.slow
def test_changed_data_are_measured_and_shown_anew(phantoms, monkeypatch):
    measured, shown_pixels = [], []
    monkeypatch.setattr(
        _errors_why, "read_pixels", lambda row: measured.append(row) or read_pixels(row)
    )
    monkeypatch.setattr(
        _errors_gallery, "read_pixels", lambda row: shown_pixels.append(row) or read_pixels(row)
    )
    for seen, tab in ((measured, "Why"), (shown_pixels, "Mistakes")):
        open_tab(phantoms, tab)
        phantoms.run()
        before = len(seen)
        for module in (_errors_why, _errors_gallery):
            monkeypatch.setattr(module, "version", lambda dataset, tab=tab: f"changed {tab}")
        phantoms.run()
        assert len(seen) > before, tab
        before = len(seen)
        phantoms.run()
        assert len(seen) == before, tab


def test_without_the_data_the_page_says_what_to_set(page):
    assert "LESIONLENS_DATA" in words(page)
    assert "'busi'" in words(page)
    assert not page.image


def test_a_cell_can_be_chosen_from_the_list_or_by_a_button(page):
    options(page).set_value(_errors_gallery.Shown("malignant", "benign")).run()
    assert set(shown(page)["label"]) == {"malignant"}
    assert set(shown(page)["predicted"]) == {"benign"}
    right = _errors_gallery.Shown("benign", "benign")
    options(page).set_value(right).run()
    assert (shown(page)["predicted"] == "benign").all()
    button = next(one for one in page.button if "benign called malignant" in one.label)
    button.click().run()
    assert options(page).value == _errors_gallery.Shown("benign", "malignant")
    assert set(shown(page)["predicted"]) == {"malignant"}


def test_flags_choose_the_images_that_carry_them(page):
    options(page).set_value(_errors_gallery.Shown(flag="likely_label")).run()
    assert (shown(page)["likely_label"] != "").all()
    assert len(shown(page))


@pytest.mark.parametrize(
    ("order", "column", "rising"),
    [
        ("Loss", "loss", False),
        ("Margin", "margin", True),
        ("Confidence", "confidence", False),
        ("Similarity", "similarity", True),
    ],
)
def test_the_table_is_sorted(page, order, column, rising):
    page.button_group(key="errors order among 4").set_value(order).run()
    values = shown(page)[column]
    assert values.is_monotonic_increasing if rising else values.is_monotonic_decreasing


def test_the_random_split_has_its_own_mistakes(page):
    page.button_group(key=f"errors protocol {SYSTEM}").set_value("published").run()
    matrix = np.array(open_checkpoint(SYSTEM).metrics["published"]["confusion"])
    assert f"{int(matrix.sum() - np.trace(matrix))} mistakes" in words(page)
    assert "random split" in words(page)
    orders = page.button_group(key="errors order among 3").options
    assert list(orders) == ["Confidence", "Loss", "Margin"]
    assert "similarity" not in shown(page)


def test_shares_are_normalised_the_way_they_say(page):
    page.button_group(key="errors normalised").set_value("Of each label").run()
    (chart,) = page.get("plotly_chart")
    texts = [note["text"] for note in json.loads(chart.proto.spec)["layout"]["annotations"]]
    shares = np.array([int(text.removesuffix(" %")) for text in texts]).reshape(3, 3)
    assert (np.abs(shares.sum(axis=1) - 100) <= 2).all()


def test_phantoms_are_marked_and_answered_once(phantoms, system):
    count = 3 * _errors_run.PHANTOMS_A_CLASS
    assert not phantoms.exception
    assert f"{2 * count // 3} mistakes" in words(phantoms)
    assert "no evidence of how good it is" in words(phantoms)
    assert system.shown == count
    assert len(phantoms.image) == 2 * count // 3
    phantoms.run()
    assert system.shown == count


def test_those_least_like_a_training_image_come_first(phantoms, system):
    phantoms.segmented_control(key="errors view True").set_value("Table").run()
    phantoms.segmented_control(key="errors order among 4").set_value("Similarity").run()
    assert not phantoms.exception
    similarity = shown(phantoms)["similarity"]
    assert similarity.is_monotonic_increasing and similarity.between(-1, 1).all()
    asked = system.shown
    phantoms.segmented_control(key="errors order among 4").set_value("Loss").run()
    phantoms.segmented_control(key="errors order among 4").set_value("Similarity").run()
    assert system.shown == asked  # nothing is examined twice


def test_another_order_or_choice_begins_at_its_first_page(phantoms, monkeypatch):
    monkeypatch.setattr(_errors_gallery, "PER_PAGE", 3)
    phantoms.segmented_control(key="errors order among 4").set_value("Loss").run()
    phantoms.pagination[0].set_value(2).run()
    assert phantoms.pagination[0].value == 2
    phantoms.segmented_control(key="errors order among 4").set_value("Confidence").run()
    assert phantoms.pagination[0].value == 1
    for label in ("benign", "normal"):  # as many of the one as of the other
        options(phantoms).set_value(_errors_gallery.Shown(label, "malignant")).run()
        assert phantoms.pagination[0].value == 1
        phantoms.pagination[0].set_value(2).run()
        assert phantoms.pagination[0].value == 2


def test_an_image_is_looked_at_closely_and_noted(phantoms):
    opener = next(one for one in phantoms.button if one.label.startswith("benign/phantom"))
    opener.click().run()
    assert not phantoms.exception
    temperature = open_checkpoint(SYSTEM).temperature
    sure = apply_temperature(np.array([list(SHARES.values())]), temperature).max()
    assert f"called **malignant** ({100 * sure:.0f} %), a mistake" in words(phantoms)
    assert "three linked pictures" in phantoms.get("plotly_chart")[1].proto.alt
    image_id = opener.label
    key = next(one.key for one in phantoms.text_area).removeprefix("errors comment ")
    phantoms.text_area[0].set_value("*look* <b>here</b>")
    phantoms.text_input(key=f"errors reader {key}").set_value("AB")
    phantoms.button_group(key=f"errors verdict {key}").set_value("disagree")
    save = next(one for one in phantoms.button if one.label == "Save note")
    save.click().run()
    kept = Notebook(database()).read().iloc[-1]
    assert kept["image_id"] == image_id
    assert (kept["reader"], kept["verdict"]) == ("AB", "disagree")
    assert kept["comment"] == "*look* <b>here</b>"
    raw = "\n".join(str(one.value) for one in phantoms.markdown)
    assert r"\*look\* \<b\>here\</b\>" in raw


def test_an_image_that_cannot_be_read_hides_no_other(phantoms, monkeypatch):
    first, *others = phantoms.session_state["errors order"]

    def read(row):
        if row.image_id == first:
            raise DatasetError("It cannot be read.")
        return read_pixels(row)

    for module in (_errors_gallery, _errors_detail, _errors_run, _errors_why):
        monkeypatch.setattr(module, "read_pixels", read)
    _errors_gallery._thumbnail.clear()
    phantoms.run()
    assert words(phantoms).count("Cannot be read") == 1 and not phantoms.error
    assert {first, *others} <= {one.label for one in phantoms.button}
    next(one for one in phantoms.button if one.label == first).click().run()
    assert [one.value for one in phantoms.error] == ["It cannot be read."]
    next(one for one in phantoms.button if one.label == "Save note")  # all else is there
    phantoms.session_state[_errors_detail.OPEN] = None
    open_tab(phantoms, "Why")
    assert not phantoms.exception and not phantoms.error
    assert "1 image could not be read" in words(phantoms)


def test_next_goes_through_the_images_in_their_order(phantoms):
    order = phantoms.session_state["errors order"]
    opener = next(one for one in phantoms.button if one.label == order[0])
    opener.click().run()
    assert f"1 of {len(order)}" in words(phantoms)
    next(one for one in phantoms.button if one.label == "Next").click().run()
    assert f"2 of {len(order)}" in words(phantoms)
    assert phantoms.session_state[_errors_detail.OPEN] == order[1]


def test_an_empty_note_is_refused_with_a_sentence(phantoms):
    next(one for one in phantoms.button if one.label.startswith("benign/phantom")).click().run()
    next(one for one in phantoms.button if one.label == "Save note").click().run()
    assert "your name" in phantoms.warning[0].value
    assert Notebook(database()).read().empty


def test_a_note_is_kept_though_the_image_is_left_at_once(phantoms):
    """Both clicks go with one run of the page, which draws the form of the next image."""
    first, second, *_ = phantoms.session_state["errors order"]
    next(one for one in phantoms.button if one.label == first).click().run()
    key = next(one.key for one in phantoms.text_area).removeprefix("errors comment ")
    phantoms.text_area[0].set_value("seen")
    phantoms.text_input(key=f"errors reader {key}").set_value("AB")
    for name in ("Save note", "Next"):
        next(one for one in phantoms.button if one.label == name).click()
    phantoms.run()
    kept = Notebook(database()).read()
    assert kept[["image_id", "reader", "comment"]].to_numpy().tolist() == [[first, "AB", "seen"]]
    assert phantoms.session_state[_errors_detail.OPEN] == second
    assert not phantoms.success, "it would be taken for a note on this image"
    for name in ("Save note", "Previous"):
        next(one for one in phantoms.button if one.label == name).click()
    phantoms.run()
    (told,) = phantoms.warning
    assert told.value.replace("\\", "").startswith(
        f"The note on {second} was not kept. The note is"
    )
    assert len(Notebook(database()).read()) == 1


def test_notes_of_all_systems_can_be_seen(page):
    Notebook(database()).add(Note("busi", SYSTEM, "x", "a", "b", "AB", "agree"))
    Notebook(database()).add(Note("other", "another", "y", "a", "b", "CD", "agree"))
    open_tab(page, "Notes")
    assert shown(page)["image_id"].tolist() == ["x"]
    page.toggle(key="errors notes here").set_value(False).run()
    assert shown(page)["image_id"].tolist() == ["y", "x"]


def test_notes_that_are_left_out_are_not_denied(page):
    open_tab(page, "Notes")
    Notebook(database()).add(Note("other", "another", "y", "a", "b", "CD", "agree"))
    assert "There are no notes on this system and data set yet." in words(page.run())
    page.toggle(key="errors notes here").set_value(False).run()
    assert "There are no notes" not in words(page) and len(shown(page)) == 1


def test_the_threshold_starts_at_the_operating_point_and_updates_all_figures(page):
    checkpoint = open_checkpoint(SYSTEM)
    metrics = checkpoint.metrics["grouped"]
    point = metrics["calibration"]["operating_point"]
    open_tab(page, "Threshold")
    slider = page.select_slider[0]
    assert float(slider.value) == pytest.approx(point["threshold"])
    assert page.metric[0].value == f"{100 * point['sensitivity']['value']:.0f} %"
    slider.set_value(0.5).run()

    test = checkpoint.shipped_run("test")
    shares = apply_temperature(
        test[list(checkpoint.recipe.classes)].to_numpy(), metrics["calibration"]["temperature"]
    )
    scores = shares[:, checkpoint.recipe.classes.index("malignant")]
    truth = (test["label"] == "malignant").to_numpy()
    tn, fp, fn, tp = confusion_matrix(truth, scores >= 0.5).ravel()
    found, spared = tp / (tp + fn), tn / (tn + fp)
    page.number_input[0].set_value(2.0).run()
    values = predictive_values(found, spared, 0.02)
    expected = [f"{100 * value:.0f} %" for value in (found, spared, values[0])]
    assert [one.value for one in page.metric][:3] == expected
    page.number_input[0].set_value(0.6).run()
    positive, negative = predictive_values(found, spared, 0.006)
    assert positive < 0.05 < 0.98 < negative < 0.999
    assert page.metric[3].value == f"{100 * negative:.1f} %"


def test_what_was_chosen_in_a_tab_is_there_on_return(page):
    chosen = _errors_gallery.Shown("malignant", "benign")
    options(page).set_value(chosen).run()
    page.segmented_control(key="errors order among 4").set_value("Loss").run()
    open_tab(page, "Threshold")
    page.select_slider[0].set_value(0.5).run()
    page.number_input[0].set_value(2.0).run()
    figures = [one.value for one in page.metric]
    open_tab(page, "Mistakes")
    assert options(page).value == chosen and set(shown(page)["predicted"]) == {"benign"}
    assert page.segmented_control(key="errors order among 4").value == "Loss"
    open_tab(page, "Threshold")
    assert (page.select_slider[0].value, page.number_input[0].value) == (0.5, 2.0)
    assert [one.value for one in page.metric] == figures
    page.button_group(key=f"errors protocol {SYSTEM}").set_value("published").run()
    assert not page.exception and not page.error
    assert page.number_input[0].value != 2.0, "it has a prevalence of its own"


def test_what_goes_with_mistakes_does_so_over_groups_too():
    """Of 20 patients, 5 images each, half are wrong, and all the brighter; of 2 patients the same
    p value says nothing, nor does one whose interval holds 50 %."""
    wrong = np.repeat([True, False], 50)
    table = pd.DataFrame({"wrong": wrong, "size": np.arange(100)[::-1] % 60 + 20.0 * wrong})
    many, two = (
        associations(table.assign(group=np.arange(100) // size), ["size"]) for size in (5, 50)
    )
    assert (many["p"] < 0.05).all() and (two["p"] < 0.05).all()
    assert _errors_why.related(many).all()
    assert not _errors_why.related(two).any()
    assert not _errors_why.related(many.assign(low=0.45)).any()


def test_why_needs_no_pixels_for_the_size_of_groups(page):
    open_tab(page, "Why")
    assert not page.exception
    assert shown(page)["name"].tolist() == ["Group size (images)"]
    assert [chart.proto.alt.partition(".")[0] for chart in page.get("plotly_chart")] == [
        "Mistakes by label",
        "Mistakes by group size, images",
    ]


def test_why_measures_phantoms(phantoms):
    open_tab(phantoms, "Why")
    assert not phantoms.exception
    names = set(shown(phantoms)["name"].str.partition(" (")[0])
    assert {"Mean intensity", "Contrast", "Lesion area", "Lesion contrast"} <= names
