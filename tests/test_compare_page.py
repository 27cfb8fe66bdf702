"""The compare page without a browser: what is computed, how often, and what it says.

Fake systems and methods answer at once, so that every number on the page is known.
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.checkpoints import Checkpoint, CheckpointError, sha256, write_checkpoint
from core.datasets.phantoms import phantom
from core.evaluation.faithfulness import Faithfulness
from core.evaluation.localisation import localisation
from core.explain import METHODS, Explanation, Heatmap, Method, Parameter
from core.guard import GuardVerdict
from core.recipes import load_recipe
from pages import (
    _comparison,
    _doubts,
    _downloads,
    _inputs,
    _maps,
    _outlines,
    _samples,
    _scans,
    _shared,
    _tables,
    _test_images,
)
from pages._views import View
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
SYSTEMS = ("busi-efficientnet-b0", "busi-mobilenetv2")
OUTLINED = "busi-efficientnetv2b0"
NO_EVIDENCE = "No positive evidence for this class: no region of the scan speaks for it."
SHARES = {"benign": 0.2, "malignant": 0.7, "normal": 0.1}


class FakeSystem:
    """Gives every scan the same probabilities, and remembers what it was shown."""

    layers = ("early", "late")
    temperature = 1.0

    def __init__(self, recipe_id: str, log: list) -> None:
        self.recipe, self.log = load_recipe(recipe_id), log

    def features(self, batch, layer=None):
        self.log.append((self.recipe.id, layer, batch))
        return np.ones((1, 2, 2, 3), np.float32)

    def logits_from(self, features, layer=None):
        return np.log([[SHARES[name] for name in self.recipe.classes]])


class FakeGuard:
    """Finds every picture like the training images, until ``level`` says otherwise."""

    level = "like"

    def judge(self, features, pixels) -> GuardVerdict:
        assert features.shape == (2, 2, 3)
        assert pixels.dtype == np.uint8
        return GuardVerdict(self.level, 0.5, 0.5, f"This scan is {self.level}.")


class FakeMethods:
    """Methods whose map is bright in the upper right; each call is remembered."""

    def __init__(self) -> None:
        self.calls: list[SimpleNamespace] = []
        self.shares: list[float] = []

    def method(self, name: str, cost: str = "instant", answer=None, **more) -> Method:
        def run(classifier, batch, target, layer=None, features=None, progress=None, **settings):
            asked = SimpleNamespace(method=name, system=classifier.recipe.id, target=target)
            asked.layer, asked.features, asked.settings = layer, features, settings
            self.calls.append(asked)
            progress and progress(0.5)
            if isinstance(answer, Exception):
                raise answer
            return Explanation((answer or upper_right(),), np.zeros((1, 3)))

        return Method(name, name.capitalize(), "Someone, 2020", "L = A", cost, run, **more)

    def names(self) -> list[str]:
        return [asked.method for asked in self.calls]


def upper_right() -> Heatmap:
    return Heatmap(np.array([[0, 1], [0, 0]], np.float32), 2.0)


@pytest.fixture
def seen() -> list:
    """(system, layer, batch) of every pass of a backbone."""
    return []


@pytest.fixture
def methods(monkeypatch):
    fake = FakeMethods()
    none = Heatmap(np.zeros((2, 2), np.float32), -1.0, NO_EVIDENCE)
    known = [
        fake.method("plain"),
        fake.method("empty", answer=none),
        fake.method("slow", "seconds", parameters=(Parameter("n", "Copies", 4, 2, 8, 1, "How"),)),
        fake.method("broken", "minutes", answer=RuntimeError("out of memory at 0x7f")),
    ]
    kept = dict(METHODS)
    METHODS.clear()
    METHODS.update({method.id: method for method in known})
    yield fake
    METHODS.clear()
    METHODS.update(kept)


@pytest.fixture
def systems(monkeypatch, seen) -> list[str]:
    trained = list(SYSTEMS)

    def open_checkpoint(recipe_id: str):
        recipe = load_recipe(recipe_id)
        return SimpleNamespace(
            recipe=recipe,
            metrics={},
            manifest={"files": {}},
            load=lambda: FakeSystem(recipe_id, seen),
        )

    monkeypatch.setattr("core.checkpoints.list_trained", lambda: tuple(trained))
    monkeypatch.setattr(_shared, "open_checkpoint", open_checkpoint)
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    monkeypatch.setattr(_shared, "guard", lambda recipe_id: FakeGuard())
    st.cache_data.clear()
    st.cache_resource.clear()
    yield trained
    st.cache_data.clear()
    st.cache_resource.clear()


def opened() -> AppTest:
    page = AppTest.from_file(str(APP), default_timeout=20).run()
    return page.switch_page("pages/compare.py").run()


@pytest.fixture
def page(systems, methods) -> AppTest:
    return opened()


def choose(page: AppTest, *names: str) -> AppTest:
    return page.button_group(key="compare methods").set_value(list(names)).run()


def figure(page: AppTest) -> dict:
    (chart,) = page.get("plotly_chart")
    return json.loads(chart.proto.spec)


def upon(page: AppTest) -> list[str]:
    """All words in the figure."""
    return [note["text"].replace("<br>", " ") for note in figure(page)["layout"]["annotations"]]


def picture(level: int, size: tuple[int, int] = (60, 40)) -> bytes:
    file = io.BytesIO()
    Image.new("L", size, level).save(file, "PNG")
    return file.getvalue()


def half_mask() -> bytes:
    """White in the right half."""
    mask = np.zeros((40, 60), np.uint8)
    mask[:, 30:] = 255
    file = io.BytesIO()
    Image.fromarray(mask).save(file, "PNG")
    return file.getvalue()


def test_every_system_is_a_row_and_every_instant_method_a_column(page, methods):
    assert not page.exception
    assert methods.names() == ["plain", "empty"] * 2
    table = page.dataframe[0].value
    assert list(table["method"]) == ["Plain", "Empty"] * 2
    assert list(table["system"]) == [load_recipe(one).title for one in SYSTEMS for _ in "ab"]
    titles = [f"<b>{load_recipe(one).title}: malignant 70 %</b>" for one in SYSTEMS]
    assert [text for text in upon(page) if text.startswith("<b>")] == titles
    assert "Plain strongest in the upper right" in page.get("plotly_chart")[0].proto.alt


def test_a_system_looks_once_for_all_its_methods(page, seen, methods):
    assert [(system, layer) for system, layer, _ in seen] == [(one, None) for one in SYSTEMS]
    assert all(asked.features.shape == (1, 2, 2, 3) for asked in methods.calls)


def test_a_phantom_is_measured_against_its_lesion(page):
    _, mask = phantom("malignant", 11)
    known = localisation(upper_right(), mask)
    row = page.dataframe[0].value.iloc[0]
    assert row["score"] == pytest.approx(70)
    for name in ("iou", "dice", "recall", "energy_inside"):
        assert row[name] == pytest.approx(getattr(known, name))
    told = (
        f"IoU {known.iou:.2f} Dice {known.dice:.2f} recall {known.recall:.2f} "
        f"energy {known.energy_inside:.2f}"
    )
    assert any(text.startswith("score 70") and text.endswith(told) for text in upon(page))
    assert any(trace.get("mode") == "lines" for trace in figure(page)["data"])


@pytest.mark.parametrize(("level", "told"), [("like", 0), ("unusual", 1), ("foreign", 1)])
def test_maps_of_a_picture_unlike_the_training_images_are_marked(
    systems, methods, monkeypatch, level, told
):
    monkeypatch.setattr(FakeGuard, "level", level)
    warnings = [one.value for one in opened().warning]
    assert len(warnings) == told
    for sentence in warnings:
        titles = ", ".join(load_recipe(one).title for one in SYSTEMS)
        assert sentence.startswith(f"**{titles}:**"), "what is true of both is told once"
        assert f"This scan is {level}" in sentence


def test_without_a_lesion_there_is_nothing_to_measure(page):
    page.selectbox(key="compare sample").select("Normal phantom 1").run()
    assert "iou" not in page.dataframe[0].value
    assert not any("IoU" in text for text in upon(page))
    assert not any(trace.get("mode") == "lines" for trace in figure(page)["data"])


def test_colours_and_outline_are_redrawn_without_computing(page, methods, seen):
    before = figure(page)["data"]
    page.selectbox(key="compare colours").select("Viridis").run()
    page.toggle(key="compare outline").set_value(False).run()
    after = figure(page)["data"]
    assert len(after) < len(before)
    assert (len(methods.calls), len(seen)) == (4, 2)


def test_the_same_scan_is_computed_once_for_all_visitors(page, methods, seen):
    opened()
    assert (len(methods.calls), len(seen)) == (4, 2)


def test_a_slow_method_is_opt_in_and_fills_in_once(page, methods):
    choose(page, "plain", "slow")
    assert not page.exception
    assert methods.names()[4:] == ["slow", "slow"]
    assert "waiting" not in upon(page)
    assert list(page.dataframe[0].value["method"]) == ["Plain", "Slow"] * 2
    assert not page.get("progress")
    page.selectbox(key="compare colours").select("Viridis").run()
    choose(page, "slow")
    assert len(methods.calls) == 6


def test_what_is_still_computed_is_announced(page, methods, monkeypatch):
    def interrupted(view, question, progress):
        progress(0.25)
        raise CheckpointError("here the user interrupts")

    monkeypatch.setattr(_maps, "_run", interrupted)
    choose(page, "plain", "slow")
    assert upon(page).count("waiting") == 2
    assert len(page.dataframe[0].value) == 4, "the others are there already"
    (bar,) = page.get("progress")
    assert (bar.proto.value, bar.proto.text[:10]) == (25, "Map 3 of 4")
    assert "A file that you ask for now comes after it." in bar.proto.text


def test_maps_that_are_there_stand_after_a_stop_and_the_others_come_when_asked_for(
    page, methods, monkeypatch
):
    run = _maps._run

    def one_alone(view, question, progress):
        if (question.method_id, view.recipe_id) == ("slow", SYSTEMS[1]):
            raise CheckpointError("here the user interrupts")
        return run(view, question, progress)

    monkeypatch.setattr(_maps, "_run", one_alone)
    choose(page, "plain", "slow")
    press(page, "Stop")
    assert page.button_group(key="compare methods").value == ["plain", "slow"]
    assert upon(page).count("stopped") == 1
    assert page.dataframe[0].value["note"].tolist()[-1] == "stopped"
    assert page.dataframe[0].value["seconds"].notna().tolist() == [True, True, True, False]
    assert "1 map stopped." in words(page)
    monkeypatch.setattr(_maps, "_run", run)
    page.run()
    assert upon(page).count("stopped") == 1, "it is not begun again by itself"
    judgement = Faithfulness(0.2, 0.8, 0.1, False)
    monkeypatch.setattr(_maps, "_judgement", lambda *_: judgement)
    page.toggle(key="compare judged").set_value(True).run()
    judged = page.dataframe[0].value["deletion"]
    assert judged.notna().tolist() == [True, True, True, False], "the others are judged"
    page.segmented_control[0].set_value("benign").run()
    assert upon(page).count("stopped") == 2, "nor of another class"
    press(page, "Go on")
    assert "stopped" not in upon(page)
    assert methods.names().count("slow") == 3
    assert not [one for one in page.button if one.label in ("Stop", "Go on")]


def press(page: AppTest, label: str) -> None:
    next(one for one in page.button if one.label == label).click().run()


def test_a_failing_method_says_so_and_harms_no_other(page, methods, caplog):
    choose(page, "broken", "plain")
    assert not page.exception
    assert upon(page).count(_maps.FAILED) == 2
    assert methods.names()[4:] == ["broken", "broken"], "it is not tried again and again"
    assert list(page.dataframe[0].value["note"].dropna()) == [_maps.FAILED] * 2
    assert "0x7f" not in words(page)
    assert "0x7f" in caplog.text


def test_a_map_without_evidence_says_so(page):
    assert upon(page).count("No positive evidence for this class") == 2
    notes = page.dataframe[0].value["note"]
    assert list(notes.dropna()) == [NO_EVIDENCE] * 2


def test_another_class_and_the_difference_of_two(page, methods):
    assert [asked.target for asked in methods.calls[:1]] == [
        load_recipe(SYSTEMS[0]).classes.index("malignant")
    ]
    choose(page, "plain")
    page.segmented_control[0].set_value("benign").run()
    classes = load_recipe(SYSTEMS[0]).classes
    assert methods.calls[-2].target == classes.index("benign")
    instead = next(one for one in page.selectbox if one.label == "Rather than")
    instead.select("normal").run()
    weights = dict(zip(classes, methods.calls[-2].target, strict=True))
    assert weights == {"benign": 1, "normal": -1, "malignant": 0}
    assert any("benign 20 %, normal 10 %" in text for text in upon(page))
    assert "relative evidence for benign rather than normal" in upon(page)


def test_another_layer_is_looked_at_anew(page, methods, seen):
    page.selectbox(key=f"compare layer {SYSTEMS[0]}").select("early").run()
    assert [(system, layer) for system, layer, _ in seen[2:]] == [(SYSTEMS[0], "early")]
    told = [text for text in upon(page) if text.endswith("layer early")]
    assert len(told) == 2, "under the two maps of the system whose layer it is"
    assert [(asked.system, asked.layer) for asked in methods.calls[4:]] == [
        (SYSTEMS[0], "early"),
        (SYSTEMS[0], "early"),
    ]


def test_methods_that_look_at_no_layer_are_asked_once_for_all_layers(page, methods):
    plain = methods.method("plain", layered=False)
    METHODS["plain"] = plain
    choose(page, "plain")
    before = len(methods.calls)
    page.selectbox(key=f"compare layer {SYSTEMS[0]}").select("early").run()
    assert "plain" not in methods.names()[before:]
    assert not page.exception


def test_parameters_of_a_method_come_with_their_ranges(page, methods):
    choose(page, "slow")
    slider = page.slider(key="compare slow n")
    assert (slider.min, slider.max, slider.value, slider.step) == (2, 8, 4, 1)
    assert methods.calls[-1].settings == {"n": 4}
    assert not any("Copies" in text for text in upon(page)), "what is usual is not told"
    slider.set_value(6).run()
    assert sum(text.endswith("Copies 6") for text in upon(page)) == 2
    assert methods.calls[-1].settings == {"n": 6}
    assert isinstance(methods.calls[-1].settings["n"], int)


def test_a_system_of_outlined_lesions_sees_only_the_lesion_if_it_is_known(systems, methods, seen):
    systems[:] = [OUTLINED]
    page = opened()
    _, mask = phantom("malignant", 11)
    assert "everything outside the known outline black" in words(page)
    inside = seen[0][2][0].mean(axis=-1) > 0
    assert inside.mean() == pytest.approx(mask.mean(), abs=0.03)
    page.selectbox(key="compare sample").select("Normal phantom 1").run()
    assert "its figures do not hold" in words(page)
    assert (seen[1][2][0] > 0).mean() > 0.9
    assert len(seen) == 2


def test_an_upload_comes_with_its_own_mask(page):
    page.file_uploader(key="compare upload").upload("a.png", picture(90)).run()
    assert "iou" not in page.dataframe[0].value
    mask_of(page, picture(90)).upload("mask.png", half_mask()).run()
    mask = np.zeros((40, 60), bool)
    mask[:, 30:] = True
    assert page.dataframe[0].value["iou"][0] == pytest.approx(localisation(upper_right(), mask).iou)
    page.file_uploader(key="compare upload").upload("b.png", picture(80)).run()
    assert "iou" not in page.dataframe[0].value, "the mask is of the scan before"


def mask_of(page: AppTest, scan: bytes):
    return page.file_uploader(key=f"compare mask {sha256(scan)}")


def test_a_click_gets_the_file_of_the_scan_that_was_shown(page):
    """The next scan is chosen before the page has answered."""

    def scan_in_the_file() -> str:
        *_, sent = page.get("bidi_component")
        name, content = _downloads.saved(sent.proto.bytes)
        assert name == "lesionlens-maps.npz"
        with np.load(io.BytesIO(content)) as maps:
            return json.loads(str(maps["about"]))["scan"]

    def maps():
        return next(one for one in page.button if one.label == "Maps (NPZ)")

    first, second = (
        _samples.sample(name).digest for name in ("Malignant phantom 1", "Benign phantom 1")
    )
    button = maps()
    page.selectbox(key="compare sample").select("Benign phantom 1")
    button.click()
    page.run()
    assert scan_in_the_file() == first
    maps().click().run()
    assert scan_in_the_file() == second


def test_a_test_image_of_a_data_set_comes_with_its_mask(systems, methods, monkeypatch, tmp_path):
    (tmp_path / "scan.png").write_bytes(picture(90))
    (tmp_path / "mask.png").write_bytes(half_mask())
    scan, mask = str(tmp_path / "scan.png"), str(tmp_path / "mask.png")
    rows = [
        {"image_id": name, "path": scan, "label": "benign", "masks": (mask,), "group": name}
        for name in ("trained", "tested")
    ]
    another_run = ("test", "trained", 1)
    runs = pd.DataFrame(
        [("train", "trained", 0), ("test", "tested", 0), another_run],
        columns=["split", "image_id", "seed"],
    ).assign(protocol="grouped")
    files = {"predictions.parquet": runs.to_parquet(), "metrics.json": b"{}"}
    weights = {"protocol": "grouped", "seed": 0}
    write_checkpoint(tmp_path / "system", files, {"weights": weights})
    found = Checkpoint(tmp_path / "system")
    monkeypatch.setattr(_test_images, "find_folder", lambda _: tmp_path)
    monkeypatch.setattr(_tables, "find_folder", lambda _: tmp_path)
    monkeypatch.setattr(_tables, "load_table", lambda _: pd.DataFrame(rows))
    monkeypatch.setattr(_test_images, "checkpoint", lambda _: found)
    page = opened()
    page.toggle(key="compare tests").set_value(True).run()
    (choice,) = (one for one in page.selectbox if one.label == "Test image")
    assert choice.options == ["tested"], "never one that the system was trained on"
    (data,) = (one for one in page.selectbox if one.label == "Data set")
    assert data.options == ["BUSI: Breast Ultrasound Images"], "one, whichever systems learned it"
    inside = np.zeros((40, 60), bool)
    inside[:, 30:] = True
    known = localisation(upper_right(), inside)
    assert page.dataframe[0].value["iou"][0] == pytest.approx(known.iou)


def test_an_image_that_a_system_was_trained_on_is_named(systems, methods, monkeypatch):
    """Above the maps, for an image of the very data set that the system learned from, or a copy."""
    dataset = load_recipe(SYSTEMS[0]).data.dataset
    monkeypatch.setattr(_test_images, "_learned", lambda *_: {(dataset, "a"), (dataset, "b")})
    images = {
        name: _scans.Item(name, name, picture, image=(place, name))
        for name, place in [("a", dataset), ("b", dataset), ("c", dataset), ("d", dataset)]
    }
    seen = {name for name, one in images.items() if _test_images.was_seen(SYSTEMS[0], one)}
    assert seen == {"a", "b"}
    elsewhere = _scans.Item("a", "a", picture, image=("ucsb", "a"))
    assert not _test_images.was_seen(SYSTEMS[0], elsewhere)
    assert not _test_images.was_seen(SYSTEMS[0], _scans.Item("a", "a", picture))
    copy = ("ultrasound-9016", "train/benign/benign (7)-rotated1")
    copied = _scans.Item("a", "a", picture, image=copy)
    assert not _test_images.was_seen(SYSTEMS[0], copied)
    original = ("busi", "benign/benign (7)")
    monkeypatch.setattr(_test_images, "_learned", lambda *_: {original})
    assert _test_images.was_seen(SYSTEMS[0], copied)
    assert _test_images.was_seen(SYSTEMS[0], _scans.Item("a", "a", picture, image=original))
    monkeypatch.setattr(_doubts, "was_seen", lambda recipe_id, _: recipe_id == SYSTEMS[1])
    (warning,) = (one.value for one in opened().warning if _doubts.SEEN in one.value)
    assert warning.startswith(f"**{load_recipe(SYSTEMS[1]).title}:**")


def test_without_a_data_set_no_test_image_is_offered(systems, methods, monkeypatch):
    monkeypatch.setattr(_test_images, "find_folder", lambda _: None)
    assert "compare tests" not in [one.key for one in opened().toggle]


@pytest.mark.parametrize(
    ("mask", "sentence"),
    [(picture(255, (30, 30)), "30 x 30 pixels"), (b"%PDF-1.7 no image", "")],
)
def test_a_mask_that_does_not_fit_gets_its_sentence(page, mask, sentence):
    page.file_uploader(key="compare upload").upload("a.png", picture(90)).run()
    mask_of(page, picture(90)).upload("mask.png", mask).run()
    assert not page.exception
    assert sentence in page.error[0].value
    assert len(page.error[0].value) > 20
    assert len(page.dataframe[0].value) == 4


def test_a_broken_scan_gets_its_sentence(page):
    page.file_uploader(key="compare upload").upload("report.pdf", b"%PDF-1.7 no image").run()
    assert not page.exception
    assert len(page.error[0].value) > 20
    assert not page.get("plotly_chart")


def test_a_damaged_checkpoint_is_a_sentence(systems, methods, monkeypatch):
    def damaged(recipe_id: str):
        raise CheckpointError("The file weights.safetensors does not match its hash.")

    monkeypatch.setattr(_shared, "open_checkpoint", damaged)
    page = opened()
    assert not page.exception
    assert "does not match its hash" in page.error[0].value


def test_without_a_choice_the_page_says_what_is_missing(page):
    choose(page)
    assert "Choose a system and a method" in page.info[0].value
    assert not page.get("plotly_chart")


def test_without_any_system_the_page_says_how_to_train_one(systems, methods):
    systems.clear()
    assert "python train.py" in opened().error[0].value


def test_systems_are_those_that_were_chosen(systems, methods, seen):
    systems[:] = [*SYSTEMS, OUTLINED]
    page = opened()
    assert len(seen) == 3
    page.session_state["compare systems"] = [SYSTEMS[1]]
    page.run()
    assert set(page.dataframe[0].value["system"]) == {load_recipe(SYSTEMS[1]).title}


def test_classes_are_those_that_all_systems_know():
    classes = load_recipe(OUTLINED).classes
    assert _inputs.common_classes([SYSTEMS[0], OUTLINED]) == [
        name for name in load_recipe(SYSTEMS[0]).classes if name in classes
    ]
    assert "normal" in _inputs.common_classes([SYSTEMS[0]])


def test_classes_that_a_system_does_not_know_are_named_with_it():
    histology = "histology-dalaresnet50"
    three = [SYSTEMS[0], OUTLINED, histology]
    unknown = f"{load_recipe(OUTLINED).title}, {load_recipe(histology).title}"
    assert _inputs.left_out(three) == f"Left out: *normal* (unknown to {unknown})."
    assert _inputs.left_out([OUTLINED, histology]) == ""


def test_what_each_method_is_stands_on_the_page():
    for method in METHODS.values():
        assert method.cost in _comparison.COSTS
        assert method.paper
        assert method.equation


# ---------------------------------------------------------------- downloads


@pytest.fixture
def entries(methods) -> list[_comparison.Entry]:
    outline = _outlines.outline_of(np.eye(4, dtype=bool))
    answers = {"plain": _maps.Answer(upper_right(), 0.25), "slow": None}
    answers["broken"] = _maps.Answer(None, 1.5, _maps.FAILED)
    view = View(_scans.item_of("a.png", b"a scan"), 2, SYSTEMS[0], "stage3", outline)
    aim = _maps.Aim("malignant", "benign")
    return [
        _comparison.entry(view, _maps.Question(name, aim, (("n", 8), ("sigma", 0.5))), 0.7, one)
        for name, one in answers.items()
    ]


def test_the_table_holds_every_map(entries):
    table = _comparison.comparison_table(entries, _maps.Aim("malignant", "benign"))
    back = pd.read_csv(io.BytesIO(table.to_csv(index=False).encode()))
    assert list(back["recipe"]) == [SYSTEMS[0]] * 3
    assert list(back["explained"]) == ["malignant rather than benign"] * 3
    assert back["seconds"].tolist()[::2] == [0.25, 1.5]
    assert set(back["layer"]) == {"stage3"} and set(back["frame"]) == {3}
    assert set(back["parameters"]) == {"n 8, sigma 0.5"}
    assert back["iou"].notna().tolist() == [True, False, False]
    assert back["note"].tolist()[1:] == ["waiting", _maps.FAILED]


def test_the_archive_holds_the_raw_maps(entries):
    outline = _outlines.outline_of(np.eye(4, dtype=bool))
    data = _comparison.maps_archive(entries, _maps.Aim("malignant"), outline)
    archive = np.load(io.BytesIO(data), allow_pickle=False)
    name = f"{SYSTEMS[0]}.plain"
    assert sorted(archive) == ["about", name, "lesion"]
    assert np.array_equal(archive[name], upper_right().values)
    assert np.array_equal(archive["lesion"], np.eye(4, dtype=bool))
    about = json.loads(str(archive["about"]))
    assert about["explained"] == "malignant"
    assert about["scan"] == sha256(b"a scan") and about["frame"] == 3
    of_map = {"layer": "stage3", "parameters": {"n": 8, "sigma": 0.5}}
    assert about["maps"] == {name: of_map | {"maximum": 2.0, "seconds": 0.25, "score": 0.7}}
