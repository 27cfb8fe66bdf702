"""PyTorch stages in which nothing learns stay as they are, statistics included; others do not."""

from __future__ import annotations

import numpy as np

from core.recipe import Phase, load_recipe
from core.training.torch_learner import TorchLearner


def statistics(learner: TorchLearner) -> dict[str, np.ndarray]:
    return {k: v for k, v in learner.network.to_arrays().items() if "running" in k}


def test_batch_norms_learn_statistics_only_where_weights_learn():
    learner = TorchLearner(load_recipe("histology-dalaresnet50"), seed=0, pretrained=False)
    learner.start_phase(Phase(trainable=("layer4", "head"), epochs=1, learning_rate=1e-4))
    before = statistics(learner)
    batch = np.random.default_rng(0).normal(1, 2, (4, 64, 64, 3)).astype(np.float32)
    learner.step(batch, np.array([0, 1, 0, 1]), rate=1e-4)
    after = statistics(learner)
    changed = {name for name in before if not np.array_equal(before[name], after[name])}
    assert changed == {name for name in before if ".layer4." in name}
    assert changed
