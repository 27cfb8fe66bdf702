"""The classify page without a browser: what it shows, what it computes, and how often.

A fake system answers at once, so that every number on the page is known.
"""

from __future__ import annotations

import base64
import io
import json
import re
import zipfile
from dataclasses import make_dataclass
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import streamlit as st
from dicoms import dicom, lut, slices
from nibabel import Nifti1Image
from PIL import Image
from streamlit.testing.v1 import AppTest

from core.archives import pack
from core.checkpoints import CheckpointError, sha256
from core.conformal import Conformal
from core.datasets.phantoms import phantom
from core.explain import Heatmap
from core.findings import NO_REGION
from core.guard import GuardVerdict
from core.outlining.proposal import Proposal
from core.png import png
from core.predict import Opinion
from core.recipes import load_recipe
from core.scan_table import without_names
from core.scans import Scan
from core.spreadsheet import safe_csv
from core.stability import Stability
from core.viewing import Measured
from pages import (
    _assurance,
    _batch,
    _downloads,
    _frame,
    _kept,
    _originals,
    _region,
    _scans,
    _shared,
    _system,
    _take_away,
    _verdicts,
    _viewer,
    _warm_up,
)
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
SYSTEMS = ("busi-efficientnet-b0", "busi-mobilenetv2", "busi-efficientnetv2b0")
MASKED = SYSTEMS[2]
STEADY = Stability(np.full(3, 0.61), np.full(3, 0.83), 8)
SENTENCE = "This file is no image"
NO_EVIDENCE = "No positive evidence for this class: no region of the scan speaks for it."


def metrics(accuracy: float, n: int) -> dict:
    values = {"accuracy": accuracy, "macro_auc": 0.91, "sensitivity_malignant": 0.75}
    values |= {"precision_malignant": 0.8, "precision_benign": None}
    entry = {k: {"value": v, "low": 0.61, "high": 0.97} for k, v in values.items()}
    return {"n": n, "n_groups": n - 9, "split": "test", "seed": 0, "values": entry}


def sets(checkpoint) -> Conformal:
    """Classes of a probability of at least 0.1 cannot be ruled out."""
    return Conformal(checkpoint.recipe.classes, 0.9, 0.9, 50)


drawn_once = cache(phantom)
"""The samples are the same for every test, whatever Streamlit forgets of them."""


