"""Verdicts on several scans in one pass: the same as one by one, and no scan harms another."""

from __future__ import annotations

import csv
import hashlib
import io
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from dicoms import dicom, slices
from pydicom import dcmread
from pydicom.uid import generate_uid

from core.checkpoints import list_trained
from core.datasets.phantoms import phantom
from core.findings import NO_REGION, Look
from core.manifest import manifest
from core.mask_files import UNUSED
from core.png import png
from core.predict import classify
from core.replay import replay
from core.windowing import Window
from core.wording import percent
from pages import _assurance, _kept, _samples, _scans, _shared, _take_away, _verdicts, _views

SYSTEM, OUTLINED = "busi-efficientnet-b0", "busi-efficientnetv2b0"

pytestmark = [
    pytest.mark.skipif(SYSTEM not in list_trained(), reason="the system is not shipped"),
    pytest.mark.usefixtures("in_a_session", "loaded_once"),
]


def item(name: str, data: bytes) -> _scans.Item:
    return _scans.Item(name, hashlib.sha256(data).hexdigest(), lambda: data)


@pytest.fixture(scope="module")
def items() -> list[_scans.Item]:
    """Scans of several sizes, one broken, one whose header names another modality, and noise."""
    scans = [phantom(label, 3)[0] for label in ("benign", "malignant", "normal")]
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    files = [*map(png, scans), b"no image", dicom(scans[0][::2, ::2, 0], Modality="MR"), png(noise)]
    return [item(str(number), data) for number, data in enumerate(files)]


def test_together_is_the_same_as_one_by_one(items):
    together = _verdicts.verdicts(items, SYSTEM)
    alone = [_verdicts.verdict(one, SYSTEM) for one in items]
    for one, other in zip(together, alone, strict=True):
        assert (one.label, one.error, one.warning) == (other.label, other.error, other.warning)
        np.testing.assert_allclose(one.probabilities, other.probabilities, atol=1e-5)
    assert together[3].error and together[3].label is None
    assert "MRI" in together[4].warning
    assert "does not look like" in together[5].warning


@pytest.fixture(scope="module")
def with_masks() -> list[_scans.Item]:
    """Scans with their masks: one that fits, two parts of one, one of another size, a black one."""
    made = []
    for number in range(4):
        pixels, mask = phantom("malignant", number)
        halves = [mask.copy(), mask.copy()]
        halves[0][:, 128:], halves[1][:, :128] = False, False
        masks = ([mask], halves, [mask[::2]], [np.zeros_like(mask)])[number]
        parts = [np.repeat(255 * part[..., None].astype(np.uint8), 3, axis=-1) for part in masks]
        beside = tuple(item(f"{number} {i}", png(part)) for i, part in enumerate(parts))
        made.append(replace(item(str(number), png(pixels)), masks=beside))
    return made


def test_masks_that_came_with_scans_outline_them(with_masks):
    together = _verdicts.verdicts(with_masks, OUTLINED)
    assert [one.outlined for one in together] == [True, True, False, False]
    for number, one in enumerate(together):
        alone = _verdicts.verdict(with_masks[number], OUTLINED)
        assert (alone.label, alone.warning, alone.outlined) == (
            one.label,
            one.warning,
            one.outlined,
        )
        mask = phantom("malignant", number)[1] if one.outlined else None
        scan = _scans.scan_of(with_masks[number].digest, with_masks[number].read)
        expected = classify(_shared.classifier(OUTLINED), scan, mask=mask).probabilities
        np.testing.assert_allclose(one.probabilities, expected, atol=1e-5)
        np.testing.assert_allclose(alone.probabilities, expected, atol=1e-5)
    assert UNUSED.partition(".")[0] in together[2].warning and NO_REGION in together[2].warning
    assert UNUSED.partition(".")[0] not in together[3].warning and NO_REGION in together[3].warning
    assert not any(one.outlined for one in _verdicts.verdicts(with_masks, SYSTEM))


