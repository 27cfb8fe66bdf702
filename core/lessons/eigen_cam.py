"""Eigen-CAM, step by step."""

from __future__ import annotations

import numpy as np

from core.explain.eigen_cam import first_component
from core.lessons import drawing
from core.lessons.channels import SHOWN, described, enlarged
from core.lessons.step import Bars, Picture, Scene, Step
from core.wording import in_percent

_COMPONENTS = 8
_PICTURES = 3


def eigen_cam(scene: Scene) -> tuple[Step, ...]:
    """Channels, how places differ, the components as maps, the map."""
    maps = scene.maps
    strongest = np.argsort(-maps.var(axis=(0, 1)), kind="stable")[:SHOWN]
    shares, projections = components(maps)
    heatmap = scene.explained("eigen-cam").heatmaps[0]
    told = f"Nobody asked about *{scene.aim}*: choose another class and the map stays."
    return (
        described(scene, strongest, "These vary most over the scan."),
        _shares(maps, shares),
        _maps(scene, shares, projections),
        enlarged(scene, heatmap, told),
    )


def components(maps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Principal components of maps (h, w, K), each channel centred: the share of the variance of
    each, falling, (n,), and each place's coordinates along them, (h, w, n), ``n <= h w``.

    The first is turned as Eigen-CAM turns it; the sign of the others is arbitrary.
    """
    height, width, count = maps.shape
    flat = maps.reshape(-1, count)
    left, lengths, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    variance = lengths**2
    projections = (left * lengths).reshape(height, width, -1)
    projections[..., 0] = first_component(maps)
    return variance / max(variance.sum(), np.finfo(float).tiny), projections


def _shares(maps: np.ndarray, shares: np.ndarray) -> Step:
    height, width, count = maps.shape
    first = shares[:_COMPONENTS]
    return Step(
        "Places are compared",
        f"Each of the {height * width:,} places of the layer is a list of {count:,} numbers, a "
        f"point in a space of {count:,} dimensions. Principal component analysis finds the "
        f"directions in which the points differ most. The first holds {in_percent(shares[0])} of "
        "all difference.",
        bars=Bars(
            tuple(str(number) for number in range(1, len(first) + 1)),
            100 * first,
            "component",
            "% of the variance",
        ),
    )


def _maps(scene: Scene, shares: np.ndarray, projections: np.ndarray) -> Step:
    pictures = [
        Picture(
            drawing.signed(scene.pixels, one, np.abs(one).max()),
            f"component {number + 1}",
            f"{in_percent(shares[number])} of the variance",
        )
        for number, one in enumerate(np.moveaxis(projections, -1, 0)[:_PICTURES])
    ]
    return Step(
        "The first component is the map",
        "How far each place lies along a component. None has a sign of its own: either end could "
        "be called positive, and half of all maps would come out inverted by chance. Here the "
        "first is turned so that it grows with the mean activation, and what is below 0 is cut.",
        tuple(pictures),
    )
