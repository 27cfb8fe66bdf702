"""Plotly figures and their text alternatives, from arrays and tables alone.

Backgrounds are transparent and text colours are left to the page, so that every figure fits the
light and the dark theme.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Sequence
from functools import lru_cache

import cv2
import numpy as np
import plotly.graph_objects as go
from plotly.colors import sample_colorscale, unlabel_rgb

from core.borders import border_trace

# Name shown -> Plotly colour scale. All but jet are perceptually uniform.
COLOUR_MAPS: dict[str, str] = {
    "Inferno": "Inferno",
    "Magma": "Magma",
    "Viridis": "Viridis",
    "Cividis": "Cividis",
    "Jet (misleading steps)": "Jet",
}

MALIGNANT_SIGN = "▲"
# From unlikely to certain. Orange against blue survives every common colour blindness, and both
# ends keep a contrast of 3:1 on white and on near-black.
MALIGNANT_SCALE = ["#c58238", "#c8450a"]
OTHER_SCALE = ["#8296a8", "#3a7ab0"]

TEXT_SIZE = 14
BAR_HEIGHT = 34
PANEL_WIDTH = 380
MAX_PICTURE_SIDE = 1400
MAX_HEATMAP_SIDE = 128
OPACITY_STEP = 0.05
OVERLAY_TRACE = 3

CLEAR = "rgba(0,0,0,0)"


def malignant_legend(
    classes: Sequence[str], probabilities: np.ndarray, malignant: Collection[str]
) -> str:
    """What the sign beside a class means; with several malignant classes, also their sum."""
    marked = np.isin(classes, list(malignant))
    together = percent(float(probabilities[marked].sum()))
    total = f", together {together}" if marked.sum() > 1 else ""
    return f"{MALIGNANT_SIGN} counts as malignant{total}."


def percent(probability: float) -> str:
    """A probability in [0, 1] as a whole percentage that never claims certainty.

    >>> percent(0.873), percent(0.9991), percent(0.0004)
    ('87 %', '> 99 %', '< 1 %')
    """
    if probability > 0.99:
        return "> 99 %"
    if probability < 0.01:
        return "< 1 %"
    return f"{probability:.0%}".replace("%", " %")


def png(pixels: np.ndarray) -> bytes:
    """Lossless PNG of a uint8 picture (H, W, 3); one channel where all three are the same."""
    grey = pixels[..., 0]
    same = np.array_equal(grey, pixels[..., 1]) and np.array_equal(grey, pixels[..., 2])
    picture = grey if same else cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".png", picture, [cv2.IMWRITE_PNG_COMPRESSION, 2])[1].tobytes()


def likelihood_colour(probability: float, malignant: bool) -> str:
    """Colour of a class by its probability in [0, 1]: warm if malignant, cool if not."""
    scale = MALIGNANT_SCALE if malignant else OTHER_SCALE
    return sample_colorscale(scale, [float(np.clip(probability, 0, 1))])[0]


def probability_bars(
    classes: Sequence[str], probabilities: np.ndarray, malignant_classes: Sequence[str]
) -> go.Figure:
    """One horizontal bar a class, in percent, in the order given; the likeliest name is bold.

    ``probabilities`` has shape (C,) and range [0, 1]. Malignant classes carry ``MALIGNANT_SIGN``
    beside their warm colour, so that colour is never the only cue.
    """
    top = int(np.argmax(probabilities))
    malignant = [name in malignant_classes for name in classes]
    names = [
        f"{name} {MALIGNANT_SIGN}" if bad else name
        for name, bad in zip(classes, malignant, strict=True)
    ]
    names[top] = f"<b>{names[top]}</b>"
    figure = go.Figure(
        go.Bar(
            x=np.asarray(probabilities, dtype=float) * 100,
            y=names,
            orientation="h",
            text=[percent(p) for p in probabilities],
            textposition="outside",
            cliponaxis=False,
            hoverinfo="skip",
            marker_color=[
                likelihood_colour(p, bad) for p, bad in zip(probabilities, malignant, strict=True)
            ],
            marker_line_width=0,
            width=0.62,
        )
    )
    figure.update_xaxes(range=[0, 100], visible=False, fixedrange=True)
    figure.update_yaxes(
        autorange="reversed",
        fixedrange=True,
        showgrid=False,
        ticks="",
        tickfont_size=TEXT_SIZE,
        automargin=True,
    )
    figure.update_layout(
        height=BAR_HEIGHT * len(classes) + 8,
        margin={"l": 0, "r": 56, "t": 4, "b": 4},
        font_size=TEXT_SIZE,
        showlegend=False,
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
    )
    return figure


def evidence_panels(
    pixels: np.ndarray,
    heatmap: np.ndarray,
    explained: str,
    colour_map: str = "Inferno",
    opacity: float = 0.6,
    empty: str | None = None,
    outline: np.ndarray | None = None,
) -> go.Figure:
    """The scan, its heatmap and both together, side by side with one zoom and pan.

    ``pixels`` is uint8 (H, W, 3); ``heatmap`` is float (h, w) in [0, 1] over the same field of
    view, of any resolution; ``explained`` the class it speaks for; ``opacity`` in [0, 1], a
    multiple of OPACITY_STEP, that of the overlay where the evidence is strongest: it fades with
    the evidence. A slider changes it in the browser, so that zoom and pan stay. ``empty`` is
    written over a heatmap that holds no evidence. The border of ``outline``, bool (H, W), is drawn
    on the first and the last picture.
    """
    height, width = pixels.shape[:2]
    scale = COLOUR_MAPS[colour_map]
    picture = picture_trace(pixels)
    grid = heatmap_trace(heatmap, width, height)
    figure = go.Figure(
        [
            go.Image(**picture, xaxis="x", yaxis="y"),
            go.Heatmap(
                **grid,
                xaxis="x2",
                yaxis="y2",
                colorscale=opaque_scale(scale),
                colorbar=colour_bar(explained),
            ),
            go.Image(**picture, xaxis="x3", yaxis="y3"),
            go.Heatmap(
                **grid,
                xaxis="x3",
                yaxis="y3",
                colorscale=fading_scale(scale),
                opacity=opacity,
                showscale=False,
            ),
        ]
    )
    if border := border_trace(outline):
        figure.add_traces([border | {"xaxis": f"x{one}", "yaxis": f"y{one}"} for one in ("", 3)])
    for number, (left, right, toward) in enumerate(_PANELS, start=1):
        suffix = axis_suffix(number)
        figure.update_layout(
            {
                f"xaxis{suffix}": panel_axis(width, [left, right], toward, number, "x"),
                f"yaxis{suffix}": panel_axis(height, [0, 1], "top", number, "y"),
            }
        )
    figure.update_layout(
        height=_panel_height(width, height) + _MARGIN["t"] + _MARGIN["b"],
        margin=_MARGIN,
        annotations=[
            panel_title("Scan", 1),
            panel_title("Overlay", 3),
            *([over_panel(empty, 2)] if empty else []),
        ],
        dragmode="pan",
        sliders=[opacity_slider(opacity, [OVERLAY_TRACE], _PANELS[2][0] + 0.08)],
        modebar={"bgcolor": CLEAR, "orientation": "h"},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
    )
    return figure


EVIDENCE_CONFIG = {
    "scrollZoom": True,
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d", "autoScale2d", "toImage"],
}
"""Plotly configuration of ``evidence_panels``: the wheel zooms, dragging pans, a double click
shows everything again."""


@lru_cache(maxsize=32)
def opaque_scale(name: str, stops: int = 41) -> tuple[tuple[float, str], ...]:
    """A named colour scale as positions in [0, 1] and rgb(...) colours."""
    positions = np.linspace(0, 1, stops).tolist()
    return tuple(zip(positions, sample_colorscale(name, positions), strict=True))


@lru_cache(maxsize=32)
def fading_scale(name: str) -> tuple[tuple[float, str], ...]:
    """The same scale, clear at 0 and opaque at 1."""
    return tuple(
        (at, "rgba({:.0f},{:.0f},{:.0f},{:.3f})".format(*unlabel_rgb(colour), at))
        for at, colour in opaque_scale(name)
    )


def describe_probabilities(classes: Sequence[str], probabilities: np.ndarray) -> str:
    """Text alternative of ``probability_bars``."""
    parts = (f"{name} {percent(p)}" for name, p in zip(classes, probabilities, strict=True))
    return f"Bars of the estimated probabilities: {', '.join(parts)}."


def describe_evidence(name: str, heatmap: np.ndarray, explained: str, empty: str | None) -> str:
    """Text alternative of ``evidence_panels``: what is shown and where the evidence peaks."""
    opening = f"{name} as three linked pictures: the scan, its heatmap for {explained}, and both."
    if empty:
        return f"{opening} {empty}"
    return f"{opening} The evidence is strongest {peak_place(heatmap)} of the picture."


def peak_place(heatmap: np.ndarray) -> str:
    """Where a heatmap (h, w) is largest, in words: "in the upper left", "in the centre", ..."""
    row, column = np.unravel_index(int(np.argmax(heatmap)), heatmap.shape)
    down, across = (row + 0.5) / heatmap.shape[0], (column + 0.5) / heatmap.shape[1]
    vertical = ("upper", "", "lower")[int(3 * down)]
    horizontal = ("left", "", "right")[int(3 * across)]
    words = f"{vertical} {horizontal}".strip()
    single = {"": "centre", "upper": "upper middle", "lower": "lower middle"}
    return f"in the {single.get(words, words)}"


# Panel edges as shares of the figure's width. The outer panels lean inwards, so that on a wide
# screen all three stay together; the pull is where each keeps its picture.
_PANELS = ((0.0, 0.328, "right"), (0.336, 0.664, "center"), (0.672, 1.0, "left"))
_MARGIN = {"l": 0, "r": 0, "t": 66, "b": 4}


def _panel_height(width: int, height: int) -> int:
    return int(np.clip(PANEL_WIDTH * height / width, 220, 480))


# ---------------------------------------------------------------- what panels are made of


def size_within(height: int, width: int, largest: int) -> tuple[int, int]:
    """Height and width of a picture, made smaller alike until no side is above ``largest``."""
    shrink = min(1.0, largest / max(height, width))
    return max(1, round(height * shrink)), max(1, round(width * shrink))


def picture_trace(pixels: np.ndarray, largest: int = MAX_PICTURE_SIDE) -> dict:
    """A scan, uint8 (H, W, 3), as an image trace in its own pixel coordinates.

    One with a side above ``largest`` is thinned out.
    """
    height, width = pixels.shape[:2]
    if max(height, width) > largest:
        size = size_within(height, width, largest)
        pixels = cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA)
    source = "data:image/png;base64," + base64.b64encode(png(pixels)).decode("ascii")
    return {"source": source, "hoverinfo": "skip", **_spacing(pixels.shape, width, height)}


def heatmap_trace(heatmap: np.ndarray, width: int, height: int) -> dict:
    """A heatmap, float (h, w) in [0, 1], over a scan of this size, without its colours."""
    grid = _coarse(heatmap)
    return {
        "z": grid,
        "zmin": 0,
        "zmax": 1,
        "zsmooth": "fast",
        "hovertemplate": "relative evidence %{z:.2f}<extra></extra>",
        **_spacing(grid.shape, width, height),
    }


def axis_suffix(number: int) -> str:
    """What Plotly writes after "x" and "y" for panel ``number``, counted from 1."""
    return "" if number == 1 else str(number)


def panel_axis(length: int, domain: list, toward: str, number: int, letter: str) -> dict:
    """One axis of panel ``number`` over ``length`` pixels; all zoom and pan with the first."""
    first, last = -0.5, length - 0.5
    anchor = ("y" if letter == "x" else "x") + axis_suffix(number)
    axis = {
        "domain": domain,
        "anchor": anchor,
        "visible": False,
        "range": [first, last] if letter == "x" else [last, first],
        "minallowed": first,
        "maxallowed": last,
        "constrain": "domain",
        "constraintoward": toward,
    }
    if number > 1:
        axis["matches"] = letter
    if letter == "y":
        axis["scaleanchor"] = anchor
    return axis


def colour_bar(explained: str) -> dict:
    """A colour bar in place of the heatmap's title: it stays there on every width of screen."""
    return {
        "orientation": "h",
        "x": 0.5,
        "xanchor": "center",
        "xpad": 0,
        "y": 1,
        "yanchor": "bottom",
        "ypad": 3,
        "lenmode": "pixels",
        "len": 270,
        "thickness": 8,
        "outlinewidth": 0,
        "tickvals": [0, 0.5, 1],
        "ticktext": ["0", f"relative evidence for {explained}", "1"],
        "tickfont": {"size": TEXT_SIZE},
        "ticks": "",
    }