def test_reports_on_many_show_the_outlines_that_came_with_them(with_masks):
    some = with_masks[1:3]
    made = _take_away.all_reports(some, _verdicts.verdicts(some, OUTLINED), OUTLINED, named=True)
    with zipfile.ZipFile(io.BytesIO(made)) as archive:
        rows = list(csv.DictReader(io.TextIOWrapper(archive.open("scans.csv"), "utf-8")))
        outlined, not_outlined = (archive.read(row["report"]).decode() for row in rows)
    assert [row["outline"] for row in rows] == ["uploaded", ""]
    assert NO_REGION not in outlined and NO_REGION in not_outlined


def test_the_network_sees_them_in_one_pass(items, monkeypatch):
    system, sizes = _shared.classifier(SYSTEM), []
    features = type(system).features

    def counted(self, batch, layer=None):
        sizes.append(len(batch))
        return features(self, batch, layer)

    monkeypatch.setattr(type(system), "features", counted)
    _verdicts.verdicts(items, SYSTEM)
    assert sizes == [5]


def test_what_was_not_examined_is_not_reported_on_either(items):
    found = _verdicts.verdicts(items[:2], SYSTEM)
    late = _verdicts.Verdict(error="Not examined: you stopped before its turn.")
    data = _take_away.all_reports(items[:3], [*found, late], SYSTEM, named=False)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.namelist() == ["scans.csv", "scan 0001.html", "scan 0002.html"]
        rows = list(csv.DictReader(io.StringIO(archive.read("scans.csv").decode())))
    assert rows[2]["error"] == late.error and rows[2]["label"] == ""
    for row, one in zip(rows, found, strict=False):
        assert row["label"] == one.label and row["warning"] == (one.warning or "")
        assert row["prediction_set"] == "; ".join(one.classes or ())


def test_a_mask_that_was_not_used_is_told_in_the_reports_as_on_the_page(items):
    odd = item("odd.png", png(np.full((9, 9, 3), 255, np.uint8)))
    masked = replace(items[0], masks=(odd,))
    found = _verdicts.verdicts([masked], OUTLINED)
    assert found[0].warning.startswith("Its mask was not used. The mask is 9 x 9 pixels")
    data = _take_away.all_reports([masked], found, OUTLINED, named=False)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        (row,) = csv.DictReader(io.StringIO(archive.read("scans.csv").decode()))
        report = archive.read("scan 0001.html").decode()
    assert row["warning"] == found[0].warning
    assert "Its mask was not used. The mask is 9 x 9 pixels" in report


def test_a_system_without_its_outline_tells_in_its_report_what_that_costs(items):
    view = _views.View(items[0], 0, OUTLINED)
    opinion = _kept.opinion(view)
    made = _take_away.findings_of(view, opinion, _assurance.assess(view, opinion))
    measured = _shared.outliner().metrics["regions"][OUTLINED]["regions"]["none"]["accuracy"]
    assert f"right without an outline in {percent(measured['value'])}" in made.trust


def test_dicom_without_the_patients_data_refers_to_its_copy_alone():
    """The sha256 of what was uploaded would link the copy with the patient again."""
    uids = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()}
    data = dicom(phantom("malignant", 3)[0][..., 0], PatientName="Quixote", Modality="MR", **uids)
    view = _views.View(item("Quixote.dcm", data), 0, SYSTEM)
    opinion = _kept.opinion(view)
    found = _assurance.assess(view, opinion)
    told = {}
    for named in (False, True):
        record = _take_away.findings_of(view, opinion, found, named=named)
        archive = zipfile.ZipFile(io.BytesIO(_take_away._dicom(view, record, named)))
        told[named] = {name: archive.read(name) for name in archive.namelist()}
    uploaded = hashlib.sha256(data).hexdigest().encode()
    assert "scan.dcm" not in told[True] and uploaded in told[True]["structured report.dcm"]
    copied = hashlib.sha256(told[False]["scan.dcm"]).hexdigest().encode()
    assert copied in told[False]["structured report.dcm"]
    assert not any(uploaded in one or b"Quixote" in one for one in told[False].values())
    for files in told.values():
        picture = dcmread(io.BytesIO(files["secondary capture.dcm"]))
        assert found.contradiction in picture.DerivationDescription


