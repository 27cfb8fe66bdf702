"""From a finished run to the shipped network: rule, figures, card, hashes."""

from __future__ import annotations

import json
import platform
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
import tomli_w
import torch
from safetensors.numpy import save

from core.checkpoints import (
    CHECKPOINTS,
    METRICS,
    RUNS,
    WEIGHTS,
    Checkpoint,
    check_writable,
    parquet,
    update_checkpoint,
    write_checkpoint,
)
from core.datasets import DatasetError, fingerprint, read_pixels
from core.outlining import card
from core.outlining.evaluation import SCANS, figures, judge, lesion_mask, milliseconds
from core.outlining.images import read_table
from core.outlining.network import build, encoder_norms
from core.outlining.outline import VIEWS, Rule
from core.outlining.proposal import FOLDER, Outliner, outlines_checkpoint
from core.outlining.recipe import OutlineRecipe
from core.outlining.regions import answers, region_figures, systems_with_region
from core.outlining.selection import Choice, choose
from core.outlining.splits import SPLITS, further_splits, over_splits, with_split
from core.outlining.training import epochs_of, run_folder, start_of
from core.training.images import read_images
from core.training.norms import fold_norms
from core.training.run import START
from core.weights import shrink

_LIBRARIES = (
    "torch",
    "timm",
    "segmentation-models-pytorch",
    "numpy",
    "opencv-python-headless",
    "pandas",
)

_UNLIKE = {
    "method": "The recipe has changed since the network was trained.",
    "pretrained": "The network began from random weights, as the recipe does not mean it.",
    "data": "The images, masks, labels or their split are not those that the network learned from: "
    "what is to test it may be among them.",
}
"""What a run began with -> what is said where it is another."""


def write_result(
    recipe: OutlineRecipe,
    data: Path | None,
    seed: int = 0,
    runs: Path = RUNS,
    output: Path = CHECKPOINTS,
) -> Path:
    """Judge the best weights of a finished run and write them as the shipped network.

    The rule of the outline is chosen on validation images; all figures are of test images. The
    systems that need an outline are those below ``CHECKPOINTS``. Returns the folder. Raises
    ValueError if the run has not finished or began with anything else, CheckpointError if nothing
    can be written there, or DatasetError.
    """
    folder = output / FOLDER / recipe.id
    check_writable(folder)
    table = read_table(recipe, data, seed)
    history, small = _finished(recipe, table, seed, runs)
    outliner, choice = _with_best_rule(recipe, small, table)
    manifest = {
        "format": 1,
        "recipe": recipe.id,
        "weights": {"protocol": "grouped", "seed": seed},
        "data": {"dataset": recipe.data.dataset, "fingerprint": fingerprint(table)},
        "versions": {"python": platform.python_version()} | {n: version(n) for n in _LIBRARIES},
    }
    files = {
        WEIGHTS: save(small),
        "recipe.toml": tomli_w.dumps(recipe.model_dump(mode="json", exclude_none=True)).encode(),
        "history.csv": pd.DataFrame(history).to_csv(index=False).encode(),
    }
    write_checkpoint(folder, files | _measured(outliner, choice, table), manifest)
    return folder


def add_split(
    recipe: OutlineRecipe,
    data: Path | None,
    seed: int,
    runs: Path = RUNS,
    output: Path = CHECKPOINTS,
) -> Path:
    """Judge a finished run of another seed as ``write_result`` does, and keep its figures beside
    those of the shipped network, without its weights.

    Returns the folder. Raises ValueError as there, and if seed or method are not to be compared
    with the shipped network's; CheckpointError, or DatasetError.
    """
    checkpoint = outlines_checkpoint(output)
    check_writable(checkpoint.folder)
    if seed == checkpoint.manifest["weights"]["seed"]:
        raise ValueError(f"Seed {seed} is that of the shipped network. Judge another one.")
    if checkpoint.recipe.method() != recipe.method():
        raise ValueError(f"{_UNLIKE['method']} Train and judge the shipped network first.")
    table = read_table(recipe, data, seed)
    _same_data(checkpoint, table)
    _, weights = _finished(recipe, table, seed, runs)
    outliner, _ = _with_best_rule(recipe, weights, table)
    found = judge(outliner, table[table["split"] == "test"])
    further = with_split(further_splits(checkpoint), found, seed)
    test = checkpoint.predictions().query("split == 'test'")
    spread = over_splits(test, further, recipe.lesion_classes)
    files = _told(recipe, checkpoint.metrics | {"over_splits": spread})
    update_checkpoint(checkpoint, {SPLITS: parquet(further)} | files)
    return checkpoint.folder


def judge_again(data: Path | None, output: Path = CHECKPOINTS) -> Path:
    """Measure the shipped network anew, as when a system that needs an outline was trained.

    Raises CheckpointError, also if nothing can be written there, or DatasetError if the data are
    not those it was trained on.
    """
    checkpoint = outlines_checkpoint(output)
    check_writable(checkpoint.folder)
    recipe, manifest = checkpoint.recipe, checkpoint.manifest
    table = read_table(recipe, data, manifest["weights"]["seed"])
    _same_data(checkpoint, table)
    outliner, choice = _with_best_rule(recipe, checkpoint.arrays(), table)
    kept = {WEIGHTS, "recipe.toml", "history.csv", SPLITS} & {*manifest["files"]}
    files = {name: checkpoint.verified(name) for name in kept}
    measured = _measured(outliner, choice, table, further_splits(checkpoint))
    write_checkpoint(checkpoint.folder, files | measured, dict(manifest))
    return checkpoint.folder