def opacity_slider(opacity: float, traces: list[int], x: float) -> dict:
    """A slider above the panels, from ``x`` on; it restyles overlays without the server."""
    count = round(1 / OPACITY_STEP)
    steps = [
        {
            "label": "",
            "method": "restyle",
            "args": [{"opacity": number / count}, traces],
        }
        for number in range(count + 1)
    ]
    return {
        "active": round(opacity * count),
        "steps": steps,
        "x": x,
        "lenmode": "pixels",
        "len": 190,
        "y": 1,
        "yanchor": "bottom",
        "pad": {"l": 0, "r": 0, "t": 0, "b": 0},
        "currentvalue": {"visible": False},
        "font": {"size": 1, "color": CLEAR},
        "ticklen": 0,
        "minorticklen": 0,
        "bgcolor": "#7f8c97",
        "borderwidth": 0,
    }


def panel_title(text: str, number: int) -> dict:
    """Text above panel ``number``, at its left edge."""
    return {
        "text": text,
        "xref": f"x{axis_suffix(number)} domain",
        "x": 0,
        "xanchor": "left",
        "yref": "paper",
        "y": 1,
        "yanchor": "bottom",
        "yshift": 2,
        "showarrow": False,
        "font": {"size": TEXT_SIZE},
    }


def over_panel(text: str, number: int) -> dict:
    """Text over the middle of panel ``number``."""
    return {
        "text": text,
        "xref": f"x{axis_suffix(number)} domain",
        "x": 0.5,
        "yref": f"y{axis_suffix(number)} domain",
        "y": 0.5,
        "showarrow": False,
        "font": {"size": 13, "color": "#f5f5f5"},
        "bgcolor": "rgba(20,20,20,0.75)",
        "borderpad": 6,
    }


def _coarse(heatmap: np.ndarray) -> np.ndarray:
    """The heatmap at no more than MAX_HEATMAP_SIDE a side; the browser smooths it when drawing."""
    size = size_within(*heatmap.shape, MAX_HEATMAP_SIDE)
    return cv2.resize(heatmap.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)


def _spacing(shape: tuple[int, ...], width: int, height: int) -> dict:
    """Cell centres of a grid over the scan, whose pixel i covers [i - 0.5, i + 0.5]."""
    dy, dx = height / shape[0], width / shape[1]
    return {"x0": dx / 2 - 0.5, "dx": dx, "y0": dy / 2 - 0.5, "dy": dy}