def test_the_record_of_an_opinion_holds_what_the_page_told_of_it():
    frames = np.stack([phantom(label, 3)[0][..., 0] for label in ("benign", "malignant")])
    data = dicom(frames, NumberOfFrames=2, Modality="MR", BurnedInAnnotation="YES")
    view = _views.View(item("Quixote.dcm", data), 1, SYSTEM, look=Look(Window(90, 120)))
    opinion = _kept.opinion(view)
    found = _assurance.assess(view, opinion)
    nameless, named = (
        _take_away.findings_of(view, opinion, found, named=wanted) for wanted in (False, True)
    )
    assert (nameless.name, named.name) == (None, "Quixote.dcm")
    assert (nameless.frame, nameless.frames, nameless.look) == (1, 2, view.look)
    assert "MRI" in nameless.warning and "burned" in nameless.text_risk
    assert nameless.prediction_set is None and nameless.set_note == _assurance.NO_SET
    assert nameless.guard == found.guard.sentence and nameless.guard_level == found.guard.level


def test_a_record_of_the_page_is_replayed_with_what_was_told_of_it(items):
    view = _views.View(items[0], 0, SYSTEM)
    opinion = _kept.opinion(view)
    found = _assurance.assess(view, opinion)
    stated = manifest(_take_away.findings_of(view, opinion, found))
    assert stated["guard"] == {"level": found.guard.level, "distance": found.guard.distance}
    assert stated["prediction_set"]["classes"] == list(found.classes)
    assert replay(stated, items[0].read())["agrees"]


def test_dicom_of_a_series_names_the_slice_that_was_examined():
    files = slices(3, StudyInstanceUID=generate_uid())
    volume = _scans.Item("volume", "0", lambda: files, several=True)
    view = _views.View(volume, 2, SYSTEM)
    opinion = _kept.opinion(view)
    made = _take_away.findings_of(view, opinion, _assurance.assess(view, opinion))
    assert made.scan_digests == tuple(hashlib.sha256(one).hexdigest() for one in files)
    with zipfile.ZipFile(io.BytesIO(_take_away._dicom(view, made, named=False))) as archive:
        picture, report, scan = (
            dcmread(io.BytesIO(archive.read(one))) for one in archive.namelist()
        )
    assert scan.pixel_array[0, 0] == 1 and scan.PatientIdentityRemoved == "YES"
    (source,) = picture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == scan.SOPInstanceUID
    (study,) = report.CurrentRequestedProcedureEvidenceSequence
    assert study.StudyInstanceUID == scan.StudyInstanceUID
    with zipfile.ZipFile(io.BytesIO(_take_away._dicom(view, made, named=True))) as archive:
        picture, report = (dcmread(io.BytesIO(archive.read(one))) for one in archive.namelist())
    wanted = dcmread(io.BytesIO(files[2])).SOPInstanceUID
    (source,) = picture.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == wanted and "ReferencedFrameNumber" not in source
    referred = {one.value for one in report.iterall() if one.keyword == "ReferencedSOPInstanceUID"}
    assert referred == {wanted}


def test_a_report_on_a_sample_says_that_it_is_synthetic(items):
    for item, synthetic in ((items[0], False), (_samples.sample("Benign phantom 1"), True)):
        view = _views.View(item, 0, SYSTEM)
        opinion = _kept.opinion(view)
        made = _take_away.findings_of(view, opinion, _assurance.assess(view, opinion))
        assert made.synthetic is synthetic
        assert (made.text_risk is None) is synthetic  # it shows nobody's name


def test_where_the_pass_fails_each_is_examined_alone(items, monkeypatch):
    system = _shared.classifier(SYSTEM)
    features = type(system).features

    def cramped(self, batch, layer=None):
        if len(batch) > 1:
            raise MemoryError
        return features(self, batch, layer)

    expected = [one.label for one in _verdicts.verdicts(items, SYSTEM)]
    monkeypatch.setattr(type(system), "features", cramped)
    assert [one.label for one in _verdicts.verdicts(items, SYSTEM)] == expected
