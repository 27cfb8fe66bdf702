"""Whose mistakes are looked at: system, images, protocol, seed; and what they are, kept a while."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from core.card import SPLIT_TITLES
from core.classifiers.answers import answers
from core.datasets import READERS, find_folder, read_mask, read_pixels
from core.datasets.phantoms import PHANTOM_CLASSES, phantom_table
from core.evaluation.calibration import fit
from core.evaluation.mistakes import Judged, judge
from core.evaluation.neighbours import nearest
from core.recipe import Recipe
from core.recipes import load_recipe
from pages._maps import see
from pages._shared import MAX_SYSTEMS, checkpoint, classifier, of_system, version
from pages._tables import rows_of
from pages._test_images import as_item
from pages._views import View

PHANTOMS = "phantoms"
PHANTOM_SEED, PHANTOMS_A_CLASS = 5000, 12
WHICH_SPLIT = (
    "Grouped: no patient, source image or near-duplicate is on both sides; the shipped system was "
    "trained so. Random: the paper's kind of split, in which near-duplicates of test images may "
    "have been trained on."
)
NEIGHBOURS = 5


@dataclass(frozen=True)
class Question:
    """One run of a system, in its ``version``, on one set of test images."""

    recipe_id: str
    version: int
    dataset: str
    protocol: str
    seed: int

    @property
    def recipe(self) -> Recipe:
        """The system's recipe."""
        return load_recipe(self.recipe_id)

    @property
    def synthetic(self) -> bool:
        """Whether the images are phantoms."""
        return self.dataset == PHANTOMS

    @property
    def shipped(self) -> bool:
        """Whether these answers are those of the weights that are kept."""
        run = checkpoint(self.recipe_id).manifest["weights"]
        return (self.protocol, self.seed) == (run["protocol"], run["seed"])

    @property
    def key(self) -> str:
        """Tells this question from every other, in the keys of widgets."""
        return f"{self.recipe_id} {self.version} {self.dataset} {self.protocol} {self.seed}"

    @property
    def stem(self) -> str:
        """The same in the names of files."""
        images = self.dataset if self.synthetic else f"{self.dataset}-{self.protocol}"
        return f"{self.recipe_id}-{images}-seed{self.seed}"


def choose(systems: tuple[str, ...]) -> Question:
    """The widgets of the sidebar. Raises CheckpointError."""
    recipe_id = st.selectbox(
        "System",
        systems,
        format_func=lambda one: load_recipe(one).title,
        key="errors system",
        bind="query-params",
    )
    recipe, shipped = load_recipe(recipe_id), checkpoint(recipe_id).manifest["weights"]
    now = version(recipe_id)
    if knows_phantoms(recipe) and st.toggle(
        "Phantoms in place of its test images",
        key="errors phantoms",
        bind="query-params",
        help="Synthetic scans, drawn by a computer: they show how this page works and are no "
        "evidence of how good a system is.",
    ):
        return Question(recipe_id, now, PHANTOMS, shipped["protocol"], shipped["seed"])
    runs = _runs(recipe_id)
    protocols = [name for name in SPLIT_TITLES if name in runs]
    protocol = st.segmented_control(
        "Split",
        protocols,
        default=protocols[0],
        required=True,
        format_func=SPLIT_TITLES.__getitem__,
        key=f"errors protocol {recipe_id}",
        persist_state="session",
        help=WHICH_SPLIT,
    )
    seeds = runs[protocol]
    seed = seeds[0]
    if len(seeds) > 1:
        seed = st.selectbox(
            "Seed of the split",
            seeds,
            key=f"errors seed {recipe_id} {protocol}",
            persist_state="session",
        )
    return Question(recipe_id, now, recipe.data.dataset, protocol, seed)


def knows_phantoms(recipe: Recipe) -> bool:
    """Whether a system's scans and classes are those of the phantoms."""
    return "ultrasound" in recipe.modality and set(recipe.classes) <= set(PHANTOM_CLASSES)


