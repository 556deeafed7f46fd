"""A layer table and dtype decisions in; what computes on integers, which of its values share a scale, out. Pure.

A quantized layer reads integers and sums in int32. What stands between such layers and means the same on integers is
carried along: it reads what they make and makes what they read, and no rule has to name it. A layer that a request has
decided something else about (`keep dtype`, `skip`, `cast`) is left to that, and reads floats.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from corecast.model import Layer, LayerTable
from corecast.plan.carry import Value
from corecast.plan.integers.found import Form, Integers, Role, Slot
from corecast.plan.integers.layers import (
    AVERAGES,
    CUTTING,
    RESCALING,
    SHARING,
    averaged,
    channel_axis,
    is_weight,
    value_of,
)
from corecast.plan.integers.sets import Sets
from corecast.recipe import Edit, Quantize


def integers(table: LayerTable, decided: Mapping[str, Edit]) -> Integers:
    """Find what computes on integers.

    Args:
        table: the layers of a prepared model.
        decided: what was decided about dtypes, by layer id.
    """
    edits = {table.by_id[key].index: edit for key, edit in decided.items() if isinstance(edit, Quantize)}
    if not edits:
        return Integers(table, {})
    return _Search(table, edits, {table.by_id[key].index for key in decided}).found()


class _Search:
    def __init__(self, table: LayerTable, edits: Mapping[int, Quantize], decided: set[int]) -> None:
        self.table = table
        self.layers = table.layers
        self.edits = edits
        self.decided = decided
        self.values = [tuple(map(value_of, layer.operands)) for layer in self.layers]
        self.readers: defaultdict[Value, list[tuple[int, int]]] = defaultdict(list)  # and the places of the operands
        for index, values in enumerate([*self.values, tuple(map(value_of, table.returns))]):
            for place, value in enumerate(values):
                if value:
                    self.readers[value].append((index, place))
        self.biases = {index: bias for index in edits if (bias := self._bias(self.layers[index])) is not None}
        self.bias_layers = set(self.biases.values())
        self.roles: dict[int, Role] = {
            **dict.fromkeys(edits, "sums"),
            **dict.fromkeys(self.bias_layers, "bias"),
            **dict.fromkeys(self._between(), "carried"),
        }

    def found(self) -> Integers:
        forms = self._forms()
        reads = {index: self._reads(index, forms) for index in sorted(self.roles)}
        made = {value: Slot(value, form) for value, form in forms.items()}
        group, observed = self._scales(reads, made)
        return Integers(
            table=self.table,
            edits=self.edits,
            roles=self.roles,
            biases=self.biases,
            reads=reads,
            made=made,
            group=group,
            observed=observed,
            dequantized=tuple(sorted(self._dequantized(made))),
            cut=frozenset(self._cut(made, observed)),
        )

    # ── which layers ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _bias(self, layer: Layer) -> int | None:
        """The layer that adds a number for each output channel to the sums of a quantized one, and alone reads them."""
        readers = self.readers[layer.index, 0]
        if layer.op == "matmul" or len(readers) != 1:
            return None
        index, place = readers[0]
        reader = self.layers[index] if index < len(self.layers) else None
        if reader is None or reader.op != "add" or index in self.decided or len(reader.operands) != 2:
            return None
        weight, sums = reader.operands[1 - place], layer.results[0]
        if not is_weight(weight) or reader.results[0] != sums or weight.type.dtype != "float32":
            return None
        axis = channel_axis(layer)
        shape, rank = weight.type.shape, len(sums.shape or ())
        if shape is None or axis is None or len(shape) > rank:
            return None
        sizes = (*(1,) * (rank - len(shape)), *shape)
        return index if all(size == 1 for at, size in enumerate(sizes) if at != axis) else None

    def _between(self) -> set[int]:
        """The layers that are carried along: from those that could be, what cannot be is taken away until all can."""
        floats = {value for index in self.edits for value in self.values[index]}
        always = {*self.edits, *self.bias_layers}
        carried = {layer.index for layer in self.layers if self._could_be(layer)}
        while True:
            before = len(carried)
            for index in sorted(carried):
                on_floats = [v for v in self.values[index] if v and v[0] not in always and v[0] not in carried]
                if len(on_floats) == len(self.values[index]) or not floats.issuperset(on_floats):
                    carried.discard(index)
            for index in sorted(carried, reverse=True):
                if not any(reader in carried or reader in self.edits for reader, _ in self.readers[index, 0]):
                    carried.discard(index)
            if len(carried) == before:
                return carried

    def _could_be(self, layer: Layer) -> bool:
        if layer.index in self.decided or layer.index in self.bias_layers or len(layer.results) != 1:
            return False
        if layer.op not in SHARING and layer.op not in RESCALING:
            return False
        if {item.type.dtype for item in layer.operands} | {layer.results[0].dtype} != {"float32"}:
            return False
        if None in self.values[layer.index]:
            return False
        if layer.op == "nn.pad":
            return layer.attributes.get("pad_mode", "constant") == "constant"
        return layer.op not in AVERAGES or averaged(layer) is not None

    # ── in which form ────────────────────────────────────────────────────────────────────────────────────────────────

    def _forms(self) -> dict[Value, Form]:
        """The form of each value that is made as integers: the one that the first of its readers wants."""
        forms: dict[Value, Form] = {}
        for index in sorted(self.roles, reverse=True):
            value = (index, 0)
            if index in self.biases:
                continue
            for reader, _ in self.readers[value]:
                if form := self._wants(reader, forms):
                    forms[value] = form
                    break
        return forms

    def _wants(self, reader: int, forms: Mapping[Value, Form]) -> Form | None:
        """The form in which a layer reads its data; None where it reads floats."""
        if edit := self.edits.get(reader):
            return Form(edit.activations, edit.symmetric)
        return forms[reader, 0] if self.roles.get(reader) == "carried" else None

    def _reads(self, index: int, forms: Mapping[Value, Form]) -> tuple[Slot | None, ...]:
        form = self._wants(index, forms)
        return tuple([Slot(value, form) if value and form else None for value in self.values[index]])

    # ── at which scale ───────────────────────────────────────────────────────────────────────────────────────────────

    def _scales(
        self, reads: Mapping[int, Sequence[Slot | None]], made: Mapping[Value, Slot]
    ) -> tuple[dict[Slot, int], dict[int, tuple[Value, ...]]]:
        slots = dict.fromkeys([slot for slots in reads.values() for slot in slots if slot] + list(made.values()))
        sets = Sets(slots)
        for index, role in self.roles.items():
            if role == "carried":
                together = [slot for slot in reads[index] if slot]
                sets.unite([*together, made[index, 0]] if self.layers[index].op in SHARING else together)
        group = sets.numbered()
        observed: defaultdict[int, list[Value]] = defaultdict(list)
        for slot in slots:
            if self._counts(slot, reads, made):
                observed[group[slot]].append(slot.value)
        return group, {number: tuple(values) for number, values in observed.items()}

    def _counts(self, slot: Slot, reads: Mapping[int, Sequence[Slot | None]], made: Mapping[Value, Slot]) -> bool:
        """Whether anybody needs the whole range of a value: who only hands it on or cuts it off answers for itself."""
        for index, place in self.readers[slot.value]:
            read = reads[index][place] if index in reads else None
            if read == slot:
                if self.roles[index] == "sums" or self.layers[index].op not in SHARING:
                    return True
            elif made.get(slot.value) == slot:
                return True
        return False

    def _cut(self, made: Mapping[Value, Slot], observed: Mapping[int, Sequence[Value]]) -> set[Value]:
        whole = {value for values in observed.values() for value in values}
        cut: set[Value] = set()
        for value in sorted(made, reverse=True, key=lambda value: int(value[0])):
            readers = [reader for reader, _ in self.readers[value]]
            if value not in whole and all(self.layers[at].op in CUTTING or (at, 0) in cut for at in readers):
                cut.add(value)
        return cut

    def _dequantized(self, made: Mapping[Value, Slot]) -> Iterator[tuple[int, int]]:
        for index in self.roles:
            value = (index, 0)
            if index in self.biases or not self.readers[value]:
                continue
            if value not in made or any(reader not in self.roles for reader, _ in self.readers[value]):
                yield value