class FakeSystem:
    """Says malignant of dark scans and benign of bright ones; no evidence for normal."""

    def __init__(self) -> None:
        self.loaded: list[str] = []
        self.asked: list[tuple[str, int | None, int]] = []
        self.masks: list[np.ndarray | None] = []
        self.broken = ""
        self.level = "like"

    def open_checkpoint(self, recipe_id: str):
        if self.broken == "checkpoint":
            raise CheckpointError("The file weights.safetensors does not match its hash.")
        figures = {"grouped": metrics(0.83, 118), "published": metrics(0.88, 117)}
        return SimpleNamespace(
            recipe=load_recipe(recipe_id),
            metrics=figures,
            manifest={"files": {}},
            load=lambda: self._load(recipe_id),
        )

    def classify(self, classifier, scan, target=None, frame=0, mask=None):
        recipe, pixels = classifier.recipe, scan.pixels[frame]
        if self.broken == "network":
            raise RuntimeError("out of memory at 0x7f")
        self.asked.append((recipe.id, target, frame))
        self.masks.append(mask)
        dark = np.clip(1 - pixels.mean() / 255, 0.01, 0.99)
        shares = {"malignant": 0.9 * dark, "benign": 0.9 * (1 - dark), "normal": 0.1}
        probabilities = np.array([shares.get(name, 0.5) for name in recipe.classes])
        target = int(probabilities.argmax()) if target is None else target
        none = recipe.classes[target] == "normal"
        heatmap = Heatmap(np.eye(7, dtype=np.float32) * (not none), 0.0 if none else 2.0,
                          NO_EVIDENCE if none else None)  # fmt: skip
        label = recipe.classes[int(probabilities.argmax())]
        logits = np.log(probabilities)
        return Opinion(recipe.id, recipe.classes, probabilities, logits, label, target, heatmap,
                       pixels, np.zeros((7, 7, 4), np.float32))  # fmt: skip

    def judge(self, features, pixels) -> GuardVerdict:
        assert features.shape == (7, 7, 4)
        return GuardVerdict(self.level, 1.0, 0.25, f"The guard says {self.level}.")

    def propose(self, pixels) -> Proposal:
        """The left half."""
        mask = np.zeros(pixels.shape[:2], bool)
        mask[:, : mask.shape[1] // 2] = True
        return Proposal(mask.astype(np.float32), mask, 1.0)

    @property
    def metrics(self) -> dict:
        figure = {"value": 0.8, "low": 0.7, "high": 0.9}
        lesions = {"n": 97, "values": {"dice": figure, "not_proposed": figure}}
        reached = {"true": 0.95, "proposed": 0.85, "none": 0.55}
        regions = {one: {"accuracy": figure | {"value": v}} for one, v in reached.items()}
        return {"test": {"lesions": lesions}, "regions": {MASKED: {"n": 97, "regions": regions}}}

    def _load(self, recipe_id: str):
        self.loaded.append(recipe_id)
        return SimpleNamespace(recipe=load_recipe(recipe_id))


@pytest.fixture
def system(monkeypatch) -> FakeSystem:
    fake = FakeSystem()
    monkeypatch.setattr("core.checkpoints.list_trained", lambda: SYSTEMS)
    monkeypatch.setattr(_shared, "open_checkpoint", fake.open_checkpoint)
    monkeypatch.setattr(_kept, "classify", fake.classify)
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    monkeypatch.setattr(_shared, "load_guard", lambda checkpoint: fake)
    monkeypatch.setattr(_shared, "of_checkpoint", sets)
    monkeypatch.setattr(_kept, "stability", lambda *_: STEADY)
    monkeypatch.setattr(_shared, "open_outliner", lambda: fake)
    monkeypatch.setattr("core.samples.phantom", drawn_once)
    st.cache_data.clear()
    st.cache_resource.clear()
    yield fake
    st.cache_data.clear()
    st.cache_resource.clear()


@pytest.fixture
def page(system) -> AppTest:
    return AppTest.from_file(str(APP), default_timeout=90).run()


def picture(level: int, frames: int = 1) -> bytes:
    """A small grey TIFF; each further frame is brighter by 60."""
    pictures = [Image.new("L", (60, 40), level + 60 * i) for i in range(frames)]
    file = io.BytesIO()
    pictures[0].save(file, "TIFF", save_all=True, append_images=pictures[1:])
    return file.getvalue()


def upload(page: AppTest, **files: bytes) -> AppTest:
    for name, data in files.items():
        page.file_uploader[0].upload(name, data)
    return page.run()


def hold(page: AppTest, **files: bytes) -> AppTest:
    """Upload these in place of all others."""
    held = [(name, data, "image/tiff") for name, data in files.items()]
    page.file_uploader[0].set_value(held)
    return page.run()


def bare(name: str) -> str:
    """A class name without the emphasis and the sign that a chart gives it."""
    return re.sub(r"</?b>| ▲", "", name)


def explain(page: AppTest, name: str) -> AppTest:
    choice = next(one for one in page.segmented_control if one.label == "Class to explain")
    return choice.set_value(name).run()


def region_choice(page: AppTest):
    return next(one for one in page.segmented_control if one.label == "Region of interest")


def choose_region(page: AppTest, way: str) -> AppTest:
    return region_choice(page).set_value(way).run()


def charts(page: AppTest) -> list[dict]:
    return [json.loads(chart.proto.spec) for chart in page.get("plotly_chart")]


def test_an_empty_page_explains_itself_and_computes_nothing(page, system):
    assert not page.exception
    assert "no medical finding" in words(page)
    assert "synthetic" in page.selectbox(key="sample").label
    assert not system.asked
    assert not system.loaded


def test_one_upload_is_answered_with_bars_and_pictures(page, system):
    upload(page, **{"left breast.tif": picture(40)})
    assert not page.exception
    assert page.metric[0].value.startswith("malignant")
    bars, panels = charts(page)
    names = [bare(name) for name in bars["data"][0]["y"]]
    assert names == list(load_recipe(SYSTEMS[0]).classes)
    assert bars["data"][0]["text"] == ["14 %", "76 %", "10 %"]
    assert len(panels["data"]) == 4
    assert "left breast.tif" in [text.value for text in page.text]
    assert system.asked == [(SYSTEMS[0], None, 0)]


def test_every_picture_has_a_text_alternative(page):
    samples = [image.proto.imgs[0].alt for image in page.image]
    assert len(samples) == 3
    assert all("synthetic" in alt for alt in samples)
    upload(page, **{"a.tif": picture(40)})
    alts = [chart.proto.alt for chart in page.get("plotly_chart")]
    assert "malignant 76 %" in alts[0]
    assert "heatmap for malignant" in alts[1]


def test_a_sample_is_marked_synthetic_and_gives_way_to_an_upload(page, system):
    page.button(key="try Malignant phantom 1").click().run()
    assert page.text[0].value == "Malignant phantom 1"
    assert ":gray-badge[synthetic]" in words(page)
    upload(page, **{"a.tif": picture(200)})
    assert page.selectbox(key="sample").value is None
    assert page.text[0].value == "a.tif"
    assert ":gray-badge[synthetic]" not in words(page)


def test_files_to_take_away_come_with_a_word_of_names_in_pictures(page, system):
    page.session_state["take away"] = True
    upload(page, **{"a.tif": picture(200)})
    assert not page.exception and "Exported pictures often carry burned-in text" in words(page)
    page.selectbox(key="sample").select("Benign phantom 1").run()
    assert "Text within the picture stays" in words(page)
    assert "often carry burned-in text" not in words(page)


def test_a_file_that_was_asked_for_is_made_though_its_fold_was_closed(page, system, monkeypatch):
    record = make_dataclass("Record", [("spread", tuple, ()), ("spread_note", str, "")])
    monkeypatch.setattr(_take_away, "findings_of", lambda *_: record())
    monkeypatch.setattr(_take_away, "report_html", lambda made: f"{len(made.spread)} bounds")
    page.session_state["take away"] = True
    upload(page, **{"a.tif": picture(200)})
    next(one for one in page.button if one.label == "Report (HTML)").click()
    page.session_state["take away"] = False
    page.run()
    [sent] = page.get("bidi_component")
    assert _downloads.saved(sent.proto.bytes) == ("lesionlens-report.html", b"2 bounds")


def test_another_class_is_explained_once_and_without_evidence_says_so(page, system):
    upload(page, **{"a.tif": picture(40)})
    before = charts(page)[1]
    explain(page, "normal")
    assert system.asked[1:] == [(SYSTEMS[0], 2, 0)]
    assert NO_EVIDENCE in words(page)
    assert charts(page)[1]["data"][1] != before["data"][1]
    explain(page, "malignant")
    assert len(system.asked) == 2, "the likeliest class is known already"
    assert NO_EVIDENCE not in words(page)


def test_colours_are_redrawn_without_asking_the_system(page, system):
    upload(page, **{"a.tif": picture(40)})
    before = charts(page)[1]["data"][1]["colorscale"]
    page.selectbox(key="colours").select("Viridis").run()
    assert charts(page)[1]["data"][1]["colorscale"] != before
    assert len(system.asked) == 1


def test_a_system_that_needs_a_region_uses_the_proposal_and_says_what_that_costs(page, system):
    upload(page, **{"a.tif": picture(40)})
    assert not page.warning
    assert "was right 80 % of the time" in words(page)
    assert system.masks == [None]
    page.selectbox(key="system").select(MASKED).run()
    left_half = system.propose(np.zeros((40, 60, 3))).mask
    np.testing.assert_array_equal(system.masks[-1], left_half)
    assert not page.warning
    assert "None: such sets hold only for" in words(page), "the set was fitted on true outlines"
    assert "with the proposed outline in 85 % (95 % CI 70–90 %), with the true" in words(page)
    assert "of the time" not in words(page)
    assert "The region covers 50 % of the picture" in words(page)


def test_without_a_region_such_a_system_says_that_its_figures_do_not_hold(page, system):
    upload(page, **{"a.tif": picture(40)})
    page.selectbox(key="system").select(MASKED).run()
    choose_region(page, "Whole image")
    assert "its figures do not hold" in page.warning[0].value
    assert "right without an outline in 55 %" in page.warning[0].value
    assert "of the time" not in words(page)


@pytest.fixture
def drawn(monkeypatch) -> None:
    """Where a picture can be drawn on a box is drawn, once; the next run of the page knows it."""
    shapes, done = {"box": [{"x": [0, 9], "y": [0, 4]}], "lasso": []}, set()

    def chart(*_, key, on_select="ignore", **__) -> None:
        if callable(on_select) and key not in done:
            done.add(key)
            st.session_state[key] = {"selection": shapes}
            on_select()

    monkeypatch.setattr(_region.st, "plotly_chart", chart)


def test_a_drawn_region_reaches_a_system_that_needs_one_and_no_other(page, system, drawn):
    upload(page, **{"a.tif": picture(40)})
    choose_region(page, "Draw").run()
    assert system.masks == [None]
    page.selectbox(key="system").select(MASKED).run()
    choose_region(page, "Draw")
    assert system.masks[-1].sum() == 50
    assert system.masks[-1][:5, :10].all()
    assert "was right 80 % of the time" in words(page), "as with the outlines it was measured with"
    how = next(one for one in page.segmented_control if one.label == "How to draw")
    how.set_value(_region.TAKE).run()
    assert system.masks[-1].sum() == 40 * 30 - 50
    assert "with the proposed outline" not in words(page), "nor was that measured"
    assert "of the time" not in words(page), "that is with outlines by hand"
    how = next(one for one in page.segmented_control if one.label == "How to draw")
    how.set_value(_region.ADD).run()
    assert "The region covers 50 % of the picture" in words(page), "all of it was proposed"


def test_what_was_drawn_stays_while_another_frame_is_looked_at(page, system, drawn):
    page.selectbox(key="system").select(MASKED).run()
    upload(page, **{"a.tif": picture(40, frames=2)})
    choose_region(page, "Draw").run()
    assert system.masks[-1].sum() == 50
    page.slider[0].set_value(2).run()
    assert region_choice(page).value == "Proposed", "it is another picture"
    page.slider[0].set_value(1).run()
    assert region_choice(page).value == "Draw"
    assert "The region covers 2 % of the picture" in words(page)
    choose_region(page, "Whole image")
    choose_region(page, "Draw")
    assert "The region covers 2 % of the picture" in words(page)
    next(one for one in page.button if one.label == "Take away what is drawn").click().run()
    assert "The region covers" not in words(page)
    assert "Take away what is drawn" not in [one.label for one in page.button]


def test_a_mask_file_stays_while_another_frame_scan_or_system_is_looked_at(page, system):
    upload(page, **{"a.tif": picture(40, frames=2), "b.tif": picture(90)})
    choose_region(page, "Mask file")
    uploader = next(one for one in page.file_uploader if one.label == "Mask of its lesion")
    uploader.upload("mask.png", half_mask()).run()
    covers = "The region covers 50 % of the picture"
    assert covers in words(page) and "From before: mask.png" not in words(page)
    page.selectbox(key="shown").select(1).run()
    assert "The region covers" not in words(page), "it is another scan"
    page.selectbox(key="shown").select(0).run()
    assert covers in words(page)
    for other in (MASKED, SYSTEMS[0]):
        page.selectbox(key="system").select(other).run()
        choose_region(page, "Mask file")
        assert covers in words(page) and "From before: mask.png" in words(page)
    page.slider[0].set_value(2).run()
    choose_region(page, "Mask file")
    assert covers in words(page), "of one frame for all"
    next(one for one in page.button if one.label == "Remove").click().run()
    assert "The region covers" not in words(page)


@pytest.mark.parametrize("how", [_region.ADD, _region.TAKE])
def test_a_proposal_to_which_nothing_was_added_is_one(page, system, how):
    page.selectbox(key="system").select(MASKED).run()
    upload(page, **{"a.tif": picture(40)})
    choose_region(page, "Draw")
    next(one for one in page.segmented_control if one.label == "How to draw").set_value(how).run()
    assert "with the proposed outline in 85 %" in words(page)
    assert "of the time" not in words(page), "that is with outlines by hand"


@pytest.mark.parametrize(
    ("size", "sentence"),
    [((8, 9), "9 x 8 pixels wide and high, the scan 60 x 40"), ((40, 60), "outlines nothing")],
    ids=["another size", "nothing bright"],
)
def test_a_mask_file_that_cannot_be_used_is_a_sentence(page, system, size, sentence):
    upload(page, **{"a.tif": picture(40)})
    choose_region(page, "Mask file")
    uploader = next(one for one in page.file_uploader if one.label == "Mask of its lesion")
    uploader.upload("mask.png", png(np.ones((*size, 3), np.uint8)))
    page.run()
    assert sentence in page.error[0].value


def half_mask(bright: bool = True, side: slice = slice(30, None)) -> bytes:
    mask = np.zeros((40, 60, 3), np.uint8)
    mask[:, side] = 255 * bright
    return png(mask)


def test_a_mask_uploaded_with_its_scan_is_its_region(page, system):
    upload(page, **{"a.tif": picture(40), "a_mask.png": half_mask()})
    assert not page.dataframe, "there is one scan"
    assert "The region covers 50 % of the picture" in words(page)
    assert "Outlined in a_mask.png, which came with the scan" in words(page)
    assert system.masks == [None], "this system needs none"
    page.selectbox(key="system").select(MASKED).run()
    assert system.masks[-1][:, 30:].all() and not system.masks[-1][:, :30].any()
    assert len(system.masks) == 2
    assert "was right 80 % of the time" in words(page), "as with the outlines it was measured with"
    choose_region(page, "Proposed")
    assert system.masks[-1][:, :30].all(), "it can be set aside"


def test_what_systems_leave_in_folders_is_no_scan(page, system):
    upload(page, **{"a.tif": picture(40), ".DS_Store": b"\0\0\0\1Bud1", "._a.tif": b"\0"})
    assert not page.dataframe and not page.error, "there is one scan"
    assert len(system.asked) == 1


def test_a_mask_that_comes_later_is_taken_too(page, system):
    page.selectbox(key="system").select(MASKED).run()
    upload(page, **{"a.tif": picture(40)})
    assert system.masks[-1][:, :30].all(), "as it was proposed"
    upload(page, **{"a.tif": picture(40), "a_mask.png": half_mask()})
    assert system.masks[-1][:, 30:].all()


def test_archives_whose_files_are_called_alike_keep_their_own_masks(page, system):
    page.selectbox(key="system").select(MASKED).run()
    right, left = half_mask(), half_mask(side=slice(30))
    packed = [
        pack({"1.tif": picture(level), "1_mask.png": mask})
        for level, mask in ((40, right), (90, left))
    ]
    upload(page, **{"a.zip": packed[0], "b.zip": packed[1]})
    assert list(page.dataframe[0].value["file"]) == ["a.zip/1.tif", "b.zip/1.tif"]
    assert [mask[:, 30:].all() for mask in system.masks[:2]] == [True, False]
    assert [mask.sum() for mask in system.masks[:2]] == [40 * 30] * 2, "and nothing of the other's"


def test_masks_in_an_archive_of_their_own_lie_with_their_scans(page, system):
    page.selectbox(key="system").select(MASKED).run()
    scans = {"1.tif": picture(40), "2.tif": picture(90)}
    masks = pack({"1_mask.png": half_mask(), "2_mask.png": half_mask(side=slice(30))})
    upload(page, **{"scans.zip": pack(scans), "masks.zip": masks, "other.tif": picture(200)})
    table = page.dataframe[0].value
    assert list(table["file"]) == ["1.tif", "2.tif", "other.tif"]
    assert list(table["outline"].fillna("")) == ["uploaded", "uploaded", ""]


def test_masks_that_cannot_be_told_apart_are_not_used(page, system):
    page.selectbox(key="system").select(MASKED).run()
    for level, bright in ((40, True), (90, False)):
        for name, data in (("1.tif", picture(level)), ("1_mask.png", half_mask(bright))):
            page.file_uploader[0].upload(name, data)
    page.run()
    table = page.dataframe[0].value
    assert len(table) == 2 and "outline" not in table
    assert table["error"].str.contains("Its mask was not used. Different files have one name").all()
    assert all(mask is None for mask in system.masks)


def test_a_mask_of_several_frames_goes_with_the_frame(page, system):
    page.selectbox(key="system").select(MASKED).run()
    parts = [Image.open(io.BytesIO(half_mask(bright))) for bright in (True, False)]
    file = io.BytesIO()
    parts[0].save(file, "TIFF", save_all=True, append_images=parts[1:])
    upload(page, **{"a.tif": picture(40, frames=2), "a_mask.tif": file.getvalue()})
    assert system.masks[-1].sum() == 40 * 30
    page.slider[0].set_value(2).run()
    assert "Nothing is outlined here in a_mask.tif" in words(page)
    assert system.masks[-1] is None


@pytest.mark.parametrize(
    ("mask", "said"),
    [
        (half_mask(bright=False), "Nothing is outlined here in a_mask.png"),
        (
            png(np.ones((8, 9, 3), np.uint8)),
            "Its mask was not used. The mask is 9 x 8 pixels wide and high, the scan 60 x 40",
        ),
        (b"no picture", "Its mask was not used."),
    ],
    ids=["black", "another size", "broken"],
)
def test_a_mask_that_outlines_nothing_leaves_the_scan_whole(page, system, mask, said):
    page.selectbox(key="system").select(MASKED).run()
    upload(page, **{"a.tif": picture(40), "a_mask.png": mask})
    assert not page.exception
    assert said in words(page)
    assert any("its figures do not hold" in one.value for one in page.warning)
    assert system.masks[-1] is None


def test_in_a_batch_masks_lie_with_their_scans(page, system):
    names = {"a.tif": picture(40), "b.tif": picture(90), "a_mask.png": half_mask()}
    upload(page, **names)
    assert list(page.dataframe[0].value["file"]) == ["a.tif", "b.tif"]
    assert "outline" not in page.dataframe[0].value
    page.selectbox(key="system").select(MASKED).run()
    table = page.dataframe[0].value
    assert list(table["outline"].fillna("")) == ["uploaded", ""]
    assert list(table["error"].notna()) == [False, True]


@pytest.mark.parametrize(("level", "list_of"), [("unusual", "warning"), ("foreign", "error")])
def test_a_scan_unlike_the_training_images_is_marked(page, system, level, list_of):
    system.level = level
    upload(page, **{"a.tif": picture(40)})
    assert f"The guard says {level}." in getattr(page, list_of)[0].value
    assert page.metric[0].value.startswith("malignant")
    assert "of the time" not in words(page), "its figures are of other scans"
    assert _assurance.NO_SET in words(page), "and so are its sets"


@pytest.mark.parametrize("level", ["unusual", "foreign"])
def test_a_batch_marks_scans_unlike_the_training_images(page, system, level):
    system.level = level
    upload(page, **{"a.tif": picture(40), "b.tif": picture(90)})
    assert list(page.dataframe[0].value["error"]) == [f"The guard says {level}."] * 2


def test_a_batch_of_a_system_that_needs_outlines_says_that_there_are_none(page, system):
    upload(page, **{"a.tif": picture(40), "b.tif": picture(90)})
    assert "error" not in page.dataframe[0].value
    page.selectbox(key="system").select(MASKED).run()
    assert all(NO_REGION in told for told in page.dataframe[0].value["error"])


def test_the_prediction_set_is_named_and_the_user_may_ask_for_silence(page, system):
    upload(page, **{"a.tif": picture(40)})
    assert "malignant, benign, normal" in words(page)
    assert "61 % to 83 %" in words(page)
    told = [one.help or "" for one in page.markdown]
    assert any("over the scan and 8 slightly changed copies of it: mirrored" in one for one in told)
    page.toggle(key="strict").set_value(True).run()
    assert page.metric[0].value == "no decision"
    assert page.metric[0].delta == "malignant or benign or normal"
    system.level = "foreign"
    upload(page, **{"b.tif": picture(0)})
    assert page.metric[0].delta == "unlike its training images"


def test_asked_to_be_sure_the_table_of_a_batch_names_no_class_either(page, system, monkeypatch):
    monkeypatch.setattr(
        _shared, "of_checkpoint", lambda one: Conformal(one.recipe.classes, 0.85, 0.9, 50)
    )
    upload(page, **{"a.tif": picture(100), "black.tif": picture(0), "broken.tif": b"II*"})
    table = page.dataframe[0].value
    assert list(table["label"]) == ["malignant", "malignant", "not examined"]
    assert list(table["prediction_set"])[:2] == ["malignant; benign", "malignant"]
    page.toggle(key="strict").set_value(True).run()
    table = page.dataframe[0].value
    assert list(table["label"]) == ["no decision", "malignant", "not examined"]
    system.level = "unusual"
    upload(page, **{"c.tif": picture(1), "d.tif": picture(2)})
    assert list(page.dataframe[0].value["label"]) == ["no decision"] * 2


def test_a_batch_tells_that_of_several_frames_the_first_was_examined(page):
    upload(page, **{"a.tif": picture(40), "b.tif": picture(90)})
    assert "frame" not in page.dataframe[0].value
    upload(page, **{"still.tif": picture(30), "sweep.tif": picture(20, frames=4)})
    assert page.dataframe[0].value["frame"][1] == "1 of 4"


def test_a_result_is_kept_by_content_and_system(page, system):
    upload(page, **{"a.tif": picture(40)})
    other = AppTest.from_file(str(APP), default_timeout=90).run()
    upload(other, **{"same scan, other name.tif": picture(40)})
    assert len(system.asked) == 1
    other.selectbox(key="system").select(SYSTEMS[1]).run()
    assert [recipe_id for recipe_id, _, _ in system.asked] == list(SYSTEMS[:2])
    assert system.loaded == list(SYSTEMS[:2])
    assert [bare(name) for name in charts(other)[0]["data"][0]["y"]] == [
        "normal",
        "benign",
        "malignant",
    ]


def test_a_broken_file_gets_its_sentence(page):
    upload(page, **{"report.pdf": b"%PDF-1.7 no image"})
    assert not page.exception
    assert len(page.error) == 1
    assert len(page.error[0].value) > 20
    assert not charts(page)


def test_a_batch_answers_the_good_files_and_tells_of_the_bad_one(page, system):
    files = {"dark.tif": picture(20), "broken.png": b"\x89PNG no more", "bright.tif": picture(230)}
    upload(page, **files)
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["file"]) == list(files)
    assert list(table["label"]) == ["malignant", "not examined", "benign"]
    assert table["malignant"][0] == pytest.approx(90 * (1 - 20 / 255))
    assert table["error"][1]
    assert page.metric[0].value.startswith("malignant")
    page.selectbox(key="shown").select(1).run()
    assert table["error"][1] == page.error[0].value.replace("\\", "")
    page.selectbox(key="shown").select(2).run()
    assert page.metric[0].value == "benign"
    assert not page.error
    assert len(system.asked) == 2


