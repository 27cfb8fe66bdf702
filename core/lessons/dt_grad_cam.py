"""DT-Grad-CAM, step by step."""

from __future__ import annotations

import numpy as np

from core.explain.dt_grad_cam import noisy_copies
from core.lessons import drawing
from core.lessons.channels import finished
from core.lessons.step import Bars, Picture, Scene, Step
from core.preprocessing import to_pixels
from core.wording import in_percent

METHOD = "dt-grad-cam"
_COPIES = 3
_LAST = (
    "The mean inside the region, and exactly 0 outside. The sharp border is that of the threshold: "
    "it looks like an outline of the lesion, and is none."
)


def dt_grad_cam(scene: Scene) -> tuple[Step, ...]:
    """Noisy copies, their mean, Otsu's threshold, the clean-up, the map."""
    explanation = scene.explained(METHOD)
    steps = {name: values[0] for name, values in explanation.steps.items()}
    return (
        _noise(scene, steps),
        _mean(scene, steps),
        _threshold(steps),
        _clean_up(scene, steps),
        finished(scene, explanation.heatmaps[0], "The map", _LAST),
    )


def _noise(scene: Scene, steps: dict[str, np.ndarray]) -> Step:
    sigma, count = scene.setting(METHOD, "sigma"), int(scene.setting(METHOD, "n"))
    copies = noisy_copies(scene.batch[0], count, sigma, seed=0)[:_COPIES]
    seen = to_pixels(copies, scene.classifier.recipe.preprocessing)
    largest = max(steps["noisy"].max(), np.finfo(float).tiny)
    weights = steps["weights"] / steps["weights"][0]
    pictures = [
        Picture(
            drawing.evidence(picture, cam / largest),
            f"copy {one + 1}",
            f"weight {weights[one]:.2f}",
        )
        for one, (picture, cam) in enumerate(zip(seen, steps["noisy"], strict=False))
    ]
    return Step(
        "The scan is shown with noise",
        f"{count} copies, each with its own noise of {in_percent(sigma, 1)} of the grey range, and "
        "Grad-CAM of each. What moves between copies hangs on details that the eye would not miss. "
        f"First {len(pictures)} shown.",
        tuple(pictures),
    )


def _mean(scene: Scene, steps: dict[str, np.ndarray]) -> Step:
    mean, spread = steps["mean"], steps["noisy"].std(axis=0)
    whole = max(float(mean.max()), np.finfo(float).tiny)
    pictures = (
        Picture(drawing.evidence(scene.pixels, mean / whole), "weighted mean"),
        Picture(
            drawing.evidence(scene.pixels, np.clip(spread / whole, 0, 1)),
            "spread between copies",
            f"at most {in_percent(spread.max() / whole)} of the mean's largest value",
        ),
    )
    last = steps["weights"][-1] / steps["weights"][0]
    told = (
        f"Weights fall from 1 for the first copy to {last:g} for the last"
        if last < 1
        else "All copies weigh the same"
    )
    return Step(
        "The maps are averaged",
        f"{told}. Beside the mean, how much the copies differ: where that is much a single "
        "Grad-CAM is not to be trusted.",
        pictures,
    )


def _threshold(steps: dict[str, np.ndarray]) -> Step:
    levels = steps["histogram"]
    edges = np.arange(len(levels)) / (len(levels) - 1)
    found = steps["threshold"]
    told = (
        f"Here it lies at {found:.2f} of the largest value."
        if np.isfinite(found)
        else "Here there is no evidence to split."
    )
    return Step(
        "A threshold is found",
        "Otsu's method splits the values into two groups that are each as even as can be: where "
        f"the variance between them is largest. {told} It is chosen anew for each scan, "
        "hence *dynamic threshold*.",
        bars=Bars(
            edges[1:],
            levels[1:].astype(float),
            "value, as a share of the largest (0 left out)",
            "pixels",
            at=float(found) if np.isfinite(found) else None,
            at_name="threshold",
        ),
    )


def _clean_up(scene: Scene, steps: dict[str, np.ndarray]) -> Step:
    kernel = int(scene.setting(METHOD, "kernel"))
    pictures = tuple(
        Picture(
            drawing.through(scene.pixels, one, scene.nothing),
            title,
            f"{in_percent(one.mean())} of the scan",
        )
        for title, one in (
            ("above the threshold", steps["above"]),
            ("after the clean-up", steps["mask"]),
        )
    )
    return Step(
        "The region is cleaned up",
        f"Opening removes specks, closing fills gaps, both with an ellipse of {kernel} pixels. "
        "What is left is the region; the map is the mean inside it.",
        pictures,
    )
