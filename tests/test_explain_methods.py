"""All explanation methods: maps worked out by hand, known right answers, the grad-cam package.

Grad-CAM, DT-Grad-CAM and Score-CAM have files of their own beside this one.
"""

from __future__ import annotations

import inspect
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from networks import (
    FRAMEWORKS,
    HAND_IMAGE,
    HAND_LOGITS,
    random_tiny_arrays,
    tiny_classifier,
)
from test_grad_cam import (
    QUADRANTS,
    TORCH_RECIPES,
    classifier_of,
    keras_that_sees,
    scan_like,
    timm_model_with_weights_of,
    torch_that_sees,
)

from core.classifiers import Classifier
from core.explain import METHODS, Cancelled
from core.explain.eigen_cam import NO_COMPONENT
from core.explain.heatmap import NO_EVIDENCE, NOT_FINITE, Heatmap
from core.recipe import Recipe

BY_GRADIENT = ("grad-cam", "grad-cam-plus-plus", "hires-cam", "layer-cam", "xgrad-cam")
DIFFERENCE = np.array([1.0, -1.0, 0.0])
SUM = np.array([1.0, 1.0, 0.0])


@pytest.fixture(scope="module", params=FRAMEWORKS)
def by_hand(request: pytest.FixtureRequest) -> Classifier:
    """The tiny network whose every number can be worked out on paper."""
    return tiny_classifier(request.param)


@pytest.fixture(scope="module", params=FRAMEWORKS)
def random_network(request: pytest.FixtureRequest) -> Classifier:
    return tiny_classifier(request.param, random_tiny_arrays(3))


def noise(count: int, size: int = 12, seed: int = 0) -> np.ndarray:
    shape = (count, size, size, 3)
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def check(heatmap: Heatmap, maximum: float, raw) -> None:
    """``raw`` is the map before the cut at 0 and the scaling."""
    assert heatmap.note is None
    assert heatmap.values.dtype == np.float32
    assert heatmap.maximum == pytest.approx(maximum, rel=1e-5)
    np.testing.assert_allclose(heatmap.values, np.maximum(raw, 0) / maximum, atol=1e-5)


# --- Maps worked out by hand -------------------------------------------------------------------
# B0 = [[0, 1], [2, 4]] and B1 = [[8, 2], [2, 0]] leave the last stage, A0 = [[1, 2], [3, 4]] and
# A1 = [[4, 1], [1, 0]] the first. The gradient of class 0 is 1/4 for B0 everywhere, and for A0
# (minus it for A1) 1/4 wherever B0 > 0; that of class 1 is 1/4 for B1, 1/2 for A1 where A1 > 0.


@pytest.mark.parametrize(
    ("method", "target", "layer", "maximum", "raw"),
    [
        # The gradients are the same everywhere: as Grad-CAM.
        ("hires-cam", 0, "second", 1, [[0, 0.25], [0.5, 1]]),
        ("hires-cam", 2, "second", 1, [[-4, -0.75], [-0.5, 1]]),
        ("hires-cam", DIFFERENCE, "second", 1, [[-2, -0.25], [0, 1]]),
        # (A0 - A1) / 4 where B0 > 0.
        ("hires-cam", 0, "first", 1, [[0, 0.25], [0.5, 1]]),
        # A0 / 4 where B0 > 0; the negative gradients of A1 are left out.
        ("layer-cam", 0, "first", 1, [[0, 0.5], [0.75, 1]]),
        ("layer-cam", 1, "first", 2, [[2, 0.5], [0.5, 0]]),
        ("layer-cam", 2, "second", 1, [[0, 0.25], [0.5, 1]]),
        # alpha = 1 / (2 + 7/4), four places: w = 4/15 for B0; 1 / (2 + 12/4) = 1/5 for B1.
        ("grad-cam-plus-plus", 0, "second", 16 / 15, [[0, 4 / 15], [8 / 15, 16 / 15]]),
        ("grad-cam-plus-plus", 2, "second", 16 / 15, [[0, 4 / 15], [8 / 15, 16 / 15]]),
        ("grad-cam-plus-plus", SUM, "second", 1.6, [[1.6, 2 / 3], [14 / 15, 16 / 15]]),
        # w = 1/4 (1 + 2 + 4) / 7.
        ("xgrad-cam", 0, "second", 1, [[0, 0.25], [0.5, 1]]),
        # w = 1/4 (2 + 3 + 4) / 10 = 9/40 for A0 and -1/4 (1 + 1) / 6 = -1/12 for A1.
        ("xgrad-cam", 0, "first", 0.9, [[-13 / 120, 11 / 30], [71 / 120, 0.9]]),
        # Without B0 logits 0 and 2 fall by 7/4; without B1, logit 2 rises by 6.
        ("ablation-cam", 0, "second", 7, [[0, 1.75], [3.5, 7]]),
        ("ablation-cam", 2, "second", 7, [[-48, -10.25], [-8.5, 7]]),
        # Without A0, B0 = 0: 7/4. Without A1, B0 = A0: 7/4 - 10/4 = -3/4.
        ("ablation-cam", 0, "first", 7, [[-1.25, 2.75], [4.5, 7]]),
    ],
)
def test_maps_by_hand(by_hand: Classifier, method, target, layer, maximum, raw):
    explanation = METHODS[method].run(by_hand, HAND_IMAGE, target, layer)
    np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
    check(explanation.heatmaps[0], maximum, raw)


