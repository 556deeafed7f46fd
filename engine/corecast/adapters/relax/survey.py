"""A model in, its layer table out: every call of an operator in the body of `main`, as plain data.

What only prepares a weight (`permute_dims`, `astype`, `reshape`, `nn.pad` and the like on a parameter) is no layer: it
runs once, and its result counts as that parameter. A choice between branches is one layer, `if`: no layout and no dtype
is carried into a branch, so what stands inside it is no layer that a recipe could change. A `call` of a function and a
`match_cast` are layers too. `enumerate_calls` gives the same layers under the same ids, for later passes.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, lru_cache
from typing import Any

from tvm import relax, tirx
from tvm.ir import Call as RelaxCall
from tvm.ir import GenericConst, GlobalVar, IRModule, Op, Tuple, TupleGetItem, Var
from tvm_ffi import StructuralKey

from corecast.adapters.relax.model import Model
from corecast.adapters.relax.rebuild import bindings_of, reads
from corecast.adapters.relax.tensors import plain_type
from corecast.adapters.weight_values import values_of
from corecast.model import Attribute, Behaviour, Call, LayerTable, Operand, TensorType
from corecast.model.collector import collecting_seldom
from corecast.model.following import behaviour_of

# Calls on a weight that only change its form.
WEIGHT_PREPARATION = frozenset(
    f"relax.{op}"
    for op in (
        "permute_dims",
        "astype",
        "reshape",
        "expand_dims",
        "squeeze",
        "broadcast_to",
        "layout_transform",
        "quantize",
        "nn.pad",
    )
)


@collecting_seldom()
def survey(model: Model | IRModule) -> LayerTable:
    """Every call of an operator in `main`, in binding order; attributes, operands and types are plain data."""
    table = _surveyed(model.main if isinstance(model, Model) else model["main"])
    if not isinstance(model, Model):
        return table
    return table.model_copy(update={"model": model.name}).looking(values_of(model.parameters))


def enumerate_calls(function: relax.Function, without: Collection[str] = ()) -> Iterator[tuple[str, relax.VarBinding]]:
    """The calls of the layer table with their ids: `("nn.conv2d#7", binding)`, in the table's order.

    `without` names bindings that do not count.
    """
    numbers: defaultdict[str, Iterator[int]] = defaultdict(itertools.count)
    for op, binding in _calls(function, _Sources(function)):
        if not without or binding.var.name not in without:
            yield f"{op}#{next(numbers[op])}", binding


@lru_cache(maxsize=1)  # one pass after the other asks for the function that it is given, and a function never changes
def _surveyed(main: relax.Function) -> LayerTable:
    sources, attributes = _Sources(main), _Attributes()
    calls: list[Call] = []
    for op, binding in _calls(main, sources):
        calls.append(_call(op, binding, len(calls), sources, attributes))
    count = input_count(main)
    return LayerTable.of(
        calls,
        model="module",
        ir="relax",
        arguments={var.name: plain_type(var.ty) for var in main.params[:count] if isinstance(var.ty, relax.TensorType)},
        returns=sources.operands(main.body.body),
    )


def _calls(main: relax.Function, sources: _Sources) -> Iterator[tuple[str, relax.VarBinding]]:
    """The calls that are layers, under the names that recipes use; every other binding is noted in `sources`.

    What the layers make need not be noted there: it is no weight.
    """
    for binding in bindings_of(main):
        value = binding.value
        if isinstance(value, relax.If):
            yield "if", binding
        elif isinstance(binding, relax.MatchCast) and isinstance(binding.var.ty, relax.TensorType):
            yield "match_cast", binding
        elif isinstance(value, RelaxCall) and not isinstance(value.op, Op):
            yield "call", binding
        elif not isinstance(value, RelaxCall) or not isinstance(value.op, Op):
            sources.alias(binding.var, value)
        elif (name := value.op.name) in WEIGHT_PREPARATION and sources.is_weight(value.args[0]):
            sources.alias(binding.var, value.args[0], binding.var.ty)
        elif name == "relax.matmul" and sources.is_weight(value.args[1]):
            yield "nn.dense", binding
        else:
            yield name.removeprefix("relax."), binding


def _call(op: str, binding: relax.VarBinding, index: int, sources: _Sources, attributes: _Attributes) -> Call:
    value, var = binding.value, binding.var
    is_call = isinstance(value, RelaxCall)
    # A choice reads what its condition and its branches read.
    arguments = value.args[:] if is_call else list(dict.fromkeys(reads(value)))
    operands = tuple([operand for argument in arguments for operand in sources.operands(argument)])
    results = tuple([operand.type for operand in sources.produced(var, index)])
    return Call(
        op=op,
        operands=operands,
        results=results,
        attributes=attributes.of(value, arguments) if is_call else {},
        source=str(var.name),
        behaviour=_behaviour(op, operands, results),
    )


class _Sources:
    """Where each variable's tensors come from: a nest of operands, tuples as Python tuples."""

    def __init__(self, main: relax.Function) -> None:
        count = input_count(main)
        self._of: dict[Var, Any] = {}
        for place, var in enumerate(main.params):
            role = "argument" if place < count else "parameter"
            # TVM's own kind of text is no plain one: no condition would find it equal to a text of a recipe.
            self._of[var] = _shaped(var.ty, **{role: str(var.name)})

    def produced(self, var: Var, layer: int) -> Iterator[Operand]:
        """The variable holds the results of this layer: these."""
        self._of[var] = _shaped(var.ty, layer=layer)
        return _flat(self._of[var])

    def alias(self, var: Var, value: Any, ty: Any = None) -> None:
        """The variable holds what another expression does; a weight in another form has another type."""
        found = self._find(value)
        if ty is not None and isinstance(found, Operand):
            found = replace(found, type=plain_type(ty))
        self._of[var] = found

    def operands(self, expr: Any) -> tuple[Operand, ...]:
        """The tensors of an expression, tuples flattened; shapes and numbers are none."""
        return tuple(_flat(self._find(expr)))

    def is_weight(self, expr: Any) -> bool:
        """Whether an expression is a parameter, a constant, or a form of one."""
        found = self._find(expr)
        return isinstance(found, Operand) and found.layer is None and found.argument is None

    def _find(self, expr: Any) -> Any:
        if isinstance(expr, Var):
            return self._of.get(expr, ())
        if isinstance(expr, Tuple):
            return tuple(self._find(field) for field in expr.fields)
        if isinstance(expr, TupleGetItem):
            found = self._find(expr.tuple_value)
            return found[expr.index] if isinstance(found, tuple) and expr.index < len(found) else ()
        if isinstance(expr, GenericConst):
            return _shaped(expr.ty)
        return ()