@st.cache_resource(max_entries=2 * MAX_SYSTEMS, show_spinner=False)
def judged(question: Question) -> Judged:
    """The test images of the run. Raises CheckpointError or EvaluationError."""
    recipe, run = question.recipe, _run(question, _predictions(question.recipe_id))
    validation = run[run["split"] == "validation"]
    fitted = fit(validation, recipe.classes, recipe.malignant_classes)
    if question.synthetic:
        return judge(_answered_phantoms(question.recipe_id), recipe, fitted)
    unpredicted = _run(question, checkpoint(question.recipe_id).unpredicted())
    return judge(run, recipe, fitted, unpredicted)


def images(question: Question) -> dict[str, object]:
    """Rows of the images by id; reading a data set for the first time takes seconds.

    Raises DatasetError if it is not on this computer.
    """
    return _phantom_rows() if question.synthetic else rows_of(question.dataset)


def missing(question: Question) -> str | None:
    """What to do so that the pictures can be shown; None if they can."""
    if question.synthetic or find_folder(question.dataset):
        return None
    reader = READERS[question.dataset]
    return (
        f"The images of {reader.title} are not on this computer. Set LESIONLENS_DATA to a folder "
        f"that holds '{reader.folder}' and start the server again: then pictures, heatmaps, "
        "similar images and the checks that need pixels appear here."
    )


def view_of(question: Question, row) -> View:
    """An image as the system sees it. Raises DatasetError."""
    item, outline = as_item(row, question.dataset)
    return View(item, 0, question.recipe_id, outline=outline)


def similar(question: Question, row) -> pd.DataFrame:
    """The training images most like an image: image_id, label, group, similarity.

    Raises DatasetError, CheckpointError or EvaluationError.
    """
    rows, features = _trained_on(question.recipe_id)
    pooled = see(view_of(question, row)).features.mean(axis=(1, 2))  # as those trained on
    found, similarity = nearest(pooled, features, NEIGHBOURS)
    table = rows.loc[found[0], ["image_id", "label", "group"]]
    return table.assign(similarity=similarity[0]).reset_index(drop=True)


def training_pictures(question: Question) -> dict[str, object]:
    """Rows of the images that the system was trained on; empty where they are not here."""
    dataset = question.recipe.data.dataset
    return rows_of(dataset) if find_folder(dataset) else {}


def _runs(recipe_id: str) -> dict[str, list[int]]:
    known = _predictions(recipe_id).groupby("protocol")["seed"]
    return {protocol: sorted(map(int, seeds.unique())) for protocol, seeds in known}


@of_system()
def _predictions(recipe_id: str, version: int) -> pd.DataFrame:
    return checkpoint(recipe_id).predictions()


def _run(question: Question, known: pd.DataFrame) -> pd.DataFrame:
    """The rows of the question's run."""
    return known[(known["protocol"] == question.protocol) & (known["seed"] == question.seed)]


@of_system(max_entries=MAX_SYSTEMS, show_spinner="Asking the system about the phantoms …")
def _answered_phantoms(recipe_id: str, version: int) -> pd.DataFrame:
    """Predictions of the shipped weights, as of a run that was tested on phantoms."""
    system = classifier(recipe_id)
    classes = list(system.recipe.classes)
    rows = [row for row in _phantom_rows().values() if row.label in classes]
    shares, pooled = answers(
        system, [lambda row=row: (read_pixels(row), read_mask(row)) for row in rows]
    )
    _, similarity = nearest(pooled, _trained_on(recipe_id)[1], 1)
    table = pd.DataFrame(rows)[["image_id", "label", "group"]]
    table = table.assign(split="test", similarity=similarity[:, 0])
    return table.assign(**dict(zip(classes, shares.T, strict=True)))


@st.cache_resource(max_entries=1, show_spinner=False)
def _phantom_rows() -> dict[str, object]:
    table = phantom_table(PHANTOMS_A_CLASS, PHANTOM_SEED)
    return {row.image_id: row for row in table.itertuples(index=False)}


@of_system(max_entries=MAX_SYSTEMS)
def _trained_on(recipe_id: str, version: int) -> tuple[pd.DataFrame, np.ndarray]:
    return checkpoint(recipe_id).training_images()
