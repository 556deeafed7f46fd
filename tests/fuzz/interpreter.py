"""A Relax function and arrays in, arrays out: what a module means, worked out by numpy and nothing of TVM's lowering.

This is the reference that both ends of a conversion are run on, and an independent check of TVM's own code, with which
it must agree (`test_interpreter`, and a sample of all fuzzed networks). It knows the operators that `moves` uses.
Values are held as float64 (int64, bool) and rounded to the dtype that the IR states after every call: sums are exact
enough that their order does not show, so that two layouts of one computation give the same bits almost always.

`recast` computes some bindings in another dtype, as the language says it is done: that is what casts are judged by.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import ml_dtypes
import numpy as np
from tvm import relax, tirx
from tvm.ir import Call, GenericConst, Tuple, TupleGetItem, Var

Array = np.ndarray
Kernel = Callable[..., Any]
KERNELS: dict[str, Kernel] = {}


def kernel(*ops: str) -> Callable[[Kernel], Kernel]:
    """Register a function of (call, *operands) for operators named without `relax.`."""

    def register(function: Kernel) -> Kernel:
        KERNELS.update(dict.fromkeys((f"relax.{op}" for op in ops), function))
        return function

    return register


class NoMeaning(Exception):  # noqa: N818 (no error: a limit of this interpreter)
    """An expression that this interpreter does not know."""


def evaluate(
    function: relax.Function,
    arrays: Sequence[Array],
    recast: Mapping[str, tuple[str, str]] | None = None,
    *,
    wraps: bool = True,
) -> list[Array]:
    """Run a function.

    Args:
        function: one sequence of bindings, as all of ours are.
        arrays: a value for each parameter.
        recast: for the bindings of these names, the dtype of their operands and that of their accumulator.
        wraps: whether a value that its integer dtype cannot hold wraps around. In a compiled module it is anything.

    Returns:
        The result's tensors, tuples flattened; floats as float64.

    Raises:
        NoMeaning: for an operator that is not known here, and for such a value.
    """
    with np.errstate(all="ignore"):
        return list(_flat(_Run(function, arrays, recast or {}, wraps).result()))


class _Run:
    def __init__(
        self, function: relax.Function, arrays: Sequence[Array], recast: Mapping[str, tuple[str, str]], wraps: bool
    ) -> None:
        self.function = function
        self.recast = recast
        self.wraps = wraps
        self.values: dict[Var, Any] = {}
        self.sizes: dict[Var, int] = {}
        for var, array in zip(function.params, arrays, strict=True):
            self.values[var] = held(array)
            for size, number in zip(var.ty.shape.values, array.shape, strict=True):
                if isinstance(size, Var):
                    self.sizes[size] = number

    def result(self) -> Any:
        for block in self.function.body.blocks:
            for binding in block.bindings:
                self.values[binding.var] = self.bound(binding)
        return self.value(self.function.body.body)

    def bound(self, binding: relax.Binding) -> Any:
        if not isinstance(binding, relax.VarBinding):
            raise NoMeaning(type(binding).__name__)
        edit = self.recast.get(binding.var.name)
        if not isinstance(binding.value, Call):
            return self.value(binding.value)
        if edit is None:
            return self.call(binding.value)
        dtype, accumulator = edit
        exact = self.call(binding.value, dtype)
        return rounded(rounded(exact, accumulator, self.wraps), str(binding.var.ty.dtype), self.wraps)

    def value(self, expr: Any) -> Any:
        if isinstance(expr, Var):
            return self.values[expr]
        if isinstance(expr, GenericConst):
            return held(expr.value.numpy())
        if isinstance(expr, Tuple):
            return tuple(self.value(field) for field in expr.fields)
        if isinstance(expr, TupleGetItem):
            return self.value(expr.tuple_value)[expr.index]
        if isinstance(expr, relax.ShapeExpr):
            return tuple(self.size(size) for size in expr.values)
        if isinstance(expr, Call):
            return self.call(expr)
        return expr  # a number, a string: for the kernel to read

    def call(self, call: Call, dtype: str | None = None) -> Any:
        """The result of a call, rounded to its type; with a dtype, of operands rounded to that, and exact."""
        function = KERNELS.get(getattr(call.op, "name", ""))
        if function is None:
            raise NoMeaning(str(call.op))
        operands = [self.value(argument) for argument in call.args]
        if dtype is not None:
            operands = [_each(lambda array: rounded(array, dtype, self.wraps), operand) for operand in operands]
            return function(call, *operands)
        result = function(call, *operands)
        if isinstance(result, tuple):
            fields = zip(result, call.ty.fields, strict=True)
            return tuple(self.typed(array, ty) for array, ty in fields)
        return self.typed(result, call.ty)

    def typed(self, array: Array, ty: Any) -> Array:
        """The array in the dtype that the IR states, after a look at the shape that it states."""
        if isinstance(ty.shape, relax.ShapeExpr):
            stated = tuple(self.size(size) for size in ty.shape.values)
            assert stated == array.shape, f"the IR states the shape {stated}, and it is {array.shape}"
        return rounded(array, str(ty.dtype), self.wraps)

    def size(self, expr: Any) -> int:
        """The number that a size stands for in this run."""
        if isinstance(expr, tirx.IntImm):
            return int(expr)
        if isinstance(expr, Var):
            return self.sizes[expr]
        combine = _ARITHMETIC.get(type(expr).__name__)
        if combine is None:
            raise NoMeaning(f"size {expr}")
        return combine(self.size(expr.a), self.size(expr.b))


_ARITHMETIC: dict[str, Callable[[int, int], int]] = {
    "Add": lambda a, b: a + b,
    "Sub": lambda a, b: a - b,
    "Mul": lambda a, b: a * b,
    "FloorDiv": lambda a, b: a // b,
    "FloorMod": lambda a, b: a % b,
    "Max": max,
    "Min": min,
}


def _each(function: Callable[[Array], Array], operand: Any) -> Any:
    """A function on a tensor, or on each of a tuple of them; bounds and shapes stay."""
    if isinstance(operand, np.ndarray):
        return function(operand)
    if isinstance(operand, tuple) and operand and isinstance(operand[0], np.ndarray | tuple):
        return tuple(_each(function, part) for part in operand)
    return operand


def _flat(value: Any) -> Any:
    if isinstance(value, tuple):
        for part in value:
            yield from _flat(part)
    else:
        yield value


# ── dtypes ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def held(array: Array) -> Array:
    """An array as this interpreter holds it."""
    dtype = str(array.dtype)
    return array.astype(np.float64 if "float" in dtype else bool if dtype == "bool" else np.int64)


def rounded(array: Array, dtype: str, wraps: bool = True) -> Array:
    """The values in a dtype, held as before: floats to the nearest, to integers towards zero."""
    if dtype == "float64":
        return array.astype(np.float64)
    if "float" in dtype:
        if dtype.startswith("float8"):  # which saturates
            array = np.clip(array, -float(ml_dtypes.finfo(dtype).max), float(ml_dtypes.finfo(dtype).max))
        with np.errstate(over="ignore"):
            return array.astype(getattr(ml_dtypes, dtype, dtype)).astype(np.float64)
    if dtype == "bool":
        return array.astype(bool)
    bits = int(dtype.lstrip("uint"))
    whole = np.trunc(array).astype(np.int64) if array.dtype.kind == "f" else array.astype(np.int64)
    if bits == 64:
        return whole
    half = 0 if dtype.startswith("u") else 1 << (bits - 1)
    wrapped = ((whole + half) & ((1 << bits) - 1)) - half
    if not wraps and not np.array_equal(wrapped, array if array.dtype.kind == "i" else np.trunc(array)):
        raise NoMeaning(f"a value that {dtype} cannot hold")
    return wrapped
