"""Reports: they say what was found, tell of nobody, and stay harmless whatever a name holds."""

from __future__ import annotations

import base64
import csv
import io
import re
import zipfile
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from pypdf import PdfReader

from core.datasets.phantoms import phantom
from core.explain.heatmap import NO_EVIDENCE, Heatmap
from core.findings import NO_REGION, EvidenceMap, Refused
from core.report import report_html, report_pdf, reports_zip
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
        "from 12 % to 46 %",
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
    assert shown.shape[1] / shown.shape[0] == pytest.approx(width / height, rel=0.01)
    back = cv2.resize(shown, (width, height), interpolation=cv2.INTER_AREA)
    difference = np.abs(back.astype(float) - full.opinion.pixels)
    assert difference.mean() < 4


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


def test_without_an_outline_a_system_that_needs_one_says_so(full):
    recipe = full.recipe.model_copy(
        update={"preprocessing": full.recipe.preprocessing.model_copy(update={"region": "mask"})}
    )
    text = Parsed(report_html(replace(full, recipe=recipe, region=None))).text
    assert NO_REGION in text
    assert NO_REGION not in Parsed(report_html(replace(full, recipe=recipe))).text


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


def test_a_time_without_zone_and_a_region_of_another_size_are_refused(full):
    with pytest.raises(ValueError, match="time zone"):
        replace(full, made_at=made.WHEN.replace(tzinfo=None))
    with pytest.raises(ValueError, match="differ in size"):
        replace(full, region=np.ones((3, 3), bool))
