"""The sizes chosen for a function in, its layer table as it is then out: on it costs are foreseen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace

from corecast.model import Attribute, Call, Layer, LayerTable, Operand, TensorType
from corecast.model.following import behaviour_of
from corecast.plan.padding import Padding, Shape, Value, value_of, widths


@dataclass(frozen=True)
class Padded:
    """The layers as they are once they are padded, with those that copy; and the index of each layer of the model."""

    table: LayerTable
    index: Mapping[int, int]


def after(padding: Padding) -> Padded:
    """What a padded function consists of: its layers in their sizes, and a layer for each copy at run time."""
    if not padding.runs:
        return Padded(padding.table, {layer.index: layer.index for layer in padding.table.layers})
    return _After(padding).padded()


class _After:
    def __init__(self, padding: Padding) -> None:
        self._padding = padding
        self._calls: list[Call] = []
        self._index: dict[int, int] = {}
        self._cut: dict[int, int] = {}  # by the layer that is cut
        self._filled: dict[tuple[Value, Shape], int] = {}

    def padded(self) -> Padded:
        table = self._padding.table
        fills = defaultdict(list)
        for fill in self._padding.fills:
            fills[fill.reader].append(fill)
        for layer in table.layers:
            for operand, shape in zip(layer.operands, self._padding.shapes(layer), strict=True):
                if any((value_of(operand), shape) == (fill.value, fill.shape) for fill in fills[layer.index]):
                    self._fill(operand, shape)
            self._put(layer)
        returns = [self._read(operand, operand.type.shape or (), None) for operand in table.returns]
        made = LayerTable.of(self._calls, model=table.model, ir=table.ir, arguments=table.arguments, returns=returns)
        return Padded(made, self._index)

    def _put(self, layer: Layer) -> None:
        operands = tuple(map(self._read, layer.operands, self._padding.shapes(layer), [layer] * len(layer.operands)))
        results = layer.results
        if run := self._padding.runs.get(layer.index):
            results = (_sized(layer.results[0], run.result),)
        self._index[layer.index] = len(self._calls)
        self._calls.append(
            Call(
                op=layer.op,
                operands=operands,
                results=results,
                attributes=layer.attributes,
                source=layer.source,
                behaviour=layer.behaviour,
                signature=layer.signature,
            )
        )
        if layer.index in self._padding.cut:
            self._cut[layer.index] = len(self._calls)
            whole = Operand(type=results[0], layer=self._index[layer.index])
            self._copy("strided_slice", whole, layer.results[0], {})

    def _fill(self, operand: Operand, shape: Shape) -> None:
        value, own = value_of(operand), operand.type.shape or ()
        if value is None or (value, shape) in self._filled:
            return
        read = self._read(operand, own, None)
        self._filled[value, shape] = len(self._calls)
        self._copy("nn.pad", read, _sized(operand.type, shape), {"pad_width": widths(own, shape)})

    def _copy(self, op: str, operand: Operand, result: TensorType, attributes: Mapping[str, Attribute]) -> None:
        call = Call(
            op=op, operands=(operand,), results=(result,), attributes=dict(attributes), behaviour=behaviour_of(op)
        )
        self._calls.append(call)

    def _read(self, operand: Operand, shape: Shape, reader: Layer | None) -> Operand:
        """An operand as it is read now: from another layer, in another shape."""
        value = value_of(operand)
        kind = _sized(operand.type, shape) if operand.type.shape is not None else operand.type
        if value is None:
            return replace(operand, type=kind)
        if (value, shape) in self._filled:
            return Operand(type=kind, layer=self._filled[value, shape])
        if operand.layer is None:
            return operand
        if operand.layer in self._cut and (reader is None or not self._padding.is_made_so(operand, shape, reader)):
            return Operand(type=kind, layer=self._cut[operand.layer])
        return replace(operand, type=kind, layer=self._index[operand.layer])


def _sized(tensor: TensorType, shape: Shape) -> TensorType:
    return TensorType(dtype=tensor.dtype, shape=shape)
