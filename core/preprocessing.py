"""From pixels to network input: the same code in training, evaluation and the browser."""

from __future__ import annotations

import cv2
import numpy as np

from core.polarity import normalise_polarity
from core.recipe import Preprocessing

# RGB mean and standard deviation of ImageNet in the unit range (Russakovsky et al., 2015,
# as used by torchvision and timm).
IMAGENET_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
IMAGENET_STD = np.array([0.229, 0.224, 0.225], np.float32)

# value range -> (scale, offset) with  x -> x * scale + offset  on pixels 0..255
_RANGES = {
    "byte": (1.0, 0.0),
    "unit": (1 / 255, 0.0),
    "signed": (1 / 127.5, -1.0),
    "imagenet": (1 / (255 * IMAGENET_STD), -IMAGENET_MEAN / IMAGENET_STD),
}


def fit(
    pixels: np.ndarray, preprocessing: Preprocessing, mask: np.ndarray | None = None
) -> np.ndarray:
    """Set the polarity right, cut the region of interest out, bring an image to the network's size.

    ``pixels`` uint8 (H, W, 3); ``mask`` bool (H, W), True inside the lesion, used by recipes
    whose region is ``mask`` (pixels outside become 0). Returns uint8 (h, w, 3). The image is
    stretched to the network's aspect ratio, as the papers do.
    """
    return _resize(shown(pixels, preprocessing, mask), preprocessing.size)


def shown(
    pixels: np.ndarray, preprocessing: Preprocessing, mask: np.ndarray | None = None
) -> np.ndarray:
    """What of an image a network gets to see, at the image's own size; arguments as in ``fit``."""
    if preprocessing.dark_air:
        pixels = normalise_polarity(pixels)
    if preprocessing.outlined and mask is not None:
        pixels = np.where(mask[..., None], pixels, np.uint8(0))
    return pixels


def fit_mask(mask: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Bring a mask, bool (H, W), to the network's size: bool (h, w)."""
    return resized_mask(mask, *preprocessing.size)


def resized_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A mask, bool (H, W), in another size: bool (height, width).

    It stays where it lies on its picture; OpenCV's plain INTER_NEAREST would move it by half a
    pixel.
    """
    if mask.shape == (height, width):
        return mask
    exact = cv2.INTER_NEAREST_EXACT
    return cv2.resize(mask.astype(np.uint8), (width, height), interpolation=exact).astype(bool)


def scale(images: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Pixels of 0..255 (N, h, w, 3) in the recipe's value range, float32, channels last."""
    factor, offset = _RANGES[preprocessing.value_range]
    return np.asarray(images, np.float32) * np.float32(factor) + np.float32(offset)


def to_pixels(batch: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The pictures that a batch (N, h, w, 3) in the recipe's value range stands for, uint8: what
    ``scale`` undoes, cut at 0 and 255."""
    factor, offset = _RANGES[preprocessing.value_range]
    pixels = (batch - np.float32(offset)) / np.float32(factor)
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def to_batch(
    images: list[np.ndarray],
    preprocessing: Preprocessing,
    masks: list[np.ndarray | None] | None = None,
) -> np.ndarray:
    """Images uint8 (H, W, 3) of any sizes as one batch, float32 (N, h, w, 3)."""
    masks = masks or [None] * len(images)
    fitted = [fit(image, preprocessing, mask) for image, mask in zip(images, masks, strict=True)]
    return scale(np.stack(fitted), preprocessing)


def overlay_mask(image: np.ndarray, mask: np.ndarray, dimming: float) -> np.ndarray:
    """Dim what lies outside the lesion: ``I*M + (1 - dimming) * I*(1 - M)``.

    ``image`` uint8 (h, w, 3), ``mask`` bool (h, w). An image without lesion is left alone.
    """
    if not mask.any():
        return image
    weight = np.where(mask, 1.0, 1.0 - dimming)[..., None]
    return np.rint(image * weight).astype(np.uint8)


def _resize(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    height, width = size
    shrinks = pixels.shape[0] >= height and pixels.shape[1] >= width
    # Area averaging is free of aliasing when shrinking and blocky when enlarging.
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(pixels, (width, height), interpolation=interpolation)
