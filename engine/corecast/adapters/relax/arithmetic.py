"""Tensors of integers in, operators of Relax that compute on them out: what a kernel does between two of them.

An integer `q` of a tensor stands for `scale * (q - zero_point)`. Sums are int32. To bring them to another scale they
are multiplied in float32, rounded half to even, cut off at the ends and cast, all of it element by element, so that TVM
makes it a part of the kernel that summed: between kernels there are integers only.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from tvm import relax

from corecast.adapters.relax.model import Array
from corecast.adapters.relax.rebuild import Rebuild
from corecast.adapters.relax.tensors import dtype_of
from corecast.quantization import Scale

SUMS = "int32"


class Arithmetic:
    """Emits bindings into `rebuild`; each is called after the layer that it belongs to."""

    def __init__(self, rebuild: Rebuild) -> None:
        self._rebuild = rebuild
        self._wide: dict[Any, Any] = {}

    def quantized(self, expr: Any, scale: Scale, name: str) -> Any:
        """Floats as integers."""
        zero_point = relax.const(scale.zero_point, scale.dtype)
        call = relax.op.quantize(expr, _number(scale.scale), zero_point, -1, scale.dtype)
        return self._emit(call, f"{name}_{scale.dtype}")

    def dequantized(self, integers: Any, scale: Scale, name: str) -> Any:
        """Integers as the floats that they stand for."""
        zero_point = relax.const(scale.zero_point, scale.dtype)
        return self._emit(relax.op.dequantize(integers, _number(scale.scale), zero_point, -1, "float32"), name)

    def sums_as_floats(self, sums: Any, factors: Array, axis: int | None, name: str) -> Any:
        """Sums as the floats that they stand for; the sums of each channel along `axis` have a factor of their own."""
        zero_point = relax.const(0, SUMS)
        scales = _number(factors.item()) if axis is None else relax.const(factors.astype(np.float32), "float32")
        return self._emit(relax.op.dequantize(sums, scales, zero_point, -1 if axis is None else axis, "float32"), name)

    def quantized_weight(self, weight: Any, scales: Array, axis: int | None, name: str) -> Any:
        """A weight in int8, which is computed ahead."""
        scale = _number(scales.item()) if axis is None else relax.const(scales, "float32")
        call = relax.op.quantize(weight, scale, relax.const(0, "int8"), -1 if axis is None else axis, "int8")
        return self._emit(call, f"{name}_int8")

    def rescaled(
        self,
        integers: Any,
        factors: Array,
        scale: Scale,
        name: str,
        *,
        offset: int = 0,
        axis: int | None = None,
    ) -> Any:
        """Integers of one scale as those of another: `factors * (integers + offset)` rounded, from the zero point."""
        sums = self.shifted(self.widened(integers, name), offset, name)
        steps = self._emit(relax.op.astype(sums, "float32"), f"{name}_float32")
        steps = self._emit(relax.op.multiply(steps, _along(factors, axis, sums)), f"{name}_scaled")
        steps = self._emit(relax.op.round(steps), f"{name}_rounded")
        if scale.zero_point:
            steps = self._emit(relax.op.add(steps, _number(scale.zero_point)), f"{name}_from_zero")
        steps = self._emit(relax.op.clip(steps, *scale.limits), f"{name}_clipped")
        return self._emit(relax.op.astype(steps, scale.dtype), f"{name}_{scale.dtype}")

    def widened(self, integers: Any, name: str) -> Any:
        """Integers in int32, where they can be summed."""
        if dtype_of(integers.ty) == SUMS:
            return integers
        if integers not in self._wide:
            self._wide[integers] = self._emit(relax.op.astype(integers, SUMS), f"{name}_{SUMS}")
        return self._wide[integers]

    def shifted(self, sums: Any, offset: int, name: str) -> Any:
        return self._emit(relax.op.add(sums, relax.const(offset, SUMS)), f"{name}_shifted") if offset else sums

    def _emit(self, call: Any, name: str) -> Any:
        return self._rebuild.emit(call, self._rebuild.fresh(name))


def channels(array: Array, axis: int | None, rank: int) -> Any:
    """A constant with a number for each place along an axis of a tensor of this rank."""
    if axis is None:
        return relax.const(array.reshape(()), str(array.dtype))
    return relax.const(array.reshape([-1 if at == axis else 1 for at in range(rank)]), str(array.dtype))


def _along(factors: Array, axis: int | None, tensor: Any) -> Any:
    # What is beyond float32 is so by far, and infinity times a sum of zero would be no number.
    largest = float(np.finfo(np.float32).max)
    return channels(np.minimum(factors, largest).astype(np.float32), axis, tensor.ty.ndim)


def _number(value: float) -> Any:
    return relax.const(np.float32(value), "float32")
