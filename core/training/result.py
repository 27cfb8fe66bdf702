"""From a trained network to its checkpoint folder."""

from __future__ import annotations

import json
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w
from safetensors.numpy import save

from core import card
from core.checkpoints import (
    EXPLANATIONS,
    METRICS,
    REMEMBERED,
    SCORE_CAM_AGREEMENT,
    UNPREDICTED,
    WEIGHTS,
    Checkpoint,
    CheckpointError,
    check_writable,
    is_checkpoint,
    parquet,
    update_checkpoint,
    write_checkpoint,
)
from core.classifiers import probabilities, wrap
from core.evaluation.neighbours import similarities
from core.evaluation.run import evaluate_run
from core.guard import FIGURES as GUARD_FIGURES
from core.guard.making import guard_arrays, held_out
from core.recipe import Recipe
from core.training.images import ImageSet, evaluation_batches, subset
from core.weights import learned, shrink

SHIPPED = "grouped"  # the protocol whose weights are kept
_LIBRARIES = {"torch": ("torch", "timm"), "keras": ("tensorflow", "keras")}
_ALWAYS = ("numpy", "opencv-python-headless", "pandas", "scikit-learn", "imbalanced-learn")
_RUN = ["protocol", "seed"]
_GUARD = "guard.safetensors"
_HISTORY, _PREDICTIONS = "history.csv", "predictions.parquet"
_TABLES = (_HISTORY, _PREDICTIONS, UNPREDICTED)
"""Of all runs."""


@dataclass(frozen=True, eq=False)
class Result:
    """What one run leaves: the table of its predictions, that of training images which have none,
    the weights, features of its training images."""

    recipe: Recipe
    protocol: str
    seed: int
    history: pd.DataFrame
    predictions: pd.DataFrame
    unpredicted: pd.DataFrame
    weights: dict[str, np.ndarray]
    guard: dict[str, np.ndarray]


def make_result(
    network,
    recipe: Recipe,
    protocol: str,
    seed: int,
    history: list,
    table: pd.DataFrame,
    images: ImageSet,
) -> Result:
    """Predict the images of the table (that of a data set, with their split) with the weights as
    they will be shipped, through the same classifier that the browser uses: all validation and
    test images, and of more than ``REMEMBERED`` training images a part."""
    weights = shrink(network.to_arrays())
    network.from_arrays(weights)
    classifier = wrap(recipe, network)
    run = {"protocol": protocol, "seed": seed}
    chosen = _chosen(table, seed)
    unpredicted = table[~chosen][["split", "image_id", "label", "group"]].assign(**run)
    table, images = table[chosen], subset(images, chosen)
    logits, pooled = [], []
    for batch in evaluation_batches(images, recipe):
        features = classifier.features(batch)
        logits.append(classifier.logits_from(features))
        pooled.append(features.mean(axis=(1, 2)))
    share = probabilities(np.concatenate(logits)).astype(np.float32)
    pooled = np.concatenate(pooled)
    predictions = table[["split", "image_id", "label", "group"]].assign(
        similarity=similarities(pooled, table["split"].to_numpy()), **run
    )
    predictions[list(recipe.classes)] = share
    return Result(
        recipe=recipe,
        protocol=protocol,
        seed=seed,
        history=pd.DataFrame(history).assign(**run),
        predictions=predictions[[*_RUN, *[c for c in predictions if c not in _RUN]]],
        unpredicted=unpredicted,
        weights=weights,
        guard=_guard(recipe, table, pooled),
    )


def _guard(recipe: Recipe, table: pd.DataFrame, pooled: np.ndarray) -> dict[str, np.ndarray]:
    """Of the predicted images, those that the guard knows and those that it is calibrated on."""
    trained, validation = (
        np.flatnonzero(table["split"] == part) for part in ("train", "validation")
    )
    held = validation[held_out(table.iloc[validation])]
    return guard_arrays(
        recipe, table.iloc[trained], pooled[trained], table.iloc[held], pooled[held]
    )