def test_the_frames_of_a_scan_are_looked_at_one_by_one(page, system):
    upload(page, **{"sweep.tif": picture(20, frames=4)})
    assert page.metric[0].value.startswith("malignant")
    (slider,) = page.slider
    assert (slider.min, slider.max, slider.value) == (1, 4, 1)
    slider.set_value(4).run()
    assert page.metric[0].value == "benign"
    assert system.asked[-1] == (SYSTEMS[0], None, 3)


def test_figures_come_with_protocol_count_and_interval(page):
    shown = {metric.label: (metric.value, metric.delta) for metric in page.metric}
    assert shown["Accuracy"] == ("83 %", "95 % CI 61–97 %")
    assert shown["Sensitivity, malignant"][0] == "75 %"
    assert "Measured on 118 scans" in words(page)
    beside = page.table[0].value
    assert beside.loc["Accuracy", "Paper"] == "0.99"
    assert list(beside.columns[1:]) == [
        "Ours, random split (n\u00a0=\u00a0117)",
        "Ours, grouped split (n\u00a0=\u00a0118)",
    ]
    assert beside.loc["Accuracy"].iloc[1] == "0.88 (0.61–0.97)"
    assert beside.loc["Precision (PPV), benign"].iloc[2] == "–"  # undefined, and stays so
    recipe = load_recipe(SYSTEMS[0])
    assert recipe.source.doi in words(page)
    assert all(sentence in words(page) for sentence in (*recipe.limits, *recipe.departures))


