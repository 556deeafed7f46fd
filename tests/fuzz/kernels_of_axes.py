"""What the other operators mean, by numpy: elementwise ones, and those that join, cut, reduce and reorder axes."""

from __future__ import annotations

from collections.abc import Callable
from math import erf
from typing import Any

import numpy as np

from fuzz.interpreter import Array, kernel
from fuzz.kernels import numbers

# ── elementwise ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _plain(**functions: Callable[..., Any]) -> None:
    """Register functions of the operands alone."""
    for op, function in functions.items():
        kernel(op.replace("nn_", "nn."))(lambda _call, *operands, function=function: function(*operands))


def _whole(function: Callable[..., Any]) -> Callable[..., Any]:
    return np.vectorize(function, otypes=[np.float64])


_erf = _whole(erf)

_plain(
    add=np.add, subtract=np.subtract, multiply=np.multiply, divide=np.divide, power=np.power,
    maximum=np.maximum, minimum=np.minimum, floor_divide=np.floor_divide, mod=np.fmod, floor_mod=np.mod,
    greater=np.greater, greater_equal=np.greater_equal, less=np.less, less_equal=np.less_equal, equal=np.equal,
    not_equal=np.not_equal, logical_and=np.logical_and, logical_or=np.logical_or, logical_not=np.logical_not,
    negative=np.negative, abs=np.abs, exp=np.exp, log=np.log, sqrt=np.sqrt, square=np.square, sign=np.sign,
    rsqrt=lambda x: 1 / np.sqrt(x), floor=np.floor, ceil=np.ceil, round=np.rint, trunc=np.trunc,
    sin=np.sin, cos=np.cos, tan=np.tan, sinh=np.sinh, cosh=np.cosh, tanh=np.tanh, erf=_erf,
    asin=np.arcsin, acos=np.arccos, atan=np.arctan, asinh=np.arcsinh, acosh=np.arccosh, atanh=np.arctanh,
    atan2=np.arctan2, log_add_exp=np.logaddexp, logical_xor=np.logical_xor,
    bitwise_and=np.bitwise_and, bitwise_or=np.bitwise_or, bitwise_xor=np.bitwise_xor, bitwise_not=np.invert,
    isnan=np.isnan, isinf=np.isinf, isfinite=np.isfinite, ones_like=np.ones_like, zeros_like=np.zeros_like,
    sigmoid=lambda x: 1 / (1 + np.exp(-x)), where=np.where,
    nn_relu=lambda x: np.maximum(x, 0), nn_silu=lambda x: x / (1 + np.exp(-x)),
    nn_gelu=lambda x: x * 0.5 * (1 + _erf(x / np.sqrt(2))),
    nn_gelu_tanh=lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    nn_selu=lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * (np.exp(x) - 1)),
    shape_to_tensor=np.array,
)  # fmt: skip


@kernel("nn.softplus")
def _softplus(call: Any, x: Array) -> Array:
    beta = call.attrs.beta
    return np.where(x * beta > call.attrs.threshold, x, np.log1p(np.exp(beta * x)) / beta)


@kernel("nn.leakyrelu")
def _leaky(call: Any, x: Array) -> Array:
    return np.where(x > 0, x, x * call.attrs.alpha)


@kernel("nn.prelu")
def _prelu(call: Any, x: Array, alpha: Array) -> Array:
    slopes = alpha.reshape([-1 if axis == int(call.attrs.axis) % x.ndim else 1 for axis in range(x.ndim)])
    return np.where(x > 0, x, x * slopes)


@kernel("clip")
def _clip(_call: Any, x: Array, least: Any, most: Any) -> Array:
    return np.clip(x, *(float(getattr(bound, "value", bound)) for bound in (least, most)))


@kernel("astype", "wrap_param")
def _astype(_call: Any, x: Array) -> Array:
    return x


@kernel("nn.dropout")
def _dropout(_call: Any, x: Array) -> tuple[Array, Array]:
    return x, np.ones_like(x)


@kernel("quantize")
def _quantize(call: Any, x: Array, scale: Array, zero: Array) -> Array:
    info = np.iinfo(call.attrs.out_dtype if isinstance(call.attrs.out_dtype, str) else str(call.attrs.out_dtype))
    return np.clip(np.rint(x / _channels(call, scale, x)) + _channels(call, zero, x), info.min, info.max)


