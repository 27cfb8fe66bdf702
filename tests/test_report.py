"""Reports: they say what was found, tell of nobody, and stay harmless whatever a name holds."""

from __future__ import annotations

import base64
import csv
import io
import re
import weakref
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from pypdf import PdfReader

from core import __version__
from core.checkpoints import open_checkpoint
from core.datasets.phantoms import phantom
from core.explain.heatmap import NO_EVIDENCE, Heatmap
from core.findings import NO_DECISION, NO_REGION, EvidenceMap, Look, Refused
from core.pictures import UNTOLD_TEXT
from core.report import report_html, report_pdf, reports_zip
from core.report.content import NOTICE, OWN_WINDOW, PROPOSED, SYNTHETIC, content_of
from core.report.pdf import _Sheet
from core.report.pictures import pictures_of
from core.windowing import Window
from core.wording import percent
from tests import findings as made
from tests.dicoms import dicom

PERSON = {
    "PatientName": "Quixote^Dulcinea",
    "PatientID": "ZZ-4711-ZZ",
    "PatientBirthDate": "19431224",
    "StudyDate": "20190817",
    "InstitutionName": "Sanatorium Berghof",
    "ReferringPhysicianName": "Behrens^Hofrat",
    "AccessionNumber": "ACC987654",
    "WindowCenterWidthExplanation": "Quixote window",
}
SECRETS = ("Quixote", "Dulcinea", "ZZ-4711", "19431224", "1943-12-24", "20190817", "2019-08-17")
SECRETS += ("Berghof", "Behrens", "ACC987654")
EVIL = "<script>alert(1)</script>\"'&{{ 7*7 }}"


class Parsed(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self) -> str:
        return flat(" ".join(self.texts))


def flat(text: str) -> str:
    """Without line ends and unbreakable spaces."""
    return re.sub(r"\s+", " ", text)


def pdf_text(data: bytes) -> str:
    return flat(" ".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages))


@pytest.fixture(scope="module")
def full():
    """Findings in which every field is set."""
    region = phantom("malignant", 3)[1]
    return made.examined(
        made.phantom_png(),
        region=region,
        region_source="drawn",
        prediction_set=("benign", "malignant"),
        coverage=0.9,
        guard="This scan is far from the training images.",
        guard_level="unusual",
        spread=(0.123, 0.456),
        spacing_mm=(0.1, 0.2),
        aspect=0.5,
    )


@pytest.fixture(scope="module")
def told():
    """A DICOM file that tells much of a person."""
    pixels = phantom("malignant", 3)[0]
    return dicom(pixels[..., 0], WindowCenter=128, WindowWidth=256, **PERSON)


@pytest.mark.parametrize(
    "read", [lambda f: Parsed(report_html(f)).text, lambda f: pdf_text(report_pdf(f))]
)
def test_both_kinds_say_what_was_found(full, read):
    text, opinion, recipe = read(full), full.opinion, full.recipe
    for name, share in zip(opinion.classes, opinion.probabilities, strict=True):
        assert re.search(rf"{name}[ ▲]* {percent(share)}", text), name
    grouped = full.metrics["grouped"]
    accuracy = grouped["values"]["accuracy"]
    said = (
        f"{accuracy['value']:.3f} ({accuracy['low']:.3f} to {accuracy['high']:.3f})",
        f"n = {grouped['n']}, {grouped['n_groups']} groups",
        f"n = {full.metrics['published']['n']}",
        f"temperature of {full.temperature:.2f}",
        "Prediction set at 90 % coverage: benign, malignant",
        "cannot decide",
        full.guard,
        "on average over all classes",
        "Over the scan and slightly changed copies of it, it ran from 12 % to 46 %",
        "Grad-CAM (Selvaraju et al., ICCV 2017)",
        full.weights["sha256"],
        full.scan_digests[0],
        "2026-03-04 15:30 UTC",
        f"drawn by hand, {full.region.sum()} pixels, {full.region.sum() * 0.02:.1f} mm²",
        recipe.title,
        "Not a medical device",
        *recipe.limits,
    )
    for sentence in said:
        assert flat(sentence) in text


