"""DICOM in, DICOM out: a Secondary Capture and a Structured Report of the study a scan is from.

Both carry the patient and the study of their source, by their nature: an archive files them beside
it. For an export that tells of no person, give the copy of ``core.dicom.deidentify`` as the source.
"""

from __future__ import annotations

import io
import logging
import re
from fractions import Fraction
from importlib.metadata import version

import highdicom as hd
import numpy as np
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr.coding import CodedConcept
from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sr.codedict import codes
from pydicom.uid import UID, ExplicitVRLittleEndian, generate_uid

from core import __version__
from core.card import INTENDED_USE
from core.dicom.header import frame_header
from core.dicom.pixels import was_lossy
from core.dicom.reading import parse
from core.findings import Findings
from core.report.content import window_told
from core.report.dicom_graphics import outlines
from core.scan_types import ScanError

SCHEME = "99LESIONLENS"
"""Designator of the codes below, for which no standard has any."""
MAKER = "LesionLens"
SERIES = {"picture": 9101, "report": 9102}

_UNREFERABLE = (
    "This file does not say in good form which DICOM image and study it is, so nothing can be "
    "filed beside it. Export it again from the archive it is from."
)
_IDENTITY = ("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID")
# Patient and study as PS3.3 C.7.1.1 and C.7.2.1 ask for, and what helps an archive to match them.
_TEXTS = (
    *("PatientID", "PatientBirthDate", "PatientSex", "IssuerOfPatientID", "AccessionNumber"),
    *("StudyID", "StudyDate", "StudyTime", "StudyDescription"),
)
_NAMES = ("PatientName", "ReferringPhysicianName")
_REQUIRED = {*_TEXTS} - {"IssuerOfPatientID", "StudyDescription"}
# A picture that was lossy once stays so, and so does what is made of it (PS3.3 C.7.6.1.1.5).
_LOSSY = ("LossyImageCompressionRatio", "LossyImageCompressionMethod")
_LONGEST = 1024
"""Letters of a description, a value of kind ST."""
_SIDES = {"L": codes.SCT.Left, "R": codes.SCT.Right}
# What a value must look like to be taken over; dates of the year 1, as in some copies, do not.
_FORMS = {
    "PatientBirthDate": r"[12]\d{7}",
    "StudyDate": r"[12]\d{7}",
    "StudyTime": r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?",
    "PatientSex": "[MFO]",
    "LossyImageCompressionRatio": r"[\d.eE+-]{1,16}",
    "LossyImageCompressionMethod": "[A-Z0-9_ ]{1,16}",
}

# What the library has to say about a header may quote a patient's name: it reaches nobody.
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)


def check_source(source: bytes) -> None:
    """Raise ScanError, a sentence, if nothing can be filed beside this DICOM file."""
    _parsed(source)


def secondary_capture(
    source: bytes,
    picture: np.ndarray,
    description: str,
    frame: int = 0,
    aspect: float = 1.0,
    limits: str = "",
) -> bytes:
    """A picture, uint8 RGB (H, W, 3), as a derived image in a new series of the source's study.

    ``source`` is the DICOM file that the picture was made from, ``frame`` the number of its frame,
    from 0, which does not count where it is the only one; ``description`` says in a few words what
    is drawn on it; ``aspect`` as in ``Scan``; ``limits`` what speaks against relying on it, as of
    ``limits_of``. The picture holds whatever text the scan's own pixels
    hold. Raises ScanError if the source is no DICOM file that can be referred to.
    """
    original = _parsed(source)
    header, new = _header(original), _new_instance("picture", description)
    pixels = np.ascontiguousarray(picture, np.uint8)
    try:
        made = hd.sc.SCImage.from_ref_dataset(
            header,
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            patient_orientation=("L", "F"),
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **new,
        )
        # Side and orientation: as the source tells, or nobody.
        made.Laterality = _side(original, frame) or ""
        made.PatientOrientation = original.get("PatientOrientation") or None
        made.BurnedInAnnotation = str(original.get("BurnedInAnnotation") or "YES")
        made.DerivationDescription = _derivation(description, limits)
        if was_lossy(original):
            made.LossyImageCompression = "01"
            for keyword in _LOSSY:
                if re.fullmatch(_FORMS[keyword], str(original.get(keyword) or "")):
                    made[keyword] = original[keyword]
        if aspect != 1:
            ratio = Fraction(aspect).limit_denominator(1000)
            made.PixelAspectRatio = [ratio.numerator, ratio.denominator]
        made.SourceImageSequence = [_source_item(original, frame)]
        return _written(made, original)
    except Exception as error:  # a header may break any rule that the library relies on
        raise ScanError(_UNREFERABLE) from error


