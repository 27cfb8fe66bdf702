"""The pictures of a report: the scan, its outline and every chosen heatmap over it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from plotly.colors import unlabel_rgb

from core.borders import draw_border
from core.explain.overlay import overlay
from core.explain.registry import METHODS
from core.figures.opinion import peak_place
from core.figures.style import COLOUR_MAPS, opaque_scale
from core.findings import Findings

LARGEST_SIDE = 900
"""In pixels: 300 to the inch at the largest size that a report prints."""
_SMALLEST_SIDE = 500
_OPACITY = 0.6
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
# No colours of half the resolution: the outline is one or two pixels wide.
_SHARP = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]


@dataclass(frozen=True, eq=False)
class Picture:
    """A JPEG with its size in pixels, its title, what stands below it, and its text alternative."""

    jpeg: bytes
    width: int
    height: int
    title: str
    caption: str
    alt: str


def pictures_of(findings: Findings) -> tuple[Picture, ...]:
    """The scan, the outline on it if there is one, and the overlays in the order chosen."""
    scan = _fitted(findings.opinion.pixels, findings.aspect)
    outline = findings.region
    found = [_picture(scan, "Scan", "", "The scan as it was examined.")]
    if outline is not None:
        place = f"The scan with the outline of the region, {_middle(outline)} of the picture."
        found.append(_picture(_outlined(scan, outline), "Region", "", place))
    for one in findings.maps:
        found.append(_overlay(scan, outline, one, findings.explained))
    return tuple(found)


def marked(findings: Findings) -> np.ndarray:
    """The frame with the first heatmap and the outline, uint8 (H, W, 3), in its own size."""
    pixels = findings.opinion.pixels
    if findings.maps:
        pixels = overlay(pixels, findings.maps[0].heatmap, _OPACITY)
    return pixels if findings.region is None else _outlined(pixels, findings.region)


def marking(findings: Findings) -> str:
    """What ``marked`` shows over the scan, in a few words."""
    asked = f"{findings.explained} ({findings.recipe.id})"
    maps = [f"{METHODS[one.method].name} for {asked}" for one in findings.maps[:1]]
    outline = ["outline"] if findings.region is not None else []
    return ", ".join([*maps, *outline]) or "Scan as examined"


def colour_bar_png(width: int = 256, height: int = 12) -> bytes:
    """PNG of the colours of the overlays, from no evidence (left) to the most."""
    stops = opaque_scale(COLOUR_MAPS["Inferno"], width)
    colours = np.array([unlabel_rgb(colour) for _, colour in stops]).round().astype(np.uint8)
    bar = np.repeat(colours[None], height, axis=0)
    return cv2.imencode(".png", bar[..., ::-1])[1].tobytes()


def _overlay(scan: np.ndarray, outline: np.ndarray | None, one, explained: str) -> Picture:
    heatmap, title = one.heatmap, METHODS[one.method].name
    pixels = overlay(scan, heatmap, _OPACITY)
    if outline is not None:
        pixels = _outlined(pixels, outline)
    if heatmap.note:
        return _picture(pixels, title, heatmap.note, f"{title} for {explained}. {heatmap.note}")
    place = f"strongest {peak_place(heatmap.values)}"
    alt = f"{title} over the scan. The evidence for {explained} is {place} of the picture."
    return _picture(pixels, title, place, alt)


def _picture(pixels: np.ndarray, title: str, caption: str, alt: str) -> Picture:
    jpeg = cv2.imencode(".jpg", pixels[..., ::-1], [*_JPEG, *_SHARP])[1].tobytes()
    return Picture(jpeg, pixels.shape[1], pixels.shape[0], title, caption, alt)


def _fitted(pixels: np.ndarray, aspect: float) -> np.ndarray:
    """The scan at a size that prints well, a pixel of it ``aspect`` times as high as wide; outlines
    are drawn after that."""
    height, width = pixels.shape[0] * aspect, pixels.shape[1]
    side = max(height, width)
    factor = min(max(side, _SMALLEST_SIDE), LARGEST_SIDE) / side
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC)


def _outlined(pixels: np.ndarray, mask: np.ndarray) -> np.ndarray:
    drawn = np.ascontiguousarray(pixels).copy()
    draw_border(drawn, mask, max(1, round(max(pixels.shape) / 300)))
    return drawn


def _middle(mask: np.ndarray) -> str:
    """Where the middle of a region is, in words."""
    coarse = cv2.resize(mask.astype(np.float32), (48, 48), interpolation=cv2.INTER_AREA)
    return peak_place(cv2.GaussianBlur(coarse, (0, 0), 6))
