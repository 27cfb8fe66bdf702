"""Score-CAM, exact and fast: by hand, against the grad-cam package, and how much is computed."""

from __future__ import annotations

import numpy as np
import pytest
from networks import FRAMEWORKS, HAND_IMAGE, HAND_LOGITS, random_tiny_arrays, tiny_classifier
from test_explain_methods import correlation, package_maps, timm_pair  # noqa: F401 (a fixture)

from core.classifiers import Classifier
from core.explain import METHODS, Cancelled
from core.explain.fast_score_cam import fast_score_cam, typical_masks
from core.explain.masking import BATCH, masked_logits, normalised
from core.explain.score_cam import distinct_masks, score_cam

B0 = np.array([[0.0, 1], [2, 4]])
B1 = np.array([[8.0, 2], [2, 0]])


@pytest.fixture(scope="module", params=FRAMEWORKS)
def by_hand(request: pytest.FixtureRequest) -> Classifier:
    return tiny_classifier(request.param)


class Counting(Classifier):
    """Passes everything on and remembers the batches whose logits were asked for."""

    def __init__(self, inner: Classifier):
        self.recipe, self.layers, self._inner = inner.recipe, inner.layers, inner
        self.batches: list[np.ndarray] = []

    def features(self, batch, layer=None):
        return self._inner.features(batch, layer)

    def head(self, features, target, layer=None):
        return self._inner.head(features, target, layer)

    def logits(self, batch):
        self.batches.append(batch.copy())
        return self._inner.logits(batch)

    rough_logits = logits


# --- By hand -----------------------------------------------------------------------------------
# The masks are B0 / 4 and B1 / 8. A mask m that multiplies the image multiplies B0 and B1 too,
# so the logits through it are mean(m B0) + 1/2, mean(m B1) and mean(m B0) - 2 mean(m B1) - 1:
# mean(m B0) = 21/16 and 3/16, mean(m B1) = 6/16 and 36/16.


@pytest.mark.parametrize(
    ("target", "scores"),
    [
        (0, [21 / 16, 3 / 16]),
        (1, [6 / 16, 36 / 16]),
        (2, [9 / 16, -69 / 16]),
        (np.array([1.0, -1.0, 0.0]), [15 / 16, -33 / 16]),
        (np.array([[-1.0, 1.0, 0.0]]), [-15 / 16, 33 / 16]),
    ],
)
@pytest.mark.parametrize("method", [score_cam, fast_score_cam])
def test_maps_by_hand(by_hand: Classifier, method, target, scores):
    # The added 1/2 and -1 of the logits are the same for both channels and cancel.
    alpha = 1 / (1 + np.exp(scores[1] - scores[0]))
    raw = alpha * B0 + (1 - alpha) * B1
    explanation = method(by_hand, HAND_IMAGE, target)
    np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
    heatmap = explanation.heatmaps[0]
    assert heatmap.maximum == pytest.approx(raw.max(), rel=1e-6)
    np.testing.assert_allclose(heatmap.values, raw / raw.max(), atol=1e-6)


def test_logits_behind_masks_by_hand(by_hand: Classifier):
    masks = np.float32([B0 / 4, B1 / 8, np.zeros((2, 2))])
    logits = masked_logits(by_hand, HAND_IMAGE[0], masks, lambda share: None)
    expected = [[29 / 16, 6 / 16, -7 / 16], [11 / 16, 36 / 16, -85 / 16], [0.5, 0, -1]]
    np.testing.assert_allclose(logits, expected, atol=1e-6)


def test_masks_run_from_0_to_1_at_the_size_of_the_input(by_hand: Classifier):
    counting = Counting(by_hand)
    image = np.ones((8, 8, 3), np.float32)
    masked_logits(counting, image, np.float32([[[0, 0], [0, 1]]]), lambda share: None)
    # Pixel centres at -3/8, -1/8, 1/8, ... 11/8 of the small mask, held at its edges.
    ramp = np.clip((np.arange(8) + 0.5) / 4 - 0.5, 0, 1)
    np.testing.assert_allclose(counting.batches[0][0, ..., 0], np.outer(ramp, ramp), atol=1e-6)


# --- What is computed --------------------------------------------------------------------------


