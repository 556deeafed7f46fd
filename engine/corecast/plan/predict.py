"""A layer table and decisions in, expected costs out: layout transforms and casts that will run at every inference.

The layouts are carried through the graph by `plan.carry`, whose result an adapter realises. A tensor is transformed or
cast once for all of its readers; what happens to weights is done ahead and costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from corecast.model import LayerTable
from corecast.plan.carry import carry
from corecast.plan.casts import count_casts
from corecast.plan.follow import following
from corecast.plan.integers import Integers, integers
from corecast.plan.padded import Padded, after
from corecast.plan.padding import Padding, pad
from corecast.plan.plan import OnIntegers, PaddingCost, PlannedLayer, Prediction
from corecast.recipe import ChangeDType, ChangeLayout

Decided = Mapping[str, PlannedLayer]


def predict(table: LayerTable, decided: Decided, found: Integers | None = None) -> Prediction:
    """Foresee what a plan costs at run time and in memory; `found` is what it computes on integers."""
    padding = pad(table, decided)
    full = after(padding)
    dtypes = {full.index[index]: edit for index, edit in _dtypes(table, decided).items()}
    carried = carry(full.table, layouts(decided))
    return Prediction(
        layout_transforms=len(carried.added),
        casts=count_casts(full.table, dtypes, carried),
        parameter_bytes=_parameter_bytes(table),
        converted_parameter_bytes=_converted_bytes(full, dtypes, found or Integers(table, {})),
        padding=_padding_cost(padding, full.table) if padding.runs else None,
    )


def computed_on_integers(table: LayerTable, decided: Decided) -> Integers:
    """What the layers compute on integers that a plan quantizes, and those between them."""
    return integers(table, {key: layer.dtype.edit for key, layer in decided.items() if layer.dtype})


def told_of(found: Integers) -> OnIntegers | None:
    """What a plan says of that; None where it quantizes nothing."""
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


def _parameter_bytes(table: LayerTable) -> int | None:
    """The bytes of all parameters."""
    operands = (operand for layer in table.layers for operand in layer.operands)
    return _total({item.parameter: item.type.bytes for item in operands if item.parameter is not None}.values())


def _converted_bytes(full: Padded, dtypes: Mapping[int, ChangeDType], found: Integers) -> int | None:
    """The same of a converted model; one that is read in two dtypes, or in two sizes, is kept in both.

    A quantized layer has its weight in int8, the factors that its sums are rescaled by and, where it has a bias or a
    zero point, what is added to them; each is counted under the layer's index.
    """
    sizes: dict[tuple[object, ...], int | None] = {}
    for old, new in full.index.items():
        layer, edit, role = full.table.layers[new], dtypes.get(new), found.roles.get(old)
        for operand in layer.operands:
            if operand.parameter is not None and role != "bias":
                own, elements = operand.type.dtype, operand.type.elements
                dtype = "int8" if role == "sums" else edit.dtype if edit and "float" in own else own
                # A weight in two forms of the model's own, transposed or reshaped, is counted once.
                sizes[operand.parameter, dtype, elements] = operand.type.cast(dtype).bytes
        if role == "sums" and isinstance(channels := layer.size("O"), int):
            asked = found.edits[old]
            if asked.weights == "per_channel":
                sizes[old, "factors"] = 4 * channels
            if old in found.biases or not asked.symmetric:
                sizes[old, "steps"] = 4 * channels
    return _total(sizes.values())


def _padding_cost(padding: Padding, full: LayerTable) -> PaddingCost:
    """What the padded layers compute beyond the model's, and what is copied for it."""
    copies = [layer for layer in full.layers if layer.source is None and layer.op in ("nn.pad", "strided_slice")]
    work = [_total(layer.flops for layer in table.layers) for table in (padding.table, full)]
    return PaddingCost(
        fills=len(padding.fills),
        cuts=len(padding.cut),
        bytes=_total(layer.bytes for layer in copies),
        work=round(work[1] / work[0], 4) if work[0] and work[1] else None,
    )


def _total(sizes: Iterable[int | None]) -> int | None:
    found = list(sizes)
    known = [size for size in found if size is not None]
    return sum(known) if len(known) == len(found) else None
