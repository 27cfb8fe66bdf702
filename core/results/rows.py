"""One row a recipe and protocol: the paper's figures, and those measured here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.card import PROTOCOLS
from core.checkpoints import CHECKPOINTS, judged, offered
from core.recipe import Recipe
from core.recipes import list_recipes

PAPER = "paper"
_KNOWN = ("n", "n_groups", "seed", "confusion", "over_seeds")


@dataclass(frozen=True)
class Row:
    """Figures of one recipe: those of its ``paper``, or those measured under one protocol.

    ``values`` is metric -> value, low, high; a paper's figures have no bounds. ``n``, ``n_groups``,
    ``seed`` and ``confusion`` are None where they are not known; a protocol under which the system
    was not trained has none of them.
    """

    recipe: Recipe
    figures: str
    n: int | None = None
    n_groups: int | None = None
    seed: int | None = None
    confusion: tuple | list | None = None
    values: dict[str, dict[str, float | None]] = field(default_factory=dict)
    over_seeds: dict | None = None

    @property
    def status(self) -> str:
        """Where the figures come from: "paper", "measured", or "not trained" (there are none)."""
        if self.figures == PAPER:
            return PAPER
        return "not trained" if self.n is None else "measured"


def rows_of(recipe: Recipe, metrics: dict) -> list[Row]:
    """The paper's row and one a protocol. ``metrics`` as in ``metrics.json``; {} if untrained."""
    return [_paper_row(recipe), *(_measured_row(recipe, p, metrics) for p in reversed(PROTOCOLS))]


def all_rows(root: Path = CHECKPOINTS) -> list[Row]:
    """Rows of all recipes, sorted by ``offered``. Raises CheckpointError if one is damaged."""
    known = judged(root)
    rows = []
    for recipe in sorted(list_recipes(), key=lambda one: offered(one.id)):
        rows += rows_of(recipe, known[recipe.id].metrics if recipe.id in known else {})
    return rows


def _paper_row(recipe: Recipe) -> Row:
    confusion = recipe.published_confusion
    values = {name: {"value": x, "low": None, "high": None} for name, x in recipe.published.items()}
    images = recipe.published_images if confusion is None else sum(map(sum, confusion))
    return Row(recipe, PAPER, n=images, confusion=confusion, values=values)


def _measured_row(recipe: Recipe, protocol: str, metrics: dict) -> Row:
    entry = metrics.get(protocol, {})
    known = {key: entry[key] for key in _KNOWN if key in entry}
    return Row(recipe, protocol, values=entry.get("values", {}), **known)
