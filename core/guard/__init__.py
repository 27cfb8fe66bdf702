"""Is this scan anything like what a system was trained on? When not, its answer means nothing.

Two views of one scan, each a distance to the training images:

- what the network sees: cosine distance of the last layer's pooled features to the 5th nearest
  training image (Sun et al., ICML 2022)
- what the picture looks like (``core.guard.pictures``): Mahalanobis distance with the covariance
  of Ledoit and Wolf (2004), as Lee et al. (NeurIPS 2018) take of features

Each is scaled so that 95 % of unseen scans of the own kind lie within 1 in both. Unseen scans are
the validation images of the run whose weights are shipped. Where those are fewer than 50 there is
no telling how far unseen features lie, since the network has fitted those of its training images;
then the picture alone is judged, and the training images join the unseen ones, each judged as if
its group had not been trained on. A scan outside 1 in either view is unusual. Whether it is of
another kind the picture decides: a network may answer to a mammogram as it does to an ultrasound,
and to a scan without its outline as to nothing it knows.

``python -m core.guard`` is the command.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from core.checkpoints import Checkpoint, CheckpointError
from core.guard.pictures import FLOORS, statistics
from core.polarity import normalise_polarity
from core.statistics.cosine import unit_rows

COVERED = 0.95
"""Share of unseen scans of the own kind that count as like the training images."""
FOREIGN = 1.25
"""Distance of the picture from which a scan counts as of another kind, chosen on validation images
against thermograms, mammograms, noise and blank images; docs/results.md says what it costs."""
NEIGHBOURS = 5
ENOUGH = 50
"""Validation images from which they alone calibrate the guard."""
_LEAST = 1e-6  # a limit, should every unseen scan be a copy of training images

FIGURES = "guard_figures.parquet"
"""In a checkpoint, once measured: what its guard says of other images (core.evaluation.guard)."""

LEVELS = ("like", "unusual", "foreign")


@dataclass(frozen=True)
class GuardVerdict:
    """What the guard says of one scan.

    ``level``: "like" the training images, "unusual", or "foreign" (not this kind of image).
    ``distance``: how far out the scan lies, in the view in which it lies further out, as a multiple
    of the distance within which 95 % of unseen scans of the system's own kind lie; up to 1 is like.
    ``share``: the share of those unseen scans that lie at least as far out, 0 to 1.
    ``sentence``: what is so and what to do, for the user.
    """

    level: str
    distance: float
    share: float
    sentence: str


@dataclass(frozen=True, eq=False)
class Views:
    """Two descriptions of the same N images: pooled features (N, K), picture statistics (N, P)."""

    features: np.ndarray
    pictures: np.ndarray

    def __getitem__(self, chosen: np.ndarray) -> Views:
        return Views(self.features[chosen], self.pictures[chosen])

    def __len__(self) -> int:
        return len(self.features)


@dataclass(frozen=True, eq=False)
class Reference:
    """Training images as both distances need them: unit features (N, K), and the mean, spread and
    whitening (P,), (P,), (P, P) of the picture statistics."""

    units: np.ndarray
    mean: np.ndarray
    spread: np.ndarray
    whitening: np.ndarray

    def distances(self, views: Views) -> np.ndarray:
        """Distances of N images in both views, float64 (N, 2)."""
        nearness = unit_rows(views.features) @ self.units.T
        nth = min(NEIGHBOURS, nearness.shape[1])
        cosine = 1 - np.partition(nearness, -nth, axis=1)[:, -nth]
        standard = (views.pictures - self.mean) / self.spread
        mahalanobis = np.linalg.norm(standard @ self.whitening, axis=1)
        return np.column_stack([cosine, mahalanobis]).astype(np.float64)


def reference(training: Views) -> Reference:
    """What ``training`` images tell of a kind of scan. Needs at least 2 of them."""
    from sklearn.covariance import ledoit_wolf

    pictures = training.pictures.astype(np.float64)
    mean, spread = pictures.mean(axis=0), np.maximum(pictures.std(axis=0), FLOORS)
    covariance, _ = ledoit_wolf((pictures - mean) / spread, assume_centered=True)
    # x C^-1 x = |x W|^2 with W W^T = C^-1.
    values, vectors = np.linalg.eigh(covariance)
    return Reference(unit_rows(training.features), mean, spread, vectors / np.sqrt(values))


@dataclass(frozen=True, eq=False)
class Guard:
    """The guard of one system; any number of threads may share it.

    ``limits`` (2,) bring the two views to one scale, infinite for one that is not judged;
    ``unseen`` (M,) are the distances of unseen scans of the own kind; ``trained`` counts the
    training images that it knows.
    """

    known: Reference
    limits: np.ndarray
    unseen: np.ndarray
    trained: int
    modality: str
    outlined: bool
    dark_air: bool

    def judge(self, features: np.ndarray, pixels: np.ndarray) -> GuardVerdict:
        """The verdict on one scan.

        ``features`` float32 (h, w, K) as ``Classifier.features`` gives for it, of the last layer;
        ``pixels`` uint8 (H, W, 3), the whole frame that was classified, without a region cut out.
        Raises ValueError for features of another system.
        """
        self._check(features)
        pooled = features.mean(axis=(0, 1))
        views = Views(pooled[None], looks(pixels, self.dark_air)[None])
        return self.verdict(self.distances(views)[0])

    def distances(self, views: Views) -> np.ndarray:
        """Calibrated distances of N scans in both views, float64 (N, 2): features, picture."""
        return self.known.distances(views) / self.limits

    def verdict(self, distances: np.ndarray) -> GuardVerdict:
        """What the calibrated distances (2,) of a scan mean."""
        distance = float(np.max(distances))
        share = float((self.unseen >= distance).mean())
        level = level_of(distances)
        return GuardVerdict(level, distance, share, self._sentence(level, share))

    def _check(self, features: np.ndarray) -> None:
        wanted = self.known.units.shape[1]
        if features.ndim != 3 or features.shape[-1] != wanted:
            raise ValueError(
                f"The guard of this system needs features (h, w, {wanted}) of one scan, not "
                f"{features.shape}."
            )

    def _sentence(self, level: str, share: float) -> str:
        outline = " Outline the lesion, if that was not done." if self.outlined else ""
        few = (
            f" Only {self.trained} images were trained on, so that this says little."
            if self.trained < ENOUGH
            else ""
        )
        texts = {
            "like": (
                f"The scan looks like the images that the system was trained on ({self.modality}): "
                f"nothing here speaks against reading its answer.{few}"
            ),
            "unusual": (
                f"The scan is unusual: of unseen scans of the system's own kind "
                f"({self.modality}) {_percent(share)} lie as far from its training images. Check "
                f"the picture's quality and crop, and do not rely on the answer.{outline}{few}"
            ),
            "foreign": (
                f"This does not look like what the system was trained on ({self.modality}): it is "
                f"another kind of image, or changed beyond what the system knows, and the answer "
                f"means nothing here. Give the original scan, cropped to the scan itself, or "
                f"choose a system for this kind of image.{outline}{few}"
            ),
        }
        return texts[level]


def load_guard(checkpoint: Checkpoint) -> Guard:
    """The guard of a trained system. Raises CheckpointError if it has none, or for a damaged
    file."""
    arrays, recipe = checkpoint.guard(), checkpoint.recipe
    if "pictures" not in arrays:
        raise CheckpointError(
            f"{recipe.id} has no guard yet. Make it with: python -m core.guard --recipe "
            f"{recipe.id} --data DIR"
        )
    training = Views(arrays["features"].astype(np.float32), arrays["pictures"])
    held_out = Views(arrays["held_out_features"].astype(np.float32), arrays["held_out_pictures"])
    known = reference(training)
    found = known.distances(held_out)
    few = len(held_out) < ENOUGH
    if few:
        found = np.concatenate([found, _left_out(training, arrays["groups"])])
    limits = np.array([math.inf if few else _limit(found[:, 0]), _limit(found[:, 1])])
    limits *= _limit((found / limits).max(axis=1))
    return Guard(
        known=known,
        limits=limits,
        unseen=(found / limits).max(axis=1),
        trained=len(training),
        modality=recipe.modality,
        outlined=recipe.preprocessing.outlined,
        dark_air=recipe.preprocessing.dark_air,
    )


def level_of(distances: np.ndarray) -> str:
    """The level of calibrated distances (2,): features, picture. Features that overflowed are like
    nothing the system knows."""
    if distances[1] > FOREIGN or not np.isfinite(distances).all():
        return "foreign"
    return "unusual" if np.max(distances) > 1 else "like"


def looks(pixels: np.ndarray, dark_air: bool) -> np.ndarray:
    """Picture statistics of a frame uint8 (H, W, 3), its polarity set right where it matters."""
    return statistics(normalise_polarity(pixels) if dark_air else pixels)


def _left_out(training: Views, groups: np.ndarray) -> np.ndarray:
    """Distances (N, 2) of training images, each to those of the other groups."""
    found = np.empty((len(training), 2))
    for group in np.unique(groups):
        mine = groups == group
        found[mine] = reference(training[~mine]).distances(training[mine])
    return found


def _limit(distances: np.ndarray) -> float:
    """The distance that a new scan of the same kind stays within with a chance of ``COVERED``
    (split conformal: the ``ceil((n + 1) COVERED)``-th smallest of n); the largest if n < 19."""
    rank = math.ceil((len(distances) + 1) * COVERED - 1e-9)
    return max(float(np.sort(distances)[min(rank, len(distances)) - 1]), _LEAST)


def _percent(share: float) -> str:
    return "none" if share == 0 else f"{100 * share:.1f} %"