def test_the_record_says_what_was_examined(full):
    wide = replace(full.opinion, pixels=full.opinion.pixels[:200])
    cine = replace(
        full, opinion=wide, region=None, frame=2, frames=5, scan_digests=("a" * 64, "b" * 64)
    )
    record = dict(content_of(cine).record)
    assert record["Frame"] == "3 of 5, 256 × 200 pixels"
    assert record["Made by"] == f"LesionLens {__version__}"
    assert record["Pixel"] == "0.2 × 0.1 mm (width × height)"
    assert record["Scan, sha256"] == "a" * 64 + ", first of 2 files"
    assert "Pixel" not in dict(content_of(replace(cine, spacing_mm=None)).record)


def test_the_figures_are_those_of_both_protocols_and_of_the_paper(full):
    checkpoint = open_checkpoint("busi-mobilenetv2")
    metrics, paper = checkpoint.metrics, checkpoint.recipe.published
    shown = replace(full, recipe=checkpoint.recipe, metrics=metrics)
    table = content_of(shown).figures
    assert [head.partition("\n")[0] for head in table.heads] == [
        *("Figure", "Grouped split", "Random split", "Paper"),
    ]
    rows = {title: cells for title, *cells in table.rows}
    told = {"Accuracy": "accuracy", "Sensitivity, malignant": "sensitivity_malignant"}
    for title, key in told.items():
        ours = [metrics[one]["values"][key]["value"] for one in ("grouped", "published")]
        assert [cell.split(" ")[0] for cell in rows[title][:2]] == [f"{one:.3f}" for one in ours]
        assert rows[title][2] == (f"{paper[key]:g}" if key in paper else "–")
    assert "accuracy" in paper and rows["Balanced accuracy"][2] == "–", "it prints none"


def test_the_calibrated_error_is_not_that_of_the_table(full):
    error = full.metrics["grouped"]["calibration"]["values"]["ece"]["value"]
    assert f"error on test images is {error:.3f} (" in Parsed(report_html(full)).text


@pytest.mark.parametrize(
    ("change", "title", "level"),
    [
        ({"warning": "It is an MRI."}, "Another kind of image", "alarm"),
        ({"guard_level": "foreign"}, "Not what this system was trained on", "alarm"),
        ({"guard_level": "unusual"}, "Unusual for this system", "caution"),
        ({"guard_level": "like"}, "Like the training images", "plain"),
        ({"text_risk": "the file says so"}, "Text in the picture", "caution"),
        ({"text_risk": UNTOLD_TEXT}, "Text in the picture", "plain"),
        ({"gap": "Slice 2 of 3 is left out."}, "Slices that are missing", "caution"),
        ({}, "Outline", "plain"),
    ],
)
def test_notes_are_as_loud_as_what_they_say(full, change, title, level):
    content = content_of(replace(full, **change))
    found = [one.level for one in (*content.alarms, *content.notes) if one.title == title]
    assert found == [level]


def test_a_pdf_is_one_or_two_pages_of_a4_with_described_pictures(full):
    data = report_pdf(full)
    reader = PdfReader(io.BytesIO(data))
    assert 1 <= len(reader.pages) <= 2
    assert [round(float(side)) for side in reader.pages[0].mediabox[2:]] == [595, 842]
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert len(reader.pages[0].images) >= 3  # scan, region, overlay, and the colour bar
    assert data.count(b"/Alt ") >= 4


def test_equal_findings_give_equal_files(full):
    assert report_pdf(full) == report_pdf(replace(full))
    assert report_html(full) == report_html(replace(full))


def test_html_fetches_nothing_runs_nothing_and_describes_its_pictures(full):
    parsed = Parsed(report_html(full))
    assert not {"script", "link", "iframe", "object", "base"} & {tag for tag, _ in parsed.tags}
    attributes = [pair for _, found in parsed.tags for pair in found.items()]
    assert not any(name.startswith("on") for name, _ in attributes)
    pictures = [found for tag, found in parsed.tags if tag == "img"]
    assert len(pictures) == 4  # scan, region, overlay, colour bar
    for one in pictures:
        assert one["src"].startswith(("data:image/jpeg;base64,", "data:image/png;base64,"))
        assert one["alt"]
    assert "url(" not in report_html(full)


