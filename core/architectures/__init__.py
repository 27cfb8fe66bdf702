"""Networks: one file a builder, named ``<framework>_<builder>.py``, with one function ``build``.

``build(classes, size, parameters, pretrained)`` returns the framework's staged network:
``torch_staged.StagedNetwork`` or ``keras_staged.StagedNetwork``. ``core/networks.toml`` lists the
networks and names the builder of each.
"""

from __future__ import annotations

from importlib import import_module

from core.networks import networks
from core.recipe import Recipe
from core.refusal import Refusal


class ArchitectureError(Refusal):
    """No such network; the text names those there are."""


def list_architectures(framework: str) -> tuple[str, ...]:
    """Names of the networks of ``torch`` or ``keras``, sorted."""
    return tuple(sorted(name for name, one in networks().items() if one.framework == framework))


def build(recipe: Recipe, pretrained: bool = False):
    """The untrained (or, if ``pretrained``, ImageNet-initialised) network of a recipe."""
    framework, name = recipe.architecture.framework, recipe.architecture.name
    known = list_architectures(framework)
    if name not in known:
        raise ArchitectureError(
            f"There is no {framework} network '{name}'. Choose one of: {', '.join(known)}."
        )
    network = networks()[name]
    module = import_module(f"core.architectures.{framework}_{network.builder}")
    return module.build(
        classes=len(recipe.classes),
        size=recipe.preprocessing.size,
        parameters=network.parameters | recipe.architecture.parameters,
        pretrained=pretrained,
    )
