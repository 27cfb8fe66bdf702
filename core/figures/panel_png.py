"""The figure of ``panel_grid`` as one picture with captions, to put into a text or on a slide."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache
from math import ceil

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont
from plotly.colors import unlabel_rgb

from core.borders import draw_border
from core.figures.panel_grid import Panel, PanelRow, bands, caption_lines, wrapped
from core.figures.style import COLOUR_MAPS, opaque_scale

CELL = 360
"""Width of a picture's place, in pixels."""
TALLEST = 2 * CELL
"""Most pixels that a picture is high."""

_GAP, _EDGE, _LINE = 12, 28, 26
_INK, _PAPER, _GREY = "#17232e", "white", "#51606c"
_NO_BACK = "#141414"
_BAR = (240, 12)


def grid_png(
    rows: Sequence[PanelRow],
    heading: str,
    explained: str,
    colour_map: str = "Inferno",
    opacity: float = 0.6,
    outline: np.ndarray | None = None,
    foot: str = "",
) -> bytes:
    """PNG, dark text on white: ``heading``, all rows with names and captions, colour bar, ``foot``.

    It is as wide as the places of its pictures, or as its words need. The other arguments are those
    of ``panel_grid``.
    """
    parts = bands(rows)
    wide, tall = _fitted(*rows[0].pixels.shape[:2], rows[0].aspect)
    step = tall + (2 + caption_lines(parts)) * _LINE + _GAP
    across = 1 + len(parts[0].panels)
    label = f"relative evidence for {explained}"
    key = max(_BAR[0] + 20, _font(14).getlength(label))
    needed = (
        across * (CELL + _GAP) - _GAP,
        _font(22).getlength(heading) + 2 * _GAP + key,
        _font(14).getlength(foot),
    )
    size = (
        2 * _EDGE + ceil(max(needed)),
        2 * _EDGE + 2 * _LINE + len(parts) * step + _LINE,
    )
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((_EDGE, _EDGE), heading, _INK, _font(22))
    _draw_bar(sheet, draw, size[0] - _EDGE, label, colour_map)
    for number, band in enumerate(parts):
        top = _EDGE + 2 * _LINE + number * step
        draw.text((_EDGE, top), band.title, _INK, _font(18))
        for column, panel in enumerate((Panel("Scan", None), *band.panels)):
            left = _EDGE + column * (CELL + _GAP)
            picture = _blend(band.pixels, panel.values, colour_map, opacity, (wide, tall))
            if outline is not None:
                draw_border(picture, outline, 2)
            sheet.paste(Image.fromarray(picture), (left + (CELL - wide) // 2, top + 2 * _LINE))
            _draw_words(draw, panel, (left, top + _LINE), tall)
    draw.text((_EDGE, size[1] - _EDGE - 18), foot, _GREY, _font(14))
    file = io.BytesIO()
    sheet.save(file, "PNG")
    return file.getvalue()


def _fitted(height: int, width: int, aspect: float) -> tuple[int, int]:
    """Width and height of a picture, of the shape of the scan."""
    scale = min(CELL / width, TALLEST / (aspect * height))
    return max(1, round(scale * width)), max(1, round(scale * aspect * height))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


@cache
def _colours(colour_map: str) -> np.ndarray:
    """The scale as uint8 (256, 3)."""
    stops = opaque_scale(COLOUR_MAPS[colour_map], 256)
    return np.array([unlabel_rgb(colour) for _, colour in stops]).round().astype(np.uint8)


def _blend(
    pixels: np.ndarray,
    values: np.ndarray | None,
    colour_map: str,
    opacity: float,
    size: tuple[int, int],
) -> np.ndarray:
    """The map over the scan, fading with the evidence, uint8 (H, W, 3) of ``size``."""
    shrinks = size[0] < pixels.shape[1]
    picture = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)
    if values is None:
        return picture
    grid = cv2.resize(values.astype(np.float32), size, interpolation=cv2.INTER_LINEAR).clip(0, 1)
    colours = _colours(colour_map)[np.rint(255 * grid).astype(int)]
    weight = opacity * grid[..., None]
    return np.rint(picture * (1 - weight) + colours * weight).astype(np.uint8)


def _draw_words(
    draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int], tall: int
) -> None:
    """Its name above a picture of this height, its caption below, its note upon it."""
    left, top = corner
    draw.text((left, top), panel.name, _INK, _font(17))
    draw.text((left, top + _LINE + tall + 3), panel.caption, _GREY, _font(15))
    if panel.note:
        _draw_note(draw, panel.note, (left + CELL // 2, top + _LINE + tall // 2))


def _draw_note(draw: ImageDraw.ImageDraw, note: str, middle: tuple[int, int]) -> None:
    text, style = "\n".join(wrapped(note)), {"font": _font(16), "anchor": "mm", "align": "center"}
    left, top, right, bottom = draw.textbbox(middle, text, **style)
    draw.rectangle((left - 8, top - 6, right + 8, bottom + 6), _NO_BACK)
    draw.text(middle, text, "#f5f5f5", **style)


def _draw_bar(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    right: int,
    label: str,
    colour_map: str,
) -> None:
    """The colour bar with its ends and what it measures, at the upper right."""
    beyond = max(0, ceil(_font(14).getlength(label) - _BAR[0]) // 2 - 14)
    left, top = right - _BAR[0] - 14 - beyond, _EDGE + 2
    bar = np.repeat(_colours(colour_map)[None], _BAR[1], axis=0)
    sheet.paste(Image.fromarray(bar).resize(_BAR), (left, top))
    for x, text, anchor in ((left - 6, "0", "rm"), (left + _BAR[0] + 6, "1", "lm")):
        draw.text((x, top + _BAR[1] // 2), text, _INK, _font(14), anchor=anchor)
    draw.text((left + _BAR[0] // 2, top + _BAR[1] + 4), label, _INK, _font(14), anchor="ma")