def test_the_scan_in_a_report_is_the_scan(full):
    """The first picture, brought back to the scan's size, is the frame but for JPEG."""
    first = next(found for tag, found in Parsed(report_html(full)).tags if tag == "img")
    data = base64.b64decode(first["src"].partition(",")[2])
    shown = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    height, width = full.opinion.pixels.shape[:2]
    down, across = full.spacing_mm
    proportions = (width * across) / (height * down)
    assert shown.shape[1] / shown.shape[0] == pytest.approx(proportions, rel=0.01)
    back = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
    difference = np.abs(back.astype(float) - full.opinion.pixels)
    assert difference.mean() < 4


def test_pixels_that_are_not_square_are_printed_as_they_lie_in_the_body(full):
    flat = replace(full, aspect=0.5)
    sizes = [(one.width, one.height) for one in pictures_of(flat)]
    height, width = full.opinion.pixels.shape[:2]
    assert {round(down / across, 2) for across, down in sizes} == {round(height / width / 2, 2)}


def test_the_outline_is_drawn_where_the_region_ends(full):
    images = [found for tag, found in Parsed(report_html(full)).tags if tag == "img"]
    pixels = [
        cv2.imdecode(np.frombuffer(base64.b64decode(one["src"].partition(",")[2]), np.uint8), 1)
        for one in images[:2]
    ]
    changed = np.abs(pixels[0].astype(int) - pixels[1]).max(axis=-1) > 60
    mask = cv2.resize(full.region.astype(np.uint8), changed.shape[::-1])
    kernel = np.ones((15, 15), np.uint8)
    border = cv2.dilate(mask, kernel) - cv2.erode(mask, kernel)
    assert changed.any() and not changed[border == 0].any()


@pytest.mark.parametrize("write", [report_html, lambda f: pdf_text(report_pdf(f)), report_pdf])
def test_nothing_of_a_dicom_header_reaches_a_report(told, write):
    written = write(made.examined(told))
    text = written.decode("latin-1") if isinstance(written, bytes) else written
    assert not [secret for secret in SECRETS if secret.lower() in text.lower()]


def test_a_name_is_told_only_if_it_is_given_and_never_runs(full):
    assert "alert" not in report_html(full)
    named = report_html(replace(full, name=EVIL))
    parsed = Parsed(named)
    assert "script" not in {tag for tag, _ in parsed.tags}
    assert EVIL in " ".join(parsed.texts)  # as text, with its braces as they are
    assert EVIL[:20] in pdf_text(report_pdf(replace(full, name=EVIL)))


def test_a_class_is_escaped(full):
    evil = tuple(EVIL + name for name in full.opinion.classes)
    opinion = replace(full.opinion, classes=evil, label=evil[0])
    recipe = full.recipe.model_copy(update={"classes": evil, "malignant_classes": evil[-1:]})
    text = report_html(replace(full, opinion=opinion, recipe=recipe))
    assert "<script" not in text
    assert report_pdf(replace(full, opinion=opinion, recipe=recipe)).startswith(b"%PDF")


def test_letters_that_the_font_lacks_are_not_told_to_the_log(full, caplog):
    with caplog.at_level("DEBUG"):
        report_pdf(replace(full, name="山田太郎 scan.dcm"))
    assert "山" not in caplog.text


def test_what_must_be_seen_stands_before_the_opinion(full):
    text = Parsed(report_html(full)).text
    for sentence in ("Unusual for this system", "cannot decide"):
        assert text.index(sentence) < text.index("Most likely")
    calm = replace(full, guard_level="like", prediction_set=("malignant",))
    text = Parsed(report_html(calm)).text
    assert text.index("Like the training images") > text.index("Most likely")
    assert "cannot decide" not in text


def test_an_abstention_names_no_class(full):
    text = Parsed(report_html(replace(full, abstention="benign or malignant"))).text
    assert "Most likely no decision benign or malignant" in text
    assert f"Most likely {full.opinion.label}" in Parsed(report_html(full)).text


@pytest.mark.parametrize(
    ("change", "sentence"),
    [({"look": Look(Window(90, 120))}, OWN_WINDOW), ({"synthetic": True}, SYNTHETIC)],
    ids=["window", "synthetic"],
)
def test_a_window_of_the_user_and_a_synthetic_scan_are_told_first(full, change, sentence):
    text = Parsed(report_html(replace(full, **change))).text
    assert text.index(sentence) < text.index("Most likely")
    assert sentence in pdf_text(report_pdf(replace(full, **change)))
    assert sentence not in Parsed(report_html(full)).text