@kernel("dequantize")
def _dequantize(call: Any, x: Array, scale: Array, zero: Array) -> Array:
    return (x - _channels(call, zero, x)) * _channels(call, scale, x)


def _channels(call: Any, values: Array, x: Array) -> Array:
    axis = int(call.attrs.axis) % x.ndim
    return values if values.ndim == 0 else values.reshape([-1 if place == axis else 1 for place in range(x.ndim)])


# ── shapes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


@kernel("reshape")
def _reshape(_call: Any, x: Array, shape: tuple[int, ...]) -> Array:
    return x.reshape(shape)


@kernel("broadcast_to")
def _broadcast(_call: Any, x: Array, shape: tuple[int, ...]) -> Array:
    return np.broadcast_to(x, shape)


@kernel("flatten")
def _flatten(_call: Any, x: Array) -> Array:
    return x.reshape(-1)


@kernel("nn.batch_flatten")
def _batch_flatten(_call: Any, x: Array) -> Array:
    return x.reshape(len(x), -1)


@kernel("permute_dims")
def _permute(call: Any, x: Array) -> Array:
    axes = call.attrs.axes
    return x.transpose(None if axes is None else numbers(axes, 1) if len(axes) else ())


@kernel("expand_dims")
def _expand(call: Any, x: Array) -> Array:
    return np.expand_dims(x, tuple(numbers(call.attrs.axis, 1)))


@kernel("squeeze")
def _squeeze(call: Any, x: Array) -> Array:
    axes = call.attrs.axis
    return np.squeeze(x, None if axes is None else tuple(numbers(axes, 1)))


@kernel("concat")
def _concat(call: Any, fields: tuple[Array, ...]) -> Array:
    return np.concatenate(fields, axis=int(call.attrs.axis or 0))


@kernel("stack")
def _stack(call: Any, fields: tuple[Array, ...]) -> Array:
    return np.stack(fields, axis=int(call.attrs.axis or 0))


@kernel("split")
def _split(call: Any, x: Array) -> tuple[Array, ...]:
    parts = call.attrs.indices_or_sections
    return tuple(np.split(x, numbers(parts, 1) if hasattr(parts, "__len__") else int(parts), axis=int(call.attrs.axis)))


@kernel("strided_slice")
def _slice(_call: Any, x: Array, axes: Any, begin: Any, end: Any, strides: Any = None) -> Array:
    place = [slice(None)] * x.ndim
    steps = [1] * len(axes) if strides is None else [int(step) for step in strides]
    for axis, first, last, step in zip(axes, begin, end, steps, strict=True):
        place[int(axis)] = slice(int(first), int(last), step)
    return x[tuple(place)]


@kernel("nn.pad")
def _pad(call: Any, x: Array) -> Array:
    attrs = call.attrs
    widths = np.array(numbers(attrs.pad_width, 1)).reshape(-1, 2)
    mode = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}[attrs.pad_mode]
    extra = {"constant_values": float(attrs.pad_value)} if mode == "constant" else {}
    return np.pad(x, widths, mode=mode, **extra)


# ── reductions and products ──────────────────────────────────────────────────────────────────────────────────────────

_REDUCTIONS = {"sum": np.sum, "mean": np.mean, "max": np.max, "min": np.min, "prod": np.prod}
_REDUCTIONS |= {"variance": np.var, "std": np.std}


@kernel(*_REDUCTIONS)
def _reduce(call: Any, x: Array) -> Array:
    axes = call.attrs.axis
    axis = None if axes is None else tuple(numbers(axes, 1))
    function = _REDUCTIONS[call.op.name.removeprefix("relax.")]
    return np.asarray(function(x, axis=axis, keepdims=bool(call.attrs.keepdims)))


@kernel("argmax", "argmin")
def _index(call: Any, x: Array) -> Array:
    function = np.argmax if call.op.name.endswith("max") else np.argmin
    axis = call.attrs.axis
    return np.asarray(function(x, axis=None if axis is None else int(axis), keepdims=bool(call.attrs.keepdims)))


@kernel("matmul")
def _matmul(_call: Any, left: Array, right: Array) -> Array:
    return np.matmul(left, right)