def _shaped(ty: Any, **origin: Any) -> Any:
    """An operand for a tensor type, a tuple of them for a tuple type, nothing for a shape or a number."""
    return _numbered(ty, itertools.count(), origin)


def _numbered(ty: Any, places: Iterator[int], origin: Mapping[str, Any]) -> Any:
    if isinstance(ty, relax.TensorType):
        return Operand(type=plain_type(ty), result=next(places), **origin)
    if isinstance(ty, relax.TupleType):
        return tuple(_numbered(field, places, origin) for field in ty.fields)
    return ()


def _flat(found: Any) -> Iterator[Operand]:
    if isinstance(found, Operand):
        yield found
    else:
        for item in found:
            yield from _flat(item)


def input_count(main: relax.Function) -> int:
    """How many of the arguments are real inputs; all of them where the module does not say."""
    return int(main.attrs["num_input"]) if main.attrs and "num_input" in main.attrs else len(main.params)


class _Attributes:
    """The attributes of calls as plain data; equal ones are read once, for a model has many calls that are alike."""

    def __init__(self) -> None:
        self._known: dict[StructuralKey, dict[str, Attribute]] = {}

    def of(self, call: RelaxCall, arguments: Sequence[Any]) -> dict[str, Attribute]:
        """The attributes of one call. A call of a function has that function's name."""
        if not isinstance(call.op, Op):
            return {"function": str(getattr(call.op, "name_hint", call.op))}
        if arguments and isinstance(arguments[0], GlobalVar):
            return {"function": str(arguments[0].name_hint)}
        attributes = call.attrs
        if attributes is None:
            return {}
        key = StructuralKey(attributes)
        if key not in self._known:
            self._known[key] = _read(attributes)
        return self._known[key]


def _read(attributes: Any) -> dict[str, Attribute]:
    kind: Any = type(attributes)
    fields = _fields(kind)
    if fields is None:
        return {str(key): _plain(value) for key, value in attributes.items()}
    return {name: _plain(getattr(attributes, name)) for name in fields}


@cache
def _fields(kind: Any) -> tuple[str, ...] | None:
    """The names of the fields of an attributes class; a dictionary of attributes has none."""
    info = getattr(kind, "__tvm_ffi_type_info__", None)
    names = tuple(field.name for field in info.fields) if info is not None else ()
    return names if names and not hasattr(kind, "items") else None


def _plain(value: Any) -> Attribute:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tirx.IntImm | tirx.FloatImm):
        number: int | float = value.value
        return number
    if isinstance(value, str):
        return str(value)
    if hasattr(value, "__len__") and hasattr(value, "__getitem__") and not hasattr(value, "bits"):
        return tuple(item if isinstance(item, int | float) else str(item) for item in map(_plain, value))
    return str(value)


def _behaviour(op: str, operands: tuple[Operand, ...], results: tuple[TensorType, ...]) -> Behaviour:
    """What the operator does with another order of axes; where a tensor's rank is unknown, nobody knows."""
    found = behaviour_of(op)
    is_unknown = None in [operand.type.shape for operand in operands] or None in [result.shape for result in results]
    return "unknown" if found == "follows" and is_unknown else found
