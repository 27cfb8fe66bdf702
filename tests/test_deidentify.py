"""De-identified copies: no byte tells of the person, and the picture is the same."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest
from dicoms import NOISE, dataset, dicom, items, saved
from pydicom.datadict import DicomDictionary
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from core.dicom.deidentify import deidentify
from core.scans import ScanError, read_scan

SECRET = "Zywxvu"
ROOT = "1.2.826.0.1.999"
VALUES = {
    "PN": f"{SECRET}^Jane^Q",
    "LO": f"a {SECRET} b",
    "SH": SECRET,
    "ST": f"of {SECRET}",
    "LT": f"of {SECRET}",
    "UT": f"of {SECRET}",
    "UC": f"of {SECRET}",
    "AE": SECRET,
    "UR": f"http://{SECRET}.org",
    "DA": "19771103",
    "DT": "19771103112233",
    "TM": "112233.77",
    "AS": "047Y",
    "UI": f"{ROOT}.42",
    "CS": SECRET.upper(),
    "OB": SECRET.encode(),
    "OW": SECRET.encode(),
    "UN": SECRET.encode(),
}
TRACES = [SECRET, SECRET.upper(), "19771103", "112233.77", "047Y", ROOT, "Jane"]


def everything() -> pydicom.Dataset:
    """A data set in which every element of the standard that may hold such a value holds one."""
    made = dataset(NOISE, bits=12, PixelSpacing=["0.5", "0.25"], WindowCenter="9", WindowWidth="7")
    for tag, (kind, _, _, retired, keyword) in DicomDictionary.items():
        usual = 0x0008 <= tag >> 16 < 0x6000 and tag >> 16 not in (0x0028, 0x0004)
        if kind in VALUES and keyword and not retired and usual and keyword not in made:
            made.add_new(tag, kind, VALUES[kind])
    return made


def traces(data: bytes) -> list[str]:
    return [one for one in TRACES if one.encode() in data or one.encode("utf-16-le") in data]


def test_nothing_is_left_of_any_element_of_the_standard():
    made = everything()
    assert len(made) > 800
    assert set(traces(saved(made))) >= set(TRACES)
    (copy,) = deidentify([saved(made)])
    assert traces(copy) == []


def test_nothing_is_left_in_private_elements_sequences_and_the_header():
    inner = items(PatientName=VALUES["PN"], SeriesDescription=SECRET, StudyDate="19771103")
    inner[0].add_new((0x0011, 0x0010), "LO", "MAKER")
    inner[0].add_new((0x0011, 0x1001), "LO", SECRET)
    made = dataset(
        NOISE,
        PatientName=VALUES["PN"],
        Manufacturer=f"Made for {SECRET.upper()}",
        ReferencedImageSequence=items(
            ReferencedSOPInstanceUID=f"{ROOT}.7", PurposeOfReferenceCodeSequence=inner
        ),
        RequestAttributesSequence=inner,
    )
    made.add_new((0x0009, 0x0010), "LO", "MAKER")
    made.add_new((0x0009, 0x1001), "LO", SECRET)
    made.add_new((0x0009, 0x1002), "SQ", inner)
    made.add_new((0x5000, 0x3000), "OW", SECRET.encode())
    made.add_new((0x6000, 0x0010), "US", 4)
    made.add_new((0x6000, 0x0011), "US", 4)
    made.add_new((0x6000, 0x3000), "OW", SECRET.encode())
    made.add_new((0x6000, 0x4000), "LT", SECRET)
    made.file_meta.SourceApplicationEntityTitle = SECRET
    data = SECRET.ljust(128).encode() + saved(made)[128:] + bytes(2)
    assert traces(data)
    (copy,) = deidentify([data])
    assert traces(copy) == []
    told = pydicom.dcmread(io.BytesIO(copy))
    assert told.PatientIdentityRemoved == "YES"
    assert told.file_meta.MediaStorageSOPInstanceUID == told.SOPInstanceUID
    assert read_scan(copy).personal == ()


@pytest.mark.parametrize("syntax", [None, JPEG2000Lossless, RLELossless, ExplicitVRBigEndian])
def test_the_picture_and_its_measures_stay(syntax):
    made = dataset(NOISE, bits=12, Modality="MG", ImagerPixelSpacing=["0.1", "0.1"])
    made.WindowCenter, made.WindowWidth, made.PatientName = "2000", "3000", VALUES["PN"]
    if syntax == ExplicitVRBigEndian:
        made.PixelData = NOISE.astype(">u2").tobytes()
        made.file_meta.TransferSyntaxUID = syntax
    elif syntax:
        made.compress(syntax, generate_instance_uid=False)
    before = read_scan(saved(made))
    after = read_scan(deidentify([saved(made)])[0])
    assert np.array_equal(after.pixels, before.pixels)
    assert np.array_equal(after.grey.values, before.grey.values)
    assert after.spacing_mm == before.spacing_mm
    assert after.modality == "MG"
    assert after.personal == ()


def copied(made: pydicom.Dataset) -> pydicom.Dataset:
    """The copy, whose picture is the same."""
    (copy,) = deidentify([saved(made)])
    assert np.array_equal(read_scan(copy).pixels, read_scan(saved(made)).pixels)
    return pydicom.dcmread(io.BytesIO(copy))


def test_values_in_the_upper_bits_of_a_compressed_picture():
    made = dataset(NOISE << 4, bits=16, syntax=RLELossless)
    made.BitsStored, made.HighBit = 12, 15
    made.WindowCenter, made.WindowWidth = "2048", "4096"
    assert np.array_equal(read_scan(saved(made)).grey.values[0], NOISE)
    assert copied(made).HighBit == 11
    (copy,) = deidentify([saved(made)])
    assert np.array_equal(read_scan(copy).grey.values[0], NOISE)


def test_a_birth_date_of_another_calendar_goes():
    made = dataset(
        NOISE,
        PatientAlternativeCalendar="JAPANESE",
        PatientBirthDateInAlternativeCalendar="S52.11.03",
    )
    assert read_scan(saved(made)).personal == ("birth date",)
    assert not copied(made).group_dataset(0x0010)


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize(("signed", "above"), [(0, {0}), (1, {0, 15})])
def test_an_overlay_in_unused_bits_goes(syntax, signed, above):
    made = dataset(NOISE, bits=12, syntax=syntax, PixelRepresentation=signed)
    words = np.dtype(">u2" if syntax == ExplicitVRBigEndian else "<u2")
    made.PixelData = (NOISE | (NOISE & 1) << 13).astype(words).tobytes()
    made["PixelData"].VR = "OW"
    told = copied(made)
    assert set(np.frombuffer(told.PixelData, words).ravel() >> 12) == above


def test_where_compressed_frames_lay_is_not_told_of_plain_ones():
    made = dataset(np.stack([NOISE] * 2), bits=12, syntax=RLELossless)
    frames = list(generate_frames(made.PixelData, number_of_frames=2))
    made.PixelData, made.ExtendedOffsetTable, lengths = encapsulate_extended(frames)
    made.ExtendedOffsetTableLengths = lengths
    assert [one.keyword for one in copied(made).group_dataset(0x7FE0)] == ["PixelData"]


def test_codes_that_tell_how_to_show_the_file_stay():
    made = dataset(NOISE, PatientName="Ver^Hu", PatientID="192", PresentationLUTShape="INVERSE")
    made.SpecificCharacterSet, made.RescaleType = "ISO_IR 192", "HU"
    made.RescaleSlope, made.RescaleIntercept = "1", "0"
    told = copied(made)
    assert told.PresentationLUTShape == "INVERSE"
    assert told.SpecificCharacterSet == "ISO_IR 192"
    assert told.RescaleType == "HU"
    made.PresentationLUTShape = "VER"  # no code of the standard
    (copy,) = deidentify([saved(made)])
    assert "PresentationLUTShape" not in pydicom.dcmread(io.BytesIO(copy))


@pytest.mark.parametrize("text", ["Li Wu 42", "Wu Li clinic", "the wu_scanner", "WuLi", "XLiwuX"])
def test_a_name_of_two_letters_goes_from_free_text(text):
    made = dataset(NOISE, PatientName="Li^Wu", Manufacturer=text)
    assert not copied(made).get("Manufacturer")


def test_a_name_of_two_signs_goes_from_within_text_without_spaces():
    made = dataset(NOISE, PatientName="王^明", Manufacturer="予王明様")
    made.SpecificCharacterSet = "ISO_IR 192"
    assert not copied(made).get("Manufacturer")


@pytest.mark.parametrize("group", [0x6000, 0x6002, 0x601E])
def test_remarks_on_every_overlay_go(group):
    made = dataset(NOISE)
    made.add_new((group, 0x4000), "LT", "seen on the ward")
    assert not copied(made).group_dataset(group)


def test_bytes_behind_the_pixels_go():
    made = dataset(NOISE)
    made.PixelData += SECRET.encode()
    assert traces(saved(made)) and traces(deidentify([saved(made)])[0]) == []


def test_dates_are_empty_or_where_there_must_be_one_of_1900():
    """PS3.15, table E.1-1: Z of the study's and the patient's, D of a version of codes, on all
    levels. The library's are of the year 1, which is no date for dciodvfy."""
    told = {"StudyDate": "20190817", "PatientBirthDate": "19500101", "ContentDate": "20190817"}
    coded = items(CodeValue="1", CodeMeaning="Breast", ContextGroupVersion="20190817101112.5")
    made = dataset(NOISE, AnatomicRegionSequence=coded, **told)
    copy = copied(made)
    assert [copy[one].value for one in told] == ["", "", "19000101"]
    assert copy.AnatomicRegionSequence[0].ContextGroupVersion == "19000101000000"
    assert "date" not in "".join(read_scan(deidentify([saved(made)])[0]).personal)