def structured_report(source: bytes, findings: Findings) -> bytes:
    """What a system said of a frame, as a Comprehensive SR by template TID 1500.

    One measurement group (TID 1501) about the source image holds a probability in [0, 1] a class,
    in full precision; the likeliest class, or that none is named, the prediction set and the
    guard's verdict as evaluations; and the algorithm by name and version, which is that of its
    weights. Each part of the region, if there is one, is a group of its own (TID 1410): its outline
    as a closed line on the source image, where it is from, and its area where the size of a pixel
    is known. The observer is a device, and the document is unverified. ``source`` as in
    ``secondary_capture``. Raises ScanError.
    """
    original = _parsed(source)
    header = _header(original)
    report = sr.MeasurementReport(
        observation_context=_observer(findings),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[_group(original, findings), *_regions(original, findings)],
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            CodedConcept("en", "RFC5646", "English")
        ),
    )
    scheme = CodingSchemeIdentificationItem(SCHEME, MAKER)
    new = _new_instance("report", "Opinion of a classifier")
    made_at = findings.made_at.astimezone()  # like all other times in the file, that of the place
    try:
        made = sr.ComprehensiveSR(
            evidence=[header],
            content=report,
            is_complete=True,
            is_final=False,
            content_date=made_at.date(),
            content_time=made_at.time(),
            specific_character_set="ISO_IR 192",
            coding_schemes=[scheme],
            transfer_syntax_uid=ExplicitVRLittleEndian,
            **new,
        )
        return _written(made, original)
    except Exception as error:  # as above
        raise ScanError(_UNREFERABLE) from error


def code(kind: str, name: str, meaning: str) -> CodedConcept:
    """A code of SCHEME: the same kind and name give the same value, of at most 16 letters."""
    value = f"{kind}-{re.sub(r'[^A-Za-z0-9]', '', name)}"
    return CodedConcept(value[:16], SCHEME, meaning[:64])


def probability_code(name: str) -> CodedConcept:
    """The concept of the probability of one class."""
    return code("P", name, f"Estimated probability: {name}")


LIKELIEST = code("E", "likeliest", "Likeliest class")
IN_SET = code("E", "set", "Class in prediction set")
GUARD = code("E", "guard", "Likeness to training data")
NO_CLASS = code("E", "none", "No decision")
OUTLINED = code("E", "outlined", "Where the outline is from")
AREA = CodedConcept("42798000", "SCT", "Area")
_SQUARE_MILLIMETRE = CodedConcept("mm2", "UCUM", "square millimeter")
_SOURCES = {
    "drawn": "Drawn by the reader",
    "uploaded": "Mask given by the reader",
    "proposed": "Proposed by a network",
    "corrected": "Proposed by a network, corrected by the reader",
}


# ---------------------------------------------------------------- source


def _parsed(source: bytes) -> Dataset:
    """The source's data set, if it says what it is."""
    original = parse(source)
    try:
        uids = [original.get(keyword) for keyword in _IDENTITY]
        if not all(isinstance(uid, UID) and uid.is_valid for uid in uids):
            raise ScanError(_UNREFERABLE)
    except ScanError:
        raise
    except Exception as error:
        raise ScanError(_UNREFERABLE) from error
    return original


def _header(original: Dataset) -> Dataset:
    """Patient, study and identity of the source, decoded; what must be there and is not, empty."""
    header = Dataset()
    header.SpecificCharacterSet = "ISO_IR 192"
    for keyword in _NAMES:
        setattr(header, keyword, "")
    try:
        for keyword in _IDENTITY:
            setattr(header, keyword, original.get(keyword))
        for keyword in _TEXTS:
            value = _single(original, keyword)
            if not re.fullmatch(_FORMS.get(keyword, ".*"), value):
                value = ""
            if value or keyword in _REQUIRED:
                setattr(header, keyword, value)
    except Exception as error:
        raise ScanError(_UNREFERABLE) from error
    return header


def _single(original: Dataset, keyword: str) -> str:
    """The value of an element that has one; of several, such as a number with a backslash in it,
    none: the first alone may be another patient's."""
    value = original.get(keyword) or ""
    return "" if isinstance(value, MultiValue) else str(value).strip()


def _new_instance(kind: str, description: str) -> dict:
    return {
        "series_instance_uid": hd.UID(),
        "series_number": SERIES[kind],
        "sop_instance_uid": hd.UID(),
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": MAKER,
        "series_description": f"{MAKER}: {description}"[:64],
        "software_versions": (f"{MAKER} {__version__}", f"highdicom {version('highdicom')}"),
    }


def _source_item(original: Dataset, frame: int) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID = original.SOPClassUID
    item.ReferencedSOPInstanceUID = original.SOPInstanceUID
    if _frames(original, frame):
        item.ReferencedFrameNumber = frame + 1
    item.PurposeOfReferenceCodeSequence = [
        CodedConcept.from_code(codes.DCM.SourceImageForImageProcessingOperation)
    ]
    return item


def _side(original: Dataset, frame: int) -> str | None:
    """L or R, as the source tells: of the frame or image, where it does, else of the series."""
    of_frame = frame_header(original, frame).get("FrameLaterality")
    told = str(of_frame or original.get("ImageLaterality") or original.get("Laterality"))
    return told if told in _SIDES else None


