"""A layer table and decisions in, expected costs out: layout transforms and casts that will run at every inference.

The layouts are carried through the graph by `plan.carry`, whose result an adapter realises. A tensor is transformed or
cast once for all of its readers; what happens to weights is done ahead and costs nothing.
"""

from __future__ import annotations

from collections.abc import Mapping

from corecast.model import LayerTable
from corecast.plan.carry import carry
from corecast.plan.casts import count_casts
from corecast.plan.follow import following
from corecast.plan.plan import PlannedLayer, Prediction
from corecast.recipe import ChangeDType, ChangeLayout

Decided = Mapping[str, PlannedLayer]


def predict(table: LayerTable, decided: Decided) -> Prediction:
    """Foresee what a plan costs at run time and in memory."""
    dtypes = _dtypes(table, decided)
    before, after = _parameter_bytes(table, dtypes)
    carried = carry(table, layouts(decided))
    return Prediction(
        layout_transforms=len(carried.added),
        casts=count_casts(table, dtypes, carried),
        parameter_bytes=before,
        converted_parameter_bytes=after,
    )


def layouts(decided: Decided) -> dict[str, ChangeLayout]:
    """The layouts decided, by layer id."""
    edits = {key: layer.layout.edit for key, layer in decided.items() if layer.layout}
    return {key: edit for key, edit in edits.items() if isinstance(edit, ChangeLayout)}


def _dtypes(table: LayerTable, decided: Decided) -> dict[int, ChangeDType]:
    """The dtypes of all layers that do not keep theirs, by their index: those decided, and those that follow."""
    edits = {key: layer.dtype.edit for key, layer in decided.items() if layer.dtype}
    found = {**edits, **following(table, edits)}
    return {table.by_id[key].index: edit for key, edit in found.items() if isinstance(edit, ChangeDType)}


def _parameter_bytes(table: LayerTable, dtypes: Mapping[int, ChangeDType]) -> tuple[int | None, int | None]:
    """The bytes of all parameters before and after; one that is read in two dtypes is kept in both."""
    before: dict[str, int | None] = {}
    after: dict[tuple[str, str], int | None] = {}
    for layer in table.layers:
        edit = dtypes.get(layer.index)
        for operand in layer.operands:
            if operand.parameter is not None:
                own = operand.type.dtype
                dtype = edit.dtype if edit and "float" in own else own
                before[operand.parameter] = operand.type.bytes
                after[operand.parameter, dtype] = operand.type.cast(dtype).bytes if edit else operand.type.bytes
    return _total(before), _total(after)


def _total(sizes: Mapping[str, int | None] | Mapping[tuple[str, str], int | None]) -> int | None:
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None