def test_each_of_several_uids_is_replaced():
    made = dataset(NOISE)
    made.IrradiationEventUID = [f"{ROOT}.1", f"{ROOT}.2", f"{ROOT}.1"]
    first, second, third = copied(made).IrradiationEventUID
    assert first == third != second
    assert traces(saved(made)) and traces(deidentify([saved(made)])[0]) == []


@pytest.mark.parametrize("name", ["Smith^Mary", "Ion^Popescu", "Breast^Ana"])
def test_what_a_file_needs_to_be_read_right_stays_whatever_the_patient_is_called(name):
    codes = {
        "ImageType": ["DERIVED", "PRIMARY", "AXIAL"],
        "PresentationIntentType": "FOR PRESENTATION",
        "BodyPartExamined": "BREAST",
    }
    told = copied(dataset(NOISE, PatientName=name, **codes))
    assert {keyword: told[keyword].value for keyword in codes} == codes
    codes["ImageType"][2] = name.upper()
    assert "ImageType" not in copied(dataset(NOISE, PatientName=name, **codes))


def test_two_letters_within_a_word_are_no_name():
    made = dataset(NOISE, PatientName="Li^Wu^^Mr", Manufacturer="Limited Wulf", Modality="MR")
    told = copied(made)
    assert (told.Manufacturer, told.Modality) == ("Limited Wulf", "MR")