def test_an_interval_without_width_is_none():
    """Three groups that were right equally often give one, and would sound certain."""
    one = {"value": 0.75, "low": 0.75, "high": 0.75}
    metrics = {"grouped": {"n": 18, "values": {"precision_benign": one}}}
    told = _system.reliability(SimpleNamespace(label="benign"), metrics)
    assert "On 18 unseen scans (grouped split)" in told
    assert "75 % of the time (no usable CI)." in told


def test_a_label_is_shown_with_how_often_it_was_right(page):
    upload(page, **{"a.tif": picture(40)})
    assert "'malignant' was right 80 % of the time (95 % CI 61–97 %)" in words(page)


def test_a_damaged_checkpoint_is_a_sentence(page, system):
    system.broken = "checkpoint"
    st.cache_resource.clear()
    page.run()
    assert not page.exception
    assert "does not match its hash" in page.error[0].value


def test_a_failing_network_is_a_sentence_without_details(page, system, caplog):
    system.broken = "network"
    upload(page, **{"secret name.tif": picture(40)})
    assert not page.exception
    assert page.error[0].value == _verdicts.UNREADABLE
    assert "0x7f" not in words(page)
    assert "0x7f" in caplog.text, "the log keeps the traceback"
    assert "secret name" not in caplog.text, "a file's name may be a patient's"


