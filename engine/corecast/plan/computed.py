"""A layer and what was decided about it in, the layer as it will compute out: what a schedule is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from corecast.model import Layer, padded
from corecast.recipe import ChangeDType, Edit, Pad, Quantize


def computed(layer: Layer, edits: Iterable[Edit]) -> Layer:
    """The layer with the types of its operands as they are multiplied, and of its result as it is summed.

    Layouts stay the model's.
    """
    for edit in edits:
        match edit:
            case ChangeDType():
                layer = _in(layer, [edit.dtype] * len(layer.operands), edit.accumulator)
            case Quantize():
                # Of a product of two activations both are in the dtype of activations, which is int8 then.
                layer = _in(layer, [edit.activations, "int8"], "int32")
            case Pad():
                layer = padded(layer, edit.axis, edit.to)
            case _:
                pass
    return layer


def _in(layer: Layer, dtypes: Sequence[str], sums: str) -> Layer:
    operands = zip(layer.operands, dtypes, strict=True)
    return replace(
        layer,
        operands=tuple([replace(operand, type=operand.type.cast(dtype)) for operand, dtype in operands]),
        results=tuple([result.cast(sums) for result in layer.results]),
    )
