"""What a run leaves on disk after each epoch, so that it can be interrupted and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file

from core.refusal import Refusal

LAST, BEST, LOCK = "last.safetensors", "best.safetensors", "lock"


class BusyError(Refusal):
    """Another training is using the folder of a run."""


@dataclass
class Progress:
    """Where a run stands. Epochs count from 0 over all phases; the best loss and the epochs
    without gain are the current phase's."""

    phase: int = 0
    epoch: int = 0
    epoch_of_phase: int = 0
    best_loss: float = float("inf")
    epochs_without_gain: int = 0
    finished: bool = False
    history: list[dict] = field(default_factory=list)


class RunFolder:
    """The folder of one run. Files are replaced whole, never half written.

    ``ours`` says whether what it holds is the run of whoever has the folder, or an earlier one."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.ours = False
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep the folder for one training, which would else go on with another's weights. Raises
        BusyError if there is one already, of this process or another. Ctrl-C tells what is kept."""
        try:
            lock = FileLock(self.folder / LOCK).acquire(timeout=0)
        except Timeout as error:
            raise BusyError(
                f"Another training is using the folder {self.folder}. Wait until it has ended, or "
                "give another --seed."
            ) from error
        with lock:
            try:
                yield
            except KeyboardInterrupt as stop:
                raise KeyboardInterrupt(self._left()) from stop

    def _left(self) -> str:
        """What an interruption leaves."""
        kept = (self.folder / LAST).exists()  # at once: a second Ctrl-C would end a look into it
        if kept and self.ours:
            return "Interrupted. The last full epoch is kept; go on with --resume."
        earlier = " An earlier run is left as it was." if kept else ""
        return (
            f"Interrupted before the first epoch had ended: nothing of this run is kept.{earlier}"
        )

    def save(self, progress: Progress, weights: dict, optimizer: dict) -> None:
        """Keep the state after an epoch."""
        arrays = {f"weights/{k}": v for k, v in weights.items()}
        arrays |= {f"optimizer/{k}": v for k, v in optimizer.items()}
        _replace(self.folder / LAST, arrays, {"progress": json.dumps(asdict(progress))})

    def load(self) -> tuple[Progress, dict, dict] | None:
        """State, weights and optimiser memory after the last full epoch, or None."""
        path = self.folder / LAST
        try:
            with safe_open(path, framework="numpy") as file:
                progress = Progress(**json.loads(file.metadata()["progress"]))
        except (FileNotFoundError, SafetensorError):
            return None
        arrays = load_file(path)
        return progress, below("weights/", arrays), below("optimizer/", arrays)

    def save_best(self, weights: dict) -> None:
        """Keep the weights with the lowest validation loss of the phase so far."""
        _replace(self.folder / BEST, weights, None)

    def load_best(self) -> dict[str, np.ndarray]:
        """The weights with the lowest validation loss of the last phase that ran."""
        return load_file(self.folder / BEST)

    def clear(self) -> None:
        """Forget the run, for a new one."""
        for name in (LAST, BEST):
            (self.folder / name).unlink(missing_ok=True)
        self.ours = True


def parted(prefix: str, arrays: dict) -> tuple[dict, dict]:
    """The arrays whose names begin so, without that beginning, and the others."""
    return below(prefix, arrays), {k: v for k, v in arrays.items() if not k.startswith(prefix)}


def below(prefix: str, arrays: dict) -> dict:
    """The arrays whose names begin so, without that beginning."""
    return {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}


def _replace(path: Path, arrays: dict, metadata: dict | None) -> None:
    temporary = path.with_suffix(".part")
    # asarray and not ascontiguousarray, which would give an optimiser's step count a dimension.
    save_file({name: np.asarray(a, order="C") for name, a in arrays.items()}, temporary, metadata)
    temporary.replace(path)
