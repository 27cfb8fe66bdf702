"""What is measured of an explanation method on one image, and on how many images."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from core.checkpoints import Checkpoint
from core.classifiers import Classifier
from core.datasets import read_mask, read_pixels
from core.evaluation.faithfulness import faithfulness
from core.evaluation.journal import Journal
from core.evaluation.localisation import localisation, otsu_threshold, pixel_precision
from core.evaluation.randomisation import STAGES, randomised
from core.evaluation.road import road
from core.evaluation.robustness import max_sensitivity, rank_correlation, structural_similarity
from core.explain import Method
from core.explain.heatmap import Heatmap
from core.preprocessing import to_batch

# Cost of a method -> how many of the images it sees, by part of the examination (None: all).
PLAN = {
    "instant": {"location": None, "faithfulness": 40, "stress": 20},
    "seconds": {"location": None, "faithfulness": 20, "stress": 4},
    "minutes": {"location": None, "faithfulness": 10, "stress": 4},
}


@dataclass(frozen=True, eq=False)
class Case:
    """One image: ``batch`` (1, h, w, 3) as the network sees it, ``mask`` bool (H, W) of the
    lesion, and the predicted class, which is the one explained."""

    image_id: str
    group: str
    batch: np.ndarray
    mask: np.ndarray
    target: int


class System:
    """A trained system, and the same with random weights once they are asked for."""

    def __init__(self, checkpoint: Checkpoint):
        self._checkpoint = checkpoint
        self.classifier: Classifier = checkpoint.load()

    @cached_property
    def random(self) -> dict[str, Classifier]:
        """By stage of the cascade."""
        return {stage: randomised(self._checkpoint, stage) for stage in STAGES}

    def case(self, row) -> Case:
        """A row of a data set's table, with its mask, ready to be explained."""
        mask = read_mask(row)
        preprocessing = self.classifier.recipe.preprocessing
        batch = to_batch([read_pixels(row)], preprocessing, [mask])
        target = int(self.classifier.logits(batch)[0].argmax())
        return Case(row.image_id, row.group, batch, mask, target)


@dataclass(frozen=True, eq=False)
class Explained:
    """A method's map of one image, and the seconds that it took."""

    method: Method
    heatmap: Heatmap
    seconds: float


def explain(system: System, method: Method, case: Case) -> Explained:
    """The map of the predicted class."""
    started = time.perf_counter()
    heatmap = method.run(system.classifier, case.batch, case.target).heatmaps[0]
    return Explained(method, heatmap, time.perf_counter() - started)


def location_figures(system: System, explained: Explained, case: Case) -> dict[str, float]:
    """Where the map lies, and what it took."""
    drawn = explained.heatmap.resized(*case.mask.shape)
    own = asdict(localisation(drawn, case.mask, otsu_threshold(drawn)))
    return {
        **asdict(localisation(drawn, case.mask)),
        **{f"{name}_otsu": own[name] for name in ("iou", "dice", "precision", "recall", "f1")},
        "pixel_precision": pixel_precision(drawn, case.mask),
        "empty": float(not explained.heatmap.values.any()),
        "seconds": explained.seconds,
    }


def faithfulness_figures(system: System, explained: Explained, case: Case) -> dict[str, float]:
    """Whether the network uses what the map marks."""
    image = case.batch[0]
    return asdict(faithfulness(system.classifier, image, _seen(explained, case), case.target))


def stress_figures(system: System, explained: Explained, case: Case) -> dict[str, float]:
    """What takes more maps or more time: ROAD, noise, random weights."""
    image, size = case.batch[0], case.batch.shape[1:3]

    def maps(batch: np.ndarray, classifier: Classifier = system.classifier):
        return explained.method.run(classifier, batch, case.target).heatmaps

    removal = road(system.classifier, image, _seen(explained, case), case.target)
    figures = {
        "road": removal.lerf - removal.morf,
        "road_morf": removal.morf,
        "road_lerf": removal.lerf,
        "max_sensitivity": max_sensitivity(maps, image),
    }
    for stage, classifier in system.random.items():
        (other,) = maps(case.batch, classifier)
        figures[f"random_{stage}_rank"] = rank_correlation(explained.heatmap, other)
        figures[f"random_{stage}_ssim"] = structural_similarity(explained.heatmap, other, size)
    return figures


def _seen(explained: Explained, case: Case) -> np.ndarray:
    """The map at the network's size, float (h, w) in [0, 1]."""
    return np.clip(explained.heatmap.resized(*case.batch.shape[1:3]), 0, 1)


PARTS: dict[str, Callable[[System, Explained, Case], dict[str, float]]] = {
    "location": location_figures,
    "faithfulness": faithfulness_figures,
    "stress": stress_figures,
}
SIGNS = {"iou": "location", "deletion": "faithfulness", "road": "stress"}
"""A figure of each part, by which it is known to have been measured."""


@dataclass(frozen=True, eq=False)
class Task:
    """One part of the examination of one map."""

    row: tuple
    method: Method
    part: str

    @property
    def key(self) -> tuple[str, str, str]:
        """As in the journal."""
        return self.row.image_id, self.method.id, self.part


def tasks(table: pd.DataFrame, methods: list[Method], full: bool = False) -> list[Task]:
    """All there is to do, image by image."""
    return [
        Task(row, method, part)
        for number, row in enumerate(table.itertuples())
        for method in methods
        for part, images in PLAN[method.cost].items()
        if images is None or number < images or (full and part != "stress")
    ]


def measure(
    system: System, todo: list[Task], journal: Journal, timed: bool = True
) -> Iterator[Task]:
    """Do what is to do, in order, and keep each result, its time only if ``timed``; yields each
    task when it is done."""
    case, explained = None, None
    for task in todo:
        if case is None or case.image_id != task.row.image_id:
            case, explained = system.case(task.row), None
        if explained is None or explained.method is not task.method:
            explained = explain(system, task.method, case)
        figures = PARTS[task.part](system, explained, case)
        if not timed:
            figures.pop("seconds", None)
        values = {name: x if np.isfinite(x) else None for name, x in figures.items()}
        place = {"image_id": case.image_id, "group": case.group}
        journal.add(place | {"method": task.method.id, "part": task.part, "values": values})
        yield task