@pytest.mark.parametrize("keyword", ["SOPInstanceUID", "SOPClassUID"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_copy_of_a_file_without_uids(keyword, value):
    made = dataset(NOISE, **{keyword: value})
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=False)
    (copy,) = deidentify([file.getvalue()])
    told = pydicom.dcmread(io.BytesIO(copy))
    assert told.SOPInstanceUID == told.file_meta.MediaStorageSOPInstanceUID != ""
    assert told.SOPClassUID in (dataset(NOISE).SOPClassUID, SecondaryCaptureImageStorage)
    assert np.array_equal(read_scan(copy).grey.values[0], NOISE)


@pytest.mark.parametrize("end", [bytes(200), b"\xfe\xff\xdd\xe0" + bytes(4)])
def test_what_stands_behind_the_data_set_is_left_out(end):
    data = dicom(NOISE, bits=12) + end
    (copy,) = deidentify([data])
    assert np.array_equal(read_scan(data).grey.values[0], NOISE)
    assert np.array_equal(read_scan(copy).grey.values[0], NOISE)


def test_a_colour_profile_which_tells_when_it_was_made_goes():
    made = dataset(np.zeros((4, 4, 3), np.uint8), "RGB", ICCProfile=b"2019", ColorSpace="QUIXOTE")
    copy = pydicom.dcmread(io.BytesIO(deidentify([saved(made)])[0]))
    assert "ICCProfile" not in copy and "ColorSpace" not in copy
    assert read_scan(deidentify([saved(made)])[0]).pixels.shape == (1, 4, 4, 3)


def test_a_comment_in_a_compressed_picture_goes():
    made = dataset(NOISE, bits=12, syntax=JPEG2000Lossless)
    (stream,) = generate_frames(made.PixelData, number_of_frames=1)
    comment = b"\xff\x64" + (len(SECRET) + 4).to_bytes(2) + b"\0\1" + SECRET.encode()
    end = 2 + 2 + int.from_bytes(stream[4:6])  # behind SIZ
    made.PixelData = encapsulate([stream[:end] + comment + stream[end:]])
    data = saved(made)
    assert SECRET.encode() in data
    assert np.array_equal(read_scan(data).grey.values[0], NOISE)
    (copy,) = deidentify([data])
    assert traces(copy) == []


def test_uids_are_replaced_alike_in_all_files_of_a_call():
    files = [dicom(NOISE, SeriesInstanceUID=f"{ROOT}.1", StudyInstanceUID=f"{ROOT}.2")] * 2
    first, second = (pydicom.dcmread(io.BytesIO(one)) for one in deidentify(files))
    again = pydicom.dcmread(io.BytesIO(deidentify(files[:1])[0]))
    assert first.SeriesInstanceUID == second.SeriesInstanceUID != again.SeriesInstanceUID
    assert first.SeriesInstanceUID != first.StudyInstanceUID
    assert first.SOPClassUID == pydicom.dcmread(io.BytesIO(files[0])).SOPClassUID


def test_references_to_other_images_lead_to_their_copies():
    first, second = (dataset(NOISE, SOPInstanceUID=f"{ROOT}.{number}") for number in (1, 2))
    link = {"ReferencedSOPClassUID": first.SOPClassUID, "ReferencedSOPInstanceUID": f"{ROOT}.1"}
    purpose = items(CodeValue="121314", CodeMeaning="Localizer for Mrs Brown")
    told = {"ReferencedFrameNumber": 2, "PurposeOfReferenceCodeSequence": purpose}
    second.SourceImageSequence = second.ReferencedImageSequence = items(**link, **told)
    copies = [pydicom.dcmread(io.BytesIO(one)) for one in deidentify([saved(first), saved(second)])]
    for links in (copies[1].SourceImageSequence, copies[1].ReferencedImageSequence):
        assert links[0].ReferencedSOPInstanceUID == copies[0].SOPInstanceUID
        assert links[0].ReferencedSOPClassUID == first.SOPClassUID
        assert links[0].ReferencedFrameNumber == 2
        assert "PurposeOfReferenceCodeSequence" not in links[0]


def test_what_is_emptied_of_a_sequence_are_its_items():
    step = {"ConceptNameCodeSequence": items(CodeValue="1", CodeMeaning="Fixation")}
    assert list(copied(dataset(NOISE, AcquisitionContextSequence=items(**step)))[0x00400555]) == []


def test_nothing_is_remembered():
    from dicomanonymizer import simpledicomanonymizer

    deidentify([saved(everything())])
    assert ROOT not in str(simpledicomanonymizer.dictionary)


@pytest.mark.parametrize("data", [b"", b"no DICOM", dicom(NOISE)[:-40]])
def test_what_cannot_be_read_is_a_sentence(data):
    with pytest.raises(ScanError, match=r"\.$"):
        deidentify([data])


def test_real_files_lose_their_names(data_folder):
    for path in (data_folder / "dicom_inputs").rglob("*.dcm"):
        data = path.read_bytes()
        try:
            before = read_scan(data)
        except ScanError:
            continue
        (copy,) = deidentify([data])
        told = pydicom.dcmread(path)
        for keyword in ("PatientName", "PatientID", "StudyInstanceUID"):
            value = str(told.get(keyword) or "")
            assert len(value) < 4 or value.encode() not in copy, (path.name, keyword)
        after = read_scan(copy)
        assert after.personal == (), path.name
        assert np.array_equal(after.pixels, before.pixels), path.name
