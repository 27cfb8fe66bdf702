"""DICOM out: read back by pydicom and highdicom, and by dciodvfy where it is installed."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import cv2
import highdicom as hd
import numpy as np
import pytest
from matplotlib.path import Path as Path2D
from pydicom import Dataset, dcmread
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGBaseline8Bit, generate_uid

from core import __version__
from core.card import INTENDED_USE
from core.checkpoints import sha256
from core.datasets.phantoms import phantom
from core.dicom.deidentify import deidentify
from core.explain.overlay import overlay
from core.findings import Look
from core.png import png
from core.report.content import PROPOSED, limits_of, window_told
from core.report.dicom import (
    AREA,
    GUARD,
    IN_SET,
    LIKELIEST,
    NO_CLASS,
    OUTLINED,
    code,
    probability_code,
    secondary_capture,
    structured_report,
)
from core.report.dicom_graphics import MOST_CORNERS, outlines
from core.report.pictures import marked, marking
from core.scans import ScanError, read_scan
from core.windowing import Window
from tests import findings as made
from tests.dicoms import dataset, items, saved

PERSON = {
    "PatientName": "Quixote^Dulcinea",
    "PatientID": "ZZ-4711-ZZ",
    "PatientBirthDate": "19431224",
    "PatientSex": "F",
    "StudyDate": "20190817",
    "StudyTime": "101500",
    "StudyID": "77",
    "AccessionNumber": "ACC987654",
    "ReferringPhysicianName": "Behrens^Hofrat",
}
SECRETS = ("Quixote", "Dulcinea", "ZZ-4711", "19431224", "20190817", "Behrens", "ACC987")
STUDY = ("StudyInstanceUID", *PERSON)
INPUTS = Path(os.environ.get("LESIONLENS_DATA", "absent")) / "dicom_inputs"


def source_file(**elements) -> bytes:
    """A scan as an archive holds it."""
    pixels = phantom("malignant", 3)[0][..., 0]
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    held = {name: value for name, value in (uids | PERSON | elements).items() if value is not None}
    return saved(dataset(pixels, **held))


def anatomy(side: str) -> list[Dataset]:
    """Functional groups of a tomosynthesis, which tell the side there alone."""
    return items(FrameAnatomySequence=items(FrameLaterality=side))


def read(data: bytes) -> Dataset:
    return dcmread(io.BytesIO(data))


def both(source: bytes, findings) -> dict[str, bytes]:
    """The two files, by name."""
    picture = overlay(findings.opinion.pixels, findings.opinion.heatmap)
    return {
        "picture": secondary_capture(source, picture, marking(findings), findings.frame),
        "report": structured_report(source, findings),
    }


@pytest.fixture(scope="module")
def source():
    return source_file()


@pytest.fixture(scope="module")
def findings(source):
    return made.examined(
        source,
        prediction_set=("benign", "malignant"),
        coverage=0.9,
        guard="Far from the training images.",
        guard_level="unusual",
    )


@pytest.fixture(scope="module")
def out(source, findings):
    return both(source, findings)


def test_pixels_that_are_not_square_are_told_in_the_capture():
    """C.7.6.3.1.7 of PS3.3: the height of a pixel, then its width."""
    source, picture = source_file(), phantom("malignant", 3)[0]
    for aspect, told in ((1.0, None), (2.0, [2, 1]), (0.4, [2, 5])):
        written = read(secondary_capture(source, picture, "Scan", aspect=aspect))
        assert written.get("PixelAspectRatio") == told


@pytest.mark.parametrize("kind", ["picture", "report"])
def test_both_belong_to_the_study_in_a_series_of_their_own(out, source, kind):
    original, derived = read(source), read(out[kind])
    for keyword in STUDY:
        assert str(derived[keyword].value) == str(original[keyword].value), keyword
    for keyword in ("SeriesInstanceUID", "SOPInstanceUID"):
        assert derived[keyword].value != original[keyword].value
    assert derived.file_meta.MediaStorageSOPInstanceUID == derived.SOPInstanceUID


@pytest.mark.parametrize("kind", ["picture", "report"])
def test_both_tell_the_version_that_made_them(out, kind):
    told = list(read(out[kind]).SoftwareVersions)
    assert told == [f"LesionLens {__version__}", f"highdicom {hd.__version__}"]


def test_the_picture_comes_back_and_names_its_source(out, source, findings):
    original, derived = read(source), read(out["picture"])
    drawn = overlay(findings.opinion.pixels, findings.opinion.heatmap)
    np.testing.assert_array_equal(derived.pixel_array, drawn)
    np.testing.assert_array_equal(read_scan(out["picture"]).pixels[0], drawn)
    assert derived.ImageType[0] == "DERIVED"
    (item,) = derived.SourceImageSequence
    assert item.ReferencedSOPInstanceUID == original.SOPInstanceUID
    assert item.ReferencedSOPClassUID == original.SOPClassUID
    assert "ReferencedFrameNumber" not in item
    assert "Not a medical device" in derived.DerivationDescription


def test_the_report_holds_the_numbers_that_were_put_in(out, source, findings):
    report = hd.sr.srread(io.BytesIO(out["report"]))
    (group,) = report.content.get_image_measurement_groups()
    opinion = findings.opinion
    measured = {one.name: one.value for one in group.get_measurements()}
    for name, share in zip(opinion.classes, opinion.probabilities, strict=True):
        assert measured[probability_code(name)] == float(share)
    assert len(measured) == len(opinion.classes)

    def values(name):
        return [one.value.meaning for one in group.get_qualitative_evaluations(name)]

    assert values(LIKELIEST) == [opinion.label]
    assert values(IN_SET) == ["benign", "malignant"]
    assert values(GUARD) == ["unusual"]
    (image,) = group.source_images
    assert image.referenced_sop_instance_uid == read(source).SOPInstanceUID
    ((*_, referenced, _),) = report.get_evidence()
    assert referenced == read(source).SOPInstanceUID


def test_the_report_names_algorithm_and_observer_and_is_unverified(out, findings):
    report = read(out["report"])
    text = " ".join(str(one.value) for one in report.iterall() if one.keyword == "TextValue")
    assert f"sha256 {findings.weights['sha256']}" in text
    assert f"({findings.recipe.id})" in text
    assert repr(float(findings.temperature)) in text
    assert findings.scan_digests[0] in text
    assert "Not a medical device" in text
    assert report.VerificationFlag == "UNVERIFIED" and report.PreliminaryFlag == "PRELIMINARY"
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    observers = hd.sr.srread(io.BytesIO(out["report"])).content.get_observer_contexts()
    (observer,) = observers
    assert observer.observer_type.meaning == "Device"
    assert observer.observer_identifying_attributes.name == findings.recipe.id


def test_the_marked_frame_keeps_its_size_and_shows_map_and_outline(findings):
    plain = findings.opinion.pixels
    region = phantom("malignant", 3)[1]
    mapped, outlined = marked(findings), marked(replace(findings, region=region, maps=()))
    assert mapped.shape == outlined.shape == plain.shape and mapped.dtype == np.uint8
    np.testing.assert_array_equal(mapped, overlay(plain, findings.opinion.heatmap, opacity=0.6))
    changed = (outlined != plain).any(axis=-1)
    assert changed.any() and not changed[:20].any()
    np.testing.assert_array_equal(marked(replace(findings, maps=())), plain)


def test_the_picture_says_what_is_drawn_on_it(source, findings):
    region, explained = two_parts(), f"{findings.explained} ({made.SYSTEM})"
    cases = {
        f"Grad-CAM for {explained}": findings,
        f"Grad-CAM for {explained}, outline": replace(findings, region=region),
        "outline": replace(findings, region=region, maps=()),
        "Scan as examined": replace(findings, maps=()),
    }
    for told, one in cases.items():
        assert marking(one) == told
        written = read(secondary_capture(source, marked(one), marking(one)))
        assert written.SeriesDescription == f"LesionLens: {told}"
        assert written.DerivationDescription.startswith(f"{told}. ")


def parameters(data: bytes) -> set[str]:
    """The parameters of the algorithm in a structured report."""
    return {str(one.value) for one in read(data).iterall() if one.keyword == "TextValue"}


def test_an_outline_that_was_only_shown_is_no_parameter(source, findings):
    outlined = replace(findings, region=two_parts(), region_source="drawn")
    recipe = findings.recipe.model_copy(
        update={
            "preprocessing": findings.recipe.preprocessing.model_copy(update={"region": "mask"})
        }
    )
    used = replace(outlined, recipe=recipe)
    assert "outline: none" in parameters(structured_report(source, findings))
    assert "outline: on the image, not used" in parameters(structured_report(source, outlined))
    assert "outline: drawn" in parameters(structured_report(source, used))


def test_what_the_source_does_not_tell_of_its_picture_is_not_made_up(source, findings):
    told = source_file(BurnedInAnnotation="NO", PatientOrientation=["A", "F"], Laterality="L")
    for data, burned, turned, side in ((source, "YES", "", ""), (told, "NO", ["A", "F"], "L")):
        picture = read(secondary_capture(data, findings.opinion.pixels, "Scan"))
        assert picture.BurnedInAnnotation == burned, "text that nobody denies may be there"
        assert picture.PatientOrientation == turned
        assert picture.Laterality == side


@pytest.mark.parametrize(
    ("held", "side"),
    [
        ({"ImageLaterality": "R"}, "R"),
        ({"ImageLaterality": "L", "Laterality": "R"}, "L"),
        ({"ImageLaterality": "B"}, ""),
        ({"ImageLaterality": "B", "Laterality": "R"}, ""),
        ({"SharedFunctionalGroupsSequence": anatomy("R")}, "R"),
        ({"PerFrameFunctionalGroupsSequence": anatomy("L"), "Laterality": "R"}, "L"),
    ],
)
def test_the_side_of_a_mammogram_is_kept(findings, held, side):
    source = source_file(**held)
    picture = read(secondary_capture(source, findings.opinion.pixels, "Scan"))
    assert picture.Laterality == side and "ImageLaterality" not in picture
    report = hd.sr.srread(io.BytesIO(structured_report(source, findings)))
    (group,) = report.content.get_image_measurement_groups()
    (site,) = group.finding_sites
    told = site.laterality and site.laterality.meaning
    assert told == {"R": "Right", "L": "Left", "": None}[side]


def test_what_was_lossy_once_is_told_of_the_capture(findings):
    """PS3.3 C.7.6.1.1.5: never reset in a derived image."""
    held = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "19"}
    names = ("LossyImageCompression", "LossyImageCompressionRatio")
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    untold = dataset(phantom("malignant", 3)[0][..., 0], **uids)
    jpeg = cv2.imencode(".jpg", untold.pixel_array)[1].tobytes()
    untold.PixelData = encapsulate([jpeg])
    untold["PixelData"].VR = "OB"
    untold.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    untold = saved(untold)
    cases = (
        (source_file(**held), ["01", 19]),
        (source_file(**held | {"LossyImageCompressionMethod": "iso-x"}), ["01", 19]),
        (source_file(), [None, None]),
        (untold, ["01", None]),
        (deidentify([untold])[0], ["01", None]),
    )
    for source, told in cases:
        picture = read(secondary_capture(source, findings.opinion.pixels, "Scan"))
        assert [picture.get(one) for one in names] == told
        assert "LossyImageCompressionMethod" not in picture


@pytest.mark.parametrize(("rate", "told"), [({"j2k_cr": [20]}, "01"), ({}, None)])
def test_jpeg_2000_tells_by_its_wavelet_that_it_was_lossy(rate, told, findings):
    """Its syntax allows both, and the header of this file does not tell."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    made = dataset(np.stack([phantom("malignant", 3)[0][..., 0]] * 2), **uids)
    original = made.pixel_array
    made.compress(JPEG2000 if rate else JPEG2000Lossless, generate_instance_uid=False, **rate)
    made.file_meta.TransferSyntaxUID = JPEG2000
    made.pop("LossyImageCompression", None)
    assert np.array_equal(read_scan(saved(made)).grey.values, original) == (not rate)
    for source in (saved(made), deidentify([saved(made)])[0]):
        picture = read(secondary_capture(source, findings.opinion.pixels, "Scan"))
        assert picture.get("LossyImageCompression") == told


