"""Random changes to training images, and resampling of unequal classes.

Every function takes its own random generator: the same seed gives the same images.
"""

from __future__ import annotations

import cv2
import numpy as np

from core.recipe import Augmentation
from core.refusal import Refusal

_NEIGHBOURS = 5  # of an image in SMOTE, as in the paper


def augment(image: np.ndarray, recipe: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """One randomly changed copy of an image, uint8 (h, w, 3)."""
    moved = _move(image, recipe, rng)
    return _recolour(moved, recipe, rng)


def augment_with_mask(
    image: np.ndarray, mask: np.ndarray, recipe: Augmentation, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """``augment``, and the mask, bool (h, w), moved with the image in one interpolation."""
    moved = _move(np.dstack([image, mask.astype(np.uint8) * 255]), recipe, rng)
    picture = _recolour(np.ascontiguousarray(moved[..., :3]), recipe, rng)
    return picture, moved[..., 3] > 127


def _move(image: np.ndarray, recipe: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Flip, rotate, shift, shear and zoom about the centre, in one interpolation."""
    height, width = image.shape[:2]
    flip = -1.0 if rng.random() < recipe.horizontal_flip else 1.0
    angle = np.deg2rad(rng.uniform(-recipe.rotation, recipe.rotation))
    shear = np.tan(np.deg2rad(rng.uniform(-recipe.shear, recipe.shear)))
    zoom = 1.0 + rng.uniform(-recipe.zoom, recipe.zoom)
    shift = rng.uniform(-recipe.shift, recipe.shift, 2) * (width, height)

    cos, sin = np.cos(angle), np.sin(angle)
    linear = zoom * np.array([[cos, -sin], [sin, cos]]) @ [[1, shear], [0, 1]] @ [[flip, 0], [0, 1]]
    if np.array_equal(linear, np.eye(2)) and not shift.any():
        return image
    centre = np.array([(width - 1) / 2, (height - 1) / 2])
    offset = centre + shift - linear @ centre
    matrix = np.column_stack([linear, offset])
    return cv2.warpAffine(
        image, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101
    )


def _recolour(image: np.ndarray, recipe: Augmentation, rng: np.random.Generator) -> np.ndarray:
    """Brightness, contrast, saturation and hue, in this order."""
    amounts = (recipe.brightness, recipe.contrast, recipe.saturation)
    brightness, contrast, saturation = (1.0 + rng.uniform(-a, a) for a in amounts)
    hue = rng.uniform(-recipe.hue, recipe.hue)
    if not any((*amounts, recipe.hue)):
        return image
    values = image.astype(np.float32) * brightness
    mean = cv2.cvtColor(np.clip(values, 0, 255), cv2.COLOR_RGB2GRAY).mean()
    values = np.clip((values - mean) * contrast + mean, 0, 255)
    if recipe.saturation or recipe.hue:
        hsv = cv2.cvtColor(values / 255, cv2.COLOR_RGB2HSV)
        hsv[..., 0] = (hsv[..., 0] + 360 * hue) % 360
        hsv[..., 1] = np.clip(hsv[..., 1] * saturation, 0, 1)
        values = cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB) * 255
    return np.rint(np.clip(values, 0, 255)).astype(np.uint8)


def resample(
    images: np.ndarray, labels: np.ndarray, method: str, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Even out the classes of a training set.

    ``images`` uint8 (N, h, w, 3), ``labels`` int (N,). ``none`` changes nothing, ``random``
    repeats images of the smaller classes, ``smote`` interpolates between neighbours in pixel
    space (Chawla et al., 2002). Returns at least as many images, every class equally often;
    the given images come first and in their order. Raises Refusal where SMOTE has too few images
    of a class.
    """
    if method == "none":
        return images, labels
    from imblearn.over_sampling import SMOTE, RandomOverSampler

    samplers = {
        "random": RandomOverSampler(random_state=seed),
        "smote": SMOTE(k_neighbors=_NEIGHBOURS, random_state=seed),
    }
    flat = images.reshape(len(images), -1)
    if method == "smote":
        _check_neighbours(labels)
        flat = flat.astype(np.float32)  # differences of neighbours would wrap around in uint8
    flat, labels = samplers[method].fit_resample(flat, labels)
    whole = flat if flat.dtype == np.uint8 else np.rint(flat).astype(np.uint8)
    return whole.reshape(-1, *images.shape[1:]), labels


def _check_neighbours(labels: np.ndarray) -> None:
    fewest = np.unique(labels, return_counts=True)[1].min()
    if fewest <= _NEIGHBOURS:
        raise Refusal(
            f"SMOTE needs {_NEIGHBOURS + 1} training images of each class, and of one there are "
            f"{fewest}. Give the whole data set."
        )
