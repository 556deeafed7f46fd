"""Layout decisions in, one rewrite out: every layer in the order of axes that `plan.carry` chose for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import tvm
from tvm import relax, tirx
from tvm.ir import Call, IRModule, Tuple, TupleGetItem, Var

from corecast.adapters.relax.attributes import with_attributes
from corecast.adapters.relax.faces import Faces
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Binding, Rebuild, bindings_of, reads
from corecast.adapters.relax.survey import enumerate_calls, survey
from corecast.adapters.relax.tensors import permuted
from corecast.model import LayerTable
from corecast.model.orders import Order, unchanged
from corecast.plan.carry import Carried, Read, Run, Value, carry
from corecast.plan.ids import compress
from corecast.recipe import ChangeLayout


@module_pass("ConvertLayout")
class ConvertLayout:
    """Give each planned convolution its layouts, and carry them through what follows it."""

    def __init__(self, edits: Mapping[str, ChangeLayout]):
        self.edits = edits

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        table = survey(module)
        carried = carry(table, self.edits)
        if not carried.runs:
            return module
        return rewrite(module, lambda rebuild: _Conversion(rebuild, table, carried).run())

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for layer, edit in self.edits.items():
            groups.setdefault(f"{edit.data}, {edit.kernel}", []).append(layer)
        lines = [f"  {compress(layers)}: {layouts}" for layouts, layers in groups.items()]
        return "\n".join(["corecast.ConvertLayout:", *lines, "  every other convolution: as it is"])


@dataclass(frozen=True)
class _Moved:
    """What an old variable held: a value in this order, which the new function may have in other orders only."""

    value: Value
    order: Order


# What an old variable held that the new function does not have: a tensor, an expression, or a tuple of these.
_Held: TypeAlias = "_Moved | tuple[_Held, ...] | Any"


class _Conversion:
    """One function on its way from the old orders to the new ones."""

    def __init__(self, rebuild: Rebuild, table: LayerTable, carried: Carried) -> None:
        self._rebuild = rebuild
        self._table = table
        self._carried = carried
        self._faces = Faces(rebuild, table, carried)
        self._held: dict[Var, _Held] = {}
        self._made: dict[Any, Any] = {}

    def run(self) -> None:
        main = self._rebuild.model.main
        layers = {binding.var: index for index, (_, binding) in enumerate(enumerate_calls(main))}
        for binding in bindings_of(main):
            index = layers.get(binding.var)
            if index is None:
                self._bind(binding)
            elif index in self._carried.aliases:
                self._rename(binding, index)
            elif index in self._carried.runs or index in self._carried.reads:
                self._convert(binding, index)
            else:
                self._rebuild.keep(binding)
                self._faces.made_by(index, self._rebuild.new(binding.var))
        self._restore(main.body.body)

    def _rename(self, binding: Binding, index: int) -> None:
        """A transpose of the model's own: gone, unless somebody reads its result in the order that it has."""
        value, order = self._carried.aliases[index]
        self._held[binding.var] = _Moved(value, order)
        if index not in self._carried.standing:
            return
        source = binding.value.args[0]
        if source in self._held or self._faces.has(value, order):
            self._rebuild.replace(binding.var, self._faces.face(value, order))
        else:
            self._rebuild.keep(binding)
            self._faces.add(value, order, self._rebuild.new(binding.var))
        del self._held[binding.var]

    def _bind(self, binding: Binding) -> None:
        """What is no layer: another name for a tensor, a tuple, an item of one, a weight in another form."""
        value = binding.value
        if isinstance(value, Var | Tuple | TupleGetItem) and any(var in self._held for var in reads(value)):
            self._held[binding.var] = self._holding(value)
        else:
            self._restore(value)
            self._rebuild.keep(binding)

    def _holding(self, expr: Any) -> _Held:
        if isinstance(expr, Tuple):
            return tuple(self._holding(field) for field in expr.fields)
        if isinstance(expr, TupleGetItem):
            held = self._holding(expr.tuple_value)
            return held[expr.index] if isinstance(held, tuple) else TupleGetItem(held, expr.index)
        return self._held.get(expr) or self._rebuild.new(expr)

    def _restore(self, expr: Any) -> None:
        """Let an expression read what it read before."""
        for var in reads(expr):
            if held := self._held.pop(var, None):
                self._rebuild.replace(var, self._whole(held))

    def _whole(self, held: _Held) -> Any:
        if isinstance(held, _Moved):
            return self._faces.face(held.value, held.order)
        return Tuple([self._whole(item) for item in held]) if isinstance(held, tuple) else held

    def _convert(self, binding: Binding, index: int) -> None:
        """A layer that runs in another order, or reads something that does."""
        call, run = binding.value, self._carried.runs.get(index)
        if not isinstance(call, Call):  # a choice between branches
            self._restore(call)
            self._rebuild.keep(binding)
            self._faces.made_by(index, self._rebuild.new(binding.var))
            return
        operands = self._carried.reads.get(index) or (None,) * len(self._table.layers[index].operands)
        arguments = self._arguments(call.args, iter(operands))
        attributes, ty = call.attrs, binding.var.ty
        orders: tuple[Order | None, ...] = ()
        if run:
            orders = run.results
            ty = self._type(ty, orders)
            attributes = self._attributes(call, index, run)
            arguments = _ARGUMENTS.get(call.op.name, _as_they_are)(arguments, run.order, ty)
        result = self._rebuild.emit(Call(call.op, arguments, attributes, call.ty_args, call.span, ty), binding.var.name)
        self._faces.made_by(index, result, orders)
        if any(orders):
            self._held[binding.var] = self._results(index, binding.var.ty)
        else:
            self._rebuild.replace(binding.var, result)

    def _results(self, index: int, ty: Any) -> _Held:
        if not isinstance(ty, relax.TupleType):
            return _Moved((index, 0), unchanged(ty.ndim))
        return tuple(_Moved((index, place), unchanged(field.ndim)) for place, field in enumerate(ty.fields))

    def _arguments(self, arguments: Iterable[Any], operands: Iterator[Read | None]) -> list[Any]:
        """The arguments of a call; `operands` says how each tensor among them is read."""
        return [self._argument(argument, operands) for argument in arguments]

    def _argument(self, argument: Any, operands: Iterator[Read | None]) -> Any:
        if isinstance(argument, Tuple):
            return Tuple([self._argument(field, operands) for field in argument.fields])
        if isinstance(argument.ty, relax.TupleType):
            found = [next(operands) for _ in argument.ty.fields]
            if not any(found):
                return self._rebuild.new(argument)
            return Tuple([self._field(argument, place, read) for place, read in enumerate(found)])
        if isinstance(argument.ty, relax.TensorType) and (read := next(operands)):
            return self._faces.read(self._rebuild.new(argument), read)
        return self._rebuild.new(argument)

    def _field(self, argument: Var, place: int, read: Read | None) -> Any:
        """A tensor of a variable that holds a tuple of them."""
        if read and read.value:
            return self._faces.read(None, read)
        held = self._held.get(argument)
        if isinstance(held, tuple):
            item = self._whole(held[place])
        else:
            name = self._rebuild.fresh(f"{argument.name}_{place}")
            item = self._rebuild.emit(TupleGetItem(self._rebuild.new(argument), place), name)
        return self._faces.read(item, read) if read else item

    def _attributes(self, call: Call, index: int, run: Run) -> Any:
        """The call's attributes with those changed that name axes; a model has many calls and few kinds of them."""
        if not run.attributes:
            return call.attrs
        layer = self._table.layers[index]
        key = (layer.op, *layer.attributes.values(), *run.attributes.items())
        if key not in self._made:
            self._made[key] = with_attributes(call.attrs, **run.attributes)
        return self._made[key]

    def _type(self, ty: Any, orders: Sequence[Order | None]) -> Any:
        if isinstance(ty, relax.TupleType):
            return relax.TupleType([self._type(field, [orders[place]]) for place, field in enumerate(ty.fields)])
        return permuted(ty, orders[0]) if orders[0] else ty


# ── operators that name axes in their arguments, not in their attributes ─────────────────────────────────────────────


def _as_they_are(arguments: list[Any], order: Order, ty: Any) -> list[Any]:  # noqa: ARG001
    return arguments


def _with_shape(arguments: list[Any], order: Order, ty: Any) -> list[Any]:  # noqa: ARG001
    """The second argument is the shape of the result."""
    return [arguments[0], ty.shape]


def _with_axes(arguments: list[Any], order: Order, ty: Any) -> list[Any]:  # noqa: ARG001
    """The second argument is a tuple of axes."""
    data, axes, *rest = arguments
    places = [order.index(int(axis) % len(order)) for axis in axes.fields]
    return [data, Tuple([tirx.IntImm("int64", place) for place in places]), *rest]


_ARGUMENTS: dict[str, Callable[[list[Any], Order, Any], list[Any]]] = {
    "relax.broadcast_to": _with_shape,
    "relax.reshape": _with_shape,
    "relax.strided_slice": _with_axes,
}
