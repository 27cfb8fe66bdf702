"""Scan -> opinion. ``python -m core.predict`` is the command."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.classifiers.base import Classifier, probabilities
from core.explain import Heatmap, grad_cam
from core.preprocessing import to_batch
from core.scans import Scan, ScanError

BATCH = 8
"""Scans of a batch that are seen at a time."""


@dataclass(frozen=True, eq=False)
class Opinion:
    """What a system says of one frame, and where it looked.

    ``probabilities``, calibrated, and ``logits``, as the network gives them, (C,) in the order of
    ``classes``; ``heatmap`` explains class number ``target``; ``pixels`` uint8 (H, W, 3) is the
    frame that was classified; ``features`` float32 (h, w, K) are those of the last layer, for the
    guard.
    """

    recipe_id: str
    classes: tuple[str, ...]
    probabilities: np.ndarray
    logits: np.ndarray
    label: str
    target: int
    heatmap: Heatmap
    pixels: np.ndarray
    features: np.ndarray


def classify(
    classifier: Classifier,
    scan: Scan,
    target: int | None = None,
    frame: int = 0,
    mask: np.ndarray | None = None,
) -> Opinion:
    """Probabilities of one frame and the Grad-CAM of ``target`` (default: the likeliest class).

    ``mask`` bool (H, W) is the outline of the lesion; systems that were trained on outlined
    lesions need it, others do not use it. The backbone runs once for both answers.
    Raises ScanError if the scan has no such frame.
    """
    if not 0 <= frame < len(scan.pixels):
        raise ScanError(f"The scan has {len(scan.pixels)} frames; there is no frame {frame + 1}.")
    recipe, pixels = classifier.recipe, scan.pixels[frame]
    features = classifier.features(to_batch([pixels], recipe.preprocessing, [mask]))
    logits = classifier.logits_from(features)
    predicted = int(logits[0].argmax())
    target = predicted if target is None else target
    explanation = grad_cam(classifier, None, target, features=features)
    return Opinion(
        recipe_id=recipe.id,
        classes=recipe.classes,
        probabilities=probabilities(logits[0], classifier.temperature),
        logits=logits[0],
        label=recipe.classes[predicted],
        target=target,
        heatmap=explanation.heatmaps[0],
        pixels=pixels,
        features=features[0],
    )


def classify_frames(
    classifier: Classifier,
    frames: Sequence[np.ndarray],
    masks: Sequence[np.ndarray | None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities (N, C) and last layer's features (N, h, w, K) of many frames, in one pass.

    ``frames`` uint8 (H, W, 3), of any sizes; ``masks`` as in ``classify``; nothing is explained.
    """
    features = classifier.features(to_batch(frames, classifier.recipe.preprocessing, masks))
    return probabilities(classifier.logits_from(features), classifier.temperature), features
