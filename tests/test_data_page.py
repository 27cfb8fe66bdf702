"""The data page without a browser: what it says, what it filters, what it refuses."""

from __future__ import annotations

import io
import os
import re
import zipfile
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import streamlit as st
from streamlit.runtime.caching import cache_utils
from streamlit.runtime.context import StreamlitHeaders
from streamlit.testing.v1 import AppTest

from core.checkpoints import list_trained
from core.datasets import READERS, folder
from core.datasets.audit import Audit
from core.datasets.phantoms import phantom, phantom_table
from core.figures.datasets import class_bars
from core.png import png
from pages import _data_intensity, _data_leakage, _data_overview, _data_source, _data_system
from pages._data_browse import add_flags, select
from pages._data_overview import show_splits, summary
from pages._data_source import Source
from pages._frame import UNEXPECTED
from pages._tables import stamp
from tests.reading import words

APP = Path(__file__).parents[1] / "app.py"
FLAG_KEY = "data flags"
OVERVIEW, INTENSITY, LEAKAGE, BROWSE, SYSTEM = (
    ":material/bar_chart: Overview",
    ":material/brightness_6: Intensity",
    ":material/content_copy: Leakage",
    ":material/grid_view: Browse",
    ":material/experiment: Test a system",
)


def scan(label: str, seed: int):
    return phantom(label, seed, 96)[0]


def folder_of_classes() -> dict[str, bytes]:
    """Two pairs: an exact one under two labels, and a turned one from train to test."""
    matrix = cv2.getRotationMatrix2D((47.5, 47.5), 20, 1)
    files = {
        "train/benign/1.png": scan("benign", 1),
        "train/benign/2.png": scan("benign", 2),
        "train/malignant/3.png": scan("benign", 1),
        "train/malignant/4.png": scan("malignant", 4),
        "test/benign/5.png": scan("normal", 5),
        "test/malignant/6.png": cv2.warpAffine(scan("malignant", 4), matrix, (96, 96)),
    }
    return {name: png(pixels) for name, pixels in files.items()}


def zipped(files: dict[str, bytes]) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return stream.getvalue()


@pytest.fixture
def page(monkeypatch, tmp_path):
    monkeypatch.delenv("LESIONLENS_DATA", raising=False)
    monkeypatch.setattr("pages._warm_up.warm_up", lambda: None)
    st.cache_data.clear()
    st.cache_resource.clear()
    few = READERS["phantoms"].__class__(
        "phantoms",
        "Phantoms (synthetic)",
        None,
        ("benign",),
        "phantoms",
        lambda _: phantom_table(2),
    )
    monkeypatch.setitem(READERS, "phantoms", few)
    return AppTest.from_file(str(APP), default_timeout=120).run().switch_page("pages/data.py").run()


def opened(page: AppTest, tab: str) -> AppTest:
    page.session_state["data tab"] = tab
    return page.run()


def upload(page: AppTest, data: bytes) -> AppTest:
    page.file_uploader(key="data upload").upload("own.zip", data)
    return page.run()


def test_phantoms_are_always_there_and_marked_synthetic(page):
    page.run()
    assert not page.exception
    assert page.selectbox(key="data set").options == ["Phantoms (synthetic)"]
    assert "6 images: benign (2), malignant (2), normal (2)" in words(page)
    table = page.dataframe[0].value
    assert table["Class"].tolist() == ["benign", "malignant", "normal"]
    assert table["Outlined lesions"].tolist() == [2, 2, 0]


def test_only_the_open_tab_computes(page, monkeypatch):
    asked = []
    monkeypatch.setattr(_data_source, "audit", lambda *_: asked.append("audit"))
    opened(page, INTENSITY)
    assert asked == []


