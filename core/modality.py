"""Whether a scan is of the kind that a system was trained on, by what its DICOM header says."""

from __future__ import annotations

# DICOM modality (PS3.3 C.7.3.1.1.1) -> its name, and the word that tells it in a recipe's modality.
_KINDS: dict[str, tuple[str, str]] = {
    "US": ("an ultrasound image", "ultrasound"),
    "MG": ("a mammogram", "mammogra"),
    "MR": ("an MRI", "magnetic resonance"),
    "CT": ("a CT", "computed tomography"),
    "SM": ("a microscope slide", "histolog"),
    "GM": ("a microscope picture", "histolog"),
    "TG": ("a thermogram", "thermogra"),
    "PT": ("a PET scan", "positron"),
    "NM": ("a nuclear medicine scan", "nuclear"),
    "DX": ("a radiograph", "radiogra"),
    "CR": ("a radiograph", "radiogra"),
    "XA": ("an angiogram", "angiogra"),
    "RF": ("a fluoroscopy", "fluorosco"),
    "ES": ("an endoscopy", "endosco"),
    "IVUS": ("an ultrasound image from inside a vessel", "intravascular"),
}


def contradiction(modality: str | None, trained_on: str) -> str | None:
    """A sentence if a scan of this DICOM modality is not what a system was trained on, or None.

    ``trained_on`` is a recipe's ``modality``. Kinds that tell nothing, such as OT (other), never
    contradict.

    >>> contradiction("MR", "infrared thermography")[:52]
    'The scan is marked as an MRI (MR). This system was t'
    >>> contradiction("US", "breast ultrasound"), contradiction(None, "mammography")
    (None, None)
    """
    if modality not in _KINDS:
        return None
    name, word = _KINDS[modality]
    if word in trained_on.lower():
        return None
    return (
        f"The scan is marked as {name} ({modality}). This system was trained on "
        f"{trained_on} alone: what it answers here means nothing."
    )
