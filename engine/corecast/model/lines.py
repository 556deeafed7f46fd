"""A call in, the lines out along which it computes: for each, where it lies in every operand and in the result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corecast.model.axes import Axes, broadcast
from corecast.model.following import FOLLOWERS
from corecast.model.layer import Layer
from corecast.model.padding import RESULT


@dataclass(frozen=True)
class Line:
    """An axis of the space that a call computes over.

    Attributes:
        number: which one.
        size: how long it is; a tensor that is repeated along it has size one there.
        axes: of each tensor (an operand by its place, or `RESULT`) the axis that lies along it, if one does.
        sizes: the sizes of these axes.
        is_named: whether the call does something along it that it does not along others: adds up, normalises, joins.
    """

    number: int
    size: int | str
    axes: Mapping[int, int | None]
    sizes: Mapping[int, int | str | None]
    is_named: bool


def is_elementwise(op: str) -> bool:
    """Whether an operator computes element by element, operands with one element along an axis being repeated."""
    follower = FOLLOWERS.get(op)
    is_plain = "." not in op or op.startswith("nn.")
    return follower is not None and follower.axes is broadcast and is_plain and op not in _WITH_A_SHAPE


_WITH_A_SHAPE = frozenset({"broadcast_to"})


def lines_of(layer: Layer) -> tuple[Line, ...]:
    """The lines of a call with one result, along which every tensor has one axis at most; none where it is no such."""
    tensors = [*(operand.type for operand in layer.operands), *layer.results]
    if len(layer.results) != 1 or len(tensors) < 2 or layer.op in _WITH_A_SHAPE:
        return ()
    if any(tensor.shape is None for tensor in tensors) or layer.attributes.get("axis", 0) is None:
        return ()
    if layer.op == "reshape":
        return _of_rows(layer)
    axes = _permuted(layer) if layer.op == "permute_dims" else _followed(layer)
    blocks = [*axes.operands, *axes.results] if axes else []
    if not axes or any(len(found) > 1 for block in blocks if block for found in block):
        return ()
    return tuple(_line(layer, axes, number) for number in range(axes.rank))


def _followed(layer: Layer) -> Axes | None:
    follower = FOLLOWERS.get(layer.op)
    return follower.axes(layer) if follower else None


def _permuted(layer: Layer) -> Axes:
    rank = len(layer.results[0].shape or ())
    order = layer.attributes.get("axes")
    axes = [int(axis) % rank for axis in order] if isinstance(order, tuple) else list(range(rank))[::-1]
    return Axes(rank, (tuple((axis,) for axis in axes),), (tuple((axis,) for axis in range(rank)),))


def _line(layer: Layer, axes: Axes, number: int) -> Line:
    tensors = {place: operand.type for place, operand in enumerate(layer.operands)} | {RESULT: layer.results[0]}
    blocks = {**dict(enumerate(axes.operands)), RESULT: axes.results[0]}
    found = {place: block[number][0] if block and block[number] else None for place, block in blocks.items()}
    sizes = {place: None if axis is None else (tensors[place].shape or ())[axis] for place, axis in found.items()}
    own = sizes[RESULT] if sizes[RESULT] is not None else sizes[0]
    return Line(number, 1 if own is None else own, found, sizes, _is_named(layer, found))


def _is_named(layer: Layer, found: Mapping[int, int | None]) -> bool:
    """Whether an attribute of the call names the axis of its first operand."""
    rank = len(layer.operands[0].type.shape or ())
    named = [layer.attributes.get(key) for key in ("axis", "axes") if layer.op != "permute_dims"]
    numbers = [number for value in named for number in (value if isinstance(value, tuple) else (value,))]
    return found[0] in {int(number) % rank for number in numbers if isinstance(number, int)}


def _of_rows(layer: Layer) -> tuple[Line, ...]:
    """A reshape that leaves the rows as they are: the line of these alone."""
    before, after = layer.operands[0].type.shape, layer.results[0].shape
    if not before or not after or before[0] != after[0] or 0 in (*before, *after):
        return ()
    return (Line(0, before[0], {0: 0, RESULT: 0}, {0: before[0], RESULT: after[0]}, False),)
