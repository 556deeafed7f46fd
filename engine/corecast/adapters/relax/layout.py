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
from corecast.adapters.relax.rebuild import Line, Rebuild, reads, substitute
from corecast.adapters.relax.survey import enumerate_calls, survey
from corecast.adapters.relax.tensors import permuted
from corecast.model import LayerTable
from corecast.model.orders import Order, unchanged
from corecast.plan.carry import Carried, Read, Run, Value, carry
from corecast.plan.ids import compress
from corecast.recipe import ChangeLayout

# The names of the reshapes and copies that were added: the next pass counts layers as they were before. `Cleanup` takes
# it away.
VIEWS = "corecast.views"


def added_views(main: relax.Function) -> frozenset[str]:
    """The bindings of a function that are no layers of the model."""
    return frozenset(map(str, main.attrs[VIEWS])) if main.attrs and VIEWS in main.attrs else frozenset()


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
        views: set[str] = set()
        converted = rewrite(module, lambda rebuild: views.update(_Conversion(rebuild, table, carried).run()))
        if views:
            views |= added_views(module["main"])
            converted["main"] = converted["main"].with_attr(VIEWS, sorted(views))
        return converted

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
    """One function on its way from the old orders to the new ones.

    What stands for an old variable in the new function is its value in the order in which it is made now; `held` says
    of those that are made in another order, or not at all, what they were.
    """

    def __init__(self, rebuild: Rebuild, table: LayerTable, carried: Carried) -> None:
        self._rebuild = rebuild
        self._table = table
        self._carried = carried
        self._layers = {binding.var: index for index, (_, binding) in enumerate(enumerate_calls(rebuild.model.main))}
        self._faces = Faces(rebuild, table, carried, self._layers)
        self._held: dict[Var, _Held] = {}
        self._made: dict[Any, Any] = {}

    def run(self) -> set[str]:
        """Rebuild the function; the names of the reshapes that were added."""
        main = self._rebuild.model.main
        for line in self._rebuild.lines:
            index = self._layers.get(line.var)
            if index is None:
                self._bind(line)
            elif index in self._carried.aliases:
                self._rename(line, index)
            elif index in self._carried.runs or index in self._carried.reads:
                self._convert(line, index)
            else:
                self._rebuild.keep(line)
        for var, expr in self._as_they_were(main.body.body).items():
            self._rebuild.replace(var, expr)
        return self._faces.views

    def _rename(self, line: Line, index: int) -> None:
        """A transpose of the model's own: gone, unless somebody reads its result in the order that it has."""
        value, order = self._carried.aliases[index].value, self._carried.aliases[index].order
        if value is None:
            return
        if index not in self._carried.standing:
            self._held[line.var] = _Moved(value, order)
        elif line.value.args[0] in self._held or self._faces.has(value, order):
            self._rebuild.replace(line.var, self._faces.face(value, order))
        else:
            self._rebuild.keep(line)
            self._faces.add(value, order, self._rebuild.new(line.var))

    def _bind(self, line: Line) -> None:
        """What is no layer: another name for a tensor, a tuple, an item of one, a weight in another form."""
        var, value = line.var, line.value
        if not any(map(self._held.__contains__, line.leaves)):
            self._rebuild.keep(line)
        elif isinstance(value, Var | Tuple):
            self._held[var] = self._holding(value)
            self._rebuild.replace(var, self._rebuild.new(value))
        elif isinstance(value, TupleGetItem):
            held = self._holding(value.tuple_value)
            if isinstance(held, tuple):
                self._held[var] = held[value.index]
            self._rebuild.replace(var, self._faces.item(self._rebuild.new(value.tuple_value), value.index))
        else:
            self._keep_as_it_was(line)

    def _holding(self, expr: Any) -> _Held:
        """What an expression of the old function was."""
        if isinstance(expr, Tuple):
            return tuple(self._holding(field) for field in expr.fields)
        return self._held.get(expr) or self._rebuild.new(expr)

    def _as_they_were(self, expr: Any) -> dict[Var, Any]:
        """For each variable that an expression reads and that is made otherwise now, what it was."""
        return {var: self._restored(self._held[var]) for var in reads(expr) if var in self._held}

    def _restored(self, held: _Held) -> Any:
        if isinstance(held, _Moved):
            return self._faces.face(held.value, held.order)
        return Tuple([self._restored(item) for item in held]) if isinstance(held, tuple) else held

    def _keep_as_it_was(self, line: Line) -> None:
        """For what reads variables that the layer table does not see as operands: branches, and what is no call."""
        value, binding = substitute(line.value, self._as_they_were(line.value)), line.binding
        if isinstance(binding, relax.MatchCast):
            self._rebuild.keep(Line.of(relax.MatchCast(line.var, value, binding.ty)))
        else:
            self._rebuild.keep(Line.of(relax.VarBinding(line.var, value)))

    def _convert(self, line: Line, index: int) -> None:
        """A layer that runs in another order, or reads what does not stand as it is made."""
        call, run = line.value, self._carried.runs.get(index)
        if not isinstance(call, Call):
            self._keep_as_it_was(line)
            return
        operands = self._carried.reads.get(index)
        arguments = (
            self._arguments(call.args[:], iter(operands)) if operands else list(map(self._rebuild.new, call.args[:]))
        )
        attributes, ty = call.attrs, line.var.ty
        if run:
            ty = self._type(ty, run.results)
            attributes = self._attributes(call, index, run)
            arguments = _ARGUMENTS.get(call.op.name, _as_they_are)(arguments, run.order, ty)
        made = self._rebuild.emit(Call(call.op, arguments, attributes, call.ty_args, call.span, ty), line.var.name)
        self._rebuild.replace(line.var, made)
        if run and any(run.results):
            self._held[line.var] = self._results(index, line.var.ty)

    def _results(self, index: int, ty: Any) -> _Held:
        """What a layer's variable was."""
        if not isinstance(ty, relax.TupleType):
            return _Moved((index, 0), unchanged(ty.ndim))
        return tuple(_Moved((index, place), unchanged(field.ndim)) for place, field in enumerate(ty.fields))

    def _arguments(self, arguments: Iterable[Any], operands: Iterator[Read | None]) -> list[Any]:
        """The arguments of a call; `operands` says how each tensor among them is read."""
        return [self._argument(argument, operands) for argument in arguments]

    def _argument(self, argument: Any, operands: Iterator[Read | None]) -> Any:
        if isinstance(argument, Tuple):
            return Tuple(self._arguments(argument.fields, operands))
        made = self._rebuild.new(argument)
        if isinstance(argument.ty, relax.TensorType):
            read = next(operands)
            return self._faces.read(made, read) if read else made
        if isinstance(argument.ty, relax.TupleType):
            found = [next(operands) for _ in argument.ty.fields]
            if any(found):
                return Tuple([self._field(made, place, read) for place, read in enumerate(found)])
        return made

    def _field(self, made: Any, place: int, read: Read | None) -> Any:
        """A tensor of an expression that is a tuple of them."""
        if read and read.value:
            return self._faces.read(made, read)
        item = self._faces.item(made, place)
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
