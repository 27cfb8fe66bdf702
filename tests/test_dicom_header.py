"""What a DICOM header tells: millimetres, rhythm, personal data, drawings."""

from __future__ import annotations

import numpy as np
import pydicom
import pytest
from dicoms import NOISE, add_overlay, dataset, dicom, items, saved
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

from core.dicom.deidentify import deidentify
from core.scans import read_scan

# What pydicom warns of is silenced when core.dicom is imported, which pytest undoes.
pytestmark = pytest.mark.filterwarnings(r"ignore:::pydicom\..*")


def region(**elements) -> pydicom.Dataset:
    told = {
        "RegionSpatialFormat": 1,
        "RegionDataType": 1,
        "PhysicalUnitsXDirection": 3,
        "PhysicalUnitsYDirection": 3,
        "PhysicalDeltaX": 0.02,
        "PhysicalDeltaY": 0.01,
        "RegionLocationMinX0": 0,
        "RegionLocationMinY0": 0,
        "RegionLocationMaxX1": 47,
        "RegionLocationMaxY1": 39,
    }
    return items(**(told | elements))[0]


@pytest.mark.parametrize(
    ("elements", "spacing"),
    [
        ({}, None),
        ({"PixelSpacing": ["0.3", "0.2"]}, (0.3, 0.2)),
        ({"PixelSpacing": ["0", "0.2"]}, None),
        ({"ImagerPixelSpacing": ["0.1", "0.1"]}, (0.1, 0.1)),
        (
            {
                "ImagerPixelSpacing": ["0.1", "0.2"],
                "EstimatedRadiographicMagnificationFactor": "2",
            },
            (0.05, 0.1),
        ),
        # a spacing that repeats the detector's was not corrected for the magnification (10.7.1.3)
        (
            {
                "PixelSpacing": ["0.10", "0.2"],
                "ImagerPixelSpacing": ["0.1", "0.2"],
                "EstimatedRadiographicMagnificationFactor": "2",
            },
            (0.05, 0.1),
        ),
        (
            {
                "PixelSpacing": ["0.06", "0.06"],
                "ImagerPixelSpacing": ["0.1", "0.1"],
                "EstimatedRadiographicMagnificationFactor": "2",
            },
            (0.06, 0.06),
        ),
        # of a film that was scanned
        ({"NominalScannedPixelSpacing": ["0.2", "0.1"]}, (0.2, 0.1)),
        (
            {
                "NominalScannedPixelSpacing": ["0.2", "0.1"],
                "EstimatedRadiographicMagnificationFactor": "2",
            },
            (0.1, 0.05),
        ),
        (
            {"NominalScannedPixelSpacing": ["0.2", "0.1"], "ImagerPixelSpacing": ["0.3", "0.3"]},
            (0.3, 0.3),
        ),
        ({"NominalScannedPixelSpacing": ["0.2", "0.1"], "PixelSpacing": ["1", "1"]}, (1, 1)),
        # what is no size leaves the next that is one
        ({"PixelSpacing": ["0", "0"], "ImagerPixelSpacing": ["0.1", "0.2"]}, (0.1, 0.2)),
        ({"PixelSpacing": "0.5", "ImagerPixelSpacing": ["0.1", "0.2"]}, (0.1, 0.2)),
        (
            {"ImagerPixelSpacing": ["0", "0"], "SequenceOfUltrasoundRegions": [region()]},
            (0.1, 0.2),
        ),
        ({"SequenceOfUltrasoundRegions": [region()]}, (0.1, 0.2)),
        ({"SequenceOfUltrasoundRegions": [region(PhysicalDeltaY=-0.01)]}, (0.1, 0.2)),
        ({"SequenceOfUltrasoundRegions": [region(), region(PhysicalDeltaX=0.03)]}, None),
        ({"SequenceOfUltrasoundRegions": [region(PhysicalUnitsXDirection=4)]}, None),
        # a spectrum beside the picture has units of its own, a scale of greys has none
        ({"SequenceOfUltrasoundRegions": [region(), region(RegionSpatialFormat=3)]}, None),
        (
            {
                "SequenceOfUltrasoundRegions": [
                    region(),
                    region(RegionSpatialFormat=0, PhysicalUnitsXDirection=0, PhysicalDeltaX=0.0),
                ]
            },
            (0.1, 0.2),
        ),
        # no two numbers: no millimetres, but the picture is good
        ({"PixelSpacing": "0.5"}, None),
        ({"ImagerPixelSpacing": "0.1"}, None),
        # the same length in other digits is no calibration either
        (
            {
                "PixelSpacing": ["0.07", "0.07"],
                "ImagerPixelSpacing": ["0.0700001", "0.0700001"],
                "EstimatedRadiographicMagnificationFactor": "1.4",
            },
            (0.0700001 / 1.4, 0.0700001 / 1.4),
        ),
        # of sizes below a micrometre, too, a thousandth is what may be rounded
        (
            {
                "SequenceOfUltrasoundRegions": [
                    region(PhysicalDeltaX=2e-5, PhysicalDeltaY=2e-5),
                    region(PhysicalDeltaX=4e-5, PhysicalDeltaY=4e-5),
                ]
            },
            None,
        ),
        # the copy was made smaller, the regions still tell of the first picture
        ({"SequenceOfUltrasoundRegions": [region(RegionLocationMaxY1=95)]}, None),
        ({"SequenceOfUltrasoundRegions": [region(RegionLocationMaxX1=95)]}, None),
    ],
)
def test_spacing(elements, spacing):
    found = read_scan(dicom(NOISE, **elements)).spacing_mm
    assert found == (spacing and pytest.approx(spacing))


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1),
        ({"PixelAspectRatio": [2, 1]}, 2),
        ({"PixelAspectRatio": [11, 12]}, 11 / 12),
        ({"PixelAspectRatio": [2, 1], "PixelSpacing": [0.1, 0.2]}, 0.5),
        ({"PixelSpacing": [1_000_000, 0.001]}, 1),
        ({"PixelAspectRatio": [1, 0]}, 1),
        ({"PixelAspectRatio": [1, 1000]}, 1),
        ({"PixelAspectRatio": [-2, 1]}, 1),
        ({"PixelAspectRatio": 3}, 1),
    ],
)
def test_how_much_higher_than_wide_pixels_are(elements, aspect):
    scan = read_scan(dicom(NOISE, **elements))
    assert scan.aspect == pytest.approx(aspect)
    assert (scan.spacing_mm is None) == ("PixelSpacing" not in elements)


