"""DICOM files without what tells of a person: the Basic Profile of PS3.15, Annex E.

The table of the standard (edition 2024b) and its actions come from dicom-anonymizer. Beyond the
table, on every level of nesting: private elements and those of no known kind go; so do names,
dates, times and all of the patient that the table does not mention, and bytes that are not the
picture, such as its colour profile; every UID that is not the standard's own is replaced, the same
one by the same in all files of a call; text or a code that repeats a name or number of the patient
goes. Pictures are unpacked, since compressed ones may carry comments, and the bits beside their
values are cleared, since those may hold an overlay. Text that is burned into a picture stays:
``Scan.text_risk`` tells of it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from pydicom import DataElement, Dataset, config, dcmwrite
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import FileMetaDataset
from pydicom.multival import MultiValue
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
    generate_uid,
)

from core.dicom.personal import DUMMIES
from core.dicom.pixels import unpack_in_place
from core.dicom.reading import DAMAGED, parse
from core.scan_types import ScanError

METHOD = "DICOM PS3.15 E.1 Basic Profile 2024b"
_STANDARD_UIDS = "1.2.840.10008."
_TEXT = {"LO", "LT", "SH", "ST", "UC", "UT"}
_TELLING = {"PN", "DA", "DT", "TM", "AE", "AS", "UR"}
_BYTES = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}
_PICTURE = {0x0028, 0x7FE0}
_PROFILE = {0x0028_2000, 0x0028_2002}
"""Colour profile and its name, which nothing here reads, and which hold dates and free text."""
_PATIENT = 0x0010
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientTelephoneNumbers")
_APART = re.compile(r"[\s^=,\\\[\]']+")
_SHORTEST = 2
"""Letters that part of a name must have to be looked for in free text."""
_WITHIN_WORDS = 3
"""Letters with which it is also looked for in codes and within words."""
_STANDARD_CODES = {
    0x0008_0005: r"^(ISO_IR \d{1,3}|ISO 2022 IR \d{1,3}|GB18030|GBK|\\)*$",
    0x0008_0008: r"^(ORIGINAL|DERIVED)\\(PRIMARY|SECONDARY)(?=\\|$)",
    0x0008_0068: "^FOR (PRESENTATION|PROCESSING)$",
    0x0018_0015: "^BREAST$",
    0x0028_1054: "^(HU|OD|US|PCT)$",
    0x2050_0020: "^(IDENTITY|INVERSE)$",
}
"""Tag -> codes that a file needs to be read right, and that tell of nobody even if one is called
so."""
_LINKS = (0x0008_1140, 0x0008_2112)
"""Sequences of references to images: their UIDs stay, and are replaced as all are. The library
would leave items without the UIDs that they must have."""
_FRAMES = 0x0008_1160
_EMPTIED = ("empty", "delete_or_empty")
"""Actions of the library, which leave no sequence without items, but items without values."""
_FOREIGN_GROUPS = {0x0000, 0x0002, 0xFFFE}
"""Of messages, file headers and items; a data set holds them where bytes were put behind it."""


def deidentify(files: Sequence[bytes]) -> list[bytes]:
    """Copies of DICOM files with pictures that tell of no person, but for what is burned in.

    Raises ScanError for a file that is none or cannot be unpacked.
    """
    uids: dict[str, str] = {}
    return [_written(_cleaned(parse(data), uids)) for data in files]


def _cleaned(dataset: Dataset, uids: dict[str, str]) -> Dataset:
    try:
        for tag in [one for one in dataset.keys() if one.group in _FOREIGN_GROUPS]:  # noqa: SIM118
            del dataset[tag]
        unpack_in_place(dataset)
        if "PixelData" in dataset:  # and no byte behind the pixels
            dataset.PixelData = dataset.PixelData[: get_expected_length(dataset)]
        secrets = _secrets(dataset)
        for one in _levels(dataset):
            _reduce_links(one)
            _replace_uids(one, uids)
            _apply_table(one)
            _drop_the_rest(one, secrets)
    except ScanError:
        raise
    except Exception as error:  # a hostile file makes the libraries raise nearly anything
        raise ScanError(DAMAGED) from error
    dataset.PatientIdentityRemoved = "YES"
    dataset.DeidentificationMethod = METHOD
    dataset.LongitudinalTemporalInformationModified = "REMOVED"
    return dataset


def _secrets(dataset: Dataset) -> set[str]:
    """Names and numbers of persons, in lower case, wherever the file holds them as such.

    A name is there by its parts, and as family and given name written as one, in both orders.
    """
    found = set()
    for element in dataset.iterall():
        if element.VR != "PN" and element.keyword not in _NUMBERS:
            continue
        for told in _values(element):
            found |= set(_APART.split(told))
            for spelling in told.split("=") if element.VR == "PN" else ():
                family, given = (_APART.sub("", part) for part in f"{spelling}^".split("^")[:2])
                found |= {family + given, given + family}
    return {one for one in found if len(one) >= _SHORTEST}


def _values(element: DataElement) -> list[str]:
    """The texts of an element in lower case."""
    value = element.value or ""
    return [str(one).lower() for one in (value if isinstance(value, MultiValue) else [value])]


def _levels(dataset: Dataset) -> Iterator[Dataset]:
    """The data set and all below it; what an action removes is not visited."""
    yield dataset
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                yield from _levels(item)


def _reduce_links(dataset: Dataset) -> None:
    """Of references to images nothing stays but which, and which frames."""
    for item in (item for tag in _LINKS if tag in dataset for item in dataset[tag].value):
        for element in list(item):
            if element.VR != "UI" and element.tag not in (_FRAMES, *_LINKS):
                del item[element.tag]


def _apply_table(dataset: Dataset) -> None:
    for element in list(dataset):
        action = _action(element)
        # Of UIDs the library would remember every one it met.
        if action is None or element.VR == "UI" or element.tag in _LINKS:
            continue
        if element.VR == "SQ" and action.__name__ in _EMPTIED:
            element.value = []
            continue
        try:
            action(dataset, (element.tag.group, element.tag.element))
        except NotImplementedError:  # a kind of value for which there is no dummy
            del dataset[element.tag]
        if element.VR in DUMMIES and element.tag in dataset and dataset[element.tag].value:
            # The library's dates are of the year 1, which validators refuse.
            empty = action.__name__ in _EMPTIED
            dataset[element.tag].value = "" if empty else DUMMIES[element.VR]


def _action(element: DataElement) -> Callable[[Dataset, tuple[int, int]], None] | None:
    """What the table says of an element; tags of repeating groups carry masks."""
    group, number = element.tag.group, element.tag.element
    table = _table()
    if (group, number) in table:
        return table[group, number]
    for tag, action in table.items():
        if len(tag) == 4 and not ((group ^ tag[0]) & tag[2] or (number ^ tag[1]) & tag[3]):
            return action
    return None


@cache
def _table() -> dict[tuple[int, ...], Callable]:
    """Actions by tag."""
    from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b

    return initialize_actions_2024b()


def _drop_the_rest(dataset: Dataset, secrets: set[str]) -> None:
    for element in list(dataset):
        unknown = element.tag.is_private or not dictionary_has_tag(element.tag)
        of_a_person = element.VR in _TELLING or element.tag.group == _PATIENT
        telling = of_a_person and not _action(element)
        sealed = element.VR in _BYTES and element.tag.group not in _PICTURE
        unread = element.tag in _PROFILE
        if unknown or telling or sealed or unread or _repeats(element, secrets):
            del dataset[element.tag]


def _repeats(element: DataElement, secrets: set[str]) -> bool:
    coded = element.VR == "CS" and element.tag.group not in _PICTURE
    text = "\\".join(_values(element)) if element.VR in _TEXT or coded else ""
    text = re.sub(_STANDARD_CODES.get(element.tag, "^$"), "", text, flags=re.IGNORECASE)
    shortest = _WITHIN_WORDS if coded else _SHORTEST
    return any(_holds(text, one) for one in secrets if len(one) >= shortest)


def _holds(text: str, secret: str) -> bool:
    """Whether a text has a secret in it; a short one of Latin letters must be a word of its own."""
    if len(secret) >= _WITHIN_WORDS or not secret.isascii():
        return secret in text
    return secret in re.split(r"[\W_]+", text)


def _replace_uids(dataset: Dataset, uids: dict[str, str]) -> None:
    for element in list(dataset):
        if element.VR != "UI" or not element.value:
            continue
        several = not isinstance(element.value, str)
        values = list(element.value) if several else [element.value]
        fresh = [
            one if one.startswith(_STANDARD_UIDS) else uids.setdefault(one, generate_uid(None))
            for one in map(str, values)
        ]
        element.value = fresh if several else fresh[0]


def _written(dataset: Dataset) -> bytes:
    """The data set as a file with a new header and an empty preamble."""
    plain = Dataset()
    plain.update(dataset)
    plain.SOPInstanceUID = plain.get("SOPInstanceUID") or generate_uid(None)
    plain.SOPClassUID = plain.get("SOPClassUID") or SecondaryCaptureImageStorage
    plain.file_meta = FileMetaDataset()
    big = dataset.file_meta.TransferSyntaxUID == ExplicitVRBigEndian
    plain.file_meta.TransferSyntaxUID = ExplicitVRBigEndian if big else ExplicitVRLittleEndian
    file = io.BytesIO()
    try:
        dcmwrite(file, plain, enforce_file_format=True)
    except Exception as error:
        raise ScanError(DAMAGED) from error
    return file.getvalue()


# What is written was read from a file that may be of no good form, and stays as it is.
config.settings.writing_validation_mode = config.IGNORE
