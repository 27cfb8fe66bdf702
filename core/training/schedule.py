"""The learning rate in the course of a phase."""

from __future__ import annotations

from core.recipe import Phase

_RISE = 0.05  # share of a phase over which the learning rate rises
_DECAY = 0.9  # exponent, as in DeepLab (Chen et al., TPAMI 2018)


def learning_rate(phase: Phase, epoch: int, share: float = 0.0) -> float:
    """The rate after ``share`` (0 to 1) of an epoch (from 0) of the phase.

    ``steps``: the phase's rate, stepped down every ``decay_every`` epochs. ``hill``: it rises
    linearly from 0 to the phase's rate, then falls as ``(1 - done) ** 0.9``.
    """
    if phase.schedule == "steps":
        return phase.learning_rate * phase.decay_factor ** (epoch // phase.decay_every)
    done = (epoch + share) / phase.epochs
    return phase.learning_rate * min(done / _RISE, 1.0) * (1 - done) ** _DECAY
