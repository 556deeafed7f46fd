"""A model as TVM imports it in; the same function out, in the form in which layouts can be converted.

Weights are folded, each rewrite below is applied where it stands, per-channel scales and shifts go into convolutions
(`affine`), and what nobody reads is dropped. Calls keep the names of their source nodes. To prepare twice changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tvm import relax
from tvm.ir import Call, GenericConst, Op, Tuple, TupleGetItem, Var
from tvm_ffi import structural_equal

from corecast.adapters.relax.affine import absorb
from corecast.adapters.relax.fold import fold
from corecast.adapters.relax.model import Array, Model
from corecast.adapters.relax.rebuild import Line, Rebuild
from corecast.adapters.relax.tensors import constant_array, dtype_of
from corecast.model.collector import collecting_seldom


@collecting_seldom()
def prepare(model: Model) -> Model:
    """Make the graph fit for conversion; what it computes stays the same."""
    return absorb(simplify(fold(model)))


def simplify(model: Model) -> Model:
    """Apply the rewrites of `REWRITES`, one binding after the other."""
    sweep = Sweep(model)
    for line in sweep.lines:
        rewrite = REWRITES.get(_kind(line.value))
        result = rewrite(sweep, line) if rewrite and isinstance(line.binding, relax.VarBinding) else None
        if result is None:
            sweep.keep(line)
        else:
            sweep.replace(line.var, sweep.new(result))
    return sweep.finish()


def _kind(value: Any) -> str:
    """What a rewrite is looked up by: an operator's name, or the kind of expression."""
    if isinstance(value, Call):
        return value.op.name if isinstance(value.op, Op) else "call"
    return "variable" if isinstance(value, Var) else "item" if isinstance(value, TupleGetItem) else "other"


class Sweep(Rebuild):
    """One pass over the bindings, which can look back at what each variable was bound to."""

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self._values = {line.var: line for line in self.lines}
        self._lifted: dict[tuple[Var, int], Var] = {}

    def call_of(self, expr: Any, op: str) -> Line | None:
        """The binding of a variable if it is a call of this operator."""
        line = self._values.get(expr) if isinstance(expr, Var) else None
        return line if line is not None and _kind(line.value) == op else None

    def tuple_of(self, expr: Any) -> Tuple | None:
        """The tuple that an expression is or stands for, if its fields can be read off it."""
        line = self._values.get(expr) if isinstance(expr, Var) else None
        value = expr if line is None else line.value
        return value if isinstance(value, Tuple) else None

    def number(self, expr: Any) -> float | None:
        """The value of a constant or of a parameter that is a single number."""
        array = self._array(expr)
        return float(array.item()) if array is not None and array.size == 1 else None

    def _array(self, expr: Any) -> Array | None:
        return self.arrays.get(expr) if isinstance(expr, Var) else constant_array(expr)

    def is_weight(self, expr: Any) -> bool:
        """Whether the value of an expression is known."""
        return self._array(expr) is not None

    def lifted(self, operand: Any, rank: int) -> Any | None:
        """A weight of lower rank with ones in front; None for a scalar, a weight of that rank, and for data."""
        array = self._array(operand)
        if array is None or not 0 < array.ndim < rank:
            return None
        shape = (1,) * (rank - array.ndim) + array.shape
        if isinstance(operand, GenericConst):
            return relax.const(array.reshape(shape), str(array.dtype))
        key = (operand, rank)
        if key not in self._lifted:
            only = self.uses[operand] == 1
            self._lifted[key] = self.parameter(array.reshape(shape), operand.name, takes_name=only)
        return self._lifted[key]


def _alias(_: Sweep, line: Line) -> Any:
    """`a = b` -> `b`."""
    return line.value


def _view_of_itself(_: Sweep, line: Line) -> Any | None:
    """`reshape(x, shape of x)` -> `x`: the call changes neither shape nor dtype."""
    data = line.value.args[0]
    return data if structural_equal(data.ty, line.var.ty) else None


def _transpose_of_nothing(_: Sweep, line: Line) -> Any | None:
    """`permute_dims(x, [0, 1, 2])` -> `x`."""
    axes, rank = line.value.attrs.axes, line.var.ty.ndim
    order = list(range(rank))[::-1] if axes is None else [int(axis) % rank for axis in axes]
    is_identity = rank >= 0 and order == list(range(rank))
    return line.value.args[0] if is_identity else None


