"""A layer table and decisions in, expected costs out: layout transforms and casts that will run at every inference.

The layouts are carried through the graph by `plan.carry`, whose result an adapter realises. A tensor is transformed or
cast once for all of its readers; what happens to weights is done ahead and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from corecast.model import Layer, LayerTable, Operand
from corecast.plan.carry import carry
from corecast.plan.plan import PlannedLayer, Prediction
from corecast.recipe import ChangeDType, ChangeLayout

Decided = Mapping[str, PlannedLayer]
Tensor = int | str | None  # a layer's index or an argument's name


def predict(table: LayerTable, decided: Decided) -> Prediction:
    """Foresee what a plan costs at run time and in memory."""
    before, after = _parameter_bytes(table, decided)
    return Prediction(
        layout_transforms=len(carry(table, layouts(decided)).added),
        casts=_casts(table, decided),
        parameter_bytes=before,
        converted_parameter_bytes=after,
    )


def layouts(decided: Decided) -> dict[str, ChangeLayout]:
    """The layouts decided, by layer id."""
    edits = {key: layer.layout.edit for key, layer in decided.items() if layer.layout}
    return {key: edit for key, edit in edits.items() if isinstance(edit, ChangeLayout)}


def _dtype_edit(layer: Layer, decided: Decided) -> ChangeDType | None:
    planned = decided.get(layer.id)
    edit = planned.dtype.edit if planned and planned.dtype else None
    return edit if isinstance(edit, ChangeDType) else None


def _tensor(operand: Operand) -> Tensor:
    return operand.layer if operand.layer is not None else operand.argument


def _casts(table: LayerTable, decided: Decided) -> int:
    casts: set[tuple[Tensor, str]] = set()
    computed = {layer.index: edit.accumulator for layer in table.layers if (edit := _dtype_edit(layer, decided))}

    def need(operand: Operand, dtype: str) -> None:
        tensor = _tensor(operand)
        have = computed.get(tensor, operand.type.dtype) if isinstance(tensor, int) else operand.type.dtype
        if operand.parameter is None and have != dtype:
            # From an accumulator to another dtype the value passes through the dtype that the model gave it.
            if have != operand.type.dtype:
                casts.add((tensor, operand.type.dtype))
            if dtype != operand.type.dtype:
                casts.add((tensor, dtype))

    for layer in table.layers:
        edit = _dtype_edit(layer, decided)
        for operand in layer.operands:
            need(operand, edit.dtype if edit else operand.type.dtype)
    for operand in table.returns:
        need(operand, operand.type.dtype)
    return len(casts)


def _parameter_bytes(table: LayerTable, decided: Decided) -> tuple[int | None, int | None]:
    """The bytes of all parameters before and after; one that is read in two dtypes is kept in both."""
    before: dict[str, int | None] = {}
    after: dict[tuple[str, str], int | None] = {}
    for layer in table.layers:
        edit = _dtype_edit(layer, decided)
        for operand in layer.operands:
            if operand.parameter is not None:
                dtype = edit.dtype if edit else operand.type.dtype
                before[operand.parameter] = operand.type.bytes
                after[operand.parameter, dtype] = operand.type.cast(dtype).bytes if edit else operand.type.bytes
    return _total(before), _total(after)


def _total(sizes: Mapping[str, int | None] | Mapping[tuple[str, str], int | None]) -> int | None:
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None
