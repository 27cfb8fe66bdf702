"""Trained systems behind one interface, whatever their framework."""

from __future__ import annotations

from importlib import import_module

from core.classifiers.base import Classifier, probabilities
from core.recipe import Recipe

__all__ = ["Classifier", "probabilities", "wrap"]

# framework -> class, imported only when a model of that framework is first used
_CLASSES = {"torch": "TorchClassifier", "keras": "KerasClassifier"}


def wrap(recipe: Recipe, network) -> Classifier:
    """The classifier around a staged network of ``core.architectures.build``."""
    framework = recipe.architecture.framework
    module = import_module(f"core.classifiers.{framework}")
    return getattr(module, _CLASSES[framework])(recipe, network)
