"""The images of one run, held at the network's size and drawn in seeded batches."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd

from core import augmentation, preprocessing
from core.datasets import DatasetError, read_mask, read_pixels
from core.recipe import Recipe


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Images uint8 (N, h, w, 3), lesion masks bool (N, h, w) and class indices int64 (N,).

    The first ``originals`` of them come from the data set; resampling added the others.
    """

    images: np.ndarray
    masks: np.ndarray
    labels: np.ndarray
    originals: int

    def __len__(self) -> int:
        return len(self.labels)


def read_images(table: pd.DataFrame, recipe: Recipe) -> ImageSet:
    """All images of a table, cut and resized as the recipe says.

    Raises DatasetError for a file that cannot be read, and for an image without the mask that the
    recipe learns from: taken as it is, it would be the only one that shows what lies outside, and
    a training without any would bear the name of one with them.
    """
    prep, learned = recipe.preprocessing, recipe.training.second_task
    needs_masks = prep.outlined or prep.training_overlay is not None or learned is not None
    images, masks = [], []
    for row in table.itertuples():
        mask = read_mask(row)
        if mask is None and needs_masks:
            raise DatasetError(
                f"The image {row.path} has no mask, and this recipe learns from the outlines of "
                "lesions. Copy its mask beside it, or remove the image."
            )
        images.append(preprocessing.fit(read_pixels(row), prep, mask))
        masks.append(
            np.zeros(prep.size, bool) if mask is None else preprocessing.fit_mask(mask, prep)
        )
    labels = table["label"].map(recipe.classes.index).to_numpy(np.int64)
    return ImageSet(np.stack(images), np.stack(masks), labels, len(labels))


def digest(*parts: ImageSet) -> str:
    """sha256 (hexadecimal) of pixels, masks and labels, in their order, and of which part they are
    in: of all that a run learns from."""
    found = hashlib.sha256()
    for part in parts:
        for array in (part.images, part.masks, part.labels):
            found.update(f"{array.shape}".encode())
            found.update(np.ascontiguousarray(array))
    return found.hexdigest()


def subset(images: ImageSet, chosen: np.ndarray) -> ImageSet:
    """The images at a boolean or integer index."""
    labels = images.labels[chosen]
    return ImageSet(images.images[chosen], images.masks[chosen], labels, len(labels))


def balance(images: ImageSet, recipe: Recipe, seed: int) -> ImageSet:
    """Resample the classes as the recipe says; masks go with their images, also in SMOTE, whose
    neighbours are thus the nearest in image and mask together."""
    stacked = np.concatenate([images.images, images.masks[..., None] * np.uint8(255)], axis=-1)
    stacked, labels = augmentation.resample(
        stacked, images.labels, recipe.training.resampling, seed
    )
    return ImageSet(stacked[..., :3].copy(), stacked[..., 3] > 127, labels, images.originals)


def training_batches(
    images: ImageSet, recipe: Recipe, seed: int, epoch: int
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Augmented batches of one epoch in random order: float32 (n, h, w, 3), labels (n,) and lesion
    masks bool (n, h, w).

    What is drawn depends on the seed, the epoch and the image alone. A last batch of a single
    image is left out, since batch norms cannot learn from it.
    """
    order = np.random.default_rng([seed, epoch]).permutation(len(images))
    size = recipe.training.batch_size
    for start in range(0, len(order), size):
        chosen = order[start : start + size]
        if len(chosen) > 1:
            changed = [_training_image(images, i, recipe, seed, epoch) for i in chosen]
            batch, masks = (np.stack(part) for part in zip(*changed, strict=True))
            yield preprocessing.scale(batch, recipe.preprocessing), images.labels[chosen], masks


def evaluation_batches(images: ImageSet, recipe: Recipe, size: int = 32) -> Iterator[np.ndarray]:
    """Unchanged batches in order, float32 (n, h, w, 3)."""
    for start in range(0, len(images), size):
        yield preprocessing.scale(images.images[start : start + size], recipe.preprocessing)


def _training_image(
    images: ImageSet, index: int, recipe: Recipe, seed: int, epoch: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng([seed, epoch, int(index)])
    image, mask = images.images[index], images.masks[index]
    overlay = recipe.preprocessing.training_overlay
    if overlay is not None and rng.random() < overlay.probability:
        image = preprocessing.overlay_mask(image, mask, overlay.dimming)
    if recipe.augmentation.applies_to == "all" or index >= images.originals:
        return augmentation.augment_with_mask(image, mask, recipe.augmentation, rng)
    return image, mask
