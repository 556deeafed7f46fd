"""A Relay module in, its layer table out: every call of an operator in `main`, as plain data.

Calls are numbered in forward post order: a call's arguments first, left to right, then the call, each once. That is how
Relay's own rewriters visit, so an ordinal of `nn.conv2d` is the number that the original `LayoutConfig` gave it.

What only prepares a weight (`layout_transform`, `cast`, `expand_dims` and the like on one) is no layer: it runs once,
and its result counts as that weight. Functions that are called are not entered; such a call is a layer named `call`.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import tvm
from tvm import relay
from tvm.ir import IRModule, Op

from corecast.adapters.relay.model import Model
from corecast.adapters.relay.names import WEIGHT_PREPARATION, constant_name, table_name
from corecast.model import WEIGHTED, Attribute, Behaviour, Call, LayerTable, Operand, TensorType

# The arguments that are weights by their place, for operators whose arguments have roles.
_WEIGHT_PLACES: dict[str, Collection[int]] = {
    **dict.fromkeys((*WEIGHTED, "nn.matmul", "nn.bias_add", "nn.prelu", "nn.deformable_conv2d"), (1,)),
    "nn.batch_norm": (1, 2, 3, 4),
    **dict.fromkeys(("nn.layer_norm", "nn.group_norm", "nn.instance_norm"), (1, 2)),
}


def survey(
    module: Model | IRModule | relay.Function, parameters: Collection[str] | None = None, name: str = "module"
) -> LayerTable:
    """Every call of an operator in `main`, in forward post order; attributes, operands and types are plain data.

    Args:
        module: types need not be inferred yet.
        parameters: the arguments of `main` that are weights; where it is not given, those that stand only where
            weights do.
        name: what the table calls the model; a `Model` has its own.
    """
    if isinstance(module, Model):
        module, name = module.module, module.name
    if not isinstance(module, IRModule):
        module = IRModule.from_expr(module)
    main = relay.transform.InferType()(module)["main"]
    walk = _Walk(main, parameters)
    return LayerTable.of(
        [walk.call(index) for index in range(len(walk.nodes))],
        model=name,
        ir="relay",
        arguments={
            var.name_hint: plain_type(var.checked_type)
            for var in main.params
            if var.name_hint not in walk.parameters and isinstance(var.checked_type, relay.TensorType)
        },
        returns=walk.operands(main.body),
    )


def enumerate_calls(
    main: relay.Function, parameters: Collection[str] | None = None
) -> Iterator[tuple[str, relay.Call]]:
    """The calls of the layer table with their ids: `("nn.conv2d#7", call)`, in its order. Types must be inferred."""
    seen: Counter[str] = Counter()
    for op, call in _Walk(main, parameters).nodes:
        yield f"{op}#{seen[op]}", call
        seen[op] += 1


class _Walk(relay.ExprVisitor):  # type: ignore[misc]  # tvm is untyped
    """Visits `main` once: the calls that are layers, and where the tensors of every expression come from."""

    def __init__(self, main: relay.Function, parameters: Collection[str] | None) -> None:
        super().__init__()
        self.parameters = frozenset(_weights(main) if parameters is None else parameters)
        self.nodes: list[tuple[str, relay.Call]] = []
        self._of: dict[Any, Any] = {}
        self._constants = 0
        for var in main.params:
            role = "parameter" if var.name_hint in self.parameters else "argument"
            self._of[var] = _shaped(var.checked_type, **{role: str(var.name_hint)})
        self.visit(main.body)

    def visit_function(self, function: relay.Function) -> None:
        """A function that is called or handed on is not entered."""

    def visit_let(self, let: relay.Let) -> None:
        self.visit(let.value)
        self._of[let.var] = self._find(let.value)
        self.visit(let.body)
        self._of[let] = self._find(let.body)

    def visit_constant(self, constant: relay.Constant) -> None:
        self._of[constant] = _shaped(constant.checked_type, parameter=constant_name(self._constants))
        self._constants += 1

    def visit_call(self, call: relay.Call) -> None:
        super().visit_call(call)
        name = call.op.name if isinstance(call.op, Op) else "call"
        if name in WEIGHT_PREPARATION and self._is_weight(call.args[0]):
            weight = self._find(call.args[0])
            self._of[call] = replace(weight, type=plain_type(call.checked_type))
            return
        op = table_name(name)
        if op == "matmul" and not call.attrs.transpose_a and self._is_weight(call.args[1]):
            op = "nn.dense"
        self._of[call] = _shaped(call.checked_type, layer=len(self.nodes))
        self.nodes.append((op, call))

    def call(self, index: int) -> Call:
        """The row of a layer."""
        op, node = self.nodes[index]
        operands = [operand for argument in node.args for operand in self.operands(argument)]
        if op == "nn.dense" and _is_transposed(node):
            operands[1] = _transposed(operands[1])
        results = tuple(operand.type for operand in self.operands(node))
        source = _span(node) or next((operand.parameter for operand in operands if operand.parameter), None)
        return Call(
            op=op,
            operands=tuple(operands),
            results=results,
            attributes=_attributes(node),
            source=source,
            behaviour=_behaviour(node.op, operands, results),
        )

    def operands(self, expr: Any) -> tuple[Operand, ...]:
        """The tensors of an expression, tuples flattened; a function is none."""
        return tuple(_flat(self._find(expr)))

    def _is_weight(self, expr: Any) -> bool:
        found = self._find(expr)
        return isinstance(found, Operand) and found.parameter is not None

    def _find(self, expr: Any) -> Any:
        if isinstance(expr, relay.Tuple):
            return tuple(self._find(field) for field in expr.fields)
        if isinstance(expr, relay.TupleGetItem):
            found = self._find(expr.tuple_value)
            return found[expr.index] if isinstance(found, tuple) and expr.index < len(found) else ()
        return self._of.get(expr, ())


def _weights(main: relay.Function) -> Iterator[str]:
    """The arguments that are read only where weights stand: by their place, or broadcast over a tensor of more axes."""
    uses: defaultdict[Any, list[bool]] = defaultdict(list)

    def note(node: Any) -> None:
        if not isinstance(node, relay.Call) or _is_preparation(node):
            return
        name = node.op.name if isinstance(node.op, Op) else ""
        for place, argument in enumerate(node.args):
            root = _root(argument)
            if isinstance(root, relay.Var):
                uses[root].append(place in _WEIGHT_PLACES.get(name, ()) or _is_broadcast(root, node))

    relay.analysis.post_order_visit(main.body, note)
    return (var.name_hint for var in main.params if uses[var] and all(uses[var]))


def _is_preparation(call: relay.Call) -> bool:
    return isinstance(call.op, Op) and call.op.name in WEIGHT_PREPARATION


def _root(expr: Any) -> Any:
    while isinstance(expr, relay.Call) and _is_preparation(expr):
        expr = expr.args[0]
    return expr


def _is_broadcast(var: relay.Var, call: relay.Call) -> bool:
    types = var.checked_type, call.checked_type
    return all(isinstance(ty, relay.TensorType) for ty in types) and len(types[0].shape) < len(types[1].shape)


def _is_transposed(call: relay.Call) -> bool:
    """Whether the second operand stands as (out, in); `nn.dense` always has it so."""
    return bool(call.op.name == "nn.dense" or call.attrs.transpose_b)


def _transposed(operand: Operand) -> Operand:
    """The table has a dense layer's weight as (in, out), whatever the IR."""
    shape = operand.type.shape
    turned = TensorType(dtype=operand.type.dtype, shape=shape and shape[::-1])
    return replace(operand, type=turned)


