"""One layer of a table in; what computing on integers asks of it out."""

from __future__ import annotations

from math import prod

from corecast.model import Layer, Operand
from corecast.plan.carry import Value

# What hands values on, or cuts them off: operands and result have one scale.
SHARING = frozenset(
    """
    nn.relu clip nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.pad concat
    reshape flatten permute_dims squeeze expand_dims strided_slice
    """.split()
)

# Of them, what cuts values off: the range of what it reads does not count, only that of what it gives.
CUTTING = frozenset({"nn.relu", "clip"})

# What computes new values from integers: the operands of a sum have one scale, and its result another.
_POOLS = frozenset({"nn.avg_pool1d", "nn.avg_pool2d", "nn.avg_pool3d"})
AVERAGES = _POOLS | {"mean", "nn.adaptive_avg_pool1d", "nn.adaptive_avg_pool2d", "nn.adaptive_avg_pool3d"}
RESCALING = AVERAGES | {"add"}


def value_of(operand: Operand) -> Value | None:
    """What an operand is that is known at run time only; None for a weight."""
    producer = operand.argument if operand.layer is None else operand.layer
    return None if producer is None else (producer, operand.result)


def is_weight(operand: Operand) -> bool:
    return value_of(operand) is None


def channel_axis(layer: Layer) -> int | None:
    """The axis of a quantized layer's result along which its output channels lie; None for a product of two tensors."""
    shape = layer.results[0].shape
    if layer.op == "matmul" or shape is None:
        return None
    if layer.op == "nn.dense":
        return len(shape) - 1
    layout = layer.attributes.get("out_layout") or layer.data_layout
    return str(layout).index("C")


def averaged(layer: Layer) -> int | None:
    """How many values each result of a mean, or of a pool over all of space, is the mean of, where that is known."""
    shape = layer.operands[0].type.shape
    axes = _averaged_axes(layer) if shape is not None else None
    sizes = [shape[axis] for axis in axes] if shape is not None and axes is not None else []
    known = [size for size in sizes if isinstance(size, int)]
    return prod(known) if axes is not None and len(known) == len(sizes) else None


def _averaged_axes(layer: Layer) -> tuple[int, ...] | None:
    """The axes that an average is taken over; None where it is not taken over the whole of each."""
    shape = layer.operands[0].type.shape or ()
    if layer.op == "mean":
        axes = layer.attributes.get("axis")
        if axes is None:
            return tuple(range(len(shape)))
        return (axes,) if isinstance(axes, int) else tuple(map(int, axes)) if isinstance(axes, tuple) else None
    space = space_of(str(layer.attributes.get("layout")))
    after = layer.results[0].shape
    is_whole = after is not None and all(after[axis] == 1 for axis in space)
    if layer.op in _POOLS:  # one that is padded, or does not reach the end, is an average of other values
        size = layer.attributes.get("pool_size")
        is_whole = is_whole and size == tuple(shape[axis] for axis in space) and not any(_padding(layer))
    return space if is_whole else None


def _padding(layer: Layer) -> tuple[object, ...]:
    padding = layer.attributes.get("padding")
    return padding if isinstance(padding, tuple) else (padding,)


def space_of(layout: str) -> tuple[int, ...]:
    """The axes of space in a layout."""
    return tuple(place for place, axis in enumerate(layout) if axis in "DHW")