def test_intensity_has_its_numbers_and_its_test(page):
    opened(page, INTENSITY)
    assert not page.exception
    assert "Kruskal-Wallis H" in words(page)
    compared = (
        r"\(2\) against .* \(2\): Cliff's delta \*\*.*\*\* "
        r"\((?:.* to .*|no usable interval)\), [a-z]+"
    )
    assert len(re.findall(compared, words(page))) == 3
    assert page.dataframe[0].value["Median"].between(0.1, 0.6).all()
    inside = page.segmented_control(key="data region")
    inside.set_value("Inside the lesion").run()
    assert len(re.findall(compared, words(page))) == 1  # normal scans have no lesion


def test_an_uploaded_folder_is_audited(page):
    upload(page, zipped(folder_of_classes()))
    opened(page, LEAKAGE)
    assert not page.exception
    values = [metric.value for metric in page.metric]
    assert values[:3] == ["4", "1", "1"]
    crossing = page.dataframe[0].value.iloc[0]
    assert crossing[["Groups", "On two sides", "With a relative in it"]].tolist() == [2, 1, 1]
    assert "2 pairs, the most alike first." in words(page)
    page.segmented_control(key="data pairs").set_value("Under two labels").run()
    assert "1 pair, the most alike first." in words(page)
    assert "**exact**, correlation 1.00" in words(page)
    page.segmented_control(key="data pairs").set_value("Across the split").run()
    assert "**turned**" in words(page)


def test_what_cannot_be_read_is_told_and_the_rest_is_shown(page):
    files = folder_of_classes() | {"test/benign/7.png": b"\x89PNG\r\n\x1a\n and no more"}
    upload(page, zipped(files | {"readme.txt": b"hello"}))
    assert not page.exception
    assert "1 file left out, of a kind that is not read here" in words(page)
    assert page.expander[0].label == "1 image cannot be read"
    assert page.dataframe[0].value["Images"].tolist() == [4, 3]


def test_a_mask_of_another_size_takes_nothing_from_its_image(page):
    small = np.full((20, 90, 3), 255, np.uint8)
    upload(page, zipped(folder_of_classes() | {"test/benign/5_mask.png": png(small)}))
    told = "The masks of 1 image cannot be used: nothing inside or outside of them is measured"
    assert [one.label for one in page.expander] == [told]
    assert "The mask is 90 x 20" in words(page)
    opened(page, INTENSITY)
    assert [one.label for one in page.expander] == [told]
    assert page.dataframe[0].value["Images"].tolist() == [3, 3]
    opened(page, BROWSE)
    page.button(key="data enlarge card test/benign/5").click().run()
    assert not page.exception and not page.error
    assert "Its mask is not shown." in words(page)


def test_where_nothing_can_be_read_nothing_is_said_of_copies(page):
    broken = {f"{label}/1.png": b"\x89PNG\r\n\x1a\n and no more" for label in ("x", "y")}
    upload(page, zipped(broken))
    opened(page, LEAKAGE)
    assert _data_leakage.NOTHING_TO_COMPARE in [one.value for one in page.info]
    assert not page.success and not page.metric
    upload(page, zipped(broken | {f"x/{one}.png": png(scan("benign", one)) for one in (2, 3)}))
    opened(page, LEAKAGE)
    told = "No copies or near-duplicates were found among the 2 images that can be read."
    assert [one.value for one in page.success] == [told]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"PK\x03\x04 nothing", "is damaged"),
        (zipped({"../x/1.png": b"x"}), "leads out of it"),
        (zipped({"a.txt": b"x"}), "a folder for each class"),
    ],
    ids=["damaged", "leads out", "no images"],
)
def test_a_bad_archive_gets_one_sentence(page, data, sentence):
    upload(page, data)
    assert not page.exception
    assert len(page.error) == 1
    assert page.error[0].value != UNEXPECTED
    assert sentence in page.error[0].value


