"""DICOM files without what tells of a person: the Basic Profile of PS3.15, Annex E.

The table of the standard (edition 2024b) and its actions come from dicom-anonymizer. Beyond the
table, on every level of nesting: private elements and those of no known kind go; so do names,
dates and times that the table does not mention, and bytes that are not the picture; every UID
that is not the standard's own is replaced, the same one by the same in all files of a call; text
or a code that repeats a name or number of the patient goes. Pictures are unpacked, since compressed
ones may carry comments. Text that is burned into a picture stays: ``Scan.text_risk`` tells of it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from functools import cache

from pydicom import DataElement, Dataset, config, dcmwrite
from pydicom.datadict import dictionary_has_tag
from pydicom.dataset import FileMetaDataset
from pydicom.pixels.utils import get_expected_length
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, generate_uid

from core.dicom.pixels import unpack_in_place
from core.dicom.reading import DAMAGED, parse
from core.scan_types import ScanError

METHOD = "DICOM PS3.15 E.1 Basic Profile 2024b"
_STANDARD_UIDS = "1.2.840.10008."
_TEXT = {"LO", "LT", "SH", "ST", "UC", "UT"}
_TELLING = {"PN", "DA", "DT", "TM", "AE", "AS", "UR"}
_BYTES = {"OB", "OW", "OD", "OF", "OL", "OV", "UN"}
_PICTURE = {0x0028, 0x7FE0}
_NUMBERS = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientTelephoneNumbers")
_SHORTEST = 3
"""Letters that part of a name must have to be looked for in free text."""


def deidentify(files: Sequence[bytes]) -> list[bytes]:
    """Copies of DICOM files with pictures that tell of no person, but for what is burned in.

    Raises ScanError for a file that is none or cannot be unpacked.
    """
    uids: dict[str, str] = {}
    return [_written(_cleaned(parse(data), uids)) for data in files]


def _cleaned(dataset: Dataset, uids: dict[str, str]) -> Dataset:
    try:
        unpack_in_place(dataset)
        if "PixelData" in dataset:  # and no byte behind the pixels
            dataset.PixelData = dataset.PixelData[: get_expected_length(dataset)]
        secrets = _secrets(dataset)
        for one in _levels(dataset):
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
    """Names and numbers of persons, in lower case, wherever the file holds them as such."""
    found = set()
    for element in dataset.iterall():
        if element.VR == "PN" or element.keyword in _NUMBERS:
            parts = re.split(r"[\s^=,\\\[\]']+", str(element.value).lower())
            found |= {part for part in parts if len(part) >= _SHORTEST}
    return found


def _levels(dataset: Dataset) -> Iterator[Dataset]:
    """The data set and all below it; what an action removes is not visited."""
    yield dataset
    for element in list(dataset):
        if element.VR == "SQ":
            for item in element.value:
                yield from _levels(item)


def _apply_table(dataset: Dataset) -> None:
    for element in list(dataset):
        action = _action(element)
        if action is None or element.VR == "UI":  # the library would remember every UID it met
            continue
        try:
            action(dataset, (element.tag.group, element.tag.element))
        except NotImplementedError:  # a kind of value for which there is no dummy
            del dataset[element.tag]


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
        telling = element.VR in _TELLING and not _action(element)
        sealed = element.VR in _BYTES and element.tag.group not in _PICTURE
        if unknown or telling or sealed or _repeats(element, secrets):
            del dataset[element.tag]


def _repeats(element: DataElement, secrets: set[str]) -> bool:
    coded = element.VR == "CS" and element.tag.group not in _PICTURE
    text = str(element.value).lower() if element.VR in _TEXT or coded else ""
    return bool(text) and any(secret in text for secret in secrets)


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
