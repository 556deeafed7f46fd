"""What operators that look up, put elsewhere, repeat or order elements mean, by numpy (see `interpreter`)."""

from __future__ import annotations

from typing import Any

import numpy as np

from fuzz.interpreter import Array, kernel
from fuzz.kernels import numbers


@kernel("flip")
def _flip(call: Any, x: Array) -> Array:
    return np.flip(x, int(call.attrs.axis))


@kernel("repeat")
def _repeat(call: Any, x: Array) -> Array:
    axis = call.attrs.axis
    return np.repeat(x, int(call.attrs.repeats), None if axis is None else int(axis))


@kernel("tile")
def _tile(call: Any, x: Array) -> Array:
    return np.tile(x, numbers(call.attrs.repeats, 1))


@kernel("cumsum", "cumprod")
def _cumulative(call: Any, x: Array) -> Array:
    is_sum = call.op.name == "relax.cumsum"
    axis = call.attrs.axis
    x, axis = (x.reshape(-1), 0) if axis is None else (x, int(axis))
    result = (np.cumsum if is_sum else np.cumprod)(x, axis)
    if not call.attrs.exclusive:
        return result
    first = np.full_like(np.take(result, [0], axis=axis), 0 if is_sum else 1)
    return np.concatenate([first, np.delete(result, -1, axis=axis)], axis=axis)


@kernel("take")
def _take(call: Any, x: Array, indices: Array) -> Array:
    axis = call.attrs.axis
    return np.take(x, indices, axis=None if axis is None else int(axis))


@kernel("sort")
def _sort(call: Any, x: Array) -> Array:
    axis = int(call.attrs.axis)
    ordered = np.sort(x, axis=axis)
    return np.flip(ordered, axis) if call.attrs.descending else ordered


def _order(x: Array, axis: int, descending: bool) -> Array:
    """Equal ones stay in their sequence."""
    return np.argsort(-x if descending else x, axis=axis, kind="stable")


@kernel("argsort")
def _argsort(call: Any, x: Array) -> Array:
    return _order(x, int(call.attrs.axis), bool(call.attrs.descending))


@kernel("topk")
def _topk(call: Any, x: Array) -> tuple[Array, Array]:
    axis = int(call.attrs.axis)
    order = np.take(_order(x, axis, bool(call.attrs.largest)), range(int(call.attrs.k)), axis=axis)
    return np.take_along_axis(x, order, axis), order


@kernel("gather_elements")
def _gather(call: Any, x: Array, indices: Array) -> Array:
    places = list(np.indices(indices.shape))
    places[int(call.attrs.axis)] = indices
    return x[tuple(places)]


@kernel("scatter_elements")
def _scatter(call: Any, x: Array, indices: Array, updates: Array) -> Array:
    places = list(np.indices(indices.shape))
    places[int(call.attrs.axis)] = indices
    result = x.copy()
    combine = {"update": lambda _, new: new, "add": np.add, "mul": np.multiply}[str(call.attrs.reduction)]
    result[tuple(places)] = combine(result[tuple(places)], updates)
    return result


@kernel("one_hot")
def _one_hot(call: Any, indices: Array, on: Any, off: Any) -> Array:
    depth, axis = int(call.attrs.depth), int(call.attrs.axis)
    values = [float(getattr(value, "value", value)) for value in (on, off)]
    places = np.arange(depth).reshape([-1 if place == axis else 1 for place in range(indices.ndim + 1)])
    return np.where(np.expand_dims(indices, axis) == places, *values)


@kernel("tril", "triu")
def _triangle(call: Any, x: Array, offset: Any) -> Array:
    function = np.tril if call.op.name == "relax.tril" else np.triu
    return function(x, int(getattr(offset, "value", offset)))


@kernel("einsum")
def _einsum(call: Any, fields: tuple[Array, ...]) -> Array:
    return np.einsum(str(call.attrs.subscripts), *fields)
