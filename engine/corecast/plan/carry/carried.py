"""A layer table and the layouts decided for it in, the order of every tensor's axes out, and so every transpose.

A converted layer has the order that was decided; what follows (`model.following`) runs in the order that needs the
fewest transposed bytes; everything else keeps the model's. A tensor is transposed once for all of its readers. Weights
are put in order ahead, which costs nothing, and neither does it to move axes of size one.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from corecast.model import Attribute, Layer, LayerTable, Operand
from corecast.model.axes import tensor_order
from corecast.model.following import FOLLOWERS, RENAMING
from corecast.model.orders import Order, between, in_memory, unchanged
from corecast.plan.carry.choice import Choice, Converted
from corecast.plan.carry.contest import Decision, decide, decide_again
from corecast.plan.carry.regions import Region, regions
from corecast.plan.carry.wiring import Value, Wiring
from corecast.recipe import ChangeLayout

# After so many turns through the regions that are disputed, what is found is good enough.
_TURNS = 4

# In place of the order that a layer had: the one that it has still.
_STILL: Order = (-1,)


@dataclass(frozen=True, slots=True)
class Read:
    """An operand that is not read as it is made: what is read, seen through the model's own transposes, and how.

    Attributes:
        value: None for a weight, which is read as it stands but for the order.
        order: of the value's axes.
        expand: where axes of size one are put in then, so that the operand is broadcast along others than the first.
    """

    value: Value | None
    order: Order
    expand: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """A layer that does not run as it did: the order of its space, those of its results, and its new attributes."""

    order: Order
    results: tuple[Order | None, ...]
    attributes: Mapping[str, Attribute]


@dataclass(frozen=True, slots=True)
class Transpose:
    """A value that is transposed at run time, and the layer that is the first to want it in that order.

    The function's result counts as a layer after the last one. `own` is the model's own transpose that does the same.
    """

    value: Value
    order: Order
    reader: int
    own: int | None = None


@dataclass(frozen=True)
class Carried:
    """What becomes of a function. Layers are known by index; the function's result comes after the last one.

    Attributes:
        runs: the layers that do not run as they did.
        reads: the readers that do not take every operand as it is made; None is for one that they do.
        aliases: for each transpose of the model's own what its result is made of, and in which order.
        standing: those of them whose result somebody still reads as it was.
        transposes: everything that is transposed at run time.
    """

    runs: Mapping[int, Run] = field(default_factory=dict)
    reads: Mapping[int, tuple[Read | None, ...]] = field(default_factory=dict)
    aliases: Mapping[int, Read] = field(default_factory=dict)
    standing: frozenset[int] = frozenset()
    transposes: tuple[Transpose, ...] = ()

    def is_made(self, read: Read) -> bool:
        """Whether what is read so is just what its layer makes."""
        layer, place = read.value or (-1, 0)
        run = self.runs.get(layer) if isinstance(layer, int) else None
        made = run.results[place] if run else None
        return not read.expand and read.order == (made or unchanged(len(read.order)))

    @property
    def added(self) -> tuple[Transpose, ...]:
        """The transposes that the model did not have."""
        return tuple(transpose for transpose in self.transposes if transpose.own is None)


def carry(table: LayerTable, edits: Mapping[str, ChangeLayout]) -> Carried:
    """Choose the order of every tensor of a function.

    Args:
        table: its layers.
        edits: the layouts decided, by the ids of the layers; everything else that has a layout of its own keeps it.
    """
    changed = [(layer, edit) for key, edit in edits.items() if _changes(layer := table.by_id[key], edit)]
    if not changed:
        return Carried()
    wiring = Wiring(table)
    choice = choose(wiring, {layer.index: _converted(layer, edit) for layer, edit in changed})
    runs = {index: _run(wiring, index, order) for index, order in choice.orders.items()}
    for layer, edit in changed:
        converted = choice.converted[layer.index]
        layouts = {"data_layout": edit.data, "kernel_layout": edit.kernel, "out_layout": edit.data}
        runs[layer.index] = Run(converted.results[0] or (), converted.results, layouts)
    return _carried(choice, runs)


def own_transposes(table: LayerTable) -> dict[int, Read]:
    """For each transpose of the model's own, what its result is made of where nothing else is transposed."""
    if not RENAMING & table.by_op.keys() or table.ir == "relay":  # where they are calls like others
        return {}
    aliases = Wiring(table).aliases
    return {index: Read(value, order) for index, (value, order) in aliases.items() if order is not None}


def choose(wiring: Wiring, converted: Mapping[int, Converted]) -> Choice:
    """Give every layer that follows the order in which it runs."""
    choice = Choice(wiring, converted)
    disputed = []
    for region in regions(wiring, converted):
        if region.disputed:
            disputed.append(region)
        else:
            choice.orders.update(region.orders)
    _settle(choice, disputed)
    choice.orders = {layer: order for layer, order in choice.orders.items() if order != unchanged(len(order))}
    return choice


def _settle(choice: Choice, disputed: Sequence[Region]) -> None:
    """Decide each region, and again where another one has since changed what it looked at."""
    steps = itertools.count(1)
    had: defaultdict[int, list[tuple[int, Order | None]]] = defaultdict(list)  # a layer's orders, and until which step
    decisions: dict[int, tuple[int, Decision]] = {}
    for _ in range(_TURNS):
        before = dict(choice.orders)
        for place, region in enumerate(disputed):
            if place in decisions:
                step, last = decisions[place]
                moved = {layer for layer in chain(region.orders, last.seen(choice.wiring)) if layer in had}
                if all(had[layer][-1][0] <= step for layer in moved):
                    continue
                # What stands as it did before the last decision would be decided just so again.
                then = {layer: next((order for until, order in had[layer] if until >= step), _STILL) for layer in moved}
                differs = [layer for layer, order in then.items() if order not in (_STILL, choice.orders.get(layer))]
                decision = decide_again(choice, region, last, differs)
            else:
                decision = decide(choice, region)
            step = next(steps)
            for layer in decision.taken:
                had[layer].append((step, choice.orders.get(layer)))
                choice.orders[layer] = region.orders[layer]
            decisions[place] = (step, decision)
        if choice.orders == before:
            break