def test_normalised_channels():
    features = np.float32([[[1, -3, 5], [2, -3, 5.000001]], [[3, -3, 5], [5, -3, 5]]])
    expected = np.float32([[[0, 0.25], [0.5, 1]], np.zeros((2, 2)), np.zeros((2, 2))])
    np.testing.assert_allclose(normalised(features), expected, atol=1e-6)


def test_channels_with_the_same_mask_are_computed_once():
    one, other = np.random.default_rng(0).normal(size=(2, 3, 3))
    even = np.ones((3, 3))
    features = np.stack([one, even, 3 * one + 2, other, 0 * even, one, -one], axis=-1)
    masks, mask_of = distinct_masks(features.astype(np.float32))
    assert len(masks) == 4  # one, other, -one, and that of the constant channels
    np.testing.assert_allclose(masks[mask_of], normalised(features), atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_typical_masks_stand_for_those_like_them(count: int):
    rng = np.random.default_rng(1)
    kinds = rng.uniform(size=(5, 4, 4))
    kind_of = rng.integers(5, size=40)
    features = np.moveaxis(kinds[kind_of] + rng.normal(size=(40, 4, 4)) * 1e-3, 0, -1)
    masks, mask_of = typical_masks(features.astype(np.float32), count)
    assert len(masks) == count
    if count == 5:
        pairs = set(zip(kind_of.tolist(), mask_of.tolist(), strict=True))
        assert len(pairs) == 5
    if count >= 5:
        np.testing.assert_allclose(masks[mask_of], normalised(features), atol=0.02)


def test_fast_score_cam_looks_only_through_its_channels():
    counting = Counting(tiny_classifier("torch", random_tiny_arrays(3)))
    batch = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    fast_score_cam(counting, batch, 0, channels=2)
    assert [len(one) for one in counting.batches] == [2, 2]
    with pytest.raises(ValueError, match="at least 1"):
        fast_score_cam(counting, batch, 0, channels=0)


def test_fast_score_cam_of_all_channels_is_exact():
    classifier = tiny_classifier("torch", random_tiny_arrays(3))
    batch = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)
    for target in range(3):
        exact = score_cam(classifier, batch, target).heatmaps
        fast = fast_score_cam(classifier, batch, target, channels=5).heatmaps
        for one, other in zip(exact, fast, strict=True):
            np.testing.assert_array_equal(one.values, other.values)


def test_progress_and_cancel_between_batches(by_hand: Classifier):
    counting = Counting(by_hand)
    masks = np.random.default_rng(0).uniform(size=(3 * BATCH - 1, 2, 2)).astype(np.float32)
    shares: list[float] = []
    masked_logits(counting, HAND_IMAGE[0], masks, shares.append)
    assert [len(batch) for batch in counting.batches] == [BATCH, BATCH, BATCH - 1]
    assert shares == sorted(shares) and shares[-1] == 1 and len(shares) == 3

    def stop(share: float) -> None:
        if share > 0.5:
            raise Cancelled

    counting.batches.clear()
    with pytest.raises(Cancelled):
        masked_logits(counting, HAND_IMAGE[0], masks, stop)
    assert len(counting.batches) == 2


# --- The grad-cam package ----------------------------------------------------------------------


def test_equal_to_the_grad_cam_package(timm_pair, monkeypatch):  # noqa: F811
    import torch

    # They enlarge the channels with corners aligned, we with pixel centres aligned.

    def enlarge(size):
        return torch.nn.Upsample(size, mode="bilinear", align_corners=False)

    monkeypatch.setattr(torch.nn, "UpsamplingBilinear2d", enlarge)
    classifier, model, batch, inputs = timm_pair
    for target in range(2):
        targets = [lambda logits, k=target: logits[k]]
        theirs = package_maps("ScoreCAM", model, inputs[:1], targets, model.blocks[4])[0]

        def agreement(target=target, theirs=theirs) -> float:
            ours = METHODS["score-cam"].run(classifier, batch[:1], target, "block5").heatmaps[0]
            assert ours.note is None
            return correlation(ours.resized(*theirs.shape), theirs)

        assert agreement() >= 0.99
        with monkeypatch.context() as patch:  # the method itself, without what bfloat16 may add
            patch.setattr(type(classifier), "rough_logits", type(classifier).logits)
            assert agreement() >= 0.9999