def _chosen(table: pd.DataFrame, seed: int) -> np.ndarray:
    """Which rows are predicted, bool (N,). Training images are drawn so that as many groups as can
    be are among them."""
    chosen = (table["split"] != "train").to_numpy(copy=True)
    trained = table[~chosen].sample(frac=1, random_state=seed)
    nth_of_group = trained.groupby("group").cumcount()
    chosen[table.index.get_indexer(nth_of_group.sort_values(kind="stable").index[:REMEMBERED])] = (
        True
    )
    return chosen


def check_kept(
    folder: Path,
    recipe: Recipe,
    protocol: str,
    seed: int,
    pretrained: bool = True,
    figures_only: bool = False,
) -> None:
    """Before the training: raise CheckpointError if the run could not be added to a folder, since a
    file that it would join is damaged, or weights are there and ``figures_only`` keeps none, or its
    weights would be shipped with an earlier seed's figures, or nothing can be written there. That
    the data are others, which drops what is there, is not known yet."""
    try:
        old = _existing(folder, recipe, pretrained)
        for name in _joined(old, protocol, seed) if old else ():
            old.verified(name)
    except CheckpointError as error:
        raise CheckpointError(
            f"{error} To train it again, move the folder {folder} away first: a new run would join "
            "what is there."
        ) from error
    if figures_only and is_checkpoint(folder) and Checkpoint(folder).has_weights:
        raise CheckpointError(
            f"The folder {folder} holds the weights of {recipe.title}, which --figures-only would "
            "throw away. Leave that out, or name another folder with --output."
        )
    if not figures_only:
        _check_figures(folder, old, protocol, seed)
    check_writable(folder)


def _check_figures(folder: Path, old: Checkpoint | None, protocol: str, seed: int) -> None:
    """Raise CheckpointError if a run's weights would be shipped beside figures of a lower seed:
    figures, temperature and operating point are those of the lowest seed of a protocol, and would
    be told of weights that they do not belong to."""
    if old is None or _of_weights(old, protocol, seed):
        return
    known = old.predictions()
    first = known["seed"][known["protocol"] == protocol].min()  # NaN, and not less, without any
    if first < seed:
        raise CheckpointError(
            f"The folder {folder} holds figures of seed {first} ({protocol}) without its weights, "
            f"and would tell them of the weights of seed {seed}. Train seed {first} with its "
            "weights first, or name another folder with --output."
        )


def add_to_checkpoint(
    result: Result,
    folder: Path,
    fingerprint: str,
    figures_only: bool = False,
    pretrained: bool = True,
) -> None:
    """Write a run into a checkpoint folder beside the runs that it holds already.

    Runs of another method, of other data or begun from other weights are dropped: figures of one
    folder belong to one system and one data set. ``pretrained``: it began from ImageNet's weights,
    as manifest and card tell. Weights are those of the ``grouped`` run, or of any run until then;
    with ``figures_only`` none are kept, and their number stands in the manifest. Raises
    CheckpointError if a file that is joined is damaged, or weights would get another run's figures.
    """
    recipe = result.recipe
    old = _existing(folder, recipe, pretrained, fingerprint)
    if not figures_only:
        _check_figures(folder, old, result.protocol, result.seed)
    if figures_only:
        shapes = {name: array.shape for name, array in result.weights.items()}
        kept, facts = {}, {"parameters": learned(shapes)}
    else:
        kept, facts = _with_weights(result, old)
    predictions = _merge(result, result.predictions, old and old.predictions())
    history = _merge(result, result.history, old and old.history())
    unpredicted = _merge(result, result.unpredicted, old and old.unpredicted())
    kept |= {UNPREDICTED: parquet(unpredicted)} if len(unpredicted) else {}
    kept |= {
        _HISTORY: history.to_csv(index=False).encode(),
        _PREDICTIONS: parquet(predictions),
    }
    manifest = {
        "format": 1,
        "recipe": recipe.id,
        **facts,
        "data": {"dataset": recipe.data.dataset, "fingerprint": fingerprint},
        "pretrained": pretrained,
        "versions": _versions(recipe.architecture.framework),
    }
    write_checkpoint(folder, kept | _derived(recipe, predictions, pretrained), manifest)