def test_the_capture_says_what_limits_it(source, findings):
    assert limits_of(replace(findings, guard_level="like")) == ""
    asked = replace(findings, look=Look(Window(90, 120)), abstention="benign or malignant")
    told = (
        "No decision: benign or malignant. Far from the training images. "
        "Window: centre 90, width 120, set by the user."
    )
    assert limits_of(asked) == told
    written = read(secondary_capture(source, marked(asked), "Scan", limits=told))
    assert written.DerivationDescription == f"Scan. {told} {INTENDED_USE}"
    outlined = {"region": two_parts(), "region_source": "corrected"}
    unused = replace(findings, guard_level="like", **outlined)
    masked = findings.recipe.preprocessing.model_copy(update={"region": "mask"})
    recipe = findings.recipe.model_copy(update={"preprocessing": masked})
    assert limits_of(unused) == ""
    assert limits_of(replace(unused, recipe=recipe)) == PROPOSED["corrected"]
    long = read(secondary_capture(source, marked(asked), "Scan", limits="x" * 3000))
    assert len(long.DerivationDescription) == 1024
    assert long.DerivationDescription.endswith(f"x… {INTENDED_USE}")


def test_the_time_of_the_report_is_that_of_the_place(source, findings, monkeypatch):
    monkeypatch.setenv("TZ", "Etc/GMT-5")  # five hours before Greenwich's
    time.tzset()
    try:
        report = read(structured_report(source, findings))
    finally:
        monkeypatch.undo()
        time.tzset()
    assert (report.ContentDate, report.ContentTime[:4]) == ("20260304", "2030")