@pytest.mark.parametrize(
    ("second", "spacing"),
    [(["0.5", "0.25"], (0.5, 0.25)), (["0.50001", "0.25"], (0.5, 0.25)), (["1", "0.25"], None)],
)
def test_frames_of_other_spacings_have_no_millimetres(second, spacing):
    made = dataset(np.stack([NOISE, NOISE]))
    made.PerFrameFunctionalGroupsSequence = [
        items(PixelMeasuresSequence=items(PixelSpacing=told))[0]
        for told in (["0.5", "0.25"], second)
    ]
    assert read_scan(saved(made)).spacing_mm == spacing
    assert read_scan(saved(made)).aspect == pytest.approx(2 if spacing else 1)
    made.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence[0].PixelSpacing = [0.6, 0.3]
    assert (read_scan(saved(made)).spacing_mm, read_scan(saved(made)).aspect) == (None, 2)
    del made.PerFrameFunctionalGroupsSequence[1].PixelMeasuresSequence
    assert read_scan(saved(made)).spacing_mm is None


def test_the_rhythm_of_a_cine():
    frames = np.zeros((2, 2, 2), np.uint8)
    assert read_scan(dicom(frames, FrameTime="40")).frame_ms == 40
    assert read_scan(dicom(frames, CineRate="25")).frame_ms == 40
    assert read_scan(dicom(frames, FrameTimeVector=["0", "30", "50"])).frame_ms == 40
    assert read_scan(dicom(frames, FrameTimeVector=["0", "30"], FrameTime="50")).frame_ms == 50
    assert read_scan(dicom(frames, FrameTimeVector="30")).frame_ms is None
    assert read_scan(dicom(frames)).frame_ms is None
    for told in ("-1", "nan", "1e9", "1e300"):  # no rhythm that a picture could move in
        assert read_scan(dicom(frames, FrameTime=told)).frame_ms is None


def test_personal_data_are_recognised_by_kind_and_never_told():
    made = dataset(NOISE, PatientName="Doe^Jane", StudyDate="20200131", PatientID="")
    made.add_new((0x0009, 0x0010), "LO", "MAKER")
    scan = read_scan(saved(made))
    assert scan.personal == ("name", "dates of the examination", "private data of the maker")
    assert "Doe" not in repr(scan)
    assert read_scan(dicom(NOISE)).personal == ()


@pytest.mark.parametrize(
    ("elements", "kinds"),
    [
        ({"ConsultingPhysicianName": "Doe^Jane"}, ("names of others",)),
        ({"InstanceCreationDate": "20200131"}, ("dates of the examination",)),
        ({"FrameReferenceDateTime": "20200131"}, ("dates of the examination",)),
        ({"IssuerOfPatientID": "A"}, ("patient number",)),
        ({"AdmissionID": "A"}, ("examination number",)),
        ({"PatientTelecomInformation": "A"}, ("address or telephone",)),
        ({"DeviceSerialNumber": "A"}, ("number of the device",)),
        ({"RequestedProcedureID": "A"}, ("examination number",)),
        ({"ClinicalTrialSubjectID": "A"}, ("number in a clinical trial",)),
        ({"MedicalRecordLocator": "A"}, ("other data of the patient",)),
        ({"Occupation": "A", "MilitaryRank": ""}, ("other data of the patient",)),
    ],
)
@pytest.mark.parametrize("nested", [False, True])
def test_personal_data_are_found_on_every_level(elements, kinds, nested):
    if nested:
        held = items(ModifiedAttributesSequence=items(**elements))
        elements = {"OriginalAttributesSequence": held}
    assert read_scan(dicom(NOISE, **elements)).personal == kinds


