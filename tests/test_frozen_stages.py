"""PyTorch stages in which nothing learns stay as they are, statistics included; others do not."""

from __future__ import annotations

import numpy as np
import torch

from core.recipe import Phase
from core.recipes import load_recipe
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


def test_earlier_stages_learn_more_slowly():
    """By plain gradient descent a stage moves by its share of the rate, times its gradient."""
    recipe = load_recipe("histology-dalaresnet50")
    training = recipe.training.model_copy(update={"optimizer": "sgd"})
    recipe = recipe.model_copy(update={"training": training})
    batch = np.random.default_rng(0).normal(0, 1, (4, 64, 64, 3)).astype(np.float32)
    moved = {}
    for decay in (1.0, 0.5):
        learner = TorchLearner(recipe, seed=0, pretrained=False)
        learner._bfloat16 = False
        learner.start_phase(Phase(trainable="all", epochs=1, learning_rate=1, stage_decay=decay))
        before = learner.network.to_arrays()
        torch.manual_seed(0)  # of the dropout
        learner.step(batch, np.array([0, 1, 0, 1]), rate=0.01)
        after = learner.network.to_arrays()
        moved[decay] = {name: float(np.abs(after[name] - before[name]).sum()) for name in before}
    shares = {"head.": 1, ".attention.": 1, ".layer4.": 0.5, ".layer3.": 0.25, ".stem.": 0.5**5}
    for part, share in shares.items():
        names = [one for one in moved[1.0] if part in one and "running" not in one]
        whole, slowed = (sum(moved[decay][one] for one in names) for decay in (1.0, 0.5))
        assert whole > 0
        np.testing.assert_allclose(slowed / whole, share, rtol=0.02)