def test_a_warning_of_the_header_is_told(source, findings):
    warned = structured_report(source, replace(findings, warning="It is an MRI."))
    assert "warning: It is an MRI." in parameters(warned)


def test_window_and_abstention_are_told(source, findings):
    asked = replace(findings, look=Look(Window(90, 120)), abstention="benign or malignant")
    plain, other = (structured_report(source, one) for one in (findings, asked))
    assert "window: as the file asks for" in parameters(plain)
    assert "window: centre 90, width 120, set by the user" in parameters(other)
    assert "no decision: benign or malignant" in parameters(other)
    curved = Look(Window(131072.25, 1234567.75, shape="SIGMOID"), inverted=True)
    told = "centre 131072.25, width 1234567.75, SIGMOID, inverted, set by the user"
    assert window_told(replace(findings, look=curved)) == told
    (group,) = hd.sr.srread(io.BytesIO(other)).content.get_image_measurement_groups()
    (told,) = group.get_qualitative_evaluations(LIKELIEST)
    assert told.value == NO_CLASS


def test_a_frame_of_several_is_named(findings):
    frames = np.stack([phantom("benign", number)[0][..., 0] for number in range(3)])
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    source = saved(dataset(frames, **uids, NumberOfFrames=3))
    files = both(source, made.examined(source, frame=2))
    assert read(files["picture"]).SourceImageSequence[0].ReferencedFrameNumber == 3
    (group,) = hd.sr.srread(io.BytesIO(files["report"])).content.get_image_measurement_groups()
    assert list(group.source_images[0].referenced_frame_numbers) == [3]
    assert "frame: 3" in parameters(files["report"])