def test_a_value_that_cannot_be_decoded_does_not_hide_the_picture():
    made = dataset(NOISE, PatientName="Doe^Jane")
    made.add_new("PatientWeight", "FD", 61.5)
    data = saved(made)
    assert b"\x10\x00\x30\x10FD\x08\x00" in data
    bad = data.replace(b"\x10\x00\x30\x10FD\x08\x00", b"\x10\x00\x30\x10DS\x08\x00")
    assert read_scan(bad).personal == ("name", "age, sex or size")


@pytest.mark.parametrize(
    ("elements", "risk"),
    [
        ({"Modality": "MR"}, None),
        ({"Modality": "US"}, "often carry"),
        ({"Modality": "US", "BurnedInAnnotation": "NO"}, None),
        ({"Modality": "MG", "BurnedInAnnotation": "YES"}, "says that text"),
        ({"Modality": "MR", "SOPClassUID": "1.2.840.10008.5.1.4.1.1.7"}, "often carry"),
    ],
)
def test_the_risk_of_text_in_the_picture(elements, risk):
    found = read_scan(dicom(NOISE, **elements)).text_risk
    assert (found is None) if risk is None else (risk in found)


def test_overlays_of_some_frames_join_those_of_all():
    made = dataset(np.stack([NOISE] * 3), bits=12)
    add_overlay(made, 0x6000, [39, 46], (1, 2))
    add_overlay(made, 0x601E, [0, -1], (1, 3), (3, 2))  # begins above and left of the picture
    made.add_new((0x601E, 0x0051), "US", 2)  # with the second frame of the picture
    found = np.argwhere(read_scan(saved(made)).overlay).tolist()
    assert found == [[0, 39, 47], [1, 0, 1], [1, 39, 47], [2, 2, 0], [2, 39, 47]]


@pytest.mark.parametrize("origin", ["missing", "empty"])
def test_an_overlay_without_origin_begins_at_the_first_pixel(origin):
    made = dataset(NOISE)
    add_overlay(made, 0x6000, [1, 1], (2, 3))
    made[0x6000, 0x0050].value = None
    if origin == "missing":
        del made[0x6000, 0x0050]
    assert np.argwhere(read_scan(saved(made)).overlay).tolist() == [[0, 2, 3]]


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian], ids=str)
@pytest.mark.parametrize(("highest", "bit"), [(11, 12), (11, 15), (15, 3)])
def test_overlays_beside_the_values_of_words(syntax, highest, bit):
    drawn = np.random.default_rng(2).random((2, *NOISE.shape)) < 0.1
    values = np.stack([NOISE, NOISE[::-1]])
    made = dataset(values, bits=12, HighBit=highest)
    words = values << (highest - 11) | drawn.astype(np.uint16) << bit
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    made.PixelData = words.astype(f"{order}u2").tobytes()
    made["PixelData"].VR = "OW"
    made.file_meta.TransferSyntaxUID = syntax
    made.add_new((0x6000, 0x0050), "SS", [1, 1])
    made.add_new((0x6000, 0x0100), "US", 16)
    made.add_new((0x6000, 0x0102), "US", bit)
    scan = read_scan(saved(made))
    assert np.array_equal(scan.overlay, drawn)
    assert np.array_equal(scan.grey.values, values)
    (copy,) = deidentify([saved(made)])  # a drawing may hold a name
    assert read_scan(copy).overlay is None
    made[0x6000, 0x0102].value = highest  # a bit of the values
    assert read_scan(saved(made)).overlay is None


def test_the_repeated_sign_of_values_is_no_overlay():
    values = NOISE.astype(np.int16) - 2048
    made = dataset(values, bits=12)
    made.PixelRepresentation = 1
    made.PixelData = values.astype("<i2").tobytes()  # bits 12 to 15 are those of bit 11
    made["PixelData"].VR = "OW"
    made.add_new((0x6000, 0x0050), "SS", [1, 1])
    made.add_new((0x6000, 0x0102), "US", 12)
    assert (values < 0).any()
    assert read_scan(saved(made)).overlay is None


def test_overlays_are_kept_apart():
    made = dataset(NOISE, bits=12)
    add_overlay(made, 0x6000, [39, 46], (1, 2))
    scan = read_scan(saved(made))
    assert np.argwhere(scan.overlay).tolist() == [[0, 39, 47]]
    assert np.array_equal(scan.grey.values[0], NOISE)
