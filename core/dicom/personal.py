"""What in a DICOM file tells of a person: in the header, and as text in the picture."""

from __future__ import annotations

from collections.abc import Iterator

from pydicom import DataElement, Dataset

PRIVATE = "private data of the maker"
_DATES = "dates of the examination"
_OTHERS = "names of others"
_PATIENT = "other data of the patient"

PERSONAL: dict[str, tuple[str, ...]] = {
    "name": ("PatientName", "OtherPatientNames", "PatientBirthName", "PatientMotherBirthName"),
    "patient number": (
        "PatientID",
        "OtherPatientIDs",
        "OtherPatientIDsSequence",
        "IssuerOfPatientID",
    ),
    "birth date": (
        "PatientBirthDate",
        "PatientBirthTime",
        "PatientBirthDateInAlternativeCalendar",
        "PatientAlternativeCalendar",
    ),
    "age, sex or size": ("PatientAge", "PatientSex", "PatientSize", "PatientWeight"),
    "address or telephone": (
        "PatientAddress",
        "PatientTelephoneNumbers",
        "PatientTelecomInformation",
    ),
    _PATIENT: (),
    "number in a clinical trial": (
        *("ClinicalTrialSubjectID", "ClinicalTrialSubjectReadingID", "ClinicalTrialSiteID"),
        *("ClinicalTrialSiteName", "ClinicalTrialProtocolID", "ClinicalTrialProtocolName"),
        *("ClinicalTrialSponsorName", "ClinicalTrialTimePointID"),
    ),
    _DATES: (),
    "examination number": (
        *("AccessionNumber", "StudyID", "AdmissionID", "RequestedProcedureID"),
        *("ScheduledProcedureStepID", "PerformedProcedureStepID", "ServiceEpisodeID"),
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
    ),
    _OTHERS: (),
    "hospital": ("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
    "number of the device": ("DeviceSerialNumber",),
    "remarks": ("PatientComments", "ImageComments", "AdditionalPatientHistory", "StudyComments"),
    PRIVATE: (),
}
"""Kind of data that tell of a person -> keywords of the elements that hold them. Whatever else the
file's group of the patient holds counts too."""

_BY_KEYWORD = {keyword: kind for kind, keywords in PERSONAL.items() for keyword in keywords}
_BY_GROUP = {0x0010: _PATIENT}
_BY_TYPE = {"PN": _OTHERS, "DA": _DATES, "DT": _DATES}

DUMMIES = {"DA": "19000101", "DT": "19000101000000"}
"""Dates that stand in de-identified copies where the standard wants one."""
# Nothing, and what de-identified copies hold in place of something.
_EMPTY = {
    *("", "ANONYMIZED", "00010101", "00010101010101.000000+0000", "000000.00", "000Y", "0.0"),
    *DUMMIES.values(),
}

BURNED_IN = "the file says that text is burned into the picture"
LIKELY_TEXT = "pictures of this kind often carry burned-in text, and the file does not deny it"
_OFTEN_WITH_TEXT = {"US", "IVUS", "OT", "SC", "XC", "ES", "GM"}
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"  # and its multi-frame kinds, which begin so


def personal_data(dataset: Dataset) -> tuple[str, ...]:
    """Kinds of data, on any level of the file, that tell of a person, as in PERSONAL; never the
    data."""
    found = {_kind(one) for one in _elements(dataset)}
    return tuple(kind for kind in PERSONAL if kind in found)


def _elements(dataset: Dataset) -> Iterator[DataElement]:
    """All elements on all levels; a value that cannot be decoded is taken to be one."""
    for tag in list(dataset.keys()):
        try:
            element = dataset[tag]
        except Exception:  # no reason to refuse the picture
            element = DataElement(tag, "UN", b"?")
        yield element
        if element.VR == "SQ":
            for item in element.value or ():
                yield from _elements(item)


def _kind(element: DataElement) -> str | None:
    if element.tag.is_private:
        return PRIVATE
    tables = (_BY_KEYWORD, element.keyword), (_BY_GROUP, element.tag.group), (_BY_TYPE, element.VR)
    kind = next((table[key] for table, key in tables if key in table), None)
    return kind if kind and str(element.value or "").strip() not in _EMPTY else None


def text_risk(dataset: Dataset) -> str | None:
    """Why the picture may show personal data as text, or None if the file gives no reason."""
    told = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if told == "YES":
        return BURNED_IN
    captured = str(dataset.get("SOPClassUID") or "").startswith(_SECONDARY_CAPTURE)
    likely = captured or dataset.get("Modality") in _OFTEN_WITH_TEXT
    return LIKELY_TEXT if likely and told != "NO" else None
