"""How near fast ways to Score-CAM come to the exact one, measured on test scans.

    python -m core.evaluation.score_cam_agreement [--recipe ID]... [--scans N]

All channels of a scan are scored once, and every way is given 64 of those scores. Each scan is
kept in the system's checkpoint when it is done, so Ctrl-C loses one scan and the same command goes
on. The scans are the first N (default 50) of the grouped test split in a seeded order; the class
explained is the predicted one. The figure that a page shows is the mean.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import command
from core.checkpoints import (
    SCORE_CAM_AGREEMENT,
    Checkpoint,
    list_trained,
    open_checkpoint,
    parquet,
    update_checkpoint,
)
from core.classifiers.base import Classifier, probabilities
from core.datasets import load_table, read_mask, read_pixels
from core.explain.fast_score_cam import typical_masks
from core.explain.heatmap import positive_part
from core.explain.masking import masked_logits, normalised
from core.explain.score_cam import distinct_masks
from core.preprocessing import to_batch

SCANS = 50
SCORED = 64


@dataclass(frozen=True)
class Agreement:
    """Mean correlation with the exact map over ``scans`` test scans.

    Of Fast Score-CAM, of its worst scan, and, for comparison, of the mean of all channels, which
    needs no score at all.
    """

    fast: float
    worst: float
    without_scores: float
    scans: int


def agreement(checkpoint: Checkpoint) -> Agreement | None:
    """What was measured for a system; None if nothing was."""
    rows = _measured(checkpoint)
    if rows.empty:
        return None
    fast = rows["clusters"]
    figures = (fast.mean(), fast.min(), rows["without_scores"].mean())
    return Agreement(*map(float, figures), len(rows))


def compare_ways(classifier: Classifier, image: np.ndarray) -> dict[str, float]:
    """Correlation of each way's map with the exact one, for ``image`` float32 (H, W, 3)."""
    features = classifier.features(image[None])
    logits = classifier.logits_from(features)
    target = int(logits[0].argmax())
    _, gradients = classifier.head(features, target)
    maps = features[0].astype(np.float64)
    masks, mask_of = distinct_masks(features[0])
    scores = masked_logits(classifier, image, masks, lambda share: None)[mask_of, target]
    exact = _map(maps, scores)
    return {
        name: _correlation(_map(maps, guess), exact)
        for name, guess in _guesses(features[0], gradients[0], scores).items()
    }


def _guesses(features: np.ndarray, gradients: np.ndarray, scores: np.ndarray) -> dict:
    """Scores (K,) of all channels as each way guesses them from at most 64 of the true ones."""
    return {
        "clusters": _by_clusters(features, scores),
        "gradient": _by_gradient(features, gradients, scores),
        "low_rank": _by_low_rank(features, scores),
        "without_scores": np.zeros_like(scores),
    }


def _by_clusters(features: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """That of the channel which stands for its cluster: Fast Score-CAM."""
    typical, one_of = typical_masks(features, SCORED)
    return scores[_channels_of(features, typical)][one_of]


def _by_gradient(features: np.ndarray, gradients: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Of the channels with the largest share in Grad-CAM the true score, of the rest their mean."""
    shares = abs(gradients.mean(axis=(0, 1))) * abs(features).sum(axis=(0, 1))
    chosen = np.argsort(-shares)[:SCORED]
    guess = np.full_like(scores, scores[chosen].mean())
    guess[chosen] = scores[chosen]
    return guess


def _by_low_rank(features: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """A smooth function of the mask, fitted to the clusters' typical channels.

    Kernel ridge regression with a Gaussian kernel as wide as the masks are apart.
    """
    masks = normalised(features).reshape(len(scores), -1).astype(np.float64)
    known = _channels_of(features, typical_masks(features, SCORED)[0])
    apart = np.square(masks[:, None] - masks[None, known]).sum(axis=-1)
    kernel = np.exp(-apart / np.median(apart))
    middle = scores[known].mean()
    fitted = np.linalg.solve(kernel[known] + 0.01 * np.eye(len(known)), scores[known] - middle)
    return middle + kernel @ fitted


def _channels_of(features: np.ndarray, masks: np.ndarray) -> np.ndarray:
    """A channel (M,) whose mask is each of these (M, h, w)."""
    own = normalised(features)
    return np.array([np.abs(own - one).max(axis=(1, 2)).argmin() for one in masks])


def _map(maps: np.ndarray, scores: np.ndarray) -> np.ndarray:
    return positive_part(maps @ probabilities(scores)).values


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def measure(recipe_id: str, count: int) -> Iterator[str]:
    """Measure what is still missing of a system, scan by scan, and say of each that it is done."""
    checkpoint = open_checkpoint(recipe_id)
    rows = _chosen(checkpoint, count)
    done = set(_measured(checkpoint)["image_id"])
    missing = [row for row in rows if row.image_id not in done]
    if not missing:
        return
    classifier = checkpoint.load()
    for number, row in enumerate(missing, start=len(rows) - len(missing) + 1):
        prep = checkpoint.recipe.preprocessing
        mask = read_mask(row) if prep.outlined else None
        image = to_batch([read_pixels(row)], prep, [mask])[0]
        found = {name: round(one, 5) for name, one in compare_ways(classifier, image).items()}
        keep(open_checkpoint(recipe_id), pd.DataFrame([{"image_id": row.image_id, **found}]))
        yield f"{recipe_id} {number}/{len(rows)}: {found}"


def keep(checkpoint: Checkpoint, measured: pd.DataFrame) -> None:
    """Add scans to those of the checkpoint."""
    known = _measured(checkpoint)
    table = pd.concat([known, measured], ignore_index=True) if len(known) else measured
    update_checkpoint(checkpoint, {SCORE_CAM_AGREEMENT: parquet(table)})


def _chosen(checkpoint, count: int) -> list:
    """The first of the test scans in a seeded order, as rows of the data set."""
    tested = checkpoint.shipped_run("test")["image_id"]
    table = load_table(checkpoint.recipe.data.dataset)
    table = table[table["image_id"].isin(tested)].sort_values("image_id")
    return list(table.sample(min(count, len(table)), random_state=0).itertuples(index=False))


def _measured(checkpoint: Checkpoint) -> pd.DataFrame:
    if SCORE_CAM_AGREEMENT not in checkpoint.manifest["files"]:
        return pd.DataFrame(columns=["image_id"])
    return checkpoint.table(SCORE_CAM_AGREEMENT)


def main(arguments: list[str] | None = None) -> int:
    """Command line; the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--recipe", action="append", help="default: all trained systems")
    parser.add_argument("--scans", type=command.whole(1), default=SCANS)
    options = parser.parse_args(arguments)
    stopped = "Interrupted. Every finished scan is kept; the same command goes on."
    return command.run(lambda: _measure(options), stopped)


def _measure(options: argparse.Namespace) -> None:
    for recipe_id in options.recipe or list_trained():
        for line in measure(recipe_id, options.scans):
            print(line, flush=True)
        print(recipe_id, agreement(open_checkpoint(recipe_id)))


if __name__ == "__main__":
    sys.exit(main())
