"""Let timm import where torch and torchvision come from different builds.

timm needs only the Python part of torchvision. At import, torchvision registers
shape functions for two compiled operators; where its compiled part does not fit
this torch (a CPU build of torch beside a CUDA build of torchvision, for example)
that fails with "operator torchvision::nms does not exist". Declaring the missing
schemas beforehand lets the import pass. Nothing in LesionLens calls the operators.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from threading import Lock
from types import ModuleType

_SCHEMA = "{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_OPERATORS = ("nms", "qnms")
_lock = Lock()
_declarations = []  # schemas live only as long as the object that declared them


def import_timm() -> ModuleType:
    """timm, whatever builds of torch and torchvision lie beside each other."""
    with _lock:
        _declare_missing_operators()
        import timm

    return timm


def _declare_missing_operators() -> None:
    import torch

    _load_compiled_torchvision(torch)
    missing = [name for name in _OPERATORS if not hasattr(torch.ops.torchvision, name)]
    if missing:
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in missing:
            library.define(_SCHEMA.format(name))
        _declarations.append(library)


def _load_compiled_torchvision(torch: ModuleType) -> None:
    """Load what torchvision itself would load, so that what then lacks is truly missing."""
    spec = importlib.util.find_spec("torchvision")
    if spec is None or spec.origin is None:
        return
    for path in Path(spec.origin).parent.glob("_C*.*"):
        try:
            torch.ops.load_library(str(path))
        except OSError:
            continue