def _item(sweep: Sweep, line: Line) -> Any | None:
    """`(x, y)[0]` -> `x`, and `dropout(x)[0]` -> `x`. The mask of a dropout, if somebody reads it, stays."""
    item = line.value
    made = sweep.tuple_of(item.tuple_value)
    if made is not None:
        return made.fields[item.index]
    dropout = sweep.call_of(item.tuple_value, "relax.nn.dropout")
    return dropout.value.args[0] if dropout is not None and item.index == 0 else None


def _reduced_stack(combine: Callable[[Any, Any], Any]) -> Callable[[Sweep, Line], Any | None]:
    def rewrite(sweep: Sweep, line: Line) -> Any | None:
        """`sum(stack((a, b, c), axis=k), axis=k)` -> `add(add(a, b), c)`: no layout passes through a stack."""
        reduction = line.value
        stack = sweep.call_of(reduction.args[0], "relax.stack")
        if stack is None or not _reduces_what_was_stacked(reduction, stack.value):
            return None
        fields = stack.value.args[0].fields
        # What two weights come to would have to be folded once more; TVM stacks and sums truth values, and adds none.
        if sum(map(sweep.is_weight, fields)) > 1 or dtype_of(line.var.ty) == "bool":
            return None
        first, *rest = map(sweep.new, fields)
        if not rest:
            return first
        # The source node's name sits on the stack, its first call on data.
        name = stack.var.name if sweep.uses[stack.var] == 1 else line.var.name
        *middle, last = rest
        for term in middle:
            first = sweep.emit(combine(first, term), sweep.fresh(name))
        return sweep.emit(combine(first, last), name)

    return rewrite


def _reduces_what_was_stacked(reduction: Call, stack: Call) -> bool:
    axes, rank = reduction.attrs.axis, reduction.args[0].ty.ndim
    if reduction.attrs.keepdims or axes is None or len(axes) != 1 or not isinstance(stack.args[0], relax.Tuple):
        return False
    return bool(int(axes[0]) % rank == int(stack.attrs.axis or 0) % rank)


def _weight_of_lower_rank(sweep: Sweep, line: Line) -> Any | None:
    """`add(x, b)` with x of rank 4 or more and a weight b of shape (C, 1, 1) -> b of shape (1, C, 1, 1)."""
    call = line.value
    rank = line.var.ty.ndim
    if rank < 4 or any(argument.ty.ndim > rank for argument in call.args):
        return None
    lifted = [sweep.lifted(argument, rank) for argument in call.args]
    if all(operand is None for operand in lifted):
        return None
    operands = [sweep.new(old) if new is None else new for old, new in zip(call.args, lifted, strict=True)]
    return sweep.emit(Call(call.op, operands, call.attrs), line.var.name)


def _clip(sweep: Sweep, line: Line) -> Any | None:
    """`minimum(maximum(x, low), high)` -> `clip(x, low, high)`: the operator by which recipes know a ReLU6."""
    lower = sweep.call_of(line.value.args[0], "relax.maximum")
    bounds = (sweep.number(call.args[1]) for call in (lower.value, line.value)) if lower is not None else ()
    low, high = [*bounds, None, None][:2]
    if lower is None or low is None or high is None or low > high:
        return None
    data = lower.value.args[0]
    if not structural_equal(data.ty, line.var.ty):
        return None
    return sweep.emit(relax.op.clip(sweep.new(data), low, high), line.var.name)


def _minimum(sweep: Sweep, line: Line) -> Any | None:
    clipped = _clip(sweep, line)
    return _weight_of_lower_rank(sweep, line) if clipped is None else clipped


Rewrite = Callable[[Sweep, Line], Any]

REWRITES: dict[str, Rewrite] = {
    "variable": _alias,
    "item": _item,
    "relax.reshape": _view_of_itself,
    "relax.broadcast_to": _view_of_itself,
    "relax.astype": _view_of_itself,
    "relax.permute_dims": _transpose_of_nothing,
    "relax.sum": _reduced_stack(relax.op.add),
    "relax.max": _reduced_stack(relax.op.maximum),
    "relax.min": _reduced_stack(relax.op.minimum),
    "relax.add": _weight_of_lower_rank,
    "relax.subtract": _weight_of_lower_rank,
    "relax.multiply": _weight_of_lower_rank,
    "relax.divide": _weight_of_lower_rank,
    "relax.maximum": _weight_of_lower_rank,
    "relax.minimum": _minimum,
    "relax.power": _weight_of_lower_rank,
}