@pytest.mark.parametrize("method", METHODS)
def test_a_layer_matters_to_the_methods_that_look_at_one(method):
    system = tiny_classifier("torch", random_tiny_arrays(3))
    batch = np.random.default_rng(1).normal(size=(1, 24, 24, 3)).astype(np.float32)
    small = {"kernel": 1} if method == "dt-grad-cam" else {}  # for maps of so few pixels
    first, second = (
        METHODS[method].run(system, batch, 0, layer, **small).heatmaps[0]
        for layer in ("first", "second")
    )
    alike = np.array_equal(first.values, second.values) and first.maximum == second.maximum
    assert METHODS[method].layered is not alike


class Given(Classifier):
    """Features (h, w, K) whose gradients are given: for values that no network here reaches."""

    def __init__(self, features, gradients):
        self._features, self._gradients = (np.float32(one)[None] for one in (features, gradients))

    def features(self, batch, layer=None):
        return self._features

    def head(self, features, target, layer=None):
        return np.zeros((1, 1), np.float32), self._gradients

    def logits(self, batch):
        return np.zeros((1, 1), np.float32)


def test_grad_cam_plus_plus_gives_no_weight_where_the_denominator_is_negative():
    # Sums -4 and 6. Denominators of the first channel: 2 - 4 < 0, so no weight, and 2 - 1; of the
    # second: 2 + 3 and 2. So w = 1/4 and 1/10.
    given = Given([[[-3, 2], [-1, 4]]], [[[1, 0.5], [0.25, 0]]])
    found = METHODS["grad-cam-plus-plus"].run(given, None, 0).heatmaps[0]
    check(found, 0.15, [[-0.55, 0.15]])


def test_xgrad_cam_of_a_channel_that_sums_to_0_weighs_it_as_grad_cam():
    given = Given([[[1], [-1]]], [[[0.5], [0.1]]])
    found = METHODS["xgrad-cam"].run(given, None, 0).heatmaps[0]
    check(found, 0.3, [[0.3, -0.3]])


LINE = np.array([[-2.0, -1], [0, 3]])


@pytest.mark.parametrize(
    ("direction", "maximum", "raw"),
    [
        ([3, 4], 15, 5 * LINE),  # more places than channels
        ([3, -4], 10, -5 * LINE),  # the mean activation falls along the line
        ([1, 2, 2, 4], 15, 5 * LINE),  # as many channels as places: by the Gram matrix
        ([-1, -2, -2, -4], 10, -5 * LINE),
        ([1, -1], 3 * np.sqrt(2), np.sqrt(2) * LINE),  # unrelated to the mean: the peak is up
    ],
)
def test_eigen_cam_of_features_on_a_line(direction, maximum, raw):
    from core.explain.eigen_cam import first_component

    features = 7 + LINE[..., None] * np.array(direction, float)
    np.testing.assert_allclose(first_component(features), raw, atol=1e-9)
    assert first_component(features).max() == pytest.approx(maximum)


