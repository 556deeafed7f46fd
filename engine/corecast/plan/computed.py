"""A layer and what was decided about its dtype in, the layer as it will compute out: what a schedule is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from corecast.model import Layer
from corecast.recipe import ChangeDType, Edit, Quantize


def computed(layer: Layer, edit: Edit | None) -> Layer:
    """The layer with the types of its operands as they are multiplied, and of its result as it is summed."""
    match edit:
        case ChangeDType():
            return _in(layer, [edit.dtype] * len(layer.operands), edit.accumulator)
        case Quantize():
            # Of a product of two activations both are in the dtype of activations, which is int8 then.
            return _in(layer, [edit.activations, "int8"], "int32")
        case _:
            return layer


def _in(layer: Layer, dtypes: Sequence[str], sums: str) -> Layer:
    operands = zip(layer.operands, dtypes, strict=True)
    return replace(
        layer,
        operands=tuple([replace(operand, type=operand.type.cast(dtype)) for operand, dtype in operands]),
        results=tuple([result.cast(sums) for result in layer.results]),
    )