def _shaped(ty: Any, **origin: Any) -> Any:
    """An operand for a tensor type, a tuple of them for a tuple type, nothing for anything else."""
    return _numbered(ty, itertools.count(), origin)


def _numbered(ty: Any, places: Iterator[int], origin: Mapping[str, Any]) -> Any:
    if isinstance(ty, relay.TensorType):
        return Operand(type=plain_type(ty), result=next(places), **origin)
    if isinstance(ty, relay.TupleType):
        return tuple(_numbered(field, places, origin) for field in ty.fields)
    return ()


def _flat(found: Any) -> Iterator[Operand]:
    if isinstance(found, Operand):
        yield found
    else:
        for item in found:
            yield from _flat(item)


def plain_type(ty: relay.TensorType) -> TensorType:
    """A tensor type as plain data; a size that is not known is `any`, or the text of its expression."""
    return TensorType(dtype=str(ty.dtype), shape=tuple(map(_size, ty.shape)))


def _size(size: Any) -> int | str:
    if isinstance(size, tvm.tir.IntImm):
        return int(size)
    return "any" if isinstance(size, tvm.tir.Any) else str(size)


def _span(call: relay.Call) -> str | None:
    """The node of the source model, where the frontend noted it."""
    name = getattr(getattr(call.span, "source_name", None), "name", None)
    return str(name) if name else None


def _attributes(call: relay.Call) -> dict[str, Attribute]:
    """The attributes of a call as plain data. A call of a function of the module has that function's name."""
    if not isinstance(call.op, Op):
        return {"function": str(call.op.name_hint)} if isinstance(call.op, relay.GlobalVar) else {}
    if call.attrs is None:
        return {}
    return {str(key): _plain(call.attrs[key]) for key in call.attrs.keys()}  # noqa: SIM118  # not a dict


def _plain(value: Any) -> Attribute:
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, tvm.tir.IntImm | tvm.tir.FloatImm):
        number: int | float = value.value
        return number
    if isinstance(value, tvm.ir.Array):
        return tuple(item if isinstance(item, int | float) else str(item) for item in map(_plain, value))
    return str(value)


def _behaviour(op: Any, operands: Collection[Operand], results: Collection[TensorType]) -> Behaviour:
    """Whether ConvertLayout can take another layout through a call."""
    tensors = [*(operand.type for operand in operands), *results]
    if any(isinstance(size, str) for tensor in tensors for size in tensor.shape or ()):
        return "unknown"
    return "follows" if isinstance(op, Op) and _has_layout_rule(op.name) else "original"


@cache
def _has_layout_rule(name: str) -> bool:
    if name == "nn.bias_add":  # it has none itself, but ConvertLayout begins by making it an `add`, which has
        return True
    return Op.get(name).get_attr("FInferCorrectLayout") is not None
