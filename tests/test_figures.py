"""Figures against known answers: numbers, geometry, colours, and their text alternatives."""

from __future__ import annotations

import base64

import cv2
import numpy as np
import pandas as pd
import pytest
from plotly.colors import unlabel_rgb

from core import wording
from core.figures import datasets, opinion, panels, style
from core.figures.systems import Matrix, confusion_figure
from core.png import png

CLASSES = ("benign", "malignant", "normal")
LIGHT, DARK = (255, 255, 255), (17, 23, 28)
# Machado, Oliveira and Fernandes (IEEE TVCG 2009), severity 1.0, on linear RGB.
COLOUR_BLINDNESS = {
    "protan": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deutan": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritan": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}


def test_a_speckled_map_is_drawn_up_to_its_largest_value():
    """Made smaller by averaging, a single bright pixel would be drawn at a fraction of itself."""
    speckled = np.zeros((448, 448), np.float32)
    speckled[100, 100], speckled[300, 200] = 1, 0.5
    drawn = panels.heatmap_trace(speckled, 900, 900)["z"]
    assert drawn.shape == (224, 224)
    assert (drawn[50, 50], drawn[150, 100]) == (pytest.approx(1), pytest.approx(0.5))
    small = np.random.default_rng(0).random((224, 224)).astype(np.float32)
    assert np.array_equal(panels.heatmap_trace(small, 900, 900)["z"], small)
    assert not panels.heatmap_trace(0 * speckled, 900, 900)["z"].any()


def linear(rgb) -> np.ndarray:
    """sRGB 0..255 -> linear 0..1."""
    share = np.asarray(rgb, float) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def contrast(one, other) -> float:
    """Contrast ratio of WCAG 2."""
    a, b = (linear(colour) @ [0.2126, 0.7152, 0.0722] + 0.05 for colour in (one, other))
    return max(a, b) / min(a, b)


def lightness(rgb) -> float:
    """CIE L* of an sRGB colour."""
    y = linear(rgb) @ [0.2126, 0.7152, 0.0722]
    return 116 * np.cbrt(y) - 16 if y > 0.008856 else 903.3 * y


def decoded(source: str) -> np.ndarray:
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"))
    return cv2.cvtColor(
        cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB
    )


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (47, 60, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0.5, "50 %"), (0.873, "87 %"), (0.0, "< 1 %"), (0.009, "< 1 %"), (0.011, "1 %"),
     (0.99, "99 %"), (0.9951, "> 99 %"), (1.0, "> 99 %")],
)  # fmt: skip
def test_a_percentage_never_claims_certainty(probability, text):
    assert wording.percent(probability) == text


