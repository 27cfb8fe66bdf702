"""A shipped system shared by many threads: the same maps to the last bit, and nothing changed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from math import prod

import numpy as np
import pytest
from networks import FRAMEWORKS, trained_classifier

from core.checkpoints import list_trained, open_checkpoint
from core.classifiers import Classifier
from core.datasets.phantoms import PHANTOM_CLASSES, phantom
from core.explain import METHODS, Cancelled
from core.preprocessing import to_batch

THREADS, SCANS = 4, 4
# Few copies and channels, for the time. Score-CAM with few channels runs what it runs with all.
NAMED = {
    "grad-cam": {},
    "fast-score-cam": {"channels": 3},
    "eigen-cam": {},
    "dt-grad-cam": {"n": 2},
}


@pytest.fixture(scope="module", params=FRAMEWORKS)
def system(request) -> Classifier:
    """The shipped system of a framework with the smallest input."""
    checkpoints = [open_checkpoint(recipe_id) for recipe_id in list_trained()]
    found = [one for one in checkpoints if one.recipe.architecture.framework == request.param]
    if not found:
        pytest.skip(f"no system of {request.param} is shipped")
    smallest = min(found, key=lambda one: prod(one.recipe.preprocessing.size))
    return trained_classifier(smallest.recipe.id)


@pytest.fixture(scope="module")
def scans(system) -> list[np.ndarray]:
    images = [phantom(PHANTOM_CLASSES[i % 3], i)[0] for i in range(SCANS)]
    batch = to_batch(images, system.recipe.preprocessing)
    # PyTorch takes any size; a smaller scan is as good a test.
    step = 2 if system.recipe.architecture.framework == "torch" else 1
    return [np.ascontiguousarray(batch[i : i + 1, ::step, ::step]) for i in range(SCANS)]


def test_threads_get_the_maps_of_one(system, scans):
    tasks = [(index, method) for index in range(SCANS) for method in NAMED]

    def explain(index: int, method: str) -> np.ndarray:
        run = METHODS[method].run
        return run(system, scans[index], index % 3, **NAMED[method]).heatmaps[0].values

    def explain_all(thread: int) -> dict[tuple[int, str], np.ndarray]:
        first = thread * len(tasks) // THREADS  # no two threads on one scan at a time
        return {task: explain(*task) for task in [*tasks[first:], *tasks[:first]]}

    expected = explain_all(0)
    assert sum(bool(one.any()) for one in expected.values()) > len(expected) / 2
    with ThreadPoolExecutor(THREADS) as pool:
        for maps in pool.map(explain_all, range(THREADS)):
            for task, right in expected.items():
                np.testing.assert_array_equal(maps[task], right, err_msg=str(task))


@pytest.mark.parametrize("method", NAMED)
def test_an_exception_in_the_middle_changes_nothing(system, scans, method: str):
    run = METHODS[method].run
    expected = run(system, scans[0], 0, **NAMED[method]).heatmaps[0].values
    arrays, flags = system._network.to_arrays(), flags_of(system)

    def stop(_share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        run(system, scans[0], 0, progress=stop, **NAMED[method])
    assert flags_of(system) == flags
    for name, array in system._network.to_arrays().items():
        np.testing.assert_array_equal(array, arrays[name])
    again = run(system, scans[0], 0, **NAMED[method]).heatmaps[0].values
    np.testing.assert_array_equal(again, expected)


def flags_of(system: Classifier) -> list:
    """Modes, hooks and gradients of PyTorch modules; what learns of Keras layers."""
    network = system._network
    if system.recipe.architecture.framework == "keras":
        return [(layer.name, layer.trainable) for layer in network.model.layers]
    assert all(parameter.grad is None for parameter in network.parameters())
    return [
        (name, module.training, len(module._forward_hooks), len(module._backward_hooks))
        for name, module in network.named_modules()
    ]
