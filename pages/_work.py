"""Calls into core whose results the server keeps for a while: bounded, in memory, never on disk."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import streamlit as st

from core.archives import pack
from core.checkpoints import Checkpoint, CheckpointError, open_checkpoint
from core.conformal import Conformal, of_checkpoint
from core.datasets.phantoms import PHANTOM_CLASSES, phantom
from core.dicom.deidentify import deidentify
from core.dicom.series import read_series
from core.doubt import doubt
from core.findings import Look
from core.guard import Guard, load_guard
from core.modality import contradiction
from core.outlining.proposal import Outliner, Proposal, open_outliner
from core.png import png
from core.predict import Opinion, classify
from core.recipe import Recipe, load_recipe
from core.scans import Scan, ScanError, read_scan
from core.stability import Stability, stability
from pages._keeping import KEPT, Shelf, give_back, keep

MAX_SYSTEMS = 4
NO_SYSTEM = (
    "There is no trained system in the folder 'checkpoints'. Train one with "
    "`python train.py RECIPE`; `python train.py --list` names the recipes."
)
UNREADABLE = (
    "This file could not be examined, for a reason we did not foresee. Other files are not "
    "affected; save it as PNG and try again."
)

SCANS, SCAN_BYTES = 8, 512 * 2**20
"""How many scans a session keeps, and of how many bytes: a file of 0.1 MB may unpack to 400."""

_log = logging.getLogger("lesionlens")


@dataclass(frozen=True)
class Item:
    """One scan to look at: a name to show, the sha256 of its bytes, and how to get at those.

    ``read`` gives the bytes of its file, or, where there are ``several``, a list of those of all
    files of a series; it may raise ScanError. ``image``: data set and image id, if it is of one.
    """

    name: str
    digest: str
    read: Callable[[], bytes | list[bytes]]
    synthetic: bool = False
    several: bool = False
    image: tuple[str, str] | None = None


@dataclass(frozen=True)
class Verdict:
    """What the table of scans says about one: probabilities, or why there are none.

    ``warning``: why the probabilities are not to be relied on, if that is known.
    """

    label: str | None = None
    probabilities: tuple[float, ...] = ()
    error: str | None = None
    warning: str | None = None


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the lesion is said to be: a mask, bool (H, W), and the sha256 of it."""

    mask: np.ndarray
    digest: str


@dataclass(frozen=True, eq=False)
class View:
    """What a system is shown, and which of its layers is explained (None: the last).

    ``look`` has the frame examined through another window than the file's.
    """

    item: Item
    frame: int
    recipe_id: str
    layer: str | None = None
    outline: Outline | None = None
    look: Look | None = None

    @property
    def within(self) -> Outline | None:
        """The outline, if the system sees nothing outside it."""
        return self.outline if needs_outline(self.recipe_id) else None

    @property
    def key(self) -> tuple:
        """Tells this view from every other."""
        within = self.within.digest if self.within else ""
        return (self.item.digest, self.frame, self.recipe_id, self.layer, within, self.look)

    def examined(self) -> tuple[Scan, int]:
        """The scan and the frame of it that are examined. Raises ScanError."""
        scan = scan_of(self.item.digest, self.item.read)
        if self.look is None:
            return scan, self.frame
        return scan.seen_through(self.frame, self.look.window, self.look.inverted), 0


@st.cache_data(max_entries=1024, show_spinner=False)
def _digest(file_id: str, _upload) -> str:
    return hashlib.sha256(_upload.getbuffer()).hexdigest()


def uploaded(upload) -> Item:
    """The item of an uploaded file."""
    return Item(upload.name, _digest(upload.file_id, upload), upload.getvalue)


SAMPLES: dict[str, tuple[str, int]] = {
    f"{label.capitalize()} phantom {number}": (label, seed)
    for label in PHANTOM_CLASSES
    for number, seed in enumerate((11, 12), start=1)
}
"""Name of a synthetic sample -> class and seed."""


@st.cache_data(max_entries=16, show_spinner=False)
def sample_png(name: str) -> bytes:
    """A synthetic scan as the bytes of a PNG file, so that it takes the way of an upload."""
    pixels, _ = phantom(*SAMPLES[name])
    return png(pixels)


def sample(name: str) -> Item:
    """The item of a synthetic sample."""
    data = sample_png(name)
    return Item(name, hashlib.sha256(data).hexdigest(), lambda: data, synthetic=True)


@st.cache_resource(max_entries=2 * MAX_SYSTEMS, show_spinner=False)
def checkpoint(recipe_id: str) -> Checkpoint:
    """The checkpoint of a system. Raises CheckpointError."""
    return open_checkpoint(recipe_id)


@st.cache_resource(max_entries=MAX_SYSTEMS, show_spinner="Loading the system …")
def classifier(recipe_id: str):
    """The classifier of a system, shared by all sessions. Raises CheckpointError."""
    return checkpoint(recipe_id).load()


