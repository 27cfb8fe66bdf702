"""What a trained system leaves on disk: safe to load, every file verified by its hash.

``checkpoints/<recipe>/`` holds

- ``weights.safetensors``: weights of the ``grouped`` run, kernels float16, the rest float32
- ``recipe.toml``: the recipe as trained
- ``history.csv``, ``predictions.parquet``, ``metrics.json``: of all runs, by protocol and seed
- ``unpredicted.parquet``, where not every training image has a prediction: those without
- ``guard.safetensors``: pooled features and picture statistics of the images the weights were
  trained on, and of those that calibrate the guard (``core.guard``)
- ``guard_figures.parquet``, once measured: the guard's answers to own, foreign and damaged images
- ``explanations.parquet``, once measured: figures of every explanation method on test images
- ``score_cam_agreement.parquet``, once measured: how near Fast Score-CAM comes to the exact map
- ``card.md``: the model card
- ``manifest.json``: sha256 of each file, library versions, data fingerprint, seed, and whether the
  training began from ImageNet's weights

``checkpoints/figures/<recipe>/`` holds the same of a recipe that was judged and is not shipped,
without its weights and what needs them.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np
import pandas as pd

from core.recipe import Recipe, RecipeError
from core.recipes import parse_recipe
from core.refusal import Refusal

CHECKPOINTS = Path(__file__).parents[1] / "checkpoints"
RUNS = Path("runs")
"""Below the folder a command is run in: states of training and journals, to be gone on with."""
DEFAULT = "busi-multitask"
"""The system that is asked when none was chosen: the one most often right on BUSI, grouped."""
FIGURES_ONLY = "figures"
"""Below the checkpoints: runs whose figures are kept and whose weights are not. A folder deeper
than a system's, so that none is taken for one."""
COMPARISONS = CHECKPOINTS.parent / RUNS / "comparisons"
"""Where ``train.py RECIPE --architecture NETWORK`` leaves its checkpoints."""
FROM_SCRATCH = CHECKPOINTS.parent / RUNS / "from-scratch"
"""Where ``train.py RECIPE --from-scratch`` leaves its checkpoints."""
SHORTENED = CHECKPOINTS.parent / RUNS / "shortened"
"""Where ``train.py RECIPE --epochs N`` leaves its checkpoints. Options given together have folders
one in another, by the names of these three."""
REMEMBERED = 1000
"""Most training images whose predictions and features a checkpoint keeps."""
MANIFEST = "manifest.json"
WEIGHTS = "weights.safetensors"
METRICS = "metrics.json"
UNPREDICTED = "unpredicted.parquet"
EXPLANATIONS = "explanations.parquet"
SCORE_CAM_AGREEMENT = "score_cam_agreement.parquet"


class CheckpointError(Refusal):
    """A checkpoint is missing or damaged; the text names the file and what to do."""


def list_trained(root: Path = CHECKPOINTS) -> tuple[str, ...]:
    """Ids of the recipes trained in ``root``: DEFAULT first, the others sorted."""
    for left in root.glob(".*.old"):
        _settle(root / left.name.removeprefix(".").removesuffix(".old"))
    names = (path.parent.name for path in root.glob(f"*/{MANIFEST}"))
    # A name with a dot is what an interrupted write left.
    return tuple(sorted((name for name in names if not name.startswith(".")), key=offered))


def offered(recipe_id: str) -> tuple[bool, str]:
    """Key that sorts ids as they are offered: DEFAULT first, the others by name."""
    return recipe_id != DEFAULT, recipe_id


def open_checkpoint(recipe_id: str, root: Path = CHECKPOINTS) -> Checkpoint:
    """The trained system of a recipe. Raises CheckpointError if there is none."""
    if recipe_id not in list_trained(root):
        known = ", ".join(list_trained(root)) or "none yet"
        raise CheckpointError(
            f"No trained system '{recipe_id}' is here (there are: {known}). Choose one of them, or "
            "train one of those that python train.py --list names."
        )
    return Checkpoint(root / recipe_id)


def open_chosen(recipe_id: str | None) -> Checkpoint:
    """The trained system that a command names, or the first where it names none. Raises
    CheckpointError if there is none."""
    return open_checkpoint(next(iter(list_trained()), "") if recipe_id is None else recipe_id)