@pytest.mark.parametrize(
    ("target", "size", "steps", "raw"),
    [
        # One pixel each: what it gives to the mean of B0, of B1.
        (0, 1, 1, [[0, 0.25], [0.5, 1]]),
        (1, 1, 1, [[2, 0.5], [0.5, 0]]),
        (DIFFERENCE, 1, 5, [[-2, -0.25], [0, 1]]),  # no step is shorter than a pixel
        (0, 2, 2, np.full((2, 2), 1.75)),  # all of it at once
        (0, 9, 1, np.full((2, 2), 1.75)),
    ],
)
def test_occlusion_by_hand(by_hand: Classifier, target, size, steps, raw):
    explanation = METHODS["occlusion"].run(by_hand, HAND_IMAGE, target, size=size, steps=steps)
    np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
    check(explanation.heatmaps[0], np.max(raw), raw)


def test_occlusion_averages_overlapping_squares(by_hand: Classifier):
    # Red 3, 6, 12 in a row: B0 / 3 gives 1, 2, 4 to the logit, pairs 3 and 6.
    image = np.zeros((1, 1, 3, 3), np.float32)
    image[0, 0, :, 0] = 3, 6, 12
    heatmap = METHODS["occlusion"].run(by_hand, image, 0, size=2, steps=2).heatmaps[0]
    check(heatmap, 6, [[3, 4.5, 6]])


@pytest.mark.parametrize(("steps", "begin"), [(1, [0, 32]), (2, [0, 16, 32]), (3, [0, 11, 22, 32])])
def test_a_square_of_occlusion_moves_by_its_side_in_so_many_steps(steps, begin):
    seen = []

    def logits(batch):
        hidden = batch[:, 0, :, 0] == 0
        seen.extend(int(one.argmax()) for one in hidden if one.any())
        return np.zeros((len(batch), 1), np.float32)

    image = np.ones((1, 1, 64, 3), np.float32)
    METHODS["occlusion"].run(SimpleNamespace(logits=logits), image, 0, size=32, steps=steps)
    assert seen == begin


@pytest.mark.parametrize("wrong", [{"size": 0}, {"steps": 0}])
def test_occlusion_refuses_squares_of_nothing(by_hand: Classifier, wrong: dict):
    with pytest.raises(ValueError, match="at least 1"):
        METHODS["occlusion"].run(by_hand, HAND_IMAGE, 0, **wrong)


def test_eigen_cam_by_hand(by_hand: Classifier):
    # (B0, B1) less its mean: (-7, 20), (-3, -4), (1, -4), (9, -12), all by 4. Their scatter is
    # [[35, -60], [-60, 144]] / 4 with the larger eigenvalue 42.639 and its vector along
    # (-60, 135.556): B1 less a little of B0, and with it the mean activation, peaks at top left.
    vector = np.array([-60, 135.556]) / np.hypot(60, 135.556)
    raw = np.array([[[-7, 20], [-3, -4]], [[1, -4], [9, -12]]]) / 4 @ vector
    for target in (0, 1, DIFFERENCE):
        explanation = METHODS["eigen-cam"].run(by_hand, HAND_IMAGE, target)
        np.testing.assert_allclose(explanation.logits, HAND_LOGITS, atol=1e-6)
        check(explanation.heatmaps[0], raw.max(), raw)


@pytest.mark.parametrize("sign", [1, -1])
def test_eigen_cam_unrelated_to_the_mean_shows_what_stands_out(monkeypatch, sign):
    """Of opposite channels the mean is 0 everywhere, and the sign that LAPACK happens to give
    says nothing: the place that differs from all others is the positive one."""
    from core.explain import eigen_cam

    one = np.array([[3.0, -1], [-1, -1]])
    largest = eigen_cam._largest
    monkeypatch.setattr(
        eigen_cam, "_largest", lambda matrix: (largest(matrix)[0], sign * largest(matrix)[1])
    )
    found = eigen_cam.first_component(np.stack([one, -one], axis=-1))
    np.testing.assert_allclose(found, np.sqrt(2) * one)


def test_eigen_cam_of_even_features_says_so(by_hand: Classifier):
    even = np.full((1, 2, 2, 2), 0.1, np.float32)
    heatmap = METHODS["eigen-cam"].run(by_hand, None, 0, features=even).heatmaps[0]
    assert heatmap.note == NO_COMPONENT
    assert not heatmap.values.any()