def test_without_an_outline_a_system_that_needs_one_says_so(full):
    recipe = full.recipe.model_copy(
        update={"preprocessing": full.recipe.preprocessing.model_copy(update={"region": "mask"})}
    )
    text = Parsed(report_html(replace(full, recipe=recipe, region=None))).text
    assert NO_REGION in text
    assert NO_REGION not in Parsed(report_html(replace(full, recipe=recipe))).text


def test_a_proposed_outline_that_decides_the_answer_is_pointed_out(full):
    recipe = full.recipe.model_copy(
        update={"preprocessing": full.recipe.preprocessing.model_copy(update={"region": "mask"})}
    )
    for needs, source, told in (
        (recipe, "proposed", ["proposed"]),
        (recipe, "corrected", ["corrected"]),
        (recipe, "drawn", []),
        (full.recipe, "proposed", []),
    ):
        text = Parsed(report_html(replace(full, recipe=needs, region_source=source))).text
        assert [kind for kind, note in PROPOSED.items() if note in text] == told
        assert ("proposed by a network, corrected by hand" in text) is (source == "corrected")


def test_how_often_it_was_right_and_why_there_is_no_set_stand_as_they_were_found(full):
    text = Parsed(report_html(full)).text
    assert "How often it was right" not in text, "it was not said of this scan"
    told = replace(
        full, trust="It was right 80 % of the time.", prediction_set=None, set_note="None."
    )
    text = Parsed(report_html(told)).text
    assert "How often it was right It was right 80 % of the time." in flat(text)
    assert "Prediction set None." in flat(text)


def test_letters_that_the_font_lacks_are_boxes(full):
    named = replace(full, name="患者 Jané 1.png")
    assert "File □□ Jané 1.png" in pdf_text(report_pdf(named))
    assert "患者 Jané 1.png" in Parsed(report_html(named)).text


def test_names_are_written_as_they_are_read(full):
    """PDF readers put letters where they are told to: the first of a word to the right."""
    sheet = _Sheet(content_of(full), made.WHEN)
    sheet.add_page()
    sheet.pen(8.5)
    assert sheet.seen("a \u05d0\u05d1\u05d2.png", 90) == ["a \u05d2\u05d1\u05d0.png"]
    first, second = sheet.seen("\u05d0\u05d1 " * 30, 90)
    assert first.startswith("\u05d1\u05d0") and len(first) > len(second)


def test_no_heading_is_left_at_the_foot_of_a_page(full):
    """Reports of all lengths: what follows a heading begins on its page."""
    titles = ["How far to trust it", "Figures of this system on test images", "Known limits"]
    for maps in range(1, 7):
        several = replace(full, maps=(full.maps * 6)[:maps])
        for page in PdfReader(io.BytesIO(report_pdf(several))).pages:
            lines = [one.strip() for one in page.extract_text().splitlines() if one.strip()]
            body = [one for one in lines if not one.startswith(NOTICE[:30])][:-1]
            assert body[-1] not in titles


def test_a_name_with_a_line_end_stays_in_its_line(full):
    sheet = _Sheet(content_of(full), made.WHEN)
    assert sheet.drawable("a.png\nSystem\u2028other") == "a.png System other"


def test_a_text_is_as_high_as_it_was_measured(full):
    """A percentage stays on one line, and what follows must not be drawn over the next."""
    sheet = _Sheet(content_of(full), made.WHEN)
    sheet.add_page()
    sheet.pen(8.5)
    for width in range(20, 120):
        top = sheet.get_y()
        measured = sheet.lines("of them 10 % and 20 % and then 30 % are malignant ▲", width, 8.5)
        sheet.write_lines("of them 10 % and 20 % and then 30 % are malignant ▲", 8.5, width)
        assert sheet.get_y() - top == pytest.approx(measured), width
        sheet.set_y(top)


def test_a_map_without_evidence_says_so(full):
    empty = Heatmap(np.zeros((7, 7), np.float32), -1.0, NO_EVIDENCE)
    bare = replace(full, maps=(EvidenceMap("eigen-cam", empty),))
    assert NO_EVIDENCE in Parsed(report_html(bare)).text
    assert flat(NO_EVIDENCE)[:30] in pdf_text(report_pdf(bare))


