"""What goes wrong with scans of the own kind, in four strengths each: for judging the guard.

After Hendrycks and Dietterich (ICLR 2019), with what happens to a scan on its way into a browser:
a screen capture with the program's frame around it, a crop that cuts the anatomy off.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Corruption = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""Pixels uint8 (H, W, 3) and a strength to changed pixels; the generator draws what is random."""

_SCREEN, _BAR, _TEXT = 236, 60, 90  # greys of a program's window


def blur(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian blur; ``strength`` is sigma as a share of the shorter side."""
    return cv2.GaussianBlur(pixels, (0, 0), strength * min(pixels.shape[:2]))


def noise(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Gaussian noise, the same in all channels; ``strength`` is sigma in grey levels."""
    added = random.normal(0, strength, pixels.shape[:2])[..., None]
    return np.clip(np.rint(pixels + added), 0, 255).astype(np.uint8)


def crop(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """The middle of the picture; ``strength`` is the share of each side that is cut away."""
    height, width = pixels.shape[:2]
    top, left = (round(side * strength / 2) for side in (height, width))
    return np.ascontiguousarray(pixels[top : height - top, left : width - left])


def contrast(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """Greys drawn together about their mean; ``strength`` is the share of contrast that is lost."""
    mean = pixels.mean()
    return np.rint(mean + (1 - strength) * (pixels - mean)).astype(np.uint8)


def screenshot(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    """The picture in a program's window; ``strength`` is the frame's width as a share of each side,
    on every side: a dark title bar, a light panel with lines of text."""
    height, width = pixels.shape[:2]
    down, across = round(height * strength), round(width * strength)
    window = np.full((height + 2 * down, width + 2 * across, 3), _SCREEN, np.uint8)
    window[: max(1, down // 2)] = _BAR
    step = max(4, height // 24)
    for row in range(down, height + down, step):
        end = round(across * random.uniform(0.3, 0.9))
        window[row : row + max(1, step // 3), across // 10 : end] = _TEXT
    window[down : down + height, across : across + width] = pixels
    return window


CORRUPTIONS: dict[str, tuple[Corruption, tuple[float, ...]]] = {
    "blur": (blur, (0.0025, 0.005, 0.01, 0.02)),
    "noise": (noise, (10, 25, 50, 80)),
    "crop": (crop, (0.1, 0.25, 0.5, 0.7)),
    "contrast": (contrast, (0.25, 0.5, 0.75, 0.9)),
    "screenshot": (screenshot, (0.05, 0.1, 0.2, 0.3)),
}
"""Name -> the change and its strengths, from slight to strong."""

_MOVES = {"crop", "screenshot"}


def corrupt(
    name: str, pixels: np.ndarray, mask: np.ndarray | None, strength: float, seed: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """A changed scan and its region, bool (H, W) or None, which moves where the picture does."""
    change = CORRUPTIONS[name][0]
    changed = change(pixels, strength, np.random.default_rng(seed))
    if mask is None or name not in _MOVES:
        return changed, mask
    if name == "crop":
        white = np.repeat(np.uint8(255) * mask[..., None], 3, axis=2)
        return changed, crop(white, strength, np.random.default_rng(seed))[..., 0] > 0
    down, across = (
        (new - old) // 2 for new, old in zip(changed.shape[:2], mask.shape, strict=True)
    )
    return changed, np.pad(mask, ((down, down), (across, across)))
