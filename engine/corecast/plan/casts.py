"""Decided dtypes in, the casts that they need out: each tensor once for every dtype in which somebody wants it.

They are counted as an adapter makes them. A recast layer's result is cast back to the dtype that the model gave it and
on from there, but a way without loss is cut short (the model's own casts are a part of that way), and where an IR types
its operators every way is. Where a transpose stands in between, it hands on the model's dtype, unless everybody reads
it in the one that was computed in. Transposes of the model's own that undo each other are gone by then, and nothing
stands in between.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from corecast.model import LayerTable, Operand, is_lossless
from corecast.model.orders import Order, in_memory, unchanged
from corecast.plan.carry import Carried, Read, Value, own_transposes
from corecast.recipe import ChangeDType


def count_casts(table: LayerTable, edits: Mapping[int, ChangeDType], carried: Carried) -> int:
    """How many casts the model gets.

    Args:
        table: its layers.
        edits: the dtypes decided, by the layers' index.
        carried: what is transposed.
    """
    if not edits:
        return 0
    casts = _Casts(table, edits, carried)
    for layer in table.layers:
        if layer.index not in casts.aliases:
            casts.note(layer.index, layer.operands)
    casts.note(len(table.layers), table.returns)
    for layer in table.layers:
        if layer.index not in casts.aliases:
            casts.read(layer.index, layer.operands)
    casts.read(len(table.layers), table.returns)
    return len(casts.found)


class _Casts:
    def __init__(self, table: LayerTable, edits: Mapping[int, ChangeDType], carried: Carried) -> None:
        self.found: set[tuple[Value, Read | None, str]] = set()  # what, how it is transposed, and to which dtype
        self.aliases = carried.aliases or own_transposes(table)
        self._wanted: defaultdict[tuple[Value, Order], set[str | None]] = defaultdict(set)
        self._layers = table.layers
        self._edits = edits
        self._carried = carried

    def note(self, index: int, operands: tuple[Operand, ...]) -> None:
        """In which dtypes a layer, or the function's result, reads what is transposed."""
        edit = self._edits.get(index)
        for operand, read in zip(operands, self._reads(index, operands), strict=True):
            if read and read.value:
                wanted = edit.dtype if edit and not read.expand and "float" in operand.type.dtype else None
                self._wanted[read.value, read.order].add(wanted)

    def _reads(self, index: int, operands: tuple[Operand, ...]) -> list[Read | None]:
        """How a layer reads its operands where that is not as they are made."""
        reads = self._carried.reads.get(index) or (None,) * len(operands)
        pairs = zip(operands, reads, strict=True)
        return [read or self.aliases.get(-1 if item.layer is None else item.layer) for item, read in pairs]

    def read(self, index: int, operands: tuple[Operand, ...]) -> None:
        """What a layer, or the function's result, needs."""
        edit = self._edits.get(index)
        for operand, read in zip(operands, self._reads(index, operands), strict=True):
            own = operand.type.dtype
            value = read.value if read else _value(operand)
            if value is None:
                continue
            if read and not self._carried.is_made(read):
                self._read_transposed(value, read, own, edit.dtype if edit else own)
                continue
            start, have = self._start(value, own)
            if self._is_own_cast(index):
                continue  # it starts there as well
            wanted = edit.dtype if edit and "float" in own else own
            if wanted != have and not (wanted == own and self._is_own_cast(value[0])):
                self.found.add((start, None, wanted))

    def _read_transposed(self, value: Value, read: Read, own: str, wanted: str) -> None:
        if self._is_transposed_as_made(value, read, own):
            return
        if isinstance(value[0], int) and value[0] in self._edits and self._edits[value[0]].accumulator != own:
            self.found.add((value, None, own))
        if wanted != own:
            self.found.add((value, read, wanted))

    def _is_transposed_as_made(self, value: Value, read: Read, own: str) -> bool:
        """Whether everybody reads a transpose of what a layer has computed in the dtype of that."""
        index, place = value
        if isinstance(index, str) or index not in self._edits:
            return False
        made, shape = self._edits[index].accumulator, self._layers[index].results[place].shape
        if self._wanted[value, read.order] != {made} or not is_lossless(made, own) or shape is None:
            return False
        run = self._carried.runs.get(index)
        order = (run.results[place] if run else None) or unchanged(len(shape))
        return in_memory(read.order, shape) != in_memory(order, shape)

    def _start(self, value: Value, own: str) -> tuple[Value, str]:
        """What a cast of a value starts from, and the dtype of that."""
        index = value[0]
        if isinstance(index, str):
            return value, own
        if index in self._edits and "float" in own:
            made = self._edits[index].accumulator
            if is_lossless(made, own) or self._layers[index].signature:  # an IR that types its operators has it as made
                return value, made
            self.found.add((value, None, own))
            return value, own
        operand = self._layers[index].operands[0] if self._is_own_cast(index) else None
        source = _value(operand) if operand else None
        if operand and source and index not in self._carried.reads:
            start, have = self._start(source, operand.type.dtype)
            if is_lossless(have, own):
                return start, have
        return value, own

    def _is_own_cast(self, index: int | str) -> bool:
        """Whether a layer is a cast that the model has itself."""
        if isinstance(index, str) or index in self._edits or index == len(self._layers):
            return False
        return self._layers[index].op == "astype"


def _value(operand: Operand) -> Value | None:
    """What an operand is that is known at run time only; None for a weight."""
    producer = operand.argument if operand.layer is None else operand.layer
    return None if producer is None else (producer, operand.result)