@pytest.mark.parametrize("grey", [True, False])
def test_png_is_lossless(pixels, grey):
    if grey:
        pixels = np.repeat(pixels[..., :1], 3, axis=2)
    back = cv2.imdecode(np.frombuffer(png(pixels), np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(back[..., ::-1], pixels)


def test_bars_are_percentages_in_the_order_of_the_recipe():
    figure = opinion.probability_bars(CLASSES, np.array([0.2, 0.7, 0.1]), ("malignant",))
    bar = figure.data[0]
    assert bar.x == pytest.approx([20, 70, 10])
    assert bar.text == ("20 %", "70 %", "10 %")
    assert bar.y == ("benign", f"<b>malignant {wording.MALIGNANT_SIGN}</b>", "normal")
    assert figure.layout.yaxis.autorange == "reversed", "the first class is the uppermost bar"


def test_classes_named_like_dates_or_numbers_are_on_no_date_or_number_axis():
    """Without a type, Plotly makes a date axis of the first, and a number axis of the second."""
    for names in (["2024-01", "2024-02"], ["1", "10"]):
        matrix = Matrix("system", "grouped", names, np.eye(2), names)
        facts = pd.DataFrame({"label": names, "area": [0.1, 0.2]})
        axes = [
            datasets.class_bars(pd.Series([1, 2], names)).layout.xaxis,
            datasets.boxes(facts, "area", "Area").layout.xaxis,
            opinion.probability_bars(names, np.array([0.4, 0.6]), ()).layout.yaxis,
            confusion_figure([matrix], shares=False).layout.xaxis,
            confusion_figure([matrix], shares=False).layout.yaxis,
        ]
        assert [axis.type for axis in axes] == ["category"] * len(axes)


def test_malignant_bars_are_warm_and_others_cool():
    figure = opinion.probability_bars(CLASSES, np.array([0.2, 0.7, 0.1]), ("malignant",))
    colours = [unlabel_rgb(colour) for colour in figure.data[0].marker.color]
    assert [red > blue for red, _, blue in colours] == [False, True, False]


@pytest.mark.parametrize("malignant", [True, False])
@pytest.mark.parametrize("background", [LIGHT, DARK])
def test_bars_stand_out_from_both_themes(malignant, background):
    for probability in np.linspace(0, 1, 11):
        colour = unlabel_rgb(style.likelihood_colour(probability, malignant))
        assert contrast(colour, background) >= 3


@pytest.mark.parametrize("kind", COLOUR_BLINDNESS)
def test_likely_malignant_differs_from_likely_benign_for_the_colour_blind(kind):
    seen = []
    for malignant in (True, False):
        rgb = linear(unlabel_rgb(style.likelihood_colour(0.9, malignant)))
        shifted = np.clip(COLOUR_BLINDNESS[kind] @ rgb, 0, 1).astype(np.float32)
        seen.append(cv2.cvtColor(shifted[None, None], cv2.COLOR_LRGB2Lab)[0, 0])
    assert np.linalg.norm(seen[0] - seen[1]) > 30


def test_panels_show_the_very_pixels_and_share_one_view(pixels):
    figure = opinion.evidence_panels(pixels, np.eye(7), "benign")
    scan, _, under, _ = figure.data
    assert np.array_equal(decoded(scan.source), pixels)
    assert under.source == scan.source
    layout = figure.layout
    assert (layout.xaxis2.matches, layout.xaxis3.matches) == ("x", "x")
    assert (layout.yaxis2.matches, layout.yaxis3.matches) == ("y", "y")
    assert [axis.scaleanchor for axis in (layout.yaxis, layout.yaxis2, layout.yaxis3)] == [
        "x", "x2", "x3",
    ]  # fmt: skip
    assert layout.xaxis.range == (-0.5, 59.5)
    assert layout.yaxis.range == (46.5, -0.5), "row 0 is at the top"
    assert opinion.EVIDENCE_CONFIG["scrollZoom"]


def test_pixels_that_are_not_square_are_drawn_as_they_lie_in_the_body(pixels):
    high = opinion.evidence_panels(pixels, np.eye(7), "benign", aspect=2).layout
    square = opinion.evidence_panels(pixels, np.eye(7), "benign").layout
    axes = ("yaxis", "yaxis2", "yaxis3")
    assert [high[name].scaleratio for name in axes] == [2, 2, 2]
    assert [square[name].scaleratio for name in axes] == [1, 1, 1]
    assert high.height > square.height


@pytest.mark.parametrize("shape", [(7, 7), (5, 5), (47, 60), (470, 600)])
def test_heatmap_lies_where_it_belongs_on_the_scan(pixels, shape):
    heatmap = np.zeros(shape)
    heatmap[: shape[0] // 3, -(shape[1] // 3) :] = 1  # upper right
    trace = opinion.evidence_panels(pixels, heatmap, "benign").data[1]
    rows, columns = trace.z.shape
    left, right = trace.x0 - trace.dx / 2, trace.x0 + (columns - 0.5) * trace.dx
    top, bottom = trace.y0 - trace.dy / 2, trace.y0 + (rows - 0.5) * trace.dy
    assert (left, right, top, bottom) == pytest.approx((-0.5, 59.5, -0.5, 46.5))
    row, column = np.argwhere(trace.z > 0.9).mean(axis=0)
    assert trace.x0 + column * trace.dx > 40
    assert trace.y0 + row * trace.dy < 16
    assert (trace.zmin, trace.zmax) == (0, 1), "a weak map must not be stretched"


def test_a_huge_scan_is_thinned_but_keeps_its_coordinates():
    figure = opinion.evidence_panels(np.zeros((1800, 3600, 3), np.uint8), np.eye(7), "benign")
    shown = decoded(figure.data[0].source)
    assert shown.shape == (700, 1400, 3)
    assert figure.data[0].dx * shown.shape[1] == pytest.approx(3600)


def test_colour_bar_names_what_it_measures(pixels):
    figure = opinion.evidence_panels(pixels, np.eye(7), "malignant")
    assert figure.data[1].colorbar.tickvals == (0, 1)
    (title,) = [one for one in figure.layout.annotations if "evidence" in one.text]
    assert (title.text, title.x) == ("relative evidence for malignant", 0.5)
    assert figure.data[1].colorbar.x == 0.5


@pytest.mark.parametrize(("name", "uniform"), [(n, n[:3] != "Jet") for n in style.COLOUR_MAPS])
def test_only_jet_has_no_even_lightness(name, uniform):
    scale = style.opaque_scale(style.COLOUR_MAPS[name])
    steps = np.diff([lightness(unlabel_rgb(colour)) for _, colour in scale])
    assert bool((steps > 0).all()) == uniform


def test_overlay_fades_with_the_evidence():
    alphas = [
        float(colour.rstrip(")").split(",")[-1]) for _, colour in style.fading_scale("Viridis")
    ]
    assert alphas[0] == 0
    assert alphas[-1] == 1
    assert alphas == sorted(alphas)


def test_opacity_slider_drives_the_overlay_and_nothing_else(pixels):
    figure = opinion.evidence_panels(pixels, np.eye(7), "benign", opacity=0.35)
    assert [trace.opacity for trace in figure.data] == [None, None, None, 0.35]
    (slider,) = figure.layout.sliders
    at_start = slider.steps[slider.active]
    assert at_start.args[0]["opacity"] == pytest.approx(0.35)
    assert {tuple(step.args[1]) for step in slider.steps} == {(3,)}
    opacities = [step.args[0]["opacity"] for step in slider.steps]
    assert (opacities[0], opacities[-1]) == (0, 1)


def test_no_colour_is_one_that_streamlit_replaces(pixels):
    """Streamlit's chart theme swaps #000001 to #000040 for colours of its own."""
    for name in style.COLOUR_MAPS:
        figure = opinion.evidence_panels(pixels, np.eye(7), "benign", name)
        figure.update_layout(template="none")  # where Streamlit means them to be
        assert "#0000" not in figure.to_json()


def test_an_empty_map_says_so_on_the_picture(pixels):
    texts = [
        [note.text for note in opinion.evidence_panels(pixels, np.zeros((7, 7)), "benign",
                                                       empty=empty).layout.annotations]
        for empty in (None, "No positive evidence")
    ]  # fmt: skip
    assert texts[1] == [*texts[0], "No positive evidence"]


@pytest.mark.parametrize(
    ("row", "column", "place"),
    [(0, 0, "upper left"), (3, 3, "centre"), (6, 3, "lower middle"), (3, 6, "right"),
     (0, 3, "upper middle"), (6, 6, "lower right")],
)  # fmt: skip
def test_peak_is_told_in_words(row, column, place):
    heatmap = np.zeros((7, 7))
    heatmap[row, column] = 1
    assert opinion.peak_place(heatmap) == f"in the {place}"


def test_text_alternatives_tell_what_a_picture_shows():
    heatmap = np.zeros((7, 7))
    heatmap[0, 6] = 1
    assert opinion.describe_evidence("Scan 1", heatmap, "benign", None) == (
        "Scan 1 as three linked pictures: the scan, its heatmap for benign, and both. "
        "The evidence is strongest in the upper right of the picture."
    )
    empty = opinion.describe_evidence("Scan 1", heatmap, "benign", "No positive evidence.")
    assert empty.endswith("and both. No positive evidence.")
    assert opinion.describe_probabilities(CLASSES, np.array([0.2, 0.795, 0.005])) == (
        "Bars of the estimated probabilities: benign 20 %, malignant 80 %, normal < 1 %."
    )
