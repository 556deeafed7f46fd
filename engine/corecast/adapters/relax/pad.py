"""Padding decisions in, one rewrite out: every layer in the sizes that `plan.padding` chose for it.

A tensor is filled up by `nn.pad` and cut by `strided_slice`; what fills up a weight stays in the module as an operator
that reads it, until `fold` computes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import tvm
from tvm import relax
from tvm.ir import Call, IRModule, Tuple, TupleGetItem

from corecast.adapters.relax.layout import VIEWS
from corecast.adapters.relax.passes import module_pass, rewrite
from corecast.adapters.relax.rebuild import Line, Rebuild
from corecast.adapters.relax.survey import enumerate_calls, survey
from corecast.model import Layer, LayerTable, Operand
from corecast.plan import PlannedLayer, compress
from corecast.plan.padding import Padding, Shape, Value, pad, value_of, widths


@module_pass("Pad")
class PadAxes:
    """Fill up the axes of each planned layer with zeros, and carry the sizes through what follows it."""

    def __init__(self, planned: Mapping[str, PlannedLayer]):
        self.planned = planned

    def transform_module(self, module: IRModule, context: tvm.transform.PassContext) -> IRModule:  # noqa: ARG002
        table = survey(module)
        padding = pad(table, self.planned)
        if not padding.runs:
            return module
        copies: set[str] = set()
        converted = rewrite(module, lambda rebuild: copies.update(_Conversion(rebuild, table, padding).run()))
        if copies:
            converted["main"] = converted["main"].with_attr(VIEWS, sorted(copies))
        return converted

    def __str__(self) -> str:
        groups: dict[str, list[str]] = {}
        for key, layer in self.planned.items():
            for decision in (layer.channels, layer.batch):
                if decision and decision.edit.kind == "pad":
                    groups.setdefault(f"{decision.edit.axis} to {decision.edit.to}", []).append(key)
        return "\n".join(["corecast.Pad:", *(f"  {compress(layers)}: {to}" for to, layers in groups.items())])


class _Conversion:
    """One function on its way to other sizes.

    What stands for an old variable in the new function is its value in the size that the model gave it; a result that
    nobody reads so is there in full size alone.
    """

    def __init__(self, rebuild: Rebuild, table: LayerTable, padding: Padding) -> None:
        self._rebuild = rebuild
        self._table = table
        self._padding = padding
        self._layers = {binding.var: index for index, (_, binding) in enumerate(enumerate_calls(rebuild.model.main))}
        self._own: dict[Value, Any] = {(str(var.name), 0): var for var in rebuild.model.main.params[:]}
        self._full: dict[int, Any] = {}
        self._filled: dict[tuple[Any, Shape], Any] = {}
        self._copies: set[str] = set()

    def run(self) -> set[str]:
        """Rebuild the function; the names of the copies that were added."""
        for line in self._rebuild.lines:
            index = self._layers.get(line.var)
            layer = None if index is None else self._table.layers[index]
            if layer is not None and layer.index in self._padding.runs:
                self._convert(line, layer)
            else:
                self._rebuild.keep(line)
            if layer is not None and isinstance(line.var.ty, relax.TensorType):
                self._own[layer.index, 0] = self._rebuild.new(line.var)
        return self._copies

    def _convert(self, line: Line, layer: Layer) -> None:
        call, run = line.value, self._padding.runs[layer.index]
        reads = iter(zip(layer.operands, run.operands, strict=True))
        arguments = [self._argument(argument, layer, reads) for argument in call.args[:]]
        if layer.op == "reshape":  # whose second argument is the shape of the result
            arguments[1] = relax.ShapeExpr([run.result[0], *line.var.ty.shape.values[1:]])
        made = self._rebuild.emit(Call(call.op, arguments, call.attrs, call.ty_args, call.span), line.var.name)
        self._full[layer.index] = made
        if layer.index in self._padding.cut:
            own = layer.results[0].shape or ()
            made = self._copy(_cut(made, own, run.result), f"{line.var.name}_cut")
        self._rebuild.replace(line.var, made)

    def _argument(self, argument: Any, layer: Layer, reads: Iterator[tuple[Operand, Shape]]) -> Any:
        if isinstance(argument, Tuple):
            return Tuple([self._argument(field, layer, reads) for field in argument.fields])
        if isinstance(argument.ty, relax.TensorType):
            return self._read(argument, layer, *next(reads))
        if isinstance(argument.ty, relax.TupleType):
            items = (TupleGetItem(argument, place) for place in range(len(argument.ty.fields)))
            return Tuple([self._read(item, layer, *next(reads)) for item in items])
        return self._rebuild.new(argument)

    def _read(self, argument: Any, layer: Layer, operand: Operand, shape: Shape) -> Any:
        """The tensor that a layer reads: as it is, as it is made in full size, or filled up."""
        own = operand.type.shape or ()
        value = value_of(operand)
        if operand.layer in self._full and self._padding.is_made_so(operand, shape, layer):
            return self._full[operand.layer]
        if value is None:
            made = self._rebuild.new(argument)
            return made if shape == own else self._fill(made, own, shape, is_weight=True)
        made = self._own[value] if value in self._own else self._rebuild.new(argument)
        return made if shape == own else self._fill(made, own, shape)

    def _fill(self, made: Any, own: Shape, shape: Shape, *, is_weight: bool = False) -> Any:
        if (made, shape) not in self._filled:
            base = made.name if isinstance(made, relax.Var) else "constant"
            filled = relax.op.nn.pad(made, list(widths(own, shape)))
            name = f"{base}_filled"
            put = self._ahead if is_weight else self._copy
            self._filled[made, shape] = put(filled, name)
        return self._filled[made, shape]

    def _ahead(self, value: Any, name: str) -> Any:
        return self._rebuild.emit(value, self._rebuild.fresh(name))

    def _copy(self, value: Any, name: str) -> Any:
        made = self._ahead(value, name)
        self._copies.add(str(made.name))
        return made


def _cut(made: Any, own: Shape, full: Shape) -> Any:
    """The first elements along each axis that is in full size."""
    axes = [axis for axis, (size, filled) in enumerate(zip(own, full, strict=True)) if size != filled]
    return relax.op.strided_slice(made, axes, [0] * len(axes), [own[axis] for axis in axes], assume_inbound=True)