def metrics_of(
    predictions: pd.DataFrame,
    regions: pd.DataFrame,
    recipe: OutlineRecipe,
    systems: dict,
    further: pd.DataFrame | None = None,
) -> dict:
    """The figures that the tables of a checkpoint give. ``systems``: recipe id -> its classes;
    ``further`` as of ``further_splits``."""
    by_split = dict(list(predictions.groupby("split")))
    spread = over_splits(by_split["test"], further, recipe.lesion_classes)
    groups = regions.groupby("recipe", sort=False)
    return ({"over_splits": spread} if spread else {}) | {
        "validation": figures(by_split["validation"], recipe.lesion_classes),
        "test": figures(by_split["test"], recipe.lesion_classes),
        "regions": {name: region_figures(rows, systems[name]) for name, rows in groups},
    }


def _same_data(checkpoint: Checkpoint, table: pd.DataFrame) -> None:
    """Raises DatasetError if the images of the table are not those of the checkpoint."""
    if fingerprint(table) != checkpoint.manifest["data"]["fingerprint"]:
        raise DatasetError(
            "These are not the images that the network was trained on, so that what it learned "
            "and what is to test it cannot be told apart. Give the same data set."
        )


def _finished(
    recipe: OutlineRecipe, table: pd.DataFrame, seed: int, runs: Path
) -> tuple[list, dict]:
    """History and best weights of a run, these as they are shipped. Raises ValueError if it has
    not finished, or did not begin with the recipe, ImageNet's weights and the images of the table:
    some of these are to test it."""
    run = run_folder(recipe, seed, runs)
    saved = run.load()
    if saved is None or saved[0].epoch < epochs_of(recipe):
        raise ValueError(
            "There is no finished run to judge. Train the network first, or go on with: "
            "python -m core.outlining train --resume"
        )
    parts = (read_images(table[table["split"] == one], recipe) for one in ("train", "validation"))
    began = json.loads((run.folder / START).read_text(encoding="utf-8"))
    for name, value in start_of(recipe, *parts, pretrained=True).items():
        if began[name] != value:
            raise ValueError(f"{_UNLIKE[name]} Train it again.")
    network = build(recipe)
    network.from_arrays(run.load_best())
    fold_norms(encoder_norms(network))  # their statistics are ImageNet's, not ours to ship
    return saved[0].history, shrink(network.to_arrays())


def _with_best_rule(
    recipe: OutlineRecipe, weights: dict[str, np.ndarray], table: pd.DataFrame
) -> tuple[Outliner, Choice]:
    """The network with the rule that is best on the validation images of the table."""
    network = build(recipe)
    network.from_arrays(weights)
    plain = Outliner(recipe, network, Rule())
    choice = choose(_validation_maps(plain, table[table["split"] == "validation"]))
    return Outliner(recipe, network, choice.rule), choice


def _validation_maps(outliner: Outliner, table: pd.DataFrame):
    for row in table.itertuples():
        pixels = read_pixels(row)
        maps = {views: outliner.probability(pixels, views) for views in VIEWS}
        yield maps, lesion_mask(row, pixels.shape[:2])


def _measured(
    outliner: Outliner, choice: Choice, table: pd.DataFrame, further: pd.DataFrame | None = None
) -> dict[str, bytes]:
    """Predictions, figures and card of the network with its rule."""
    recipe = outliner.recipe
    predictions = judge(outliner, table[table["split"] != "train"])
    systems = systems_with_region(CHECKPOINTS, recipe.data.dataset)
    # Columns without a row have no type, and would take that of the others away.
    regions = [rows for one in systems if len(rows := answers(one, outliner, table))]
    regions = pd.concat(regions, ignore_index=True) if regions else pd.DataFrame({"recipe": []})
    classes = {system.recipe.id: system.recipe.classes for system in systems}
    metrics = metrics_of(predictions, regions, recipe, classes, further) | {
        "rule": choice.rule.__dict__,
        "rule_chosen_on": {"n": choice.n, "score": choice.score},
        "split": pd.crosstab(table["split"], table["label"]).to_dict("index"),
        "milliseconds": {
            "value": milliseconds(outliner),
            "scans": SCANS,
            "threads": torch.get_num_threads(),
        },
    }
    return {
        "predictions.parquet": parquet(predictions),
        "regions.parquet": parquet(regions),
        **_told(recipe, metrics),
    }


def _told(recipe: OutlineRecipe, metrics: dict) -> dict[str, bytes]:
    """The figures for programs and for people."""
    return {
        METRICS: json.dumps(metrics, indent=1, sort_keys=True, allow_nan=False).encode(),
        "card.md": card.render(recipe, metrics).encode(),
    }
