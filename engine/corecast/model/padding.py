"""A layer and a multiple in, the sizes out that it computes with once an axis of it is filled up with zeros.

`channels` are what a product sums over and what it makes: I and O of a convolution, the inner and the last axis of a
matrix product. `batch` is the first axis of the data, N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from corecast.model.layer import Layer, Operand
from corecast.model.tensor import TensorType

PaddedAxis = Literal["channels", "batch"]
PADDED_AXES: tuple[PaddedAxis, ...] = ("channels", "batch")

# A size of a layer, and where it stands: the tensor (an operand by its place, or -1 for the result) and the axis.
Place = tuple[int, int]
RESULT = -1


def places_of(layer: Layer, axis: PaddedAxis) -> tuple[tuple[Place, ...], ...]:
    """For each size of a layer that padding is about, all places where it stands; none where it has no such size."""
    if layer.op == "nn.dense" or layer.op == "matmul":
        return _of_product(layer, axis)
    data, kernel = layer.data_layout or "", layer.kernel_layout or ""
    if not layer.operator or not {"N", "C"} <= set(data) or not {"I", "O"} <= set(kernel):
        return ()
    if axis == "batch":
        return (((0, data.index("N")), (RESULT, data.index("N"))),)
    return (
        ((0, data.index("C")), (1, kernel.index("I"))),
        ((1, kernel.index("O")), (RESULT, data.index("C"))),
    )


def _of_product(layer: Layer, axis: PaddedAxis) -> tuple[tuple[Place, ...], ...]:
    left, right, *_ = [*(_rank(operand.type) for operand in layer.operands), 0, 0]
    if left < 2 or right < 2:
        return ()
    result = max(left, right)
    if axis == "batch":
        # What both operands count along with the rows, as an attention does, has no batch of its own.
        return (((0, 0), (RESULT, result - left)),) if layer.op == "nn.dense" and right == 2 else ()
    return ((0, left - 1), (1, right - 2)), ((1, right - 1), (RESULT, result - 1))


def _rank(tensor: TensorType) -> int:
    return len(tensor.shape or ())


def sizes_of(layer: Layer, axis: PaddedAxis) -> tuple[int | str, ...]:
    """Input and output channels, or the batch."""
    return tuple(_size(layer, places[0]) for places in places_of(layer, axis))


def _size(layer: Layer, place: Place) -> int | str:
    tensor, axis = place
    shape = (layer.results[0] if tensor == RESULT else layer.operands[tensor].type).shape or ()
    return shape[axis]


def rounded_up(size: int, multiple: int) -> int:
    """The next multiple."""
    return -(-size // multiple) * multiple


def padded(layer: Layer, axis: PaddedAxis, multiple: int) -> Layer:
    """The layer with its sizes along an axis filled up; sizes that are known at run time only stay."""
    operands, results = list(layer.operands), list(layer.results)
    for places in places_of(layer, axis):
        for tensor, at in places:
            if tensor == RESULT:
                results[0] = _filled(results[0], at, multiple)
            else:
                operands[tensor] = _filled_operand(operands[tensor], at, multiple)
    return replace(layer, operands=tuple(operands), results=tuple(results))


def _filled(tensor: TensorType, axis: int, multiple: int) -> TensorType:
    shape = list(tensor.shape or ())
    size = shape[axis]
    shape[axis] = rounded_up(size, multiple) if isinstance(size, int) else size
    return TensorType(dtype=tensor.dtype, shape=tuple(shape))


def _filled_operand(operand: Operand, axis: int, multiple: int) -> Operand:
    return replace(operand, type=_filled(operand.type, axis, multiple))


def factor(layer: Layer, axis: PaddedAxis, multiple: int) -> float:
    """How many times the layer's own work it is to compute with the axis filled up."""
    product = Fraction(1)
    for before, after in _changes(sizes_of(layer, axis), multiple):
        product *= Fraction(after, before) if before else 1
    return float(product)


def _changes(sizes: Sequence[int | str], multiple: int) -> Iterator[tuple[int, int]]:
    return ((size, rounded_up(size, multiple)) for size in sizes if isinstance(size, int))
