"""One layer of a table in; what computing on integers asks of it out."""

from __future__ import annotations

from corecast.model import Layer, Operand
from corecast.plan.carry import Value

# What hands values on, or cuts them off: operands and result have one scale.
SHARING = frozenset(
    """
    nn.relu clip nn.max_pool1d nn.max_pool2d nn.max_pool3d nn.pad concat
    reshape flatten permute_dims squeeze expand_dims strided_slice
    """.split()
)

# What computes new values from integers: the operands of a sum have one scale, and its result another.
RESCALING = frozenset({"add", "mean"})


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
    """How many values each result of a `mean` is the mean of, where that is known."""
    shape, axes = layer.operands[0].type.shape, layer.attributes.get("axis")
    if shape is None:
        return None
    if axes is None:
        axes = tuple(range(len(shape)))
    elif isinstance(axes, int):
        axes = (axes,)
    if not isinstance(axes, tuple):
        return None
    count = 1
    for axis in axes:
        size = shape[int(axis)]
        if isinstance(size, str):
            return None
        count *= size
    return count
