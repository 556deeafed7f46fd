"""A layer table and decisions in, expected costs out: layout transforms and casts that will run at every inference.

The layouts are carried through the graph as `ConvertLayout` carries them: a convolution asks for its own, an operator
that follows takes its first operand's, every other one forces the original. A tensor is transformed or cast once for
all of its readers; what happens to weights is done ahead and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from corecast.model import Layer, LayerTable, Operand
from corecast.plan.plan import PlannedLayer, Prediction
from corecast.recipe import ChangeDType, ChangeLayout

Decided = Mapping[str, PlannedLayer]
Tensor = int | str | None  # a layer's index or an argument's name


def predict(table: LayerTable, decided: Decided) -> Prediction:
    """Foresee what a plan costs at run time and in memory."""
    before, after = _parameter_bytes(table, decided)
    return Prediction(
        layout_transforms=_layout_transforms(table, decided),
        casts=_casts(table, decided),
        parameter_bytes=before,
        converted_parameter_bytes=after,
    )


def _layout_edit(layer: Layer, decided: Decided) -> ChangeLayout | None:
    planned = decided.get(layer.id)
    edit = planned.layout.edit if planned and planned.layout else None
    return edit if isinstance(edit, ChangeLayout) and edit.data != layer.data_layout else None


def _dtype_edit(layer: Layer, decided: Decided) -> ChangeDType | None:
    planned = decided.get(layer.id)
    edit = planned.dtype.edit if planned and planned.dtype else None
    return edit if isinstance(edit, ChangeDType) else None


def _tensor(operand: Operand) -> Tensor:
    return operand.layer if operand.layer is not None else operand.argument


@dataclass(frozen=True)
class _Permuted:
    """A tensor whose axes stand in another order than the model had them: `was` NCHW, `now` HWNC."""

    was: str
    now: str


def _layout_transforms(table: LayerTable, decided: Decided) -> int:
    layouts: dict[Tensor, _Permuted] = {}  # what is not in it is as the model had it
    transforms: set[tuple[Tensor, _Permuted | None]] = set()
    for layer in table.layers:
        edit = _layout_edit(layer, decided)
        wanted = _Permuted(layer.data_layout or "", edit.data) if edit else None
        if layer.operator is None and layer.behaviour == "follows":
            wanted = next((layouts.get(item.layer) for item in layer.operands if item.layer is not None), None)
        for operand in layer.operands:
            if operand.parameter is None and layouts.get(_tensor(operand)) != wanted:
                transforms.add((_tensor(operand), wanted))
        if wanted and (result := _reduced(wanted, layer)):
            layouts[layer.index] = result
    transforms |= {(_tensor(operand), None) for operand in table.returns if _tensor(operand) in layouts}
    return len(transforms)


def _reduced(layout: _Permuted, layer: Layer) -> _Permuted | None:
    """The layout of a layer's result; one that loses axes has those that are left, perhaps in the model's order."""
    axes = layer.attributes.get("axis")
    shape = layer.results[0].shape if layer.results else None
    if shape is None or len(shape) == len(layout.was) or not isinstance(axes, tuple):
        return layout
    lost = {layout.was[int(axis)] for axis in axes}
    was, now = ("".join(axis for axis in order if axis not in lost) for order in (layout.was, layout.now))
    return _Permuted(was, now) if was != now else None


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
