"""The classify page in a real browser, with the shipped systems and synthetic scans."""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from urllib.parse import parse_qs, urlencode, urlsplit

import cv2
import numpy as np
import pytest
import serving
from dicoms import dicom, items
from playwright.sync_api import expect
from pydicom.uid import generate_uid
from taking import settled, taken
from themes import pale_in_each

from core.datasets.phantoms import phantom
from core.png import png
from core.recipes import load_recipe

CLASSES = {"benign", "malignant", "normal"}
RANGES = """() => {
  const charts = [...document.querySelectorAll('.js-plotly-plot')];
  const layout = charts.at(-1)._fullLayout;
  return ['xaxis', 'xaxis2', 'xaxis3', 'yaxis', 'yaxis2', 'yaxis3'].map((a) => layout[a].range);
}"""
VIEWER = """() => [...document.querySelectorAll('.js-plotly-plot')].find(
  (one) => one.closest('[data-testid="stExpander"]'))"""
VIEWED = (
    f"() => ({VIEWER})()?._fullData.filter((one) => one.type === 'image').map((one) => one.source)"
)
LABELS = (
    f"() => [...({VIEWER})().querySelectorAll('.shapelayer text')].map((one) => one.textContent)"
)
OVERLAY = """() => [...document.querySelectorAll('.js-plotly-plot')].at(-1)._fullData[3].opacity"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """A scan as an ultrasound machine would save it, and a file that only claims to be one."""
    folder = tmp_path_factory.mktemp("scans")
    scan, broken = folder / "left breast 3 o'clock.png", folder / "right [breast].png"
    pixels, _ = phantom("malignant", 404)
    scan.write_bytes(png(cv2.resize(pixels, (562, 471))))
    broken.write_bytes(scan.read_bytes()[:200] + b"the rest is lost")
    return [scan, broken]


@pytest.fixture(scope="module")
def cine(tmp_path_factory) -> Path:
    """A DICOM cine of a patient with a name; its pixels are 0.2 mm wide and high."""
    pixels, _ = phantom("malignant", 404)
    frames = np.stack([np.roll(cv2.resize(pixels, (320, 240)), 4 * i, axis=1) for i in range(4)])
    region = items(
        RegionSpatialFormat=1,
        PhysicalUnitsXDirection=3,
        PhysicalUnitsYDirection=3,
        PhysicalDeltaX=0.02,
        PhysicalDeltaY=0.02,
        RegionLocationMaxX1=319,
        RegionLocationMaxY1=239,
    )
    told = {"PatientName": "Zywxvu^Jane", "FrameTime": "40", "SequenceOfUltrasoundRegions": region}
    told |= {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    path = tmp_path_factory.mktemp("dicom") / "cine.dcm"
    path.write_bytes(dicom(frames, "RGB", **told))
    return path


def open_viewer(page, path: Path):
    """Upload a scan and look closer at it; the frame around the tools."""
    page.locator("input[type=file]").set_input_files(path)
    evidence(page).wait_for()
    fold = page.get_by_test_id("stExpander").filter(has_text="Look closer")
    fold.get_by_text("Look closer").click()
    fold.locator(".js-plotly-plot").wait_for()
    settled(page)
    return fold


def try_sample(page, label: str) -> None:
    page.get_by_role("button", name=f"Try the {label} phantom").click()
    evidence(page).wait_for()


def evidence(page):
    return page.get_by_role("figure", name=re.compile("three linked pictures"))


def heatmap(page) -> str:
    """The drawn heatmap, as the browser holds it."""
    drawn = evidence(page).locator(".heatmaplayer image").first
    return drawn.evaluate("(image) => image.href.baseVal")


def picked_class(page) -> str:
    named = re.compile(f"^({'|'.join(CLASSES)})$")
    return page.get_by_role("radio", name=named, checked=True).inner_text()


def test_a_scan_is_answered_and_a_broken_file_gets_its_sentence(page, files):
    page.locator("input[type=file]").set_input_files(files)
    page.get_by_role("heading", name="2 scans").wait_for()
    page.get_by_text("1 not examined").wait_for()
    bars = page.get_by_role("figure", name=re.compile("estimated probabilities"))
    bars.wait_for()
    shares = re.findall(r"(\w+) [<>]? ?(\d+) %", bars.get_attribute("aria-label"))
    assert {name for name, _ in shares} == CLASSES
    assert 97 <= sum(int(share) for _, share in shares) <= 103
    evidence(page).wait_for()
    # scan, heatmap, scan and overlay
    expect(evidence(page).locator("image")).to_have_count(4)
    assert heatmap(page).startswith("data:image/png")
    expect(page.get_by_role("alert")).to_have_count(0)

    page.get_by_role("combobox", name="Scan to look at").click()
    page.get_by_role("option", name=files[1].name).click()
    sentence = page.get_by_role("alert")
    sentence.wait_for()
    assert len(sentence.inner_text()) > 20
    assert "Traceback" not in page.inner_text("body")
    expect(evidence(page)).to_have_count(0)
    settled(page)  # until then what was there before can still be beside it
    page.get_by_role("button", name="Download CSV").wait_for()
    reports = zipfile.ZipFile(io.BytesIO(taken(page, "Reports (ZIP)")))
    assert sorted(reports.namelist()) == ["scan 0001.html", "scans.csv"]
    table = reports.read("scans.csv").decode("utf-8")
    assert "scan 1" in table
    assert not any(file.name in table for file in files)


def test_a_click_on_a_row_shows_its_scan(page, files):
    page.locator("input[type=file]").set_input_files(files)
    evidence(page).wait_for()
    table = page.get_by_test_id("stDataFrame")
    box = table.bounding_box()
    page.mouse.click(box["x"] + 16, box["y"] + 36 + 33 + 16)
    page.get_by_role("alert").wait_for()
    expect(evidence(page)).to_have_count(0)


def test_a_sample_is_marked_synthetic_and_answered(page):
    try_sample(page, "benign")
    page.get_by_test_id("stMain").get_by_text("synthetic", exact=True).first.wait_for()
    assert evidence(page).get_attribute("aria-label").startswith("Benign phantom 1")


@pytest.mark.slow
def test_another_class_has_another_picture(page):
    try_sample(page, "malignant")
    before, shown = heatmap(page), picked_class(page)
    other = sorted(CLASSES - {shown})[0]
    page.get_by_role("radio", name=other).click()
    page.get_by_role("figure", name=re.compile(f"heatmap for {other}")).wait_for()
    assert heatmap(page) != before


def test_the_three_pictures_zoom_and_pan_together(page):
    try_sample(page, "malignant")
    settled(page)  # what is told last moves the pictures down
    whole = page.evaluate(RANGES)
    box = evidence(page).bounding_box()
    middle = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 6, middle)
    page.mouse.wheel(0, -500)
    page.wait_for_function(f"(whole) => Math.abs(({RANGES})()[0][1] - whole) > 5", arg=whole[0][1])
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 - 30, middle - 20, steps=4)
    page.mouse.up()
    zoomed = np.array(page.evaluate(RANGES))
    assert np.ptp(zoomed[0]) < np.ptp(whole[0])
    assert np.allclose(zoomed[:3], zoomed[0])
    assert np.allclose(zoomed[3:], zoomed[3])

    slider = evidence(page).locator(".slider-rail-touch-rect").bounding_box()
    page.mouse.click(slider["x"] + slider["width"] - 12, slider["y"] + slider["height"] / 2)
    page.wait_for_function(f"() => ({OVERLAY})() > 0.85")
    assert np.allclose(page.evaluate(RANGES), zoomed), "the overlay's opacity keeps the view"


def test_a_dicom_is_answered_and_its_patient_stays_unnamed(page, cine, dashboard):
    page.locator("input[type=file]").set_input_files(cine)
    evidence(page).wait_for()
    page.get_by_role("button", name="Patient data").click()
    page.get_by_text("The file holds: name.").wait_for()
    copy = taken(page, "De-identified copy")
    assert copy[128:132] == b"DICM"
    assert b"Zywxvu" in cine.read_bytes()
    assert b"Zywxvu" not in copy
    expect(page.locator("body")).not_to_contain_text("Zywxvu")
    assert "Zywxvu" not in dashboard.log.read_text(errors="replace")


def test_a_cine_is_stepped_by_keyboard_and_played(page, cine):
    fold = open_viewer(page, cine)
    frame = page.get_by_role("slider", name="Frame")
    before = page.evaluate(VIEWED)
    frame.focus()
    page.keyboard.press("ArrowRight")
    expect(frame).to_have_value("2")
    page.wait_for_function(f"(before) => ({VIEWED})()?.[0] !== before", arg=before[0])
    settled(page)
    fold.get_by_text("Play", exact=True).click()
    moving = fold.get_by_role("img", name="Moving picture of 4 frames")
    expect(moving).to_be_visible()
    expect(moving).to_have_js_property("complete", True)
    fold.get_by_text("Play", exact=True).click()
    expect(fold.locator(".js-plotly-plot")).to_be_visible()


@pytest.mark.slow
def test_a_window_is_for_looking_until_it_is_examined(page, cine):
    fold = open_viewer(page, cine)
    original, view = page.evaluate(VIEWED)
    assert original == view
    fold.get_by_text("Invert", exact=True).click()
    page.wait_for_function(f"(view) => ({VIEWED})()?.[1] !== view", arg=view)
    assert page.evaluate(VIEWED)[0] == original
    expect(page.get_by_text("on your view of the scan")).to_have_count(0)
    settled(page)
    fold.get_by_role("button", name="Examine this view").click()
    expect(page.get_by_text("on your view of the scan")).to_be_visible()
    settled(page)
    page.get_by_role("button", name="Back to the scan").click()
    expect(page.get_by_text("on your view of the scan")).to_have_count(0)


def test_a_region_is_drawn_by_lasso(page, files):
    """The system that sees nothing outside the region answers anew."""
    page.locator("input[type=file]").set_input_files(files[0])
    evidence(page).wait_for()
    page.get_by_role("combobox", name="System").click()
    page.get_by_role("option", name=re.compile("on the outlined lesion$")).click()
    page.get_by_text("A network drew this outline").wait_for()
    settled(page)
    page.get_by_role("radio", name="Whole image").click()
    expect(page.get_by_role("alert").filter(has_text="figures do not hold")).to_be_visible()
    settled(page)
    before = page.get_by_test_id("stMetricDelta").first.inner_text()
    page.get_by_role("radio", name="Draw", exact=True).click()
    scan = page.get_by_role("figure", name=re.compile("on which the lesion can be drawn"))
    scan.scroll_into_view_if_needed()
    settled(page)
    box = scan.locator(".nsewdrag").first.bounding_box()
    x, y, side = box["x"] + box["width"] / 2, box["y"] + 60, 120
    page.mouse.move(x, y)
    page.mouse.down()
    for right, down in ((side, 0), (side, side), (0, side), (0, 0)):
        page.mouse.move(x + right, y + down, steps=8)
    page.mouse.up()
    told = page.get_by_text(re.compile("The region covers .* of the picture"))
    expect(told).to_be_visible()
    expect(page.get_by_role("alert").filter(has_text="figures do not hold")).to_have_count(0)
    expect(page.get_by_test_id("stMetricDelta").first).not_to_have_text(before)
    size = told.inner_text()
    for name in ("About", "Classify"):
        page.get_by_role("link", name=name).first.click()
        settled(page)
    expect(told).to_have_text(size)
    page.get_by_role("button", name="Take away what is drawn").click()
    expect(told).to_have_count(0)


def test_a_region_is_drawn_by_keyboard(page):
    try_sample(page, "malignant")
    page.get_by_role("radio", name="Draw", exact=True).click()
    page.get_by_role("switch", name="Box by keyboard").focus()
    page.keyboard.press("Space")
    # of 256 x 256 pixels those from 64 to 192, both ways
    expect(page.get_by_text("The region covers 25 % of the picture")).to_be_visible()
    page.get_by_role("slider", name="Left and right edge — start").focus()
    page.keyboard.press("Home")
    expect(page.get_by_text("The region covers 38 % of the picture")).to_be_visible()


def test_a_report_is_taken_away_without_the_name(page, cine):
    page.locator("input[type=file]").set_input_files(cine)
    evidence(page).wait_for()
    page.get_by_text("Take it with you").wait_for()
    settled(page)
    page.get_by_text("Take it with you").click()
    page.get_by_role("button", name="Record (JSON)").wait_for()
    estimated = (
        page.get_by_test_id("stMetricDelta").first.inner_text().split("estimated")[0].strip()
    )
    html = taken(page, "Report (HTML)").decode("utf-8")
    assert estimated in html.replace("\u00a0", " ").replace("&nbsp;", " ")
    assert "not a medical device" in html.lower()
    pdf = taken(page, "Report (PDF)")
    assert pdf[:5] == b"%PDF-"
    record = json.loads(taken(page, "Record (JSON)"))
    assert record["inputs"] == [hashlib.sha256(cine.read_bytes()).hexdigest()]
    archive = zipfile.ZipFile(io.BytesIO(taken(page, "DICOM (ZIP)")))
    names = ["scan.dcm", "secondary capture.dcm", "structured report.dcm"]
    assert sorted(archive.namelist()) == names
    files = map(archive.read, names)
    for kept in (html.encode(), pdf, *files, json.dumps(record).encode()):
        assert b"Zywxvu" not in kept
        assert cine.name.encode() not in kept
    page.get_by_text("With the patient's data").click()
    settled(page)
    assert cine.name in taken(page, "Report (HTML)").decode("utf-8")


def test_a_ruler_and_a_box_measure_in_millimetres(page, cine):
    fold = open_viewer(page, cine)
    for tool, mode in (("Ruler", "drawline"), ("Box", "select")):
        fold.get_by_role("radio", name=tool).click()
        page.wait_for_function(f"(mode) => ({VIEWER})()?._fullLayout.dragmode === mode", arg=mode)
        settled(page)
        chart = fold.locator(".js-plotly-plot")
        chart.scroll_into_view_if_needed()
        box = chart.bounding_box()
        # An eighth of the chart is a quarter of the first picture, of 64 mm: 16 mm.
        left, top = box["x"] + box["width"] / 8, box["y"] + 80
        page.mouse.move(left, top)
        page.mouse.down()
        page.mouse.move(left + box["width"] / 8, top + (0 if tool == "Ruler" else 60), steps=6)
        page.mouse.up()
        if tool == "Ruler":
            page.wait_for_function(f"() => ({LABELS})().length > 0")
            length = float(page.evaluate(LABELS)[0].removesuffix(" mm"))
            assert 15.5 < length < 16.8
        else:
            expect(fold.get_by_text(re.compile(r"area \d+\.\d mm²"))).to_be_visible()


def test_a_box_is_measured_by_keyboard(page, cine):
    """From a quarter to three quarters of 320 x 240 pixels of 0.2 mm."""
    fold = open_viewer(page, cine)
    fold.get_by_role("switch", name="Box by keyboard").focus()
    page.keyboard.press("Space")
    expect(fold.get_by_text("32.0 × 24.0 mm, area 768.0 mm²")).to_be_visible()
    page.wait_for_function(f"() => ({VIEWER})()?._fullLayout.shapes.length === 2")


def test_an_mri_is_not_answered_as_ultrasound(page, tmp_path):
    path = tmp_path / "mr.dcm"
    path.write_bytes(dicom(np.arange(4096, dtype=np.uint16).reshape(64, 64), Modality="MR"))
    page.locator("input[type=file]").set_input_files(path)
    expect(page.get_by_role("alert")).to_contain_text("marked as an MRI (MR)")


def test_text_is_readable_in_both_themes(page):
    try_sample(page, "malignant")
    for title in ("Its figures beside the paper's", "The paper, and where"):
        page.get_by_text(title).click()
    page.get_by_text("Such figures flatter").wait_for()
    assert list(pale_in_each(page)) == [[], []]


def test_the_browser_asks_nobody_but_this_server(page, dashboard):
    try_sample(page, "normal")
    assert page.hosts == {dashboard.url.split("/")[2]}


def test_a_first_visitor_by_address_gets_that_page_and_the_notice(browser, dashboard, tmp_path):
    with serving.dashboard(tmp_path / "log.txt") as fresh:
        page = browser.new_page()
        page.goto(f"{fresh.url}/about")
        page.get_by_text("its output is no medical finding").wait_for(timeout=45_000)
        page.get_by_role("heading", name="What it is for").wait_for(timeout=45_000)
        assert page.url == f"{fresh.url}/about"
        page.close()


def test_a_first_visitor_by_address_gets_what_it_asks_for(browser, tmp_path):
    """Of a fresh server, whose first visitor Streamlit sends through two other pages."""
    titles = [load_recipe(one).title for one in ("busi-mobilenetv2", "histology-dalaresnet50")]
    asked = {"systems protocol": ["Random split"], "systems chosen": titles}
    with serving.dashboard(tmp_path / "log.txt") as fresh:
        page = browser.new_page()
        page.set_default_timeout(serving.START_SECONDS * 1000)
        page.goto(f"{fresh.url}/systems?{urlencode(asked, doseq=True)}")
        figure = page.get_by_role("figure", name=re.compile("^ROC and precision-recall of"))
        figure.wait_for()
        expect(page.get_by_role("radio", name="Random split")).to_be_checked()
        assert all(f" {one}: AUC" in figure.get_attribute("aria-label") for one in titles)
        assert parse_qs(urlsplit(page.url).query) == asked
        page.close()


def test_the_log_tells_nothing_of_the_uploads(page, files, dashboard):
    before = len(dashboard.log.read_text(errors="replace"))
    page.locator("input[type=file]").set_input_files(files)
    evidence(page).wait_for()
    log = dashboard.log.read_text(errors="replace")
    assert "breast" not in log
    assert "Traceback" not in log[before:]
