"""A recipe with another network in the place of its own, for comparison."""

from __future__ import annotations

from collections.abc import Iterable

from core.networks import networks
from core.recipe import (
    NAMES_STAGES,
    TORCH_ALONE,
    Architecture,
    Recipe,
    RecipeError,
    Record,
    Training,
)

COMPARED = "+"  # "<recipe>+<network>" is a comparison run


def compare(recipe: Recipe, network: str) -> Recipe:
    """A comparison run: the recipe's method with another network, of either framework.

    The network gets pixels in the range its ImageNet weights were made for and its default
    settings, but for the recipe's dropout; where the recipe trains layers of its own network by
    name, all layers train; a second task and kept norms, which name stages, are left out, and in
    Keras whatever PyTorch alone can do. The paper's figures are left out: they belong to its own
    network.
    Raises RecipeError for an unknown network.
    """
    if network not in networks():
        known = ", ".join(sorted(networks()))
        raise RecipeError(f"There is no network '{network}'. Choose one of: {known}.")
    other = networks()[network]
    kept = {k: v for k, v in recipe.architecture.parameters.items() if k == "dropout"}
    architecture = Architecture(framework=other.framework, name=network, parameters=kept)
    preprocessing = recipe.preprocessing.model_copy(update={"value_range": other.value_range})
    changes = {
        "id": f"{recipe.id}{COMPARED}{network}",
        "title": f"{other.title} in place of {recipe.title}",
        "departures": (
            *recipe.departures,
            f"A comparison run: {other.title} in place of the paper's network, trained alike.",
        ),
        "published": {},
        "published_confusion": None,
        "preprocessing": preprocessing,
        "architecture": architecture,
        "training": _training_of(recipe, other.framework),
    }
    return recipe.model_copy(update=changes)


def _training_of(recipe: Recipe, framework: str) -> Training:
    """The recipe's training for another network: no layer or stage by name, and in Keras nothing
    that PyTorch alone can do."""
    dropped = NAMES_STAGES if framework == "torch" else TORCH_ALONE
    phases = tuple(
        _without(phase, dropped).model_copy(
            update={} if isinstance(phase.trainable, str) else {"trainable": "all"}
        )
        for phase in recipe.training.phases
    )
    return _without(recipe.training, dropped).model_copy(update={"phases": phases})


def _without(record: Record, settings: Iterable[str]) -> Record:
    """The record with those of its settings that are named set to do nothing."""
    own = {name: TORCH_ALONE[name] for name in settings if name in type(record).model_fields}
    return record.model_copy(update=own)