def test_without_any_system_the_page_says_how_to_train_one(system, monkeypatch):
    monkeypatch.setattr("core.checkpoints.list_trained", lambda: ())
    page = AppTest.from_file(str(APP), default_timeout=90).run()
    assert "python train.py" in page.error[0].value


def test_the_about_page_tells_what_it_is_for_and_lists_the_systems(page):
    page.switch_page("pages/about.py").run()
    assert not page.exception
    assert "not** for patients in care" in words(page)
    assert load_recipe(SYSTEMS[1]).title in words(page)


def test_no_page_can_be_seen_without_the_frame():
    pages = [path for path in (APP.parent / "pages").glob("*.py") if path.name[0] != "_"]
    assert len(pages) >= 2
    assert all("\nrequire_frame()\n" in path.read_text(encoding="utf-8") for path in pages)


@pytest.mark.slow
def test_warm_up_answers_once_with_every_system(system, monkeypatch):
    monkeypatch.undo()
    fake = FakeSystem()
    monkeypatch.setattr(_warm_up, "list_trained", lambda: SYSTEMS)
    monkeypatch.setattr(_shared, "open_checkpoint", fake.open_checkpoint)
    monkeypatch.setattr(_warm_up, "classify", fake.classify)
    _warm_up.warm_up().join(timeout=20)
    _warm_up.warm_up().join(timeout=20)
    assert [recipe_id for recipe_id, _, _ in fake.asked] == list(SYSTEMS)


