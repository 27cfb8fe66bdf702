"""The spread of an answer over changes without meaning, on shipped systems and by invariants."""

from __future__ import annotations

import numpy as np
import pytest
from networks import trained_classifier

from core.checkpoints import list_trained
from core.classifiers.base import Classifier, probabilities
from core.datasets.phantoms import phantom
from core.preprocessing import to_batch
from core.recipes import load_recipe
from core.stability import CHANGES, stability

PIXELS, MASK = phantom("malignant", 3)


class Watched(Classifier):
    """Logits that are the mean grey and its negative; keeps the batch that it was given."""

    def __init__(self, recipe_id: str):
        self.recipe, self.layers, self.batches = load_recipe(recipe_id), ("only",), []

    def features(self, batch, layer=None):
        return batch

    def head(self, features, target, layer=None):
        return self.logits(features), features

    def logits(self, batch):
        self.batches.append(batch)
        mean = batch.mean(axis=(1, 2, 3))
        return np.stack([mean] + [-mean] * (len(self.recipe.classes) - 1), axis=1)


def shipped(recipe_id: str) -> Classifier:
    if recipe_id not in list_trained():
        pytest.skip(f"{recipe_id} is not shipped")
    return trained_classifier(recipe_id)


def test_the_answer_to_the_scan_itself_lies_within_and_is_repeated():
    classifier = shipped("busi-mobilenetv2")
    spread, again = (stability(classifier, PIXELS, copies=8, seed=0) for _ in range(2))
    batch = to_batch([PIXELS], classifier.recipe.preprocessing)
    answer = probabilities(classifier.logits(batch)[0], classifier.temperature)
    assert spread.copies == 8
    assert (spread.low - 1e-5 <= answer).all()
    assert (answer <= spread.high + 1e-5).all()
    assert spread.high.max() - spread.low.min() > 1e-3
    for name in ("low", "high"):
        np.testing.assert_array_equal(getattr(spread, name), getattr(again, name))
    other = stability(classifier, PIXELS, copies=8, seed=1)
    assert not np.array_equal(spread.low, other.low)


def test_more_copies_can_only_widen_it():
    classifier = shipped("busi-mobilenetv2")
    few, many = (stability(classifier, PIXELS, copies=n) for n in (3, 6))
    assert (many.low <= few.low + 1e-5).all()
    assert (many.high >= few.high - 1e-5).all()


def test_one_batch_of_copies_that_stay_within_their_amounts():
    classifier = Watched("busi-mobilenetv2")
    # A white square on grey, so that place, size and brightness can be read off.
    scan = np.full((150, 150, 3), 80, np.uint8)
    scan[60:90, 60:90] = 200
    stability(classifier, scan, copies=12)
    (batch,) = classifier.batches
    assert batch.shape == (13, 150, 150, 3)
    grey = (batch[..., 0] + 1) * 127.5
    for copy in grey[1:]:
        rows, columns = np.nonzero(copy > copy.min() + 0.6 * np.ptp(copy))
        # The centre moves by the shift at most: 4 % of 150, and a pixel of rounding.
        assert abs(rows.mean() - 74.5) <= 0.04 * 150 + 1
        assert abs(columns.mean() - 74.5) <= 0.04 * 150 + 1
        assert len(rows) == pytest.approx(900, rel=0.05)
        # 10 % of brightness, and of the contrast about the mean of 84.8.
        assert 0.9 * 80 - 2 <= np.median(copy) <= 1.1 * 80 + 2
    assert not np.allclose(grey[1], grey[2])


def test_an_even_image_of_which_only_brightness_can_change():
    classifier = Watched("busi-mobilenetv2")
    even = np.full((64, 64, 3), 100, np.uint8)
    spread = stability(classifier, even, copies=40)
    values = (classifier.batches[0].mean(axis=(1, 2, 3)) + 1) * 127.5
    assert values[0] == pytest.approx(100, abs=1e-3)
    assert 90 - 1e-3 <= values.min() < 93
    assert 107 < values.max() <= 110 + 1e-3
    # The first class's logit is the mean: low and high are those of the darkest and brightest.
    signed = np.array([[v, -v, -v] for v in (values.min() / 127.5 - 1, values.max() / 127.5 - 1)])
    assert spread.low[0] == pytest.approx(probabilities(signed)[0, 0], abs=1e-5)
    assert spread.high[0] == pytest.approx(probabilities(signed)[1, 0], abs=1e-5)


def test_what_lies_outside_the_outline_stays_black():
    classifier = Watched("busi-efficientnetv2b0")
    stability(classifier, PIXELS, MASK, copies=6)
    (batch,) = classifier.batches
    sizes = (batch > 0).any(axis=-1).sum(axis=(1, 2))
    # Turning and shifting keep the area but for the edge; nothing else lights up.
    np.testing.assert_allclose(sizes[1:], sizes[0], rtol=0.15)
    assert sizes[0] < 0.6 * batch[0, ..., 0].size
    assert np.array_equal(batch[0], to_batch([PIXELS], classifier.recipe.preprocessing, [MASK])[0])


def test_an_outline_means_nothing_to_a_system_that_needs_none():
    classifier = Watched("busi-mobilenetv2")
    dark = np.where(PIXELS < 60, np.uint8(0), PIXELS)  # black here is no outside
    stability(classifier, dark, copies=3)
    stability(classifier, dark, MASK, copies=3)
    np.testing.assert_array_equal(*classifier.batches)


def test_the_changes_are_recorded():
    changes = stability(Watched("busi-mobilenetv2"), PIXELS, copies=1).changes
    for amount in ("5 degrees", "4 %", "10 %", "mirrored"):
        assert amount in changes
    assert CHANGES.rotation <= 5
    assert max(CHANGES.shift / 0.04, CHANGES.brightness / 0.1, CHANGES.contrast / 0.1) <= 1


def test_no_copies_are_refused():
    with pytest.raises(ValueError, match="at least 1"):
        stability(Watched("busi-mobilenetv2"), PIXELS, copies=0)
