"""A layer table and dtype decisions in; the layers that take on their neighbours' dtype without being asked out.

Where an IR types its operators, a transpose between two float16 layers would have a cast before it and one behind it.
It moves values and computes none, so that it can do so in float16 as well, and the result is the same to the last bit.
A layer that a decision names is left to it: `keep dtype` keeps it out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from corecast.model import MOVES, SAYS_ALIKE, Layer, LayerTable, Operand
from corecast.recipe import ChangeDType, Edit


class _Made(NamedTuple):
    """What a layer's data are made in: no dtype for weights alone, which are cast ahead to whatever is read.

    Where a weight is among them (`rounds`), who reads the result in the dtype that it had would see it rounded.
    """

    dtype: str | None
    rounds: bool


def following(table: LayerTable, decided: Mapping[str, Edit]) -> dict[str, ChangeDType]:
    """For each layer that follows, by its id, the dtype that it takes on.

    It is the one that its data are made in, where somebody reads its result in that one; and where a weight is among
    its data, only if everybody does.

    Args:
        decided: the dtype decisions, by layer id.
    """
    made = _made(table, decided)
    returned = {operand.layer for operand in table.returns}
    follow: dict[str, ChangeDType] = {}
    for layer in reversed(table.layers):
        if layer.index not in made or layer.id in decided or layer.signature is None:
            continue
        read = {_reads_in(table.layers[index], decided, follow) for index in layer.consumers}
        dtype = _agreed(layer, made[layer.index], read | ({None} if layer.index in returned else set()))
        if dtype in layer.signature.dtypes:
            follow[layer.id] = ChangeDType(dtype=dtype, accumulator=dtype)
    return follow


def _made(table: LayerTable, decided: Mapping[str, Edit]) -> dict[int, _Made]:
    """What the data of each layer are made in where that is not the model's dtype, as if all followed that can."""
    made: dict[int, _Made] = {}
    for layer in table.layers:
        edit = decided.get(layer.id)
        if isinstance(edit, ChangeDType):
            made[layer.index] = _Made(edit.accumulator, rounds=False)
        elif edit is None and (layer.op in MOVES or layer.op in SAYS_ALIKE):
            floats = [item for item in layer.operands if "float" in item.type.dtype]
            sources = [_source(item, made) for item in floats]
            known = [source for source in sources if source]
            dtypes = {source.dtype for source in known} - {None}
            if known and len(known) == len(sources) and len(dtypes) < 2:
                made[layer.index] = _Made(next(iter(dtypes), None), any(source.rounds for source in known))
    return made


def _source(operand: Operand, made: Mapping[int, _Made]) -> _Made | None:
    if operand.parameter is not None:
        return _Made(None, rounds=True)
    return made.get(operand.layer) if operand.layer is not None else None


def _agreed(layer: Layer, made: _Made, read: set[str | None]) -> str | None:
    """The dtype that a layer takes on, by what its data are made in and what its result is read in."""
    if layer.op in SAYS_ALIKE:
        return made.dtype
    if not made.rounds:
        return made.dtype if made.dtype in read else None
    common = read.pop() if len(read) == 1 else None
    return common if made.dtype in (None, common) else None


def _reads_in(layer: Layer, decided: Mapping[str, Edit], follow: Mapping[str, ChangeDType]) -> str | None:
    """The dtype that a layer reads its operands in where that is not the model's."""
    edit = decided.get(layer.id) or follow.get(layer.id)
    return edit.dtype if isinstance(edit, ChangeDType) else None