def test_a_folder_of_this_computer_is_read_where_server_and_browser_are_one(page, tmp_path):
    for name, data in folder_of_classes().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    assert "6 images: benign (3), malignant (3)" in words(page)
    page.text_input(key="data folder").set_value(str(tmp_path / "nowhere")).run()
    assert "is not a folder" in page.error[0].value
    for unheard_of in ("~nosuchuser/x", "/" + "a" * 300):
        page.text_input(key="data folder").set_value(unheard_of).run()
        assert "cannot be opened" in page.error[0].value and not page.exception
    (tmp_path / "test/benign/7.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "test/8.png").write_bytes(png(scan("benign", 8)))
    _data_source._read_folder.clear()
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    assert "6 images" in words(page) and not page.error  # it is no file
    assert "1 image left out, in no folder of a class: 1 in test" in words(page)


def test_what_another_choice_outweighs_is_disabled(page, tmp_path):
    def disabled():
        return page.selectbox(key="data set").disabled, page.text_input(key="data folder").disabled

    assert disabled() == (False, False)
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    assert disabled() == (True, False)
    upload(page, zipped(folder_of_classes()))
    assert disabled() == (True, True)


def test_a_folder_may_change_while_it_is_looked_at(page, tmp_path):
    for name, data in folder_of_classes().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    (tmp_path / "test/benign/7.png").write_bytes(png(scan("benign", 7)))
    for tab in (INTENSITY, LEAKAGE, BROWSE, OVERVIEW):
        opened(page, tab)
        assert not page.exception and not page.error and "6 images" in words(page)
    _data_source._read_folder.clear()  # as time does
    page.run()
    assert not page.exception and not page.error and "7 images" in words(page)
    assert page.dataframe[0].value["Images"].tolist() == [4, 3]


def test_images_that_were_away_are_looked_at_again(page, tmp_path):
    mask = np.zeros((96, 96, 3), np.uint8)
    mask[20:50, 30:60] = 255
    for name, data in (folder_of_classes() | {"train/benign/masks/1.png": png(mask)}).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    for away, lost in (("test", "cannot be read"), ("train/benign/masks", "cannot be used")):
        st.cache_resource.clear()
        (tmp_path / away).rename(tmp_path / "away")
        page.run()
        assert lost in page.expander[0].label
        (tmp_path / "away").rename(tmp_path / away)
        page.run()
        assert not page.expander


def test_the_stamp_of_files_changes_with_them(tmp_path):
    for name, data in folder_of_classes().items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    table = folder.read(tmp_path)
    before = stamp(table["path"])
    assert stamp(table["path"]) == before
    assert stamp(table["path"].iloc[1:]) != before
    os.utime(table["path"][0], (1, 1))
    assert stamp(table["path"]) != before
    (tmp_path / "odd").mkdir()
    (tmp_path / os.fsdecode(b"odd/\xff.png")).touch()  # no name in UTF-8
    assert stamp((tmp_path / "odd").iterdir())


def test_files_that_differ_in_the_case_of_their_suffix_are_two_images(page, tmp_path):
    files = folder_of_classes()
    files["train/benign/1.PNG"] = files["train/benign/2.png"]
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    page.text_input(key="data folder").set_value(str(tmp_path)).run()
    for tab in (LEAKAGE, BROWSE):
        opened(page, tab)
        assert not page.exception and not page.error
    assert "7 of 7 images" in words(page)


def test_near_duplicates_are_offered_once_the_audit_knows_them(page):
    upload(page, zipped(folder_of_classes()))
    opened(page, BROWSE)
    assert "Open Leakage once" in words(page)
    assert not page.error
    assert FLAG_KEY not in [pills.key for pills in page.pills]
    opened(page, LEAKAGE)
    opened(page, BROWSE)
    assert "nothing is known of patients" in words(page)
    page.pills(key=FLAG_KEY).set_value(["near_duplicate"]).run()
    assert "4 of 6 images" in words(page)
    st.cache_resource.clear()  # as time does: the audit is no longer known
    upload(page, zipped(folder_of_classes()))
    assert not page.exception and not page.error


def test_relatives_are_named_after_what_the_reader_knows(page):
    opened(page, LEAKAGE)
    told = "and images of one group that the data set's reader knows (phantoms)"
    assert told in words(page).replace("\\", "")


def test_patients_that_an_upload_lists_are_its_groups(page):
    files = {f"{label}/1.png": png(scan(label, 1)) for label in ("benign", "malignant")}
    listed = {"patients.csv": b"image,patient\nbenign/1.png,A\nmalignant/1.png,A\n"}
    opened(upload(page, zipped(files | listed)), LEAKAGE)
    told = "images of one group that the data set's reader knows (patients, by patients.csv)"
    assert told in words(page).replace("\\", "")
    opened(page, BROWSE)
    assert page.selectbox(key="data group").options == ["benign/1"]


def test_folders_are_not_offered_to_others(page, monkeypatch):
    monkeypatch.setattr(_data_source, "is_local", lambda: False)
    page.run()
    assert not page.text_input


@pytest.mark.parametrize(
    ("headers", "address", "local"),
    [
        ({"host": "localhost:8501"}, "localhost", True),
        ({"host": "[::1]:8501"}, "localhost", True),
        ({}, "localhost", True),
        ({"host": "example.org"}, "localhost", False),
        ({"host": "localhost:8501"}, "0.0.0.0", False),
        ({"host": "localhost:8501", "x-forwarded-for": "203.0.113.7"}, "localhost", False),
        ({"host": "localhost", "forwarded": "for=203.0.113.7"}, "localhost", False),
    ],
)
def test_folders_are_the_users_own_on_one_computer_alone(monkeypatch, headers, address, local):
    """The last two come through a proxy that names this computer as the host, as nginx does."""
    known = SimpleNamespace(headers=StreamlitHeaders(headers.items()))
    monkeypatch.setattr(_data_source.st, "context", known)
    monkeypatch.setattr(_data_source.st, "get_option", lambda _: address)
    assert _data_source.is_local() is local


@pytest.mark.skipif(not list_trained(), reason="no trained system is shipped")
def test_a_system_is_asked_about_an_upload(page):
    opened(upload(page, zipped(folder_of_classes() | {"test/cyst/7.png": b"x"})), SYSTEM)
    assert "Nothing was fitted to these images" in words(page)
    assert not page.metric
    page.selectbox(key="data system").select("busi-efficientnet-b0").run()
    page.button(key="data ask").click().run()
    assert not page.exception
    answers = page.dataframe[0].value
    assert len(answers) == 6
    wrong = answers["label"] != answers["predicted"]
    assert answers["wrong"].tolist() == wrong.tolist() == sorted(wrong, reverse=True)
    accuracy = next(one for one in page.metric if one.label == "Accuracy")
    assert float(accuracy.value) == pytest.approx(1 - wrong.mean(), abs=0.006)
    told = words(page)
    assert "6 images, 4 groups" in told, "two pairs are the same"
    assert "Unlike the training images, by the guard" in told
    assert "1 image of 'cyst', which is no class of the system" in told
    page.run()
    assert len(page.dataframe[0].value) == 6, "it is remembered"
    assert not [one for one in page.button if one.key == "data ask"]
    first = answers["image_id"][0]
    assert f"called {answers['predicted'][0]}" in words(page)
    page.button(key=f"data explain {first}").click().run()
    assert not page.exception
    assert first in [one.value for one in page.text], "it is on Compare now"
    assert page.pills(key="compare systems").value == ["busi-efficientnet-b0"]


def test_a_folder_of_no_systems_classes_gets_its_sentence(page):
    files = {f"{name}/{i}.png": png(scan("benign", i)) for i, name in enumerate(("cat", "dog"))}
    opened(upload(page, zipped(files)), SYSTEM)
    assert _data_system.NO_SYSTEM in words(page)


def test_browse_filters_and_enlarges(page):
    upload(page, zipped(folder_of_classes()))
    opened(page, BROWSE)
    assert "6 of 6 images" in words(page)
    page.selectbox(key="data label").set_value("benign").run()
    assert "3 of 6 images" in words(page)
    page.selectbox(key="data side").set_value("test").run()
    assert "1 of 6 images" in words(page)
    page.button(key="data enlarge card test/benign/5").click().run()
    assert not page.exception
    assert "96 x 96 pixels" in words(page)


def test_what_was_chosen_in_a_tab_is_there_on_return(page):
    upload(page, zipped(folder_of_classes()))
    opened(page, BROWSE)
    page.selectbox(key="data label").set_value("malignant").run()
    page.selectbox(key="data side").set_value("test").run()
    opened(page, OVERVIEW)
    opened(page, BROWSE)
    assert "1 of 6 images" in words(page)
    opened(page, OVERVIEW)
    other = {f"{label}/1.png": png(scan("benign", 1)) for label in ("a", "b")}
    upload(page, zipped(other))
    opened(page, BROWSE)  # of other images, with no such class and no side
    assert not page.exception and not page.error
    assert "2 of 2 images" in words(page)


def test_another_list_begins_at_its_first_page(page):
    labels = ("benign", "malignant")
    files = {f"{label}/{n}.png": png(scan(label, n)) for label in labels for n in range(16)}
    upload(page, zipped(files))
    opened(page, BROWSE)
    page.selectbox(key="data label").set_value("benign").run()
    page.pagination[0].set_value(2).run()
    assert [one.label for one in page.button if "benign" in one.label] == ["benign/15"]
    page.selectbox(key="data label").set_value("malignant").run()
    assert "16 of 32 images" in words(page)
    assert page.pagination[0].value == 1


def two_lists_of_equal_length() -> None:
    import pandas as pd
    import streamlit as st

    from pages._paging import page_of

    for column in ("image_id", "a"):
        st.text(",".join(page_of("x", pd.DataFrame({column: "pqr"}, range(3)), 2)))


def test_images_and_pairs_of_equal_number_turn_their_pages_each():
    page = AppTest.from_function(two_lists_of_equal_length, default_timeout=60).run()
    assert not page.exception and len(page.pagination) == 2


@pytest.mark.parametrize(
    ("module", "asked", "figures"),
    [
        (_data_intensity, "effects", lambda: _data_intensity._effects("key", "mean", None)),
        (_data_leakage, "nearest_neighbour", lambda: _data_leakage._neighbour("key", None)),
        (_data_leakage, "crossings", lambda: _data_leakage._crossings("key", (), None, None)),
    ],
)
def test_figures_of_an_upload_are_forgotten_after_an_hour(monkeypatch, module, asked, figures):
    now, times = [0.0], []
    monkeypatch.setattr(cache_utils, "TTLCACHE_TIMER", lambda: now[0])
    monkeypatch.setattr(module, asked, lambda *_: times.append(now[0]))
    st.cache_data.clear()
    for now[0] in (0.0, 3599.0, 3601.0):
        figures()
    assert times == [0, 3601]
    st.cache_data.clear()


def source(table: pd.DataFrame, splits: pd.DataFrame) -> Source:
    return Source("key of a test", "title", table, splits)


def some_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "image_id": ["1", "2", "3", "4"],
            "path": ["", "", "", ""],
            "label": ["x", "y", "x", "x"],
            "masks": [(), ("m",), (), ()],
            "group": ["1", "1", "3", "4"],
        }
    )