# --- What every method promises ----------------------------------------------------------------

METHOD_IDS = tuple(METHODS)


def smallest(method: str) -> dict[str, float]:
    """Sizes in pixels for images of few pixels, squares side by side."""
    sizes = {"kernel": 1, "size": 4, "steps": 1}
    known = (one.name for one in METHODS[method].parameters)
    return {name: sizes[name] for name in known if name in sizes}


@pytest.mark.parametrize("method", METHOD_IDS)
def test_registry_is_complete(method: str):
    entry = METHODS[method]
    assert entry.id == method
    assert entry.cost in ("instant", "seconds", "minutes")
    assert entry.name and entry.paper and entry.equation
    assert entry.equation.count("{") == entry.equation.count("}")
    assert entry.run.__doc__
    signature = inspect.signature(entry.run)
    for parameter in entry.parameters:
        assert parameter.low <= parameter.default <= parameter.high
        assert signature.parameters[parameter.name].default == parameter.default
        assert parameter.step > 0 and parameter.label and parameter.help


@pytest.mark.parametrize("method", METHOD_IDS)
def test_same_weights_same_maps_in_both_frameworks(method: str):
    arrays = random_tiny_arrays(3)
    one, other = (tiny_classifier(framework, arrays) for framework in FRAMEWORKS)
    batch = noise(2)
    targets = (0, 2, np.array([1, 2]), DIFFERENCE, np.array([[1.0, 0, -1], [0, 1, 0]]))
    for layer in one.layers:
        for target in targets:
            ours = METHODS[method].run(one, batch, target, layer)
            theirs = METHODS[method].run(other, batch, target, layer)
            np.testing.assert_allclose(ours.logits, theirs.logits, atol=1e-4)
            for a, b in zip(ours.heatmaps, theirs.heatmaps, strict=True):
                assert a.note == b.note
                assert a.maximum == pytest.approx(b.maximum, rel=1e-3, abs=1e-6)
                np.testing.assert_allclose(a.values, b.values, atol=1e-3)


@pytest.mark.parametrize("method", METHOD_IDS)
def test_given_features_and_the_rest_of_the_batch_change_nothing(random_network, method: str):
    batch = noise(3)
    run = METHODS[method].run
    whole = run(random_network, batch, np.array([0, 1, 2]))
    given = run(random_network, batch, np.array([0, 1, 2]), features=random_network.features(batch))
    for index in range(3):
        alone = run(random_network, batch[index : index + 1], index).heatmaps[0]
        for other in (given.heatmaps[index], alone):
            assert other.note == whole.heatmaps[index].note
            np.testing.assert_allclose(other.values, whole.heatmaps[index].values, atol=1e-4)


# Superpixels do not end where the quadrant ends: their file asks less of them.
BY_SUPERPIXELS = ("lime", "shap")


