"""Faithfulness of maps on classifiers whose curves can be worked out by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from networks import FRAMEWORKS, random_tiny_arrays, recipe_for, tiny_classifier

from core.classifiers.base import Classifier
from core.evaluation.faithfulness import (
    deleted,
    faithfulness,
    inserted,
    ranks,
    scores,
)
from core.evaluation.road import impute, road
from core.explain.method import Cancelled
from core.torch_compat import import_timm


class Linear(Classifier):
    """Two classes; the first logit is the sum of weights (H, W) times pixels, the other 0."""

    layers = ()

    def __init__(self, weights: np.ndarray):
        self.recipe, self.weights = recipe_for("torch", ("one", "other")), weights

    def features(self, batch, layer=None):
        raise NotImplementedError

    head = features

    def logits(self, batch):
        first = (batch.mean(axis=-1) * self.weights).sum(axis=(1, 2))
        return np.stack([first, np.zeros_like(first)], axis=1).astype(np.float32)


def sigmoid(x):
    return 1 / (1 + np.exp(-np.asarray(x, float)))


SIZE = 8
QUADRANT = np.zeros((SIZE, SIZE))
QUADRANT[: SIZE // 2, SIZE // 2 :] = 1
WHITE = np.ones((SIZE, SIZE, 3), np.float32)
LOOKS_AT_QUADRANT = Linear(QUADRANT * 4 / QUADRANT.sum())  # logit 4 on the white image


def area(curve):
    return np.trapezoid(curve, dx=1 / (len(curve) - 1))


def test_deletion_of_a_linear_classifier_takes_one_pixel_after_the_other():
    weights = np.arange(16, dtype=float).reshape(4, 4) / 20
    image = np.ones((4, 4, 3), np.float32)
    curve = scores(Linear(weights), deleted(image, ranks(weights, image), 16), 0)
    left = np.cumsum(np.r_[0, np.arange(16)])[::-1] / 20  # 15 goes first, then 14, ...
    assert curve == pytest.approx(sigmoid(left), abs=1e-6)


def test_the_right_map_of_one_quadrant():
    place = ranks(QUADRANT, WHITE)
    quarters = scores(LOOKS_AT_QUADRANT, deleted(WHITE, place, 4), 0)
    assert quarters == pytest.approx(sigmoid([4, 0, 0, 0, 0]), abs=1e-6)
    half_way = scores(LOOKS_AT_QUADRANT, deleted(WHITE, place, 8), 0)
    assert half_way[:3] == pytest.approx(sigmoid([4, 2, 0]), abs=1e-6)
    found = faithfulness(LOOKS_AT_QUADRANT, WHITE, QUADRANT, 0, levels=4)
    assert found.deletion == pytest.approx(area(sigmoid([4, 0, 0, 0, 0])), abs=1e-6)
    assert found.average_drop == 0  # nothing that counts is hidden
    assert found.increase == 0  # and nothing that stands against it


def test_the_wrong_map_of_one_quadrant():
    found = faithfulness(LOOKS_AT_QUADRANT, WHITE, 1 - QUADRANT, 0, levels=4)
    assert found.deletion == pytest.approx(area(sigmoid([4, 4, 4, 4, 0])), abs=1e-6)
    assert found.average_drop == pytest.approx((sigmoid(4) - 0.5) / sigmoid(4), abs=1e-6)


def test_hiding_what_speaks_against_raises_the_score():
    against = Linear(QUADRANT - 2 * QUADRANT[:, ::-1])
    found = faithfulness(against, WHITE, QUADRANT, 0)
    assert (found.average_drop, found.increase) == (0, 1)


def test_insertion_starts_blurred_and_ends_sharp():
    image = np.zeros((40, 40, 3), np.float32)
    image[20, 20] = 1
    at_peak = np.zeros((40, 40))
    at_peak[20, 20] = 1
    curve = scores(Linear(at_peak * 3), inserted(image, ranks(at_peak, image), 4), 0)
    # A Gaussian of 2 pixels, 40 / 20, has 1 / (2 pi 4) of its mass in the middle.
    assert curve == pytest.approx(sigmoid([3 / (8 * np.pi), 3, 3, 3, 3]), abs=5e-3)


def test_ties_are_broken_by_lot_and_not_by_row():
    place = ranks(QUADRANT, WHITE)
    assert sorted(place.ravel()) == list(range(SIZE**2))
    assert place[QUADRANT == 1].max() < place[QUADRANT == 0].min()
    rest = place[SIZE // 2 :].mean(axis=1)
    assert np.ptp(rest) < SIZE**2 / 2  # whole rows would differ by far more than chance
    assert (place == ranks(QUADRANT, WHITE)).all()


def test_a_map_without_evidence_is_not_judged():
    found = faithfulness(LOOKS_AT_QUADRANT, WHITE, np.zeros((SIZE, SIZE)), 0)
    assert np.isnan([found.deletion, found.insertion, found.average_drop, found.increase]).all()
    assert np.isnan(road(LOOKS_AT_QUADRANT, WHITE, np.zeros((SIZE, SIZE)), 0)).all()


def test_it_tells_how_far_it_is_and_can_be_stopped():
    told = []
    found = faithfulness(LOOKS_AT_QUADRANT, WHITE, QUADRANT, 0, levels=8, progress=told.append)
    assert told == pytest.approx([0, 8 / 20, 16 / 20]), "2 + 9 + 9 predictions, 8 at a time"
    place = ranks(QUADRANT, WHITE)
    for name, changed in (("deletion", deleted), ("insertion", inserted)):
        apart = scores(LOOKS_AT_QUADRANT, changed(WHITE, place, 8), 0)
        assert getattr(found, name) == pytest.approx(area(apart)), name

    def stop(share: float) -> None:
        if share > 0:
            raise Cancelled

    with pytest.raises(Cancelled):
        faithfulness(LOOKS_AT_QUADRANT, WHITE, QUADRANT, 0, progress=stop)


def test_a_map_of_another_size_is_refused():
    with pytest.raises(ValueError, match="shape"):
        faithfulness(LOOKS_AT_QUADRANT, WHITE, np.ones((7, 7)), 0)


def test_scores_are_calibrated_probabilities():
    classifier = Linear(QUADRANT * 4 / QUADRANT.sum())
    classifier.temperature = 2.0
    assert scores(classifier, WHITE[None], 0) == pytest.approx(sigmoid(2))


def test_both_frameworks_agree():
    rng = np.random.default_rng(1)
    image, values = rng.normal(size=(12, 12, 3)).astype(np.float32), rng.random((12, 12))
    classifiers = [tiny_classifier(name, random_tiny_arrays()) for name in FRAMEWORKS]
    ours, theirs = (
        [*asdict(faithfulness(one, image, values, 1)).values(), *road(one, image, values, 1)]
        for one in classifiers
    )
    assert ours == pytest.approx(theirs, abs=1e-5)


# ROAD


def test_one_removed_pixel_is_the_weighted_mean_of_its_neighbours():
    image = np.arange(9, dtype=np.float32).reshape(3, 3, 1)
    image[2, 2] = 20
    removed = np.zeros((3, 3), bool)
    removed[1, 1] = True
    filled = impute(image, removed, noise=0)
    # Beside it 1, 3, 5, 7 at a sixth each, at the corners 0, 2, 6, 20 at a twelfth each.
    assert filled[1, 1, 0] == pytest.approx(16 / 6 + 28 / 12)
    assert (filled[~removed] == image[~removed]).all()


def test_at_a_corner_the_neighbours_there_are_share_the_weight():
    image = np.float32([[9, 2], [4, 6]])[..., None]
    removed = np.array([[True, False], [False, False]])
    expected = (2 / 6 + 4 / 6 + 6 / 12) / (2 / 6 + 1 / 12)
    assert impute(image, removed, noise=0)[0, 0, 0] == pytest.approx(expected)


def test_the_filling_is_that_of_the_authors():
    import torch

    import_timm()
    pytest.importorskip("pytorch_grad_cam")
    from pytorch_grad_cam.metrics.road import NoisyLinearImputer

    rng = np.random.default_rng(0)
    image = rng.normal(size=(14, 11, 3)).astype(np.float32)
    removed = rng.random((14, 11)) < 0.7
    theirs = NoisyLinearImputer(noise=0)(
        torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(~removed).float()
    )
    # The authors' code wraps at the left and right edges, one row up or down; the middle tells.
    ours = impute(image, removed, noise=0)
    assert ours == pytest.approx(theirs.permute(1, 2, 0).numpy(), abs=1e-4)


def test_the_noise_has_the_share_that_it_says():
    image = np.tile(np.linspace(0, 10, 64, dtype=np.float32)[:, None, None], (1, 64, 3))
    removed = np.zeros((64, 64), bool)
    removed[1:-1:2, 1:-1:2] = True
    errors = (impute(image, removed) - impute(image, removed, noise=0))[removed]
    assert errors.std() == pytest.approx(0.01 * 10, rel=0.05)


def test_nothing_to_fill_in_from_is_refused():
    with pytest.raises(ValueError, match="All pixels"):
        impute(WHITE, np.ones((SIZE, SIZE), bool))


def test_road_tells_the_right_map_from_the_wrong_one():
    size = 20
    lesion = np.zeros((size, size))
    lesion[5:10, 5:10] = 1  # less than the first fifth of the pixels
    image = np.repeat(lesion[..., None], 3, axis=2).astype(np.float32)
    classifier = Linear(lesion * 6 / lesion.sum())
    right, wrong = (road(classifier, image, one, 0) for one in (lesion, 1 - lesion))
    # Filled in from a black surrounding the lesion is gone: the score is that of logit 0.
    assert right.morf == pytest.approx(0.5, abs=0.03)
    assert right.lerf == pytest.approx(sigmoid(6), abs=0.01)
    assert wrong.morf > 0.9 > 0.6 > wrong.lerf