def test_flags_by_hand():
    table = some_table()
    splits = pd.DataFrame({"s": ["train", "test", "test", None]}, index=table["image_id"])
    flags = add_flags(source(table, splits), "s").set_index("image_id")
    assert "near_duplicate" not in flags  # the reader's groups may be slides or patients
    assert flags["two_labels"].tolist() == [True, True, False, False]
    assert flags["crosses"].tolist() == [True, True, False, False]
    assert flags["outlined"].tolist() == [False, True, False, False]
    assert flags["split"].fillna("no side").tolist() == ["train", "test", "test", "no side"]


def test_flags_of_an_audit_by_hand(monkeypatch):
    table = some_table()
    splits = pd.DataFrame({"s": ["train", "train", "test", None]}, index=table["image_id"])
    found = Audit(
        pd.DataFrame(),
        pd.Series({"1": "1", "2": "2", "3": "2"}),
        table.set_index("image_id")["label"].iloc[:3],
        np.empty((3, 0)),
        {"4": "It is broken."},
        pd.Series({"1": "1", "2": "1", "3": "1", "4": "4"}),
    )
    monkeypatch.setattr("pages._data_browse.known_audit", lambda _: found)
    flags = add_flags(source(table, splits), "s").set_index("image_id")
    assert flags["group"].tolist() == ["1", "1", "1", "4"]
    assert flags["near_duplicate"].tolist() == [False, True, True, False]
    assert flags["crosses"].tolist() == [True, True, True, False]
    assert flags["unreadable"].tolist() == [False, False, False, True]


