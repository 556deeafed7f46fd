"""A layer table in, what its whole-number inputs mean out: indices into a table of known length, or masks.

A random token outside the vocabulary ends the process (compiled code checks no bounds), and a mask that hides
everything gives NaN. So what an input is read as is followed from the input to the layer that uses it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod

from corecast.model import Layer, LayerTable, Operand


@dataclass(frozen=True)
class Index:
    """An input whose values point into an axis: from 0 up to, not including, `below`."""

    below: int


@dataclass(frozen=True)
class Mask:
    """An input that says yes or no, in whatever dtype."""


Role = Index | Mask

# What hands on the values that it is given, or some of them; of a `where` the values, and not the condition.
_PASSES_ON = frozenset(
    """
    astype broadcast_to clip concat expand_dims flatten flip gather_elements permute_dims repeat reshape split squeeze
    strided_slice tile where
    """.split()
)


def roles(table: LayerTable) -> dict[str, Role]:
    """The role of each integer input that has one; where an input is both, it is an index."""
    carried: defaultdict[int, set[str]] = defaultdict(set)
    limits: defaultdict[str, list[int]] = defaultdict(list)
    masks: set[str] = set()
    for layer in table.layers:
        for place, operand in enumerate(layer.operands):
            names = carried[operand.layer] if operand.layer is not None else set(filter(None, [operand.argument]))
            if not names or not _is_integer(operand):
                continue
            if (limit := _length(layer, place)) is not None:
                for name in names:
                    limits[name].append(limit)
            elif _is_condition(layer):
                masks |= names
            elif layer.op in _PASSES_ON and not _is_index(layer, place):
                carried[layer.index] |= names
    found: dict[str, Role] = {name: Mask() for name in masks}
    return found | {name: Index(min(lengths)) for name, lengths in limits.items()}


def _is_integer(operand: Operand) -> bool:
    return "int" in operand.type.dtype


def _is_condition(layer: Layer) -> bool:
    """Whether a layer makes of whole numbers what decides or what is multiplied: `(1 - mask) * -inf` is written so.

    Bytes that become floats are pixels; wider numbers that do are masks more often than anything else.
    """
    source, result = layer.operands[0].type.dtype, layer.results[0].dtype if layer.results else ""
    return layer.op == "astype" and (result == "bool" or (source in {"int32", "int64"} and "float" in result))


def _length(layer: Layer, place: int) -> int | None:
    """How many values an operand may have that a layer looks up, or None where it does not look up by it."""
    if not _is_index(layer, place):
        return None
    sizes = list(_lengths(layer, place))
    return (
        min(size for size in sizes if isinstance(size, int)) if any(isinstance(size, int) for size in sizes) else None
    )


def _is_index(layer: Layer, place: int) -> bool:
    first, last = _INDICES.get(layer.op, (0, 0))
    return first <= place < last


# Which operands of a layer are indices, as a range of places.
_INDICES = {
    "take": (1, 2),
    "gather_elements": (1, 2),
    "gather_nd": (1, 2),
    "index_tensor": (1, 100),
    "one_hot": (0, 1),
    "scatter_elements": (1, 2),
    "scatter_nd": (1, 2),
}


def _lengths(layer: Layer, place: int) -> Iterator[int | str]:
    """The lengths of the axes that an index may point along."""
    shape = layer.operands[0].type.shape or ()
    axis = layer.attributes.get("axis")
    if layer.op == "one_hot":
        yield from (size for size in [layer.attributes.get("depth")] if isinstance(size, int))
    elif layer.op == "index_tensor":
        yield from shape[place - 1 : place]
    elif layer.op in {"gather_nd", "scatter_nd"}:
        yield from shape
    elif isinstance(axis, int):
        yield shape[axis]
    else:
        yield prod(size for size in shape if isinstance(size, int))
