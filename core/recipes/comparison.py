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
_TOLD = {
    "second_task": "the second task",
    "averaging": "averaging of weights",
    "label_smoothing": "label smoothing",
    "class_weights": "class weights",
    "kept_norms": "batch norms that keep ImageNet's statistics",
    "stage_rate": "lower rates of earlier stages",
    "stage_decay": "lower rates of earlier stages",
}
"""Settings that another network may have to do without -> what the card calls them."""


def compare(recipe: Recipe, network: str) -> Recipe:
    """A comparison run: the recipe's method with another network, of either framework.

    The network gets pixels in the range its ImageNet weights were made for and its default
    settings, but for the recipe's dropout; where the recipe trains layers of its own network by
    name, all layers train; a second task and kept norms, which name stages, are left out, and in
    Keras whatever PyTorch alone can do. The paper's figures, the recipe's prose and its own limits
    are left out: they belong to its own network. What the training had to do without is among the
    departures. Raises RecipeError for an unknown network.
    """
    if network not in networks():
        known = ", ".join(sorted(networks()))
        raise RecipeError(f"There is no network '{network}'. Choose one of: {known}.")
    other = networks()[network]
    kept = {k: v for k, v in recipe.architecture.parameters.items() if k == "dropout"}
    architecture = Architecture(framework=other.framework, name=network, parameters=kept)
    training = _training_of(recipe, other.framework)
    preprocessing = recipe.preprocessing.model_copy(update={"value_range": other.value_range})
    changes = {
        "id": f"{recipe.id}{COMPARED}{network}",
        "title": f"{other.title} in place of {recipe.title}",
        "summary": f"A comparison run: {other.title} on the images of {recipe.title}, and trained "
        "like it as far as another network can be.",
        "departures": (
            f"{other.title} is in place of the network of `{recipe.id}`, whose own departures are "
            "told there.",
            *_set_back(recipe.training, training),
        ),
        "own_limits": (),
        "published": {},
        "published_images": None,
        "published_confusion": None,
        "preprocessing": preprocessing,
        "architecture": architecture,
        "training": training,
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


def _set_back(own: Training, others: Training) -> list[str]:
    """What the other network's training does without, in sentences."""
    phases = list(zip(own.phases, others.phases, strict=True))
    pairs = [(own, others), *phases]
    left = {_TOLD[name]: None for name in _TOLD if any(_differ(name, *pair) for pair in pairs)}
    named = [n for n, pair in enumerate(phases, 1) if _differ("trainable", *pair)]
    told = [f"Left out of its training: {', '.join(left)}."] if left else []
    return told + [
        f"Phase {n} trains all layers: those that the recipe names are its own network's."
        for n in named
    ]


def _differ(name: str, one: Record, other: Record) -> bool:
    return getattr(one, name, None) != getattr(other, name, None)


def _without(record: Record, settings: Iterable[str]) -> Record:
    """The record with those of its settings that are named set to do nothing."""
    own = {name: TORCH_ALONE[name] for name in settings if name in type(record).model_fields}
    return record.model_copy(update=own)
