"""Methods over the input alone: integrated gradients, LIME and Kernel SHAP."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    HAND_IMAGE,
    random_tiny_arrays,
    shipped_classifier,
    tiny_classifier,
)
from test_grad_cam import QUADRANTS, keras_that_sees, torch_that_sees

from core.classifiers.base import INPUT, Classifier
from core.explain.heatmap import NO_EVIDENCE, NOT_FINITE
from core.explain.integrated_gradients import integrated_gradients
from core.explain.kernel_shap import coalitions, kernel_shap, shapley_values
from core.explain.lime_superpixels import lime_superpixels, linear_model
from core.explain.occlusion import occlusion
from core.explain.superpixels import superpixels

NOISE = np.random.default_rng(0).normal(size=(2, 12, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def network(request: pytest.FixtureRequest) -> Classifier:
    return tiny_classifier(request.param, random_tiny_arrays(3))


def gain(classifier: Classifier, batch: np.ndarray, target: int) -> np.ndarray:
    """What the images score more than nothing at all does."""
    return (classifier.logits(batch) - classifier.logits(np.zeros_like(batch)))[:, target]


# The gradient at the input


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_gradient_at_the_input_by_hand(framework: str):
    logits, gradients = tiny_classifier(framework).head(HAND_IMAGE, 0, INPUT)
    # Logit 0 is the mean of relu(red - green), plus 1/2: only at the top left green is larger.
    assert logits[0, 0] == pytest.approx(2.25)
    through = np.float32([[0, 1], [1, 1]]) / 4
    through[1, 1] = 1 / 4
    expected = np.stack([through, -through, 0 * through], axis=-1)
    # At the lower right green is 0, where a ReLU may have either slope.
    expected[1, 1, 1] = gradients[0, 1, 1, 1]
    np.testing.assert_allclose(gradients[0], expected, atol=1e-6)


def test_gradient_at_the_input_is_that_of_finite_differences(network: Classifier):
    _, gradients = network.head(NOISE, 1, INPUT)
    step = 1e-2 * np.random.default_rng(1).normal(size=NOISE.shape).astype(np.float32)
    ahead, behind = network.logits(NOISE + step), network.logits(NOISE - step)
    slopes = (ahead - behind)[:, 1] / 2
    np.testing.assert_allclose((gradients * step).sum(axis=(1, 2, 3)), slopes, atol=2e-4)


# Integrated gradients


def test_integrated_gradients_are_complete(network: Classifier):
    found = integrated_gradients(network, NOISE, 1, points=256)
    sums = found.steps["attributions"].sum(axis=(1, 2))
    np.testing.assert_allclose(sums, gain(network, NOISE, 1), atol=2e-3)
    np.testing.assert_allclose(found.logits, network.logits(NOISE), atol=1e-5)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_integrated_gradients_by_hand(framework: str):
    # The network is linear on the way from black: gradient times input is exact at any point.
    found = integrated_gradients(tiny_classifier(framework), HAND_IMAGE, 0, points=1)
    expected = [[0, 1 / 4], [2 / 4, 4 / 4]]
    np.testing.assert_allclose(found.steps["attributions"][0], expected, atol=1e-6)
    assert found.heatmaps[0].maximum == pytest.approx(1)


def test_integrated_gradients_are_those_of_captum():
    torch = pytest.importorskip("torch")
    captum = pytest.importorskip("captum.attr")
    classifier = tiny_classifier("torch", random_tiny_arrays(3))
    inputs = torch.from_numpy(NOISE).permute(0, 3, 1, 2)
    theirs = captum.IntegratedGradients(classifier._network).attribute(
        inputs, baselines=0, target=2, n_steps=32, method="riemann_middle"
    )
    ours = integrated_gradients(classifier, NOISE, 2, points=32).steps["attributions"]
    np.testing.assert_allclose(ours, theirs.sum(dim=1).detach().numpy(), atol=1e-5)


@pytest.mark.parametrize("recipe_id", ["busi-efficientnet-b0", "busi-mobilenetv2"])
def test_what_hiding_changes_in_rounding_alone_is_no_evidence(recipe_id):
    """An input of 0 stays the same when a part of it is hidden, but its logits, in a batch of one
    and of sixteen, differ in their last digits."""
    system = shipped_classifier(recipe_id)
    nothing = np.zeros((1, *system.recipe.preprocessing.size, 3), np.float32)
    for target in range(3):
        heatmap = occlusion(system, nothing, target, size=56, steps=1).heatmaps[0]
        assert heatmap.note == NO_EVIDENCE
        assert not heatmap.values.any()


def test_an_overflow_is_not_taken_for_an_even_scan():
    system = tiny_classifier("torch")
    system.logits = lambda batch: (
        np.where(batch.min(axis=(1, 2, 3), keepdims=True)[..., 0, 0] > 0, np.inf, 1.0).astype(
            np.float32
        )
        * np.ones((1, 3), np.float32)
    )
    ones = np.ones((1, 8, 8, 3), np.float32)
    heatmap = occlusion(system, ones, 0, size=4, steps=1).heatmaps[0]
    assert heatmap.note == NOT_FINITE


# Superpixels


def test_superpixels_cover_the_scan_in_pieces_of_about_the_size():
    image = np.random.default_rng(0).normal(size=(64, 96, 3)).astype(np.float32)
    found = superpixels(image, 16)
    counts = np.bincount(found.ravel())
    assert counts.min() > 0  # no gaps in the numbers
    assert 18 <= len(counts) <= 30  # 64 / 16 * 96 / 16 = 24
    assert counts.max() < 4 * 16**2


@pytest.mark.parametrize("image", [np.zeros((16, 16, 3)), np.ones((2, 2, 3))])
def test_an_even_scan_has_superpixels_too(image: np.ndarray):
    assert superpixels(image.astype(np.float32), 4).min() == 0


@pytest.mark.parametrize("build", [torch_that_sees, keras_that_sees])
@pytest.mark.parametrize("method", [lime_superpixels, kernel_shap])
def test_a_classifier_of_one_quadrant_is_explained_by_it(build, method):
    row, column = QUADRANTS["top right"]
    inside = np.zeros((8, 8), bool)
    inside[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    image = np.repeat(np.where(inside, 1, 0.2)[None, ..., None], 3, axis=-1).astype(np.float32)
    steps = method(build(row, column), image, 0, size=2).steps
    numbers, values = steps["superpixels"][0], steps["attributions"][0]
    shares = {one: inside[numbers == one].mean() for one in range(numbers.max() + 1)}
    beside = [one for one, share in shares.items() if share == 0]
    within = [one for one, share in shares.items() if share == 1]
    assert len(beside) > 4 and within
    largest = values.max()
    for one in beside:
        assert abs(values[numbers == one][0]) < 0.02 * largest
    for one in within:
        assert values[numbers == one][0] > 0.5 * largest


# Kernel SHAP


def exact_shapley(game, count: int) -> np.ndarray:
    """Mean gain of each player over all orders in which players may come."""
    values = np.zeros(count)
    orders = list(permutations(range(count)))
    for order in orders:
        present = np.zeros(count, int)
        for player in order:
            before = game(present)
            present[player] = 1
            values[player] += game(present) - before
    return values / len(orders)


def test_kernel_shap_of_a_small_game_is_exact():
    random = np.random.default_rng(5)
    worth = dict(enumerate(random.normal(size=2**5)))

    def game(present):
        return worth[int(present @ (1 << np.arange(5)))]

    shown = coalitions(32, 0, 5)
    assert len({tuple(row) for row in shown}) == 32
    found = shapley_values(shown, np.array([game(row) for row in shown]))
    np.testing.assert_allclose(found, exact_shapley(game, 5), atol=1e-10)


def test_the_glove_game():
    # One left glove, two right ones; a pair is worth 1. Textbook values: 2/3, 1/6, 1/6.
    shown = coalitions(8, 0, 3)
    scores = shown[:, 0] * np.maximum(shown[:, 1], shown[:, 2])
    np.testing.assert_allclose(shapley_values(shown, scores), [2 / 3, 1 / 6, 1 / 6], atol=1e-12)


def test_sampled_coalitions_are_exact_for_sums_and_near_for_pairs():
    shown = coalitions(4096, 0, 14)
    assert shown.shape == (4096, 14)
    assert shown[0].all() and not shown[1].any()
    worth = np.arange(14) / 7 - 0.5
    np.testing.assert_allclose(shapley_values(shown, shown @ worth), worth, atol=1e-9)
    triple = shown[:, 0] * shown[:, 1] * shown[:, 2]  # three players share 1
    found = shapley_values(shown, shown @ worth + triple)
    np.testing.assert_allclose(found - worth, [1 / 3] * 3 + [0] * 11, atol=0.03)


@pytest.mark.parametrize("count", [12, 60, 348, 800])
def test_equal_players_get_equal_shares(count: int):
    """Also where there are more of them than pairs of coalitions."""
    shown = coalitions(256, 0, count)
    found = shapley_values(shown, shown.mean(axis=1))
    np.testing.assert_allclose(found, np.full(count, 1 / count), atol=1e-9)


@pytest.mark.parametrize("size", [3, 1], ids=["some pieces", "more than 64"])
def test_kernel_shap_is_efficient(network: Classifier, size: int):
    steps = kernel_shap(network, NOISE, 1, size=size, samples=64).steps
    for values, numbers, right in zip(
        steps["attributions"], steps["superpixels"], gain(network, NOISE, 1), strict=True
    ):
        pieces = [values[numbers == one][0] for one in range(numbers.max() + 1)]
        assert len(pieces) > (64 if size == 1 else 6)
        assert sum(pieces) == pytest.approx(right, abs=1e-4)


@pytest.mark.parametrize("wrong", [{"samples": 1}, {"size": 0}])
@pytest.mark.parametrize("method", [lime_superpixels, kernel_shap])
def test_impossible_settings_are_refused(network: Classifier, method, wrong: dict):
    with pytest.raises(ValueError, match="at least"):
        method(network, NOISE, 0, **wrong)


# LIME


def test_lime_finds_the_weights_of_a_sum():
    shown = np.random.default_rng(0).integers(0, 2, (4096, 6))
    shown[0] = 1
    worth = np.array([3.0, 0, -2, 1, 0, 0.5])
    found = linear_model(shown, shown @ worth + 7)
    np.testing.assert_allclose(found, worth, atol=0.05)  # the ridge pulls a little towards 0


def test_lime_is_that_of_its_package():
    """Same copies, same scores: the package's own image explainer gives the same weights."""
    from lime.lime_image import LimeImageExplainer

    segments = np.repeat(np.repeat(np.arange(6).reshape(2, 3), 4, axis=0), 4, axis=1)
    image = np.ones((8, 12, 3))
    worth = np.array([3.0, 0, -2, 1, 0, 0.5])
    seen = []

    def score(pictures):
        first = np.array([[one[segments == k].mean() for k in range(6)] for one in pictures])
        seen.append(first)
        return (first @ worth)[:, None]

    explained = LimeImageExplainer(feature_selection="none", random_state=1).explain_instance(
        image, score, labels=(0,), top_labels=None, hide_color=0, num_samples=200,
        segmentation_fn=lambda _: segments, random_seed=1,
    )  # fmt: skip
    theirs = [weight for _, weight in sorted(explained.local_exp[0])]
    shown = np.concatenate(seen)
    np.testing.assert_allclose(linear_model(shown, shown @ worth), theirs, atol=1e-9)
