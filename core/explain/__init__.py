"""Explanations: each method is one function over ``Classifier``, in NumPy."""

from __future__ import annotations

from core.explain.grad_cam import grad_cam
from core.explain.heatmap import Explanation, Heatmap
from core.explain.method import Cancelled, Method, Parameter
from core.explain.registry import METHODS

__all__ = [
    "METHODS",
    "Cancelled",
    "Explanation",
    "Heatmap",
    "Method",
    "Parameter",
    "grad_cam",
]
