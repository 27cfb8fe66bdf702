"""The figures of the proposed outlines as a part of the page docs/results.md."""

from __future__ import annotations

from pathlib import Path

from core.checkpoints import CHECKPOINTS, CheckpointError
from core.outlining.card import figure_parts, split_sentence
from core.outlining.proposal import outlines_checkpoint

_READING = (
    "Measured by `python -m core.outlining evaluate` on the grouped test images. Dice is twice the "
    "shared pixels over the sum of both outlines, IoU the shared over those of either; where "
    "nothing is proposed both are 0."
)


def section(root: Path = CHECKPOINTS) -> str:
    """Markdown on the shipped outlining network; "" if there is none.

    Raises CheckpointError if it is damaged.
    """
    try:
        checkpoint = outlines_checkpoint(root)
    except CheckpointError:
        return ""
    metrics, recipe = checkpoint.metrics, checkpoint.recipe
    title = f"{recipe.title} (`outlines/{recipe.id}`). {split_sentence(metrics)}"
    return "\n\n".join(["## Proposed outlines", title, _READING, *figure_parts(metrics)]) + "\n"