def _with_weights(result: Result, old: Checkpoint | None) -> tuple[dict[str, bytes], dict]:
    """The weights that are kept, with the files that belong to them, and which run's they are."""
    names = _of_weights(old, result.protocol, result.seed) if old else []
    if names:
        kept = {name: old.verified(name) for name in names}
        return kept, {"weights": old.manifest["weights"]}
    arrays = {WEIGHTS: result.weights, _GUARD: result.guard}
    kept = {name: save(array) for name, array in arrays.items()}
    return kept, {"weights": {"protocol": result.protocol, "seed": result.seed}}


def _of_weights(old: Checkpoint, protocol: str, seed: int) -> list[str]:
    """The weights of a folder and what was measured with them; none if a run replaces them."""
    if not old.has_weights or _outranks(protocol, seed, old.manifest["weights"]):
        return []
    names = (WEIGHTS, _GUARD, EXPLANATIONS, SCORE_CAM_AGREEMENT, GUARD_FIGURES)
    return [name for name in names if name in old.manifest["files"]]


def _joined(old: Checkpoint, protocol: str, seed: int) -> list[str]:
    """The files of a folder that a run would add to or keep: the others are made anew."""
    tables = [name for name in _TABLES if name in old.manifest["files"]]
    return tables + _of_weights(old, protocol, seed)


def refresh(checkpoint: Checkpoint, recipe: Recipe) -> None:
    """Rewrite what follows from the predictions and the recipe's prose: figures and card.

    Raises ValueError if the recipe's method is no longer the one that was trained.
    """
    if checkpoint.recipe.method() != recipe.method():
        raise ValueError(f"The method of {recipe.id} has changed since: train it again.")
    derived = _derived(recipe, checkpoint.predictions(), checkpoint.pretrained)
    update_checkpoint(checkpoint, derived)


def _derived(recipe: Recipe, predictions: pd.DataFrame, pretrained: bool) -> dict[str, bytes]:
    by_protocol = predictions.groupby("protocol")
    metrics = {protocol: evaluate_run(rows, recipe) for protocol, rows in by_protocol}
    return {
        "recipe.toml": tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)).encode(),
        METRICS: json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False).encode(),
        "card.md": card.render(recipe, metrics, pretrained).encode(),
    }


def _outranks(protocol: str, seed: int, shipped: dict) -> bool:
    """Whether a run's weights replace the shipped ones: grouped first, then the lowest seed."""
    return (protocol != SHIPPED, seed) <= (shipped["protocol"] != SHIPPED, shipped["seed"])


def _existing(
    folder: Path, recipe: Recipe, pretrained: bool, fingerprint: str | None = None
) -> Checkpoint | None:
    """The runs of a folder that a new one joins; ``fingerprint`` None before the data are read."""
    if not is_checkpoint(folder):
        return None
    old = Checkpoint(folder)
    same_data = fingerprint in (None, old.manifest["data"]["fingerprint"])
    same_system = (old.pretrained, old.recipe.method()) == (pretrained, recipe.method())
    return old if same_data and same_system else None


def _merge(result: Result, new: pd.DataFrame, old: pd.DataFrame | None) -> pd.DataFrame:
    """The new table of the run, and those of the other runs."""
    if old is None or old.empty:
        return new
    kept = old[(old["protocol"] != result.protocol) | (old["seed"] != result.seed)]
    return pd.concat([kept, new], ignore_index=True).sort_values(_RUN, kind="stable")


def _versions(framework: str) -> dict[str, str]:
    names = (*_ALWAYS, *_LIBRARIES[framework])
    return {"python": platform.python_version()} | {name: version(name) for name in names}
