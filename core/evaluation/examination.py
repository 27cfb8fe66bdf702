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
from core.preprocessing import to_batch

# Cost of a method -> how many of the images it sees, by part of the examination (None: all).
PLAN = {
    "instant": {"map": None, "stress": 20},
    "seconds": {"map": 20, "stress": 4},
    "minutes": {"map": 10, "stress": 0},
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


def map_figures(system: System, method: Method, case: Case) -> dict[str, float]:
    """Localisation, faithfulness and time of one map."""
    started = time.perf_counter()
    heatmap = method.run(system.classifier, case.batch, case.target).heatmaps[0]
    seconds = time.perf_counter() - started
    drawn = heatmap.resized(*case.mask.shape)
    own = asdict(localisation(drawn, case.mask, otsu_threshold(drawn)))
    image = case.batch[0]
    seen = np.clip(heatmap.resized(*image.shape[:2]), 0, 1)
    return {
        **asdict(localisation(drawn, case.mask)),
        **{f"{name}_otsu": own[name] for name in ("iou", "dice", "precision", "recall", "f1")},
        "pixel_precision": pixel_precision(drawn, case.mask),
        **asdict(faithfulness(system.classifier, image, seen, case.target)),
        "empty": float(not heatmap.values.any()),
        "seconds": seconds,
    }


def stress_figures(system: System, method: Method, case: Case) -> dict[str, float]:
    """What takes more maps or more time: ROAD, noise, random weights."""
    image, size = case.batch[0], case.batch.shape[1:3]

    def maps(batch: np.ndarray, classifier: Classifier = system.classifier):
        return method.run(classifier, batch, case.target).heatmaps

    (heatmap,) = maps(case.batch)
    removal = road(system.classifier, image, np.clip(heatmap.resized(*size), 0, 1), case.target)
    figures = {
        "road": removal.lerf - removal.morf,
        "road_morf": removal.morf,
        "road_lerf": removal.lerf,
        "max_sensitivity": max_sensitivity(maps, image),
    }
    for stage, classifier in system.random.items():
        (other,) = maps(case.batch, classifier)
        figures[f"random_{stage}_rank"] = rank_correlation(heatmap, other)
        figures[f"random_{stage}_ssim"] = structural_similarity(heatmap, other, size)
    return figures


PARTS: dict[str, Callable[[System, Method, Case], dict[str, float]]] = {
    "map": map_figures,
    "stress": stress_figures,
}


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
        if images is None or number < images or (full and part == "map")
    ]


def measure(system: System, todo: list[Task], journal: Journal) -> Iterator[Task]:
    """Do what is to do, in order, and keep each result; yields each task when it is done."""
    case = None
    for task in todo:
        if case is None or case.image_id != task.row.image_id:
            case = system.case(task.row)
        figures = PARTS[task.part](system, task.method, case)
        values = {name: x if np.isfinite(x) else None for name, x in figures.items()}
        place = {"image_id": case.image_id, "group": case.group}
        journal.add(place | {"method": task.method.id, "part": task.part, "values": values})
        yield task
