"""A model in; the same model out with everything that depends on parameters alone computed once, by numpy.

TVM's FoldConstant compiles and runs each such expression (seconds on a ResNet) and aborts the process on int4.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.ir import Call, GenericConst, Tuple, TupleGetItem, Var

from corecast.adapters.relax.model import FEW, Array, Model
from corecast.adapters.relax.rebuild import Line, Rebuild, reads
from corecast.adapters.relax.tensors import array_of, dtype_of, numpy_dtype, static_shape
from corecast.adapters.rounding import rounded
from corecast.model import dtype_bits
from corecast.quantization import LIMITS, quantized


@dataclass(frozen=True)
class Known:
    """The value of a variable that depends on parameters alone, and the parameter that it is a form of.

    What several operands made has no such parameter and goes by its binding's name.
    """

    array: Array
    weight: str | None = None
    is_constant: bool = False


def fold(model: Model) -> Model:
    """Compute what depends on parameters alone; parameters that nobody reads afterwards are dropped.

    A weight used in a single form keeps its name with the new shape; a second form gets a suffix. A value is let go
    with its last reader: beside the old weights and the new ones only the few stand in memory that are at hand.
    """
    rebuild = Rebuild(model)
    foldable = _foldable(rebuild)
    known = {var: Known(array, var.name) for var, array in rebuild.arrays.items()}
    needed = _needed(rebuild, {*known, *foldable})
    forms = _Forms(rebuild, {var for var in needed if var in known})
    lifted: set[GenericConst] = set()
    readers = Counter(var for value in foldable.values() for var in reads(value))
    for line in rebuild.lines:
        if line.var not in foldable:
            _lift(rebuild, line, lifted)
            rebuild.keep(line)
            continue
        value = foldable[line.var]
        known[line.var] = _evaluated(value, known)
        if line.var in needed:
            rebuild.replace(line.var, forms.expression(known[line.var], line.var.name))
        operands = list(reads(value))
        readers.subtract(operands)
        for var in (line.var, *operands):
            if not readers[var]:
                known.pop(var, None)
    return rebuild.finish()


def _lift(rebuild: Rebuild, line: Line, lifted: set[GenericConst]) -> None:
    """Make parameters of the constants that a line reads, but for the small ones."""
    for leaf in line.leaves:
        if isinstance(leaf, GenericConst) and leaf not in lifted and isinstance(leaf.ty, relax.TensorType):
            array = array_of(leaf)
            if array.size > FEW and dtype_bits(str(array.dtype)) >= 8:
                rebuild.replace(leaf, rebuild.parameter(array, f"{line.var.name}.constant"))
                lifted.add(leaf)


def known_values(rebuild: Rebuild) -> Callable[[Any], Array | None]:
    """A function that gives the value of an expression of the old `main`; None where no parameters alone say it."""
    foldable = _foldable(rebuild)

    def value(expr: Any) -> Array | None:
        if isinstance(expr, GenericConst):
            return array_of(expr)
        if not isinstance(expr, Var):
            return None
        if expr in rebuild.arrays:
            return rebuild.arrays[expr]
        if expr not in foldable:
            return None
        operands = {var: Known(found) for var in reads(foldable[expr]) if (found := value(var)) is not None}
        return _evaluated(foldable[expr], operands).array

    return value


def _foldable(rebuild: Rebuild) -> dict[Var, Any]:
    """The variables that depend on parameters alone, and the expressions that say how."""
    foldable: dict[Var, Any] = {}
    fields: dict[Var, list[Any]] = {}
    repeated = _repeated(rebuild)
    for line in rebuild.lines:
        value, leaves = line.value, line.leaves
        if line.var in repeated:
            value = value.args[0]
        while isinstance(value, TupleGetItem):
            value = dict(enumerate(fields.get(value.tuple_value, []))).get(value.index)
            leaves = list(reads(value))
        if found := _fields(value):
            fields[line.var] = found
        is_known = all(not isinstance(leaf, Var) or leaf in foldable or leaf in rebuild.arrays for leaf in leaves)
        if is_known and isinstance(line.binding, relax.VarBinding) and _can_evaluate(value):
            foldable[line.var] = value
    return foldable


def _repeated(rebuild: Rebuild) -> set[Var]:
    """Matrices repeated for each of those that they are multiplied by, as a product does by itself: PyTorch's linear
    layers on a batch. Computed, they would be as many weights as there are samples.
    """
    found = {
        line.var: static_shape(line.var.ty) or ()
        for line in rebuild.lines
        if _op(line.value) == "relax.broadcast_to" and _is_matrix_of(line.value.args[0].ty, line.var.ty)
    }
    if not found:
        return set()
    others = set(reads(rebuild.model.main.body.body))
    for line in rebuild.lines:
        shape = found.get(line.value.args[1], ()) if _op(line.value) == "relax.matmul" else ()
        leaves = list(line.leaves)
        if shape and (static_shape(line.value.args[0].ty) or ())[:-2] == shape[:-2]:
            leaves.remove(line.value.args[1])
        others.update(leaf for leaf in leaves if isinstance(leaf, Var))
    return found.keys() - others


def _is_matrix_of(source: Any, repeated: Any) -> bool:
    one, many = static_shape(source), static_shape(repeated)
    return one is not None and many is not None and len(one) >= 2 and one[-2:] == many[-2:]


def _op(value: Any) -> str:
    return str(getattr(value.op, "name", "")) if isinstance(value, Call) else ""


def _needed(rebuild: Rebuild, known: set[Var]) -> dict[Var, None]:
    """The known variables that something unknown reads, in the order of reading."""
    unknown = [leaf for line in rebuild.lines if line.var not in known for leaf in line.leaves]
    return {var: None for var in [*unknown, *reads(rebuild.model.main.body.body)] if var in known}


class _Forms:
    """The forms in which each parameter is needed; equal ones are shared."""

    def __init__(self, rebuild: Rebuild, raw: set[Var]) -> None:
        self._rebuild = rebuild
        self._taken = {var.name for var in raw}
        self._originals = {var.name: var for var in rebuild.arrays}
        self._forms: dict[str, list[Var]] = defaultdict(list)
        for var in raw:
            self._forms[var.name].append(var)

    def expression(self, known: Known, name: str) -> Any:
        """What stands for a known value: a small constant where it came from constants, or else a parameter."""
        # TVM makes no constant of four bits.
        if known.is_constant and known.array.size <= FEW and dtype_bits(str(known.array.dtype)) >= 8:
            return relax.const(known.array, str(known.array.dtype))
        base = known.weight or name
        forms = self._forms[base]
        for var in forms:
            if _equal(self._rebuild.arrays[var], known.array):
                return var
        free = base in self._originals and base not in self._taken
        self._taken.add(base)
        var = self._rebuild.parameter(known.array, base, takes_name=free)
        forms.append(var)
        return var


def _equal(left: Array, right: Array) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype and np.array_equal(left, right)


def _can_evaluate(value: Any) -> bool:
    """Whether numpy can compute an expression, given its variables."""
    if not isinstance(value, Call) or getattr(value.op, "name", "") not in EVALUATE or static_shape(value.ty) is None:
        return isinstance(value, Var)
    if value.op.name == "relax.quantize" and dtype_of(value.ty) not in LIMITS:
        return False
    return all(isinstance(operand, Var | GenericConst) for operand in _operands(value))


def _operands(call: Call) -> list[Any]:
    arguments = [part for item in call.args[:] for part in (item.fields[:] if isinstance(item, Tuple) else [item])]
    return [argument for argument in arguments if not isinstance(argument, relax.ShapeExpr)]


def _evaluated(value: Any, known: Mapping[Var, Known]) -> Known:
    """The value of an expression that can be evaluated."""
    if isinstance(value, Var):
        return known[value]
    found = [
        known[operand] if isinstance(operand, Var) else Known(array_of(operand), is_constant=True)
        for operand in _operands(value)
    ]
    # Values that TVM would compute in the result's type are computed in it here too.
    with np.errstate(all="ignore"):  # what a weight becomes that overflows or is no number, `check_values` tells
        result = np.asarray(EVALUATE[value.op.name](value, *(operand.array for operand in found)))
    return Known(
        result.astype(numpy_dtype(dtype_of(value.ty) or ""), copy=False),
        found[0].weight if len(found) == 1 or value.op.name == "relax.quantize" else None,
        all(operand.is_constant for operand in found),
    )


def _fields(value: Any) -> list[Any]:
    """What the first items of a tuple are, where that can be seen: a dropout hands on its data."""
    if isinstance(value, Tuple):
        return list(value.fields)
    return [value.args[0]] if isinstance(value, Call) and getattr(value.op, "name", "") == "relax.nn.dropout" else []


def _reshaped(call: Call, array: Array) -> Array:
    return array.reshape(static_shape(call.ty) or ())


def _broadcast(call: Call, array: Array) -> Array:
    return np.broadcast_to(array, static_shape(call.ty) or ())


def _transposed(call: Call, array: Array) -> Array:
    axes = call.attrs.axes
    return np.transpose(array, None if axes is None else [int(axis) for axis in axes])


def _cast(call: Call, array: Array) -> Array:
    return rounded(array, dtype_of(call.ty) or "")


def _quantized(call: Call, array: Array, scales: Array, zero_points: Array) -> Array:
    axis, dtype = int(call.attrs.axis) % array.ndim, dtype_of(call.ty) or ""
    if not zero_points.any():
        return quantized(array, scales, axis if scales.ndim else None, dtype)
    shape = [-1 if at == axis else 1 for at in range(array.ndim)]
    scales, zero_points = (found.reshape(shape) if found.ndim else found for found in (scales, zero_points))
    return np.asarray(np.clip(np.rint(array / scales) + zero_points.astype(np.float32), *LIMITS[dtype]))


def _layout_transformed(call: Call, array: Array) -> Array:
    """Move each element to the place that the index map gives it; what the map leaves empty is padding."""
    index_map = call.attrs.index_map
    places = dict(zip(index_map.initial_indices, np.ogrid[tuple(slice(0, size) for size in array.shape)], strict=True))
    padding = call.attrs.pad_value
    result = np.full(static_shape(call.ty) or (), 0 if padding is None else padding.value, array.dtype)
    result[tuple(_index(expr, places) for expr in index_map.final_indices)] = array
    return result


def _index(expr: Any, places: Mapping[Any, Any]) -> Any:
    if isinstance(expr, tirx.IntImm):
        return int(expr)
    if isinstance(expr, Var):
        return places[expr]
    return _ARITHMETIC[type(expr).__name__](_index(expr.a, places), _index(expr.b, places))


_ARITHMETIC: dict[str, Callable[[Any, Any], Any]] = {
    "Add": np.add,
    "Sub": np.subtract,
    "Mul": np.multiply,
    "FloorDiv": np.floor_divide,
    "FloorMod": np.mod,
}


_MODES = {"constant": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def _padded(call: Call, array: Array) -> Array:
    widths = [int(width) for width in call.attrs.pad_width]
    mode = _MODES[str(call.attrs.pad_mode)]
    value = {"constant_values": call.attrs.pad_value} if mode == "constant" else {}
    return np.pad(array, list(zip(widths[::2], widths[1::2], strict=True)), mode, **value)  # type: ignore[call-overload, no-any-return]


def _joined(function: Callable[..., Array]) -> Callable[..., Array]:
    """Several arrays along one axis."""
    return lambda call, *arrays: function(arrays, axis=int(call.attrs.axis or 0))


def _reduced(function: Callable[..., Array]) -> Callable[..., Array]:
    def reduce(call: Call, array: Array) -> Array:
        axes = call.attrs.axis
        axis = None if axes is None else tuple(int(axis) for axis in axes)
        return function(array, axis=axis, keepdims=bool(call.attrs.keepdims))

    return reduce


def _plain(function: Callable[..., Any]) -> Callable[..., Any]:
    """A numpy function that needs the operands only, and not the call."""
    return lambda _call, *arrays: function(*arrays)


EVALUATE: dict[str, Callable[..., Any]] = {
    "relax.reshape": _reshaped,
    "relax.expand_dims": _reshaped,
    "relax.squeeze": _reshaped,
    "relax.flatten": _reshaped,
    "relax.broadcast_to": _broadcast,
    "relax.permute_dims": _transposed,
    "relax.layout_transform": _layout_transformed,
    "relax.astype": _cast,
    "relax.quantize": _quantized,
    "relax.nn.pad": _padded,
    "relax.stack": _joined(np.stack),
    "relax.concat": _joined(np.concatenate),
    "relax.sum": _reduced(np.sum),
    "relax.max": _reduced(np.max),
    "relax.min": _reduced(np.min),
    "relax.mean": _reduced(np.mean),
    "relax.add": _plain(np.add),
    "relax.subtract": _plain(np.subtract),
    "relax.multiply": _plain(np.multiply),
    "relax.divide": _plain(np.divide),
    "relax.power": _plain(np.power),
    "relax.maximum": _plain(np.maximum),
    "relax.minimum": _plain(np.minimum),
    "relax.negative": _plain(np.negative),
    "relax.abs": _plain(np.abs),
    "relax.exp": _plain(np.exp),
    "relax.log": _plain(np.log),
    "relax.sqrt": _plain(np.sqrt),
    "relax.rsqrt": _plain(lambda array: 1 / np.sqrt(array)),
    "relax.tanh": _plain(np.tanh),
    "relax.isnan": _plain(np.isnan),
    "relax.less": _plain(np.less),
    "relax.where": _plain(np.where),
}