# ---------------------------------------------------------------- DICOM, archives, modality


NAME = "Zywxvu^Jane"
DEEP = np.linspace(0, 4000, 40 * 60).reshape(40, 60).astype(np.uint16)


def patient(**elements) -> bytes:
    """A grey DICOM of 12 bits, of a patient with a name."""
    told = {"PatientName": NAME, "PixelSpacing": ["0.5", "0.5"], "bits": 12} | elements
    return dicom(DEEP, **told)


def open_viewer(page: AppTest) -> AppTest:
    page.session_state["viewer"] = True
    return page.run()


def warnings_of(page: AppTest) -> str:
    return "\n".join(one.value for one in [*page.warning, *page.error]).replace("\\", "")


def test_a_dicom_is_answered_and_its_patient_is_not_named(page, system, caplog):
    upload(page, **{"a.dcm": patient()})
    assert not page.exception
    assert page.metric[0].value
    assert "The file holds: name. None of it is shown" in words(page)
    assert "often carry burned-in text" in page.warning[0].value
    shown = [str(element.proto) for element in page.main]
    assert "Zywxvu" not in "".join(shown) + caplog.text + repr(page.session_state)
    next(one for one in page.button if one.label == "De-identified copy").click().run()
    [sent] = page.get("bidi_component")
    name, copy = _downloads.saved(sent.proto.bytes)
    assert name == "deidentified.dcm"
    assert copy[128:132] == b"DICM"
    assert b"Zywxvu" not in copy


def test_the_copy_has_lost_the_name(in_a_session):
    def item(data) -> _scans.Item:
        digest = sha256(repr(data).encode())
        return _scans.Item("a.dcm", digest, lambda: data, several=isinstance(data, list))

    one, both = (
        _originals.deidentified(item(patient())),
        _originals.deidentified(item([patient()] * 2)),
    )
    assert one[128:132] == b"DICM"
    assert both[:4] == b"PK\x03\x04"
    assert b"Zywxvu" not in one + both


def test_a_scan_of_another_modality_is_not_answered_unmarked(page, system):
    upload(page, **{"mr.dcm": patient(Modality="MR"), "us.dcm": patient(Modality="US")})
    assert "marked as an MRI (MR)" in warnings_of(page)
    assert "breast ultrasound alone" in warnings_of(page)
    assert _assurance.NO_SET in words(page)
    table = page.dataframe[0].value
    assert "MRI" in table["error"][0]
    assert pd.isna(table["error"][1])
    page.selectbox(key="shown").select(1).run()
    assert "MRI" not in warnings_of(page)
    assert _assurance.NO_SET not in words(page)


def test_another_system_has_its_own_classes_and_words(page, system, monkeypatch):
    thermal = "mri-efficientnetv2b0"
    monkeypatch.setattr("core.checkpoints.list_trained", lambda: (*SYSTEMS, thermal))
    page.run()
    assert "breast ultrasound" in words(page)
    page.selectbox(key="system").select(thermal).run()
    assert not page.exception
    assert load_recipe(thermal).modality in words(page)
    assert not page.image, "the samples are ultrasound"
    page.selectbox(key="sample").select("Benign phantom 1").run()
    assert "marked as an ultrasound image" in warnings_of(page)


def test_the_viewer_costs_nothing_until_it_is_opened(page, monkeypatch):
    upload(page, **{"a.dcm": patient()})
    assert len(charts(page)) == 2
    open_viewer(page)
    assert not page.exception
    assert len(charts(page)) == 3
    viewer = charts(page)[-1]
    assert viewer["layout"]["newshape"]["label"]["texttemplate"] == "%{length:.1f} mm"


def test_a_scan_of_one_value_can_be_looked_at(page):
    upload(page, **{"a.dcm": dicom(np.full((80, 96), 7, np.uint16), bits=16)})
    open_viewer(page)
    assert not page.exception and not page.error
    assert len(charts(page)) == 3


def test_a_window_is_for_looking_until_the_user_asks(page, system):
    upload(page, **{"a.dcm": patient(WindowCenter="1000", WindowWidth="500")})
    open_viewer(page)
    key = next(one.key for one in page.slider if one.key.startswith("level"))
    assert page.slider(key=key).value == 1000
    before, answered = charts(page)[-1]["data"], len(system.asked)
    page.slider(key=key).set_value(3000).run()
    after = charts(page)[-1]["data"]
    assert after[0] == before[0], "the original is untouched"
    assert after[2] != before[2]
    assert len(system.asked) == answered
    label = page.metric[0].value
    page.button(key="examine view").click().run()
    assert len(system.asked) == answered + 1
    assert "on your view of the scan (level 3000, width 500)" in words(page)
    assert "of the time" not in words(page), "its figures were measured without such windows"
    assert _assurance.NO_SET in words(page), "and so were its sets"
    page.toggle(key="strict").set_value(True).run()
    assert page.metric[0].delta == "seen through another window"
    page.toggle(key="strict").set_value(False).run()
    page.slider(key=key).set_value(1000).run()
    page.button(key="examine view").click().run()
    assert "on your view of the scan" not in words(page), "it is the file's own again"
    assert _assurance.NO_SET not in words(page)
    assert page.metric[0].value == label
    assert "on your view" not in words(page)


@pytest.mark.parametrize(
    ("spacing", "told"),
    [
        (["0.5", "0.25"], "7.5 × 10.0 mm, area 75.0 mm²"),
        (None, "30 × 20 px, area 600 pixels"),
    ],
)
def test_a_box_by_keyboard_is_measured(page, spacing, told):
    upload(
        page, **{"a.dcm": dicom(DEEP, bits=12, **({"PixelSpacing": spacing} if spacing else {}))}
    )
    open_viewer(page)
    next(one for one in page.toggle if one.key.startswith("keyboard view")).set_value(True).run()
    inside = DEEP[10:31, 15:46]  # from a quarter to three quarters
    found = f"**{told}**, mean {inside.mean():.1f}, SD {inside.std():.1f}."
    assert found in words(page)
    assert (_viewer.NO_SPACING in words(page)) == (spacing is None)