def judged(root: Path = CHECKPOINTS) -> dict[str, Checkpoint]:
    """Everything in ``root`` that has figures, by recipe: the trained systems in their order, then
    those whose figures alone are kept."""
    trained = {name: Checkpoint(root / name) for name in list_trained(root)}
    figures = root / FIGURES_ONLY
    return trained | {
        name: Checkpoint(figures / name) for name in list_trained(figures) if name not in trained
    }


@dataclass(frozen=True)
class Checkpoint:
    """One trained system on disk. Files are read when asked for, and verified when read."""

    folder: Path

    @cached_property
    def manifest(self) -> dict:
        """Hashes, versions, data fingerprint and seed."""
        try:
            return json.loads((self.folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise CheckpointError(
                f"{self.folder.name}/{MANIFEST} cannot be read. Restore it or train the system "
                "again."
            ) from error

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe as trained."""
        try:
            return parse_recipe(self._text("recipe.toml"), f"{self.folder.name}/recipe.toml")
        except RecipeError as error:
            raise CheckpointError(str(error)) from error

    @cached_property
    def metrics(self) -> dict:
        """Figures on the test images, by protocol; see ``core.evaluation.evaluate``."""
        return json.loads(self._text(METRICS))

    @cached_property
    def card(self) -> str:
        """The model card, in Markdown."""
        return self._text("card.md")

    @property
    def has_weights(self) -> bool:
        """Whether it can answer, or is kept for its figures alone."""
        return "weights" in self.manifest

    @property
    def pretrained(self) -> bool:
        """Whether its training began from ImageNet's weights, and not from random ones."""
        return self.manifest.get("pretrained", True)  # older ones do not say; all of them did

    @property
    def shipped_figures(self) -> dict:
        """Those of the protocol under which the shipped weights were trained."""
        return self.metrics[self.manifest["weights"]["protocol"]]

    @property
    def temperature(self) -> float:
        """Calibration of the shipped weights (Guo et al., 2017); 1 changes nothing."""
        return self.shipped_figures.get("calibration", {}).get("temperature", 1.0)

    def predictions(self) -> pd.DataFrame:
        """One row an image and run: protocol, seed, split, image_id, label, group, ``similarity``
        (of a test image to the most similar of the training images here, NaN where not known), and
        a column a class, its probability in [0, 1] before calibration.

        Of more than 1,000 training images, 1,000 are here, the others among the ``unpredicted``.
        """
        return self.table("predictions.parquet")

    def unpredicted(self) -> pd.DataFrame:
        """One row an image and run: protocol, seed, split, image_id, label, group of the training
        images that are not among the predictions."""
        if UNPREDICTED in self.manifest["files"]:
            return self.table(UNPREDICTED)
        return pd.DataFrame(columns=["protocol", "seed", "split", "image_id", "label", "group"])

    def table(self, name: str) -> pd.DataFrame:
        """A table of the folder, as ``parquet`` wrote it. Raises CheckpointError."""
        return pd.read_parquet(io.BytesIO(self.verified(name)))

    def shipped_run(self, split: str | None = None) -> pd.DataFrame:
        """The predictions of the run whose weights are shipped, in their order; of one split, or of
        all. No other run tells what these weights were trained and tested on."""
        wanted = {"split": split} if split else {}
        return self._of_weights(self.predictions(), **wanted)

    def learned_from(self) -> set[str]:
        """Ids of the images that the shipped weights were trained or calibrated on."""
        known = [self.shipped_run(), self._of_weights(self.unpredicted())]
        return {*pd.concat(known).query("split != 'test'")["image_id"]}

    def history(self) -> pd.DataFrame:
        """One row an epoch and run."""
        return pd.read_csv(io.BytesIO(self.verified("history.csv")))

    def guard(self) -> dict[str, np.ndarray]:
        """Pooled ``features`` (N, K) of the training images, their class indices ``labels`` (N,),
        and the other arrays of ``core.guard``."""
        from safetensors.numpy import load

        return load(self.verified("guard.safetensors"))

    def training_images(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Rows of the predictions that the shipped weights were trained on, and their features.

        The features, float32 (N, K), are pooled over the picture, in the order of the rows. Raises
        CheckpointError if the two do not belong together.
        """
        rows, guard = self.shipped_run("train"), self.guard()
        codes = pd.Index(self.recipe.classes).get_indexer(rows["label"])
        if not np.array_equal(codes, guard["labels"]):
            raise CheckpointError(
                f"The guard features of {self.recipe.id} are not those of its training images. "
                "Train the system again."
            )
        return rows, guard["features"].astype(np.float32)

    def arrays(self) -> dict[str, np.ndarray]:
        """The trained weights by name, kernels float16."""
        from safetensors.numpy import load

        return load(self.verified(WEIGHTS))

    def load(self):
        """The classifier with its trained weights; needs no network connection."""
        from core.architectures import build
        from core.classifiers import wrap

        network = build(self.recipe, pretrained=False)
        network.from_arrays(self.arrays())
        classifier = wrap(self.recipe, network)
        classifier.temperature = self.temperature
        return classifier

    def verified(self, name: str) -> bytes:
        """A file's bytes. Raises CheckpointError if they are not those the manifest names."""
        where = f"{self.folder.name}/{name}"
        try:
            data = (self.folder / name).read_bytes()
        except OSError as error:
            raise CheckpointError(f"{where} is missing. Restore or retrain it.") from error
        if sha256(data) != self.manifest["files"].get(name):
            raise CheckpointError(
                f"{where} does not match its hash in {MANIFEST}: it was changed or damaged. "
                "Restore it or train the system again."
            )
        return data

    def _of_weights(self, table: pd.DataFrame, **more: str) -> pd.DataFrame:
        """The rows of the run whose weights are shipped."""
        wanted = self.manifest["weights"] | more
        mine = (table[list(wanted)] == list(wanted.values())).all(axis=1)
        return table[mine].reset_index(drop=True)

    def _text(self, name: str) -> str:
        return self.verified(name).decode("utf-8")


def write_checkpoint(folder: Path, files: dict[str, bytes], manifest: dict) -> None:
    """Replace a checkpoint folder as a whole by ``files`` and a manifest with their hashes."""
    manifest = manifest | {"files": {name: sha256(data) for name, data in sorted(files.items())}}
    manifest_text = json.dumps(manifest, indent=2, sort_keys=True) + "\n"
    _settle(folder)
    part, old = _beside(folder)
    for leftover in (part, old):
        shutil.rmtree(leftover, ignore_errors=True)
    part.mkdir(parents=True)
    for name, data in (files | {MANIFEST: manifest_text.encode()}).items():
        (part / name).write_bytes(data)
    if folder.exists():
        folder.rename(old)
    with suppress(FileNotFoundError):  # a reader may have settled it in between
        part.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def check_writable(folder: Path) -> None:
    """Before a long computation: raise CheckpointError if no checkpoint folder could be written
    here."""
    try:
        with TemporaryFile(dir=next(one for one in folder.parents if one.exists())):
            pass
    except OSError as error:
        raise CheckpointError(
            f"Nothing can be written to {folder.parent}: {error.strerror or error}. Name another "
            "folder with --output."
        ) from error


def is_checkpoint(folder: Path) -> bool:
    """Whether a checkpoint is here, also one that an interrupted write left beside its place."""
    _settle(folder)
    return (folder / MANIFEST).is_file()


def _settle(folder: Path) -> None:
    """Finish a write that was stopped just when the old folder had been moved away and the new one,
    whole by then, had not yet taken its place. Such a write may still go on in another process:
    who comes second finds it done."""
    part, old = _beside(folder)
    if old.exists() and not folder.exists():
        with suppress(OSError):
            (part if part.exists() else old).rename(folder)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where a write makes the new folder, and where it leaves the old one for a moment."""
    return folder.with_name(f".{folder.name}.part"), folder.with_name(f".{folder.name}.old")


def update_checkpoint(checkpoint: Checkpoint, files: dict[str, bytes]) -> None:
    """Add or replace some files of a checkpoint; the others are verified and kept."""
    others = (name for name in checkpoint.manifest["files"] if name not in files)
    kept = {name: checkpoint.verified(name) for name in others}
    write_checkpoint(checkpoint.folder, kept | files, dict(checkpoint.manifest))


def parquet(table: pd.DataFrame) -> bytes:
    """A table as a file of a checkpoint."""
    buffer = io.BytesIO()
    table.to_parquet(buffer, index=False, compression="zstd")
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    """Hexadecimal digest."""
    return hashlib.sha256(data).hexdigest()