def _derivation(description: str, limits: str) -> str:
    """What a picture is, what limits it, and what it is not for, which is never cut off."""
    told = f"{description}. {limits}".strip()
    room = _LONGEST - len(INTENDED_USE) - 1
    return f"{told if len(told) <= room else told[: room - 1] + '…'} {INTENDED_USE}"


def _site(original: Dataset, frame: int) -> sr.FindingSite:
    return sr.FindingSite(codes.SCT.Breast, laterality=_SIDES.get(_side(original, frame)))


def _frames(original: Dataset, frame: int) -> list[int] | None:
    """Number of the frame, from 1, where there are several."""
    return [frame + 1] if int(original.get("NumberOfFrames") or 1) > 1 else None


# ---------------------------------------------------------------- content


def _observer(findings: Findings) -> sr.ObservationContext:
    device = sr.DeviceObserverIdentifyingAttributes(
        uid=generate_uid(entropy_srcs=[MAKER, findings.weights["sha256"]]),
        name=findings.recipe.id[:64],
        manufacturer_name=MAKER,
        model_name=findings.recipe.title,
    )
    context = sr.ObserverContext(codes.DCM.Device, device)
    return sr.ObservationContext(observer_device_context=context)


def _group(original: Dataset, findings: Findings) -> sr.MeasurementsAndQualitativeEvaluations:
    opinion = findings.opinion
    image = sr.SourceImageForMeasurementGroup(
        original.SOPClassUID, original.SOPInstanceUID, _frames(original, findings.frame)
    )
    probabilities = [
        sr.Measurement(probability_code(name), float(share), codes.UCUM.NoUnits)
        for name, share in zip(opinion.classes, opinion.probabilities, strict=True)
    ]
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(uid=hd.UID(), identifier="Classified frame"),
        algorithm_id=_algorithm(original, findings),
        finding_sites=[_site(original, findings.frame)],
        measurements=probabilities,
        qualitative_evaluations=list(_evaluations(findings)),
        source_images=[image],
    )


def _regions(original: Dataset, findings: Findings):
    """A group for each part of the region, the largest first."""
    if findings.region is None:
        return
    image = (original.SOPClassUID, original.SOPInstanceUID, _frames(original, findings.frame))
    source = findings.region_source
    told = [sr.QualitativeEvaluation(OUTLINED, code("O", source, _SOURCES[source]))]
    for number, (corners, size) in enumerate(_measured(findings), start=1):
        yield sr.PlanarROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=sr.TrackingIdentifier(uid=hd.UID(), identifier=f"Outline {number}"),
            referenced_region=sr.ImageRegion(
                sr.GraphicTypeValues.POLYLINE, corners, sr.SourceImageForRegion(*image)
            ),
            finding_sites=[_site(original, findings.frame)],
            measurements=size and [sr.Measurement(AREA, size, _SQUARE_MILLIMETRE)],
            qualitative_evaluations=told,
        )


def _measured(findings: Findings) -> list[tuple[np.ndarray, float | None]]:
    """Outlines and the areas of their parts, in mm², None where a pixel's size is not known."""
    area = findings.spacing_mm and findings.spacing_mm[0] * findings.spacing_mm[1]
    return [(one, area and pixels * area) for one, pixels in outlines(findings.region)]


def _evaluations(findings: Findings):
    label = findings.opinion.label
    told = NO_CLASS if findings.abstention else code("C", label, label)
    yield sr.QualitativeEvaluation(LIKELIEST, told)
    for name in findings.prediction_set or ():
        yield sr.QualitativeEvaluation(IN_SET, code("C", name, name))
    if findings.guard_level:
        level = findings.guard_level
        yield sr.QualitativeEvaluation(GUARD, code("G", level, level))


def _algorithm(original: Dataset, findings: Findings) -> sr.AlgorithmIdentification:
    weights = findings.weights
    frames = _frames(original, findings.frame)
    held = {
        "temperature": repr(float(findings.temperature)),
        "scan sha256": ", ".join(findings.scan_digests),
        "frame": frames and frames[0],
        "window": window_told(findings),
        "outline": _outline_used(findings),
        "no decision": findings.abstention,
        "coverage of the prediction set": findings.coverage,
        "guard": findings.guard,
        "warning": findings.warning,
        "missing slices": findings.gap,
        "intended use": INTENDED_USE,
    }
    return sr.AlgorithmIdentification(
        name=f"{findings.recipe.title} ({findings.recipe.id})",
        version=f"{weights['protocol']} seed {weights['seed']}, sha256 {weights['sha256']}",
        manufacturer=MAKER,
        parameters=[f"{name}: {value}" for name, value in held.items() if value is not None],
    )


def _outline_used(findings: Findings) -> str:
    """Where the outline is from that the system was shown."""
    if findings.region is None:
        return "none"
    return findings.region_source if findings.needs_region else "on the image, not used"


def _written(made: Dataset, original: Dataset) -> bytes:
    # Not before: the library warns of names in a form that it does not know, and quotes them.
    for keyword in _NAMES:
        setattr(made, keyword, _single(original, keyword))
    file = io.BytesIO()
    made.save_as(file, enforce_file_format=True)
    return file.getvalue()