def test_a_file_of_one_frame_has_no_number_of_it(source, findings):
    """In a series the number is that of the slice, and each file holds one."""
    report = structured_report(source, replace(findings, frame=2, frames=4))
    assert not any(one.startswith("frame:") for one in parameters(report))


def two_parts() -> np.ndarray:
    """A disc and, touching the corner of the picture, a box with a hole."""
    rows, columns = np.mgrid[
        : len(phantom("malignant", 3)[0]), : phantom("malignant", 3)[0].shape[1]
    ]
    mask = (rows - 100) ** 2 + (columns - 90) ** 2 < 30**2
    mask[:20, :10] = True
    mask[5:7, 4:6] = False
    return mask


def within(corners: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Pixels whose centres lie in a closed line, by another library."""
    rows, columns = np.indices(shape)
    centres = np.column_stack([columns.ravel(), rows.ravel()]) + 0.5
    return Path2D(corners).contains_points(centres).reshape(shape)


def test_the_report_holds_the_outline_on_the_source_image(source, findings):
    mask = two_parts()
    told = replace(findings, region=mask, region_source="drawn", spacing_mm=(0.5, 0.2))
    report = hd.sr.srread(io.BytesIO(structured_report(source, told)))
    disc, box = report.content.get_planar_roi_measurement_groups()
    drawn = [one.roi.value for one in (disc, box)]
    assert all(one.roi.graphic_type is hd.sr.GraphicTypeValues.POLYLINE for one in (disc, box))
    assert all(np.array_equal(one[0], one[-1]) for one in drawn)
    seen = [within(one, mask.shape) for one in drawn]
    filled = mask.copy()
    filled[5:7, 4:6] = True
    np.testing.assert_array_equal(seen[0] | seen[1], filled)
    assert seen[1].sum() == 200  # a pixel's corner is the origin: nothing is cut off at the edge
    (area,) = box.get_measurements(AREA)
    # As in the other reports, a hole is no part of it.
    assert area.value == pytest.approx(196 * 0.5 * 0.2) and area.unit.value == "mm2"
    (area,) = disc.get_measurements(AREA)
    assert area.value == pytest.approx((mask.sum() - 196) * 0.5 * 0.2)
    (origin,) = disc.get_qualitative_evaluations(OUTLINED)
    assert origin.value.meaning == "Drawn by the reader"
    image = disc.roi.ContentSequence[0].ReferencedSOPSequence[0]
    assert image.ReferencedSOPInstanceUID == read(source).SOPInstanceUID
    assert len(report.content.get_image_measurement_groups()) == 1


def test_no_millimetres_without_the_size_of_a_pixel_and_no_outline_without_a_region(
    source, findings, out
):
    told = replace(findings, region=two_parts(), region_source="corrected", spacing_mm=None)
    report = hd.sr.srread(io.BytesIO(structured_report(source, told)))
    groups = report.content.get_planar_roi_measurement_groups()
    assert [one.get_measurements() for one in groups] == [[], []]
    (source_of,) = groups[0].get_qualitative_evaluations(OUTLINED)
    assert source_of.value.meaning == "Proposed by a network, corrected by the reader"
    plain = hd.sr.srread(io.BytesIO(out["report"]))
    assert plain.content.get_planar_roi_measurement_groups() == []


def test_a_ragged_outline_stays_within_what_a_value_holds():
    ragged = np.zeros((400, 400), bool)
    ragged[0], ragged[:, ::2] = True, True  # a comb
    ((line, _),) = outlines(ragged)
    assert 100 < len(line) <= MOST_CORNERS
    noise = np.random.default_rng(0).random((700, 700)) < 0.6
    assert all(len(one) <= MOST_CORNERS for one, _ in outlines(noise))


def test_from_a_deidentified_copy_both_tell_of_nobody(source, findings):
    copy = deidentify([source])[0]
    told = replace(findings, scan_digests=(sha256(copy),))
    for data in both(copy, told).values():
        for secret in SECRETS:
            assert secret.encode() not in data
        assert read(data).StudyInstanceUID == read(copy).StudyInstanceUID


@pytest.mark.parametrize(
    "change",
    [
        {"PatientName": "Müller^Änne", "SpecificCharacterSet": "ISO_IR 100"},
        {"PatientSex": "unknown"},
        {"StudyDate": "yesterday", "StudyTime": "noon", "PatientBirthDate": "00010101"},
        {"PatientName": None, "PatientID": None, "StudyID": None, "StudyDate": None},
        {"AccessionNumber": ""},
    ],
)
def test_headers_in_bad_form_still_give_files_in_good_form(findings, change):
    source = source_file(**change)
    for data in both(source, findings).values():
        derived = read(data)
        assert str(derived.PatientName) == (change.get("PatientName", "Quixote^Dulcinea") or "")
        assert derived.PatientSex in ("", "F")
        assert derived.StudyDate in ("", None, "20190817")


def test_of_several_values_none_is_taken_for_the_patients(findings):
    """A number with a backslash in it reads as two; each may be somebody else's."""
    source = source_file(PatientID=["DOM", "123"], PatientName=["A^B", "C^D"], StudyID=["1", "2"])
    for data in both(source, findings).values():
        derived = read(data)
        assert [derived.PatientID, str(derived.PatientName), derived.StudyID] == ["", "", ""]


@pytest.mark.parametrize(
    "change",
    [
        {"StudyInstanceUID": None},
        {"SOPInstanceUID": "not a uid"},
        {"SeriesInstanceUID": ""},
    ],
)
def test_what_cannot_be_referred_to_is_refused(findings, change):
    source = source_file(**change) if "SOPInstanceUID" not in change else _renamed(source_file())
    for write in (
        lambda: secondary_capture(source, findings.opinion.pixels, "Scan"),
        lambda: structured_report(source, findings),
    ):
        with pytest.raises(ScanError, match="nothing can be filed beside it"):
            write()


def _renamed(data: bytes) -> bytes:
    """With an instance UID of bad form, in the same length."""
    uid = str(read(data).SOPInstanceUID)
    bad = ("not a uid" + "x" * len(uid))[: len(uid)]
    return data.replace(uid.encode(), bad.encode())


@pytest.mark.parametrize("data", [b"", b"no file", png(np.zeros((8, 8, 3), np.uint8))])
def test_what_is_not_dicom_is_refused(findings, data):
    with pytest.raises(ScanError):
        structured_report(data, findings)
    with pytest.raises(ScanError):
        secondary_capture(data, findings.opinion.pixels, "Scan")


def test_a_header_never_reaches_the_log(findings, caplog, recwarn):
    with caplog.at_level("DEBUG"):
        both(source_file(PatientName="Quixote"), findings)
    assert "Quixote" not in caplog.text
    assert not [one for one in recwarn if "Quixote" in str(one.message)]


def test_codes_are_short_and_stable():
    long = code("P", "intraductal papillomatosis (atypical)", "x" * 100)
    assert len(long.value) <= 16 and len(long.meaning) <= 64
    assert probability_code("benign") == probability_code("benign")
    assert probability_code("benign") != probability_code("malignant")


def complaints(data: bytes, folder: Path) -> list[str]:
    """Errors that dciodvfy finds."""
    file = folder / "out.dcm"
    file.write_bytes(data)
    done = subprocess.run(["dciodvfy", "-new", str(file)], capture_output=True, text=True)
    lines = (done.stdout + done.stderr).splitlines()
    return [line for line in lines if line.startswith("Error")]


checked = pytest.mark.skipif(
    shutil.which("dciodvfy") is None, reason="dciodvfy (Debian package dicom3tools) is absent"
)


@checked
def test_dciodvfy_finds_no_error(out, source, findings, tmp_path):
    outlined = replace(findings, region=two_parts(), region_source="drawn", spacing_mm=(0.1, 0.1))
    copy = deidentify([source])[0]
    silent = replace(findings, look=Look(Window(90, 120)), abstention="benign or malignant")
    written = (both(copy, findings), both(source, outlined), both(source, silent))
    for data in (*out.values(), *(one for files in written for one in files.values())):
        assert complaints(data, tmp_path) == []


@checked
def test_every_shared_dicom_file_gives_both_or_a_sentence(tmp_path):
    if not INPUTS.is_dir():
        pytest.skip("LESIONLENS_DATA/dicom_inputs is not there")
    written = 0
    for path in sorted(INPUTS.rglob("*.dcm")):
        data = path.read_bytes()
        try:
            files = both(data, made.examined(data))
        except ScanError as error:
            assert str(error).endswith("."), path.name
            continue
        written += 1
        for kind, one in files.items():
            assert complaints(one, tmp_path) == [], f"{path.name}, {kind}"
    assert written >= 10
