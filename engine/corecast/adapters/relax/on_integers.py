"""A call on floats and integers for its operands in, the call that says the same of the integers out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax
from tvm.ir import Call, Tuple

from corecast.plan.integers import space_of
from corecast.quantization import Scale


def on_integers(op: str, call: Call, operands: list[Any], scale: Scale) -> Call:
    """What hands values on, or cuts them off, on integers of one scale; `op` is what recipes call it."""
    return _ON_INTEGERS.get(op, _handed_on)(call, operands, scale)


def _handed_on(call: Call, operands: list[Any], scale: Scale) -> Call:  # noqa: ARG001
    return Call(call.op, [*operands, *call.args[len(operands) :]], call.attrs)


def _relu(call: Call, operands: list[Any], scale: Scale) -> Call:
    if scale.zero_point:
        return relax.op.maximum(operands[0], relax.const(scale.zero_point, scale.dtype))
    return _handed_on(call, operands, scale)


def _clip(call: Call, operands: list[Any], scale: Scale) -> Call:
    return relax.op.clip(operands[0], *(scale.quantized(float(bound.value)) for bound in call.args[1:]))


def _pad(call: Call, operands: list[Any], scale: Scale) -> Call:
    attributes = call.attrs
    value = float(scale.quantized(float(attributes.pad_value)))
    return relax.op.nn.pad(operands[0], [int(width) for width in attributes.pad_width], "constant", value)


def summed(data: Any, attributes: Any) -> Call:
    """The sum of what a mean, or a pool over all of space, is the mean of."""
    if hasattr(attributes, "layout"):
        return relax.op.sum(data, list(space_of(str(attributes.layout))), keepdims=True)
    return relax.op.sum(data, attributes.axis, attributes.keepdims)


def _concat(call: Call, operands: list[Any], scale: Scale) -> Call:  # noqa: ARG001
    return Call(call.op, [Tuple(operands)], call.attrs)


# Those that say it otherwise than by the same call.
_ON_INTEGERS: dict[str, Callable[[Call, list[Any], Scale], Call]] = {
    "nn.relu": _relu,
    "clip": _clip,
    "nn.pad": _pad,
    "concat": _concat,
}


def output_axis(call: Call) -> int:
    """The axis of a weight along which its output channels lie."""
    layout = getattr(call.attrs, "kernel_layout", None)
    return call.args[1].ty.ndim - 1 if layout is None else str(layout).index("O")


def channel_axis(call: Call, rank: int) -> int:
    """The axis of a result along which its channels lie."""
    layout = getattr(call.attrs, "out_layout", None) or getattr(call.attrs, "data_layout", None)
    return rank - 1 if layout is None else str(layout).index("C")