@pytest.mark.parametrize("build", [torch_that_sees, keras_that_sees])
@pytest.mark.parametrize("quadrant", QUADRANTS)
@pytest.mark.parametrize("method", [name for name in METHOD_IDS if name not in BY_SUPERPIXELS])
def test_a_classifier_of_one_quadrant_is_explained_by_it(build, quadrant: str, method: str):
    row, column = QUADRANTS[quadrant]
    image = np.random.default_rng(4).uniform(0.2, 1, (1, 8, 8, 3)).astype(np.float32)
    heatmap = METHODS[method].run(build(row, column), image, 0, **smallest(method)).heatmaps[0]
    inside = np.zeros((8, 8), bool)
    inside[4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = True
    assert heatmap.note is None
    assert heatmap.values[inside].max() == 1
    assert heatmap.values[inside].mean() > 0.25
    assert not heatmap.values[~inside].any()


@pytest.mark.parametrize("method", METHOD_IDS)
def test_a_black_scan_is_told_not_drawn(by_hand: Classifier, method: str):
    heatmap = METHODS[method].run(by_hand, np.zeros_like(HAND_IMAGE), 0).heatmaps[0]
    assert heatmap.note in (NO_EVIDENCE, NO_COMPONENT)
    assert not heatmap.values.any()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", METHOD_IDS)
def test_overflow_is_told_and_harms_no_other_image(method: str, bad: float):
    # PyTorch, since the ReLU of Keras on processors turns NaN into 0.
    classifier = tiny_classifier("torch")
    batch = np.concatenate([HAND_IMAGE, HAND_IMAGE])
    batch[0, 0, 0, :2] = bad
    with np.errstate(invalid="ignore"):
        first, second = METHODS[method].run(classifier, batch, 0, **smallest(method)).heatmaps
    assert first.note == NOT_FINITE
    assert np.isnan(first.maximum)
    assert not first.values.any()
    assert second.note is None
    assert second.values.max() == 1


@pytest.mark.parametrize("method", BY_GRADIENT)
def test_nothing_speaks_for_the_class(by_hand: Classifier, method: str):
    heatmap = METHODS[method].run(by_hand, HAND_IMAGE, -SUM).heatmaps[0]
    assert heatmap.note == NO_EVIDENCE
    assert heatmap.maximum <= 0
    assert not heatmap.values.any()


# --- One model, many threads -------------------------------------------------------------------

SHARED = {
    "grad-cam": {},
    "eigen-cam": {},
    "dt-grad-cam": {"n": 4},
    "fast-score-cam": {"channels": 3},
}


def test_eight_threads_on_one_model_give_the_maps_of_one(random_network: Classifier):
    scans = [noise(1, seed=seed) for seed in range(12)]

    def explain_all(_thread: int) -> list[np.ndarray]:
        return [
            METHODS[method].run(random_network, scan, index % 3, **parameters).heatmaps[0].values
            for index, scan in enumerate(scans)
            for method, parameters in SHARED.items()
        ]

    expected = explain_all(0)
    with ThreadPoolExecutor(8) as pool:
        for maps in pool.map(explain_all, range(8)):
            for ours, right in zip(maps, expected, strict=True):
                np.testing.assert_array_equal(ours, right)


@pytest.mark.parametrize("method", METHOD_IDS)
def test_work_can_be_stopped_and_leaves_the_model_as_it_was(random_network, method: str):
    batch = noise(2)
    run = METHODS[method].run
    network = random_network._network
    weights = network.to_arrays()
    before = run(random_network, batch, 1).heatmaps
    shares: list[float] = []
    run(random_network, batch, 1, progress=shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert all(0 < share <= 1 for share in shares)

    def stop(_share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(random_network, batch, 1, progress=stop)
    for name, array in network.to_arrays().items():
        np.testing.assert_array_equal(array, weights[name])
    if random_network.recipe.architecture.framework == "torch":
        assert_untouched(network)
    for ours, right in zip(run(random_network, batch, 1).heatmaps, before, strict=True):
        np.testing.assert_array_equal(ours.values, right.values)


def assert_untouched(network) -> None:
    """No mode, gradient or hook of a PyTorch network has changed."""
    for module in network.modules():
        assert not module.training
        assert not module._forward_hooks and not module._backward_hooks
    assert all(p.grad is None and not p.requires_grad for p in network.parameters())


# --- The grad-cam package ----------------------------------------------------------------------


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def package_maps(name: str, model, inputs, targets, layer=None, **options) -> np.ndarray:
    package = pytest.importorskip("pytorch_grad_cam")
    layers = [layer or model.bn2]
    with getattr(package, name)(model=model, target_layers=layers, **options) as method:
        return method(inputs, targets)


@pytest.fixture(scope="module", params=TORCH_RECIPES)
def timm_pair(request: pytest.FixtureRequest):
    """A classifier, timm's own model of the same weights, a batch, and it as a tensor."""
    import torch

    from core.torch_compat import import_timm

    import_timm()
    pytest.importorskip("pytorch_grad_cam")
    recipe: Recipe = request.param
    classifier = classifier_of(recipe)
    model = timm_model_with_weights_of(classifier._network)
    batch = np.ascontiguousarray(scan_like(recipe, 2)[:, ::2, ::2])
    return classifier, model, batch, torch.from_numpy(batch).permute(0, 3, 1, 2)


def compare(ours: tuple[Heatmap, ...], theirs: np.ndarray) -> int:
    """Number of maps compared; they are equal to correlation 0.999."""
    compared = 0
    for heatmap, their_map in zip(ours, theirs, strict=True):
        if heatmap.note:
            assert not their_map.any()
            continue
        assert correlation(heatmap.resized(*their_map.shape), their_map) >= 0.999
        compared += 1
    return compared


@pytest.mark.parametrize(
    ("method", "theirs", "scale"),
    [
        ("grad-cam", "GradCAM", 1),
        ("hires-cam", "HiResCAM", 1),
        ("layer-cam", "LayerCAM", 1),
        ("xgrad-cam", "XGradCAM", 1),
        # Their 1e-6 in the denominator drowns g^2 at this layer, where g is around 1e-3; ours is
        # the paper's formula. Explaining 100 times the logit makes theirs negligible.
        ("grad-cam-plus-plus", "GradCAMPlusPlus", 100),
    ],
)
def test_equal_to_the_grad_cam_package(timm_pair, method: str, theirs: str, scale: float):
    classifier, model, batch, inputs = timm_pair
    compared = 0
    for target, weights in enumerate(scale * np.eye(len(classifier.recipe.classes))):
        ours = METHODS[method].run(classifier, batch, weights).heatmaps
        targets = [lambda logits, k=target: scale * logits[k]] * len(batch)
        compared += compare(ours, package_maps(theirs, model, inputs, targets))
    assert compared >= 3


def test_ablation_cam_equals_the_package_that_ablates_to_zero(timm_pair):
    import torch
    from pytorch_grad_cam.ablation_layer import AblationLayer

    class ToZero(AblationLayer):
        """Theirs sets channels to -1e7 where features can be negative; the paper says 0."""

        def __call__(self, _features):
            channels = torch.as_tensor(self.indices[: len(self.activations)])
            self.activations[torch.arange(len(channels)), channels.long()] = 0
            return self.activations

    classifier, model, batch, inputs = timm_pair
    # Smaller still, for the time: the package runs the whole network for each channel.
    batch, inputs = batch[:1, :64, :64], inputs[:1, :, :64, :64]
    logits = classifier.logits(batch)[0]
    target = int(logits.argmax())
    assert logits[target] > 0  # they divide by it
    targets = [lambda logits: logits[target]]
    theirs = package_maps("AblationCAM", model, inputs, targets, ablation_layer=ToZero())
    ours = METHODS["ablation-cam"].run(classifier, batch, target).heatmaps
    assert compare(ours, theirs) == 1


@pytest.mark.parametrize(
    "shape", [(7, 7, 60), (12, 12, 300), (20, 20, 512), (40, 40, 120)], ids=str
)
def test_the_first_component_is_that_of_the_whole_decomposition(shape):
    """Small grids go another way than large ones, and more places than channels another still."""
    from core.explain.eigen_cam import first_component

    features = np.random.default_rng(1).gamma(0.4, size=shape)
    flat = features.reshape(-1, shape[-1])
    u, s, _ = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)
    ours = first_component(features).ravel()
    assert abs(ours @ u[:, 0]) == pytest.approx(s[0])
    assert np.linalg.norm(ours) == pytest.approx(s[0])


def test_two_components_alike_give_one_in_their_plane():
    from core.explain.eigen_cam import first_component

    rng = np.random.default_rng(2)
    u = np.linalg.qr(np.column_stack([np.ones(144), rng.normal(size=(144, 2))]))[0][:, 1:]
    v = np.linalg.qr(rng.normal(size=(200, 2)))[0]
    ours = first_component((5 * u @ v.T).reshape(12, 12, 200)).ravel()
    assert np.linalg.norm(u.T @ ours) == pytest.approx(5)
    assert np.linalg.norm(ours) == pytest.approx(5)


def test_eigen_cam_equals_the_package_up_to_sign(timm_pair):
    from pytorch_grad_cam.utils.svd_on_activations import get_2d_projection

    from core.explain.eigen_cam import first_component

    classifier, _, batch, _ = timm_pair
    features = classifier.features(batch)
    theirs = get_2d_projection(np.moveaxis(features, -1, 1))
    for one, their_map in zip(features, theirs, strict=True):
        ours = first_component(one.astype(np.float64))
        assert abs(correlation(ours, their_map)) >= 0.999
        assert correlation(ours, one.mean(axis=-1)) > 0
