"""The page docs/results.md."""

from __future__ import annotations

from pathlib import Path

from core.checkpoints import CHECKPOINTS, list_trained, open_checkpoint
from core.evaluation.explanations import read
from core.evaluation.guard import read as read_guard
from core.results import calibration, conformal, explanations, guard, outlining, speed, tables
from core.results.rows import all_rows

PAGE = Path(__file__).parents[2] / "docs" / "results.md"


def markdown(root: Path = CHECKPOINTS) -> str:
    """The text of docs/results.md."""
    trained = {recipe_id: open_checkpoint(recipe_id, root) for recipe_id in list_trained(root)}
    explained, guarded = (
        {name: table for name, one in trained.items() if len(table := reader(one))}
        for reader in (read, read_guard)
    )
    parts = [
        tables.page(all_rows(root)),
        calibration.section(trained.values()),
        conformal.section(trained.values()),
        guard.section(guarded),
        outlining.section(root),
        explanations.section(explained),
        speed.section(root),
    ]
    return "\n".join(filter(None, parts))