@pytest.mark.parametrize("shape", [(40, 2000), (2000, 40), (3000, 2500), (1, 1)])
def test_any_shape_of_scan_fits_the_page(full, shape):
    pixels = np.full((*shape, 3), 90, np.uint8)
    odd = replace(full, opinion=replace(full.opinion, pixels=pixels), region=np.ones(shape, bool))
    assert len(PdfReader(io.BytesIO(report_pdf(odd))).pages) <= 3
    assert "data:image/jpeg" in report_html(odd)


def test_a_system_without_figures_still_gets_a_report(full):
    bare = replace(full, metrics={"grouped": {"n": 3, "n_groups": 3, "values": {}}}, maps=())
    for text in (Parsed(report_html(bare)).text, pdf_text(report_pdf(bare))):
        assert "not calibrated" in text and "No heatmap was chosen" in text


def test_a_batch_holds_a_table_and_a_report_a_scan(full, told):
    nameless = made.examined(told)
    scans = [replace(full, name="=1+1.png"), Refused("It is damaged.", "@x"), nameless]
    with zipfile.ZipFile(io.BytesIO(reports_zip(scans))) as archive:
        assert archive.namelist() == ["scans.csv", "scan 0001.html", "scan 0003.html"]
        table = list(csv.DictReader(io.StringIO(archive.read("scans.csv").decode())))
        everything = b"".join(archive.read(name) for name in archive.namelist()).decode()
    assert [row["file"] for row in table] == ["'=1+1.png", "'@x", "scan 3"]
    assert table[1]["error"] == "It is damaged." and table[1]["label"] == ""
    assert table[0]["prediction_set"] == "benign; malignant"
    for row, scan in ((table[0], full), (table[2], nameless)):
        for name, share in zip(scan.opinion.classes, scan.opinion.probabilities, strict=True):
            assert float(row[name]) == share
    assert not [secret for secret in SECRETS if secret.lower() in everything.lower()]


def rows_of(scans) -> list[dict]:
    """The table in the archive of a batch."""
    with zipfile.ZipFile(io.BytesIO(reports_zip(scans))) as archive:
        return list(csv.DictReader(io.StringIO(archive.read("scans.csv").decode())))


def test_the_table_of_a_batch_warns_and_abstains_as_the_reports_do(full):
    recipe = full.recipe.model_copy(
        update={"preprocessing": full.recipe.preprocessing.model_copy(update={"region": "mask"})}
    )
    calm = replace(full, guard_level="like")
    bare = replace(calm, recipe=recipe, region=None, warning="It is an MRI.")
    silent = replace(calm, abstention="benign or malignant")
    given = replace(calm, recipe=recipe)
    unlike, none, lacking, undecided, shown = rows_of([full, calm, bare, silent, given])
    assert unlike["warning"] == full.guard and none["warning"] == shown["warning"] == ""
    assert lacking["warning"] == f"It is an MRI. {NO_REGION}"
    assert [none["label"], undecided["label"]] == [full.opinion.label, NO_DECISION]


def test_the_table_of_a_batch_tells_the_report_and_the_frame(full):
    cine = replace(full, frame=0, frames=65)
    rows = rows_of([full, Refused("It is damaged."), cine])
    assert [row["report"] for row in rows] == ["scan 0001.html", "", "scan 0003.html"]
    assert [row["frame"] for row in rows] == ["", "", "1 of 65"]
    assert "frame" not in rows_of([full])[0]


def test_a_batch_holds_one_scan_in_memory_at_a_time(full):
    alive = []

    def examined():
        for _ in range(3):
            alive.append(sum(one() is not None for one in made_so_far))
            scan = replace(full, opinion=replace(full.opinion))
            made_so_far.append(weakref.ref(scan.opinion))
            yield scan
            del scan

    made_so_far: list[weakref.ref] = []
    with zipfile.ZipFile(io.BytesIO(reports_zip(examined()))) as archive:
        assert len(archive.namelist()) == 1 + 3
    assert max(alive) <= 1


def test_a_time_without_zone_and_a_region_of_another_size_are_refused(full):
    with pytest.raises(ValueError, match="time zone"):
        replace(full, made_at=made.WHEN.replace(tzinfo=None))
    with pytest.raises(ValueError, match="differ in size"):
        replace(full, region=np.ones((3, 3), bool))