def test_fractions_are_told_to_three_digits():
    found = Measured(12.5, 5, 2.5, 0.0012345, 0.000056789)
    scan = Scan(np.zeros((1, 2, 2, 3), np.uint8), spacing_mm=(1, 1))
    told = "**5.0 × 2.5 mm, area 12.5 mm²**, mean 0.00123, SD 5.68e-05."
    assert _viewer._area_text(found, scan, "") == told


def test_a_preset_sets_level_and_width(page):
    upload(page, **{"a.dcm": patient(WindowCenter="1000", WindowWidth="500")})
    open_viewer(page)

    def preset():
        return next(one for one in page.selectbox if one.key.startswith("preset"))

    def shown() -> list[float]:
        return [page.slider(key=one.key).value for one in page.slider]

    assert preset().options == ["As in the file", "All values"]
    preset().select("All values").run()
    assert shown() == [2000.5, 4001]
    page.slider[0].set_value(1500).run()
    assert shown() == [1500, 4001] and preset().value == _viewer.BY_HAND
    preset().select("All values").run()  # the same again
    assert shown() == [2000.5, 4001] and preset().value == "All values"
    assert _viewer.BY_HAND not in preset().options
    for slider, value in enumerate((1000, 500)):
        page.slider[slider].set_value(value).run()
    assert preset().value == "As in the file"


def test_of_windows_that_differ_in_shape_alone_each_can_be_chosen(page):
    """A curve over the very values that the scan has, and the straight line over them."""
    values = np.arange(4096, dtype=np.uint16).reshape(64, 64)
    window = {"WindowCenter": "2048", "WindowWidth": "4096", "VOILUTFunction": "SIGMOID"}
    upload(page, **{"a.dcm": dicom(values, bits=12, **window)})
    open_viewer(page)

    def preset():
        return next(one for one in page.selectbox if one.key.startswith("preset"))

    def view() -> str:
        return charts(page)[-1]["data"][2]["source"]

    curved = view()
    preset().select("All values").run()
    assert preset().value == "All values"
    straight = view()
    assert straight != curved
    page.slider[0].set_value(1500).run()
    page.slider[0].set_value(2048).run()
    assert view() == curved, "by hand it is the first of them"
    preset().select("All values").run()
    preset().select("As in the file").run()
    assert (preset().value, view()) == ("As in the file", curved)


def test_a_view_is_never_taken_for_the_curve_of_a_file(page):
    curve = lut(0, [number**2 // 4095 for number in range(4096)], 12)
    upload(page, **{"a.dcm": dicom(DEEP, bits=12, VOILUTSequence=[curve])})
    open_viewer(page)
    assert _viewer.CURVED in words(page) and _viewer.FOR_LOOKING in words(page)
    original, view = (charts(page)[-1]["data"][at]["source"] for at in (0, 2))
    assert original != view
    page.button(key="examine view").click().run()
    assert _viewer.FOR_LOOKING not in words(page), "now it is what is examined"


def test_a_window_over_fractions_is_spread_over_them(page):
    ramp = np.linspace(0, 1, 60 * 40, dtype=np.float32).reshape(60, 40)
    image = Nifti1Image(ramp, np.eye(4))
    upload(page, **{"a.nii": image.to_bytes()})
    open_viewer(page)
    keys = [
        next(one.key for one in page.slider if one.label == name) for name in ("Level", "Width")
    ]
    assert [page.slider(key=key).value for key in keys] == [0.5, 1]
    page.slider(key=keys[1]).set_value(0.5).run()
    source = charts(page)[-1]["data"][2]["source"]
    seen = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))))
    # of the values from 0 to 1, a quarter is below the window and a quarter above
    for share, grey in ((0.25, 0), (0.5, 128), (0.75, 255)):
        assert abs(np.quantile(seen, share) - grey) <= 2