@st.cache_resource(max_entries=2 * MAX_SYSTEMS, show_spinner=False)
def guard(recipe_id: str) -> Guard:
    """What tells whether a scan is like a system's training images. Raises CheckpointError."""
    return load_guard(checkpoint(recipe_id))


@st.cache_resource(max_entries=2 * MAX_SYSTEMS, show_spinner=False)
def conformal(recipe_id: str) -> Conformal:
    """The prediction sets of a system. Raises CheckpointError."""
    return of_checkpoint(checkpoint(recipe_id))


@st.cache_resource(max_entries=1, show_spinner=False)
def outliner() -> Outliner:
    """The network that proposes outlines, shared by all sessions. Raises CheckpointError."""
    return open_outliner()


@st.cache_resource(ttl=KEPT, scope="session", show_spinner=False, on_release=give_back)
def _scans() -> Shelf:
    return Shelf(SCANS, SCAN_BYTES)


def scan_of(digest: str, read: Callable[[], bytes | list[bytes]]) -> Scan:
    """The scan in a file or in the files of a series. Raises ScanError.

    Scans are read-only: all runs of a session share them.
    """
    return _scans().get(digest, lambda: _scan_in(read()))


def _scan_in(data: bytes | list[bytes]) -> Scan:
    return read_series(data) if isinstance(data, list) else read_scan(data)


@keep(max_entries=64, max_size="256MiB")
def opinion(key: tuple, target: int | None = None, *, _view: View) -> Opinion:
    """The opinion of a system on a view, explained for ``target`` or the likeliest class.

    Raises ScanError or CheckpointError.
    """
    scan, frame = _view.examined()
    mask = _view.within.mask if _view.within else None
    return classify(classifier(_view.recipe_id), scan, target=target, frame=frame, mask=mask)


def needs_outline(recipe_id: str) -> bool:
    """Whether a system was trained on the inside of outlines alone."""
    return load_recipe(recipe_id).preprocessing.outlined


@keep(max_entries=256)
def spread(key: tuple, *, _view: View) -> Stability:
    """How far a system's answer moves when the view changes a little.

    Raises ScanError or CheckpointError.
    """
    scan, frame = _view.examined()
    mask = _view.within.mask if _view.within else None
    return stability(classifier(_view.recipe_id), scan.pixels[frame], mask)


@keep(lambda view: (view.item.digest, view.frame, view.look), max_entries=32, max_size="64MiB")
def proposal(key: tuple, *, _view: View) -> Proposal:
    """The lesion outline that a network proposes. Raises ScanError or CheckpointError."""
    scan, frame = _view.examined()
    return outliner().propose(scan.pixels[frame])


@st.cache_data(max_entries=32, show_spinner=False)
def proposes(recipe_id: str) -> bool:
    """Whether there is a network that proposes outlines on scans of a system's kind."""
    if "ultrasound" not in load_recipe(recipe_id).modality:
        return False
    try:
        outliner()
    except CheckpointError as error:
        _log.warning("No outlines are proposed: %s", error)
        return False
    return True


def deidentified(item: Item) -> bytes:
    """A copy of a DICOM file without personal data; of a series, a ZIP archive of copies.

    Raises ScanError.
    """
    if not item.several:
        return deidentify([item.read()])[0]
    copies = enumerate(deidentify(item.read()), start=1)
    return pack({f"{number:04d}.dcm": data for number, data in copies})


def source_of(item: Item, frame: int, named: bool) -> bytes:
    """The DICOM file of a frame, as it is if ``named``, else without personal data.

    Raises ScanError.
    """
    data = item.read()
    file = data[frame] if item.several else data
    return file if named else deidentify([file])[0]


def mismatch(item: Item, recipe: Recipe) -> str | None:
    """Why a system's answer on a scan means nothing, if the scan's file tells; else None.

    Raises ScanError.
    """
    return contradiction(modality_of(item), recipe.modality)


def modality_of(item: Item) -> str | None:
    """The modality that a scan's file names, as DICOM abbreviates it. Raises ScanError."""
    return "US" if item.synthetic else scan_of(item.digest, item.read).modality


def verdict(item: Item, recipe_id: str) -> Verdict:
    """The opinion in brief; a file that cannot be examined gets its sentence.

    Raises CheckpointError if it is the system that cannot be read.
    """
    try:
        found = opinion(View(item, 0, recipe_id))
        likeness = guard(recipe_id).judge(found.features, found.pixels)
        warning = doubt(load_recipe(recipe_id), modality_of(item), likeness)
    except ScanError as error:
        return Verdict(error=str(error))
    except CheckpointError:
        raise
    except Exception:
        # The file's name stays out of the log: it may hold a patient's.
        _log.exception("A scan could not be examined")
        return Verdict(error=UNREADABLE)
    return Verdict(found.label, tuple(float(p) for p in found.probabilities), warning=warning)