def _changes(layer: Layer, edit: ChangeLayout) -> bool:
    return (layer.data_layout, layer.kernel_layout) != (edit.data, edit.kernel)


def _converted(layer: Layer, edit: ChangeLayout) -> Converted:
    data, kernel = layer.data_layout or "", layer.kernel_layout or ""
    result = layer.attributes.get("out_layout") or data
    orders = [between(*pair) if pair[0] != pair[1] else None for pair in ((data, edit.data), (kernel, edit.kernel))]
    made = between(str(result), edit.data)
    return Converted(
        operands=(*orders, *[None] * (len(layer.operands) - 2)),
        results=(made if made != unchanged(len(made)) else None,),
    )


def _run(wiring: Wiring, index: int, order: Order) -> Run:
    layer, axes = wiring.layers[index], wiring.axes(index)
    results = axes.results if axes else ()
    return Run(
        order,
        tuple(tensor_order(blocks, order) if blocks else None for blocks in results),
        FOLLOWERS[layer.op].attributes(layer, order),
    )


# ── who reads what, and how ──────────────────────────────────────────────────────────────────────────────────────────


def _carried(choice: Choice, runs: Mapping[int, Run]) -> Carried:
    result = _Readings(choice)
    for value in _concerned(choice.wiring, runs):
        result.add(value)
    for index in runs:
        result.add_weights(index)
    places = {index: len(choice.wiring.sources[index]) for index in result.reads}
    return Carried(
        runs=runs,
        reads={index: tuple(map(found.get, range(places[index]))) for index, found in result.reads.items()},
        aliases={
            index: Read(value, order) for index, (value, order) in choice.wiring.aliases.items() if order is not None
        },
        standing=frozenset(result.standing),
        transposes=tuple(sorted(result.transposes, key=lambda transpose: transpose.reader)),
    )


def _concerned(wiring: Wiring, runs: Iterable[int]) -> dict[Value, None]:
    """What is made or read by a layer that does not run as it did, and what the model itself transposes."""
    values = dict.fromkeys(source.value for source in wiring.aliases.values())
    for index in runs:
        values.update(((index, place), None) for place in range(len(wiring.layers[index].results)))
        values.update((source.value, None) for source in wiring.sources[index] if source)
    return values


class _Readings:
    """Who reads otherwise than what is made stands, and what has to be transposed for it."""

    def __init__(self, choice: Choice) -> None:
        self.reads: dict[int, dict[int, Read]] = {}
        self.standing: set[int] = set()
        self.transposes: list[Transpose] = []
        self._choice = choice
        self._wiring = choice.wiring

    def add(self, value: Value) -> None:
        """All readers of a value."""
        shape = self._wiring.shape(value)
        if shape is None:
            return
        own = unchanged(len(shape))
        made = self._choice.gives(value) or own
        lies = in_memory(made, shape)
        transposed: dict[Order, Transpose] = {}
        for layer, place, source in self._wiring.readers.get(value, ()):
            wants = self._choice.wants(layer, place)
            order, expand = source.outside(wants or own), self._expanded(layer, place)
            if source.renaming is None and order == made and not expand:
                continue
            key, alias = in_memory(order, shape), None
            if key == lies and self._reads_memory(layer):
                order = made
            elif wants is None and source.renaming is not None:
                alias = self._operand(layer, place).layer
            if alias is not None:
                self.standing.add(alias)
            elif source.renaming is not None or order != made or expand:
                self.reads.setdefault(layer, {})[place] = Read(value, order, expand)
            if key != lies and (key not in transposed or transposed[key].own is None):
                first = transposed[key].reader if key in transposed else layer
                transposed[key] = Transpose(value, order, first, alias)
        self.transposes += transposed.values()

    def add_weights(self, index: int) -> None:
        """The weights of a layer that does not run as it did."""
        for place, source in enumerate(self._wiring.sources[index]):
            if source is None and (order := self._choice.wants(index, place)):
                expand = self._expanded(index, place)
                if expand or order != unchanged(len(order)):
                    self.reads.setdefault(index, {})[place] = Read(None, order, expand)

    def _operand(self, layer: int, place: int) -> Operand:
        layers = self._wiring.layers
        return layers[layer].operands[place] if layer < len(layers) else self._wiring.returns[place]

    def _reads_memory(self, layer: int) -> bool:
        axes = self._wiring.axes(layer)
        return axes is not None and FOLLOWERS[self._wiring.layers[layer].op].reads_memory

    def _expanded(self, layer: int, place: int) -> tuple[int, ...]:
        """Where a broadcast operand has axes of size one; in front of its first axis they go without saying."""
        order = self._choice.orders.get(layer)
        axes = self._wiring.axes(layer) if order else None
        blocks = axes.operands[place] if axes and axes.stretches else None
        if not blocks or not order:
            return ()
        missing = [not blocks[axis] for axis in order]
        first = missing.index(False) if False in missing else len(missing)
        return tuple(axis for axis, is_missing in enumerate(missing[first:]) if is_missing)