def test_the_window_goes_along_from_slice_to_slice_until_the_user_sets_one(page):
    told = {"SeriesInstanceUID": "1.2.3", "ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
    slabs = {
        f"{z}.dcm": dicom(DEEP, **told, ImagePositionPatient=[0, 0, z], **window)
        for z, window in enumerate(
            [
                {"WindowCenter": "1000", "WindowWidth": "500"},
                {"WindowCenter": "3000", "WindowWidth": "700"},
            ]
        )
    }
    upload(page, **slabs)
    open_viewer(page)

    def shown() -> tuple:
        keys = sorted(one.key for one in page.slider if one.key.startswith(("level", "width")))
        return tuple(page.slider(key=key).value for key in keys)

    frame = next(one for one in page.slider if one.label == "Frame")
    first = shown()
    frame.set_value(3 - frame.value).run()
    assert not page.exception
    assert {first, shown()} == {(1000, 500), (3000, 700)}
    level = next(one.key for one in page.slider if one.key.startswith("level"))
    page.slider(key=level).set_value(2000).run()
    mine = shown()
    frame = next(one for one in page.slider if one.label == "Frame")
    frame.set_value(3 - frame.value).run()
    assert shown() == mine


def test_a_cine_can_be_played(page):
    frames = np.stack([np.full((30, 40), level, np.uint8) for level in (10, 200)])
    upload(page, **{"cine.dcm": dicom(frames, FrameTime="40")})
    open_viewer(page)
    play = next(one for one in page.toggle if one.label == "Play")
    play.set_value(True).run()
    assert not page.exception
    assert page.image[0].proto.imgs[0].alt == "Moving picture of 2 frames"


def test_an_archive_is_a_batch_and_slices_are_one_volume(page, system):
    inside = {f"series/{number}.dcm": data for number, data in enumerate(slices(4))}
    files = {"a.tif": picture(40), **inside, "notes.txt": b"no image", "b.tif": picture(230)}
    upload(page, **{"all.zip": pack(files)})
    assert not page.exception
    table = page.dataframe[0].value
    assert list(table["file"]) == [
        "a.tif",
        "series/0.dcm and 3 more slices",
        "notes.txt",
        "b.tif",
    ]
    assert list(table["label"])[::3] == ["malignant", "benign"]
    assert "not an image" in table["error"][2]
    page.selectbox(key="shown").select(1).run()
    assert next(one for one in page.slider if one.label == "Frame").max == 4


def test_a_damaged_slice_takes_no_other_with_it(page, system, in_a_session):
    first, third, second = slices(3)
    files = {"1.dcm": first[:-4], "2.dcm": second, "3.dcm": third}
    upload(page, **files, **{"b.tif": picture(230)})
    gap = "Slice 1 of 3 of this series cannot be read and is left out."
    assert gap in page.dataframe[0].value["error"][0]
    assert gap in page.warning[0].value
    assert next(one for one in page.slider if one.label == "Frame").max == 2
    item = _scans.Item("a", "of all", lambda: list(files.values()), several=True)
    assert [_originals.source_of(item, frame, named=True) for frame in (0, 1)] == [second, third]
    copies = zipfile.ZipFile(io.BytesIO(_originals.deidentified(item)))
    assert copies.namelist() == ["0001.dcm", "0002.dcm"]


def test_an_archive_that_could_do_harm_is_a_sentence(page):
    upload(page, **{"bad.zip": pack({"../x.png": b"1"})})
    assert not page.exception
    assert "leads out of it" in page.error[0].value


def test_a_batch_can_be_stopped_and_taken_up_again(page, system):
    files = {f"{level}.tif": picture(level) for level in (20, 120, 230)}
    now = SYSTEMS[0], _shared.version(SYSTEMS[0])
    elsewhere = {(("of another system",), SYSTEMS[1], 0)}
    waiting = {((sha256(data),), *now) for data in files.values()}
    page.session_state["stopped"] = waiting | elsewhere
    upload(page, **files)
    assert not system.asked
    assert len(page.dataframe[0].value["error"].dropna()) == 3
    hold(page, **files, **{"later.tif": picture(60)})
    assert len(system.asked) == 1, "what comes after the stop does not wait"
    assert page.dataframe[0].value["error"].notna().tolist() == [True, True, True, False]
    hold(page, **files)
    system.asked.clear()
    next(one for one in page.button if one.label.startswith("Examine the other 3")).click().run()
    assert len(system.asked) == 3
    assert page.session_state["stopped"] == elsewhere, "these wait on"
    assert list(page.dataframe[0].value["label"]) == ["malignant", "malignant", "benign"]


def test_the_scan_that_is_looked_at_stays_when_another_is_removed(page, system):
    levels = (20, 120, 230)
    files = {f"{level}.tif": picture(level) for level in levels}
    upload(page, **files)
    page.selectbox(key="shown").select(1).run()
    hold(page, **{name: files[name] for name in ("120.tif", "230.tif")})
    assert page.selectbox(key="shown").value == 0
    assert "120.tif" in [one.value for one in page.text]
    hold(page, **{name: files[name] for name in ("20.tif", "120.tif")})
    assert page.selectbox(key="shown").value == 1
    hold(
        page,
        **{"20.tif": files["20.tif"], "120.tif": files["120.tif"], "120_mask.png": half_mask()},
    )
    assert page.selectbox(key="shown").value == 1, "its mask came later"
    hold(page, **{name: files[name] for name in ("230.tif", "20.tif")})
    assert page.selectbox(key="shown").value == 0 and "230.tif" in [one.value for one in page.text]


def test_a_scan_is_not_taken_for_another_of_the_same_bytes(page, system):
    files = {"20.tif": picture(20), "copy.tif": picture(120), "120.tif": picture(120)}
    upload(page, **files)
    page.selectbox(key="shown").select(2).run()
    hold(page, **{name: files[name] for name in ("copy.tif", "120.tif")})
    assert page.selectbox(key="shown").value == 1
    assert "120.tif" in [one.value for one in page.text]


def test_a_scan_that_was_alone_for_a_while_stays_when_others_come_after_it(page, system):
    files = {"20.tif": picture(20), "120.tif": picture(120)}
    upload(page, **files)
    page.selectbox(key="shown").select(1).run()
    hold(page, **{"120.tif": files["120.tif"]})
    hold(page, **{name: files[name] for name in ("120.tif", "20.tif")})
    assert page.selectbox(key="shown").value == 0
    assert "120.tif" in [one.value for one in page.text]


def test_an_upload_is_held_once_however_often_the_page_runs(page, system):
    """Streamlit gives each run a new copy; what the page keeps must not keep them all."""
    upload(page, **{"a.dcm": patient()})
    [first] = page.session_state["uploads held"].values()
    for _ in range(2):
        page.run()
        [held] = page.session_state["uploads held"].values()
        assert held is first
    upload(page, **{"b.dcm": patient()})
    assert first not in page.session_state["uploads held"].values()


def test_csv_keeps_the_table_and_defuses_formulas():
    recipe = load_recipe(SYSTEMS[0])
    items = [_scans.Item(name, "", bytes) for name in ("a.png", "=cmd|' /C calc'!A0", "c, d.png")]
    verdicts = [
        _verdicts.Verdict("benign", (0.5, 0.3, 0.2)),
        _verdicts.Verdict(error=SENTENCE),
        _verdicts.Verdict("normal", (0.1, 0.2, 0.7)),
    ]
    table = _batch.batch_table(items, verdicts, recipe)
    back = pd.read_csv(io.BytesIO(safe_csv(without_names(table))))
    columns = ["file", "recipe", "label", *recipe.classes, "warning", "error"]
    assert list(back.columns) == columns
    assert list(back["file"]) == ["scan 1", "scan 2", "scan 3"]
    named = pd.read_csv(io.BytesIO(safe_csv(table)))
    assert list(named["file"]) == ["a.png", "'=cmd|' /C calc'!A0", "c, d.png"]
    assert safe_csv(pd.DataFrame({"=1+1": [1]})).startswith(b"'=1+1")
    assert back["error"][1] == SENTENCE
    assert back.loc[2, list(recipe.classes)].tolist() == [0.1, 0.2, 0.7]


def test_a_name_is_never_taken_for_markdown():
    assert _frame.plain("![x](http://a) :red[b] *c* <i> $d$") == (
        r"!\[x\](http\://a) \:red\[b\] \*c\* \<i\> \$d\$"
    )