def test_filters_add_up_and_none_stands_for_any():
    table = add_flags(source(some_table(), pd.DataFrame(index=list("1234"))), None)
    assert len(select(table, [], label=None, group=None)) == 4
    assert select(table, ["crosses"], label="x")["image_id"].tolist() == []
    assert select(table, ["two_labels"], label="x")["image_id"].tolist() == ["1"]


def test_a_class_that_a_split_leaves_out_is_not_told_and_colours_stay(monkeypatch):
    table = some_table().assign(label=["x", "y", "z", "z"])
    splits = pd.DataFrame({"s": [None, "test", "train", "train"]}, index=table["image_id"])
    drawn = []
    monkeypatch.setattr("pages._data_overview.choose_split", lambda *_: "s")
    monkeypatch.setattr("pages._data_overview.draw", lambda *given: drawn.append(given))
    show_splits(source(table, splits))
    ((figure, _, told),) = drawn
    assert told == "Images a split and class. train: y (0), z (2); test: y (1), z (0)"
    colours = class_bars(table["label"].value_counts(sort=False)).data[0].marker.color
    assert [bar.name for bar in figure.data] == ["y", "z"]
    assert [bar.marker.color for bar in figure.data] == list(colours[1:])


def test_sizes_are_told_by_side_since_no_image_need_have_both_ends(monkeypatch):
    told = []
    monkeypatch.setattr(_data_overview, "show_figure", lambda *words: told.append(words[-1]))
    facts = pd.DataFrame({"width": [190, 400], "height": [400.0, 195.0], "area": np.nan})
    _data_overview.show_sizes(facts.assign(label=["benign", "malignant"]))
    assert told == ["2 different sizes, width 190 to 400, height 195 to 400 pixels."]


def test_a_class_without_outlines_has_no_median_area(monkeypatch):
    told = []
    monkeypatch.setattr(_data_overview, "show_figure", lambda *words: told.append(words[-1]))
    facts = pd.DataFrame({"width": 9, "height": 9, "area": [0.053, np.nan]})
    _data_overview.show_sizes(facts.assign(label=["benign", "normal"]))
    assert told == ["Median areas: benign 5.3 %."]


def test_an_interval_without_width_is_none(page):
    files = {f"{label}/1.png": png(scan(label, 1)) for label in ("benign", "malignant")}
    upload(page, zipped(files))
    opened(page, INTENSITY)
    assert re.search(r"\*\*.1\.00\*\* \(no usable interval\), large", words(page))


def test_the_summary_by_hand():
    facts = pd.DataFrame(
        {"width": [10, 20, 30, 50], "height": [5, 5, 5, 5], "area": [None, 0.2, 0.1, 0.3]}
    )
    rows = summary(some_table(), facts).set_index("Class")
    assert rows.loc["x", ["Images", "Groups", "Mask files", "Outlined lesions"]].tolist() == [
        3,
        3,
        0,
        2,
    ]
    assert rows.loc["x", ["Median width", "Median lesion area (%)"]].tolist() == [30, 20]
