"""Dtypes of what a layer reads and makes."""

from __future__ import annotations

from corecast.model import Layer
from corecast.recipe import predicate


@predicate
def dtype(layer: Layer) -> str | None:
    """The dtype of its first operand: `dtype == "float32"`."""
    return layer.operands[0].type.dtype if layer.operands else None


@predicate
def weight_dtype(layer: Layer) -> str | None:
    """The dtype of its first parameter: `weight_dtype == "float32"`."""
    return next((operand.type.dtype for operand in layer.operands if operand.parameter), None)


@predicate
def result_dtype(layer: Layer) -> str | None:
    """The dtype of its first result: `result_dtype == "float32"`."""
    return layer.results[0].dtype if layer.results else None
