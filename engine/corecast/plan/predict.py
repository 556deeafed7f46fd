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
from corecast.plan.integers import Integers, integers
from corecast.plan.plan import OnIntegers, PlannedLayer, Prediction
from corecast.recipe import ChangeDType, ChangeLayout

Decided = Mapping[str, PlannedLayer]


def predict(table: LayerTable, decided: Decided) -> Prediction:
    """Foresee what a plan costs at run time and in memory."""
    dtypes = _dtypes(table, decided)
    before, after = _parameter_bytes(table, dtypes, computed_on_integers(table, decided))
    carried = carry(table, layouts(decided))
    return Prediction(
        layout_transforms=len(carried.added),
        casts=count_casts(table, dtypes, carried),
        parameter_bytes=before,
        converted_parameter_bytes=after,
    )


def computed_on_integers(table: LayerTable, decided: Decided) -> Integers:
    """What the layers compute on integers that a plan quantizes, and those between them."""
    return integers(table, {key: layer.dtype.edit for key, layer in decided.items() if layer.dtype})


def foreseen_on_integers(table: LayerTable, decided: Decided) -> OnIntegers | None:
    """What a plan says of that; None where it quantizes nothing."""
    found = computed_on_integers(table, decided)
    if not found.roles:
        return None
    return OnIntegers(
        carried=found.carried,
        quantized=tuple(found.name(slot.value) for slot in found.quantized),
        dequantized=tuple(found.name(value) for value in found.dequantized),
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


def _parameter_bytes(
    table: LayerTable, dtypes: Mapping[int, ChangeDType], found: Integers
) -> tuple[int | None, int | None]:
    """The bytes of all parameters before and after; one that is read in two dtypes is kept in both.

    A quantized layer has its weight in int8, the factors that its sums are rescaled by and, where it has a bias or a
    zero point, what is added to them; each is counted under the layer's index.
    """
    before: dict[str, int | None] = {}
    after: dict[tuple[str | int, str], int | None] = {}
    for layer in table.layers:
        edit, role = dtypes.get(layer.index), found.roles.get(layer.index)
        for operand in layer.operands:
            if operand.parameter is not None:
                own = operand.type.dtype
                before[operand.parameter] = operand.type.bytes
                if role == "bias":
                    continue
                dtype = "int8" if role == "sums" else edit.dtype if edit and "float" in own else own
                after[operand.parameter, dtype] = operand.type.cast(dtype).bytes if dtype != own else operand.type.bytes
        if role == "sums" and isinstance(channels := layer.size("O"), int):
            asked = found.edits[layer.index]
            if asked.weights == "per_channel":
                after[layer.index, "factors"] = 4 * channels
            if layer.index in found.biases or not asked.symmetric:
                after[layer.index, "steps"] = 4 * channels
    return _total(before), _total(after)


def _total(sizes: Mapping[str, int | None] | Mapping[tuple[str | int, str], int | None]) -> int | None:
    known = [size for size in sizes.values() if size is not None]
    return sum(known) if len(known) == len(sizes) else None
