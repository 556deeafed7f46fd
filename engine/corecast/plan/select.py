"""Selectors in, layers out: which layers of a table a selector names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from itertools import compress, islice

from corecast.lang import nodes
from corecast.model import LayerTable
from corecast.plan.conditions import Columns, Conditions, is_number
from corecast.plan.words import Words
from corecast.recipe import Recipe, Value
from corecast.recipe.scope import SKIPPED, captures


@dataclass(frozen=True)
class Matches:
    """The matches of a selector in binding order, each known by its first layer; `rest` has the other steps of chains.

    A first layer says it all: each step of a chain is the only consumer of the one before.
    """

    first: Sequence[int]
    rest: Mapping[int, Sequence[int]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def columns(self) -> Columns:
        """Step by step the layers of all matches; the first step alone where not all of them are chains."""
        steps = 1 + (min(map(len, self.rest.values()), default=0) if len(self.rest) == len(self.first) else 0)
        return [self.column(step) for step in range(steps)]

    def column(self, step: int) -> Sequence[int]:
        """The layers of one step of all matches."""
        return [self.rest[index][step - 1] for index in self.first] if step else self.first

    @property
    def layers(self) -> set[int]:
        """All layers of all steps."""
        return set(self.first).union(*self.rest.values())

    def steps(self, index: int) -> Sequence[int]:
        """The layers of the match that begins with this one."""
        return (index, *self.rest.get(index, ()))

    def holding(self, index: int) -> list[Sequence[int]]:
        """The matches that this layer is a step of."""
        return [steps for steps in map(self.steps, self.first) if index in steps]

    def only(self, first: Sequence[int]) -> Matches:
        """The matches that begin with these layers."""
        return Matches(first, {index: self.rest[index] for index in first if index in self.rest} if self.rest else {})


class Selection:
    """Evaluates the selectors of one recipe on one table; `skipped` is the set that the word stands for."""

    def __init__(self, recipe: Recipe, table: LayerTable):
        self.recipe = recipe
        self.table = table
        self.skipped: Collection[int] = ()
        self.unused_excepts: list[nodes.Except] = []
        self.words = Words(recipe.catalogue, table)
        self._sets: dict[str, Matches] = {}
        self._operators: dict[str, Matches] = {}

    def skipping(self, skipped: Collection[int]) -> Selection:
        """The same with these layers skipped; what is known of the table is shared."""
        other = copy(self)
        other.skipped = skipped
        other.unused_excepts = []
        other._sets = {}
        return other

    @property
    def weights_read(self) -> dict[str, str]:
        """The weights whose values conditions have asked for, each with a digest of them."""
        return self.words.weights_read

    def layers(self, selector: nodes.Selector) -> set[int]:
        """The indices of the layers that a selector names."""
        return set(self.matches(selector).first)

    def matches(self, selector: nodes.Selector) -> Matches:
        """The matches of a selector, each with the layers of its steps."""
        match selector:
            case nodes.Reference():
                return self._reference(selector)
            case nodes.Union(parts=parts):
                return _union([self.matches(part) for part in parts])
            case nodes.Intersection(parts=parts):
                found, *others = (self.matches(part) for part in parts)
                shared = set(found.first).intersection(*(other.first for other in others))
                return found.only([index for index in found.first if index in shared])
            case nodes.Filter(selector=inner, condition=condition):
                found = self.matches(inner)
                return found.only(self.conditions(inner).kept(condition, found.columns)[0]) if found else found
            case nodes.Except(selector=inner, removed=removed):
                found, gone = self.matches(inner), self.layers(removed)
                left = [index for index in found.first if index not in gone]
                if len(left) == len(found):
                    self.unused_excepts.append(selector)
                return found.only(left)
            case nodes.Chain(steps=steps):
                return self._chain([self.layers(step.selector) for step in steps])
            case nodes.Complement(selector=inner):
                named = self.layers(inner)
                return Matches([index for index in range(len(self.table.layers)) if index not in named])
            case nodes.Pick(selector=inner):
                return self._pick(selector, self.matches(inner))

    def _reference(self, reference: nodes.Reference) -> Matches:
        name = reference.name
        if name == SKIPPED:
            return Matches(sorted(self.skipped))
        if name in self.recipe.lets:
            if name not in self._sets:
                self._sets[name] = self.matches(self.recipe.lets[name].selector)
            return self._sets[name]
        if name not in self._operators:
            ops = [op for op in self.table.by_op if _is_named(op, name)]
            self._operators[name] = Matches(sorted([layer.index for op in ops for layer in self.table.by_op[op]]))
        found = self._operators[name]
        if reference.ordinal is None:
            return found
        first, last = _bounds(reference.ordinal, len(found))
        return Matches(found.first[max(first, 0) : max(last + 1, 0)])

    def _chain(self, steps: Sequence[set[int]]) -> Matches:
        columns = [sorted(steps[0])]
        for step in steps[1:]:
            next = list(map(self.words.followers.__getitem__, columns[-1]))
            goes_on = list(map(step.__contains__, next))
            columns = [list(compress(column, goes_on)) for column in (*columns, next)]
        return Matches(columns[0], dict(zip(columns[0], zip(*columns[1:], strict=True), strict=False)))

    def _pick(self, pick: nodes.Pick, found: Matches) -> Matches:
        """So many matches of a set; of those that tie for the last place, the first in the graph."""
        count = nodes.settled(pick.count)
        if pick.key is None:
            return found.only(found.first[:count] if pick.end == "first" else found.first[-count:])
        return found.only(sorted(self.ranked(pick, found)[:count]))

    def ranked(self, pick: nodes.Pick, found: Matches) -> list[int]:
        """The first layers of those matches that have the value to pick by, best first."""
        values = dict(zip(found.first, self.keys(pick, found), strict=True))
        numbers = {index: value for index, value in values.items() if is_number(value)}
        # Sorting keeps the order of what is equal, also where it is turned round.
        return sorted(numbers, key=numbers.__getitem__, reverse=pick.end == "largest")  # type: ignore[arg-type]

    def keys(self, pick: nodes.Pick, found: Matches) -> Sequence[Value]:
        """What some matches of a set are picked by."""
        assert pick.key is not None, "there is nothing to pick by"
        return self.conditions(pick.selector).values(pick.key, found.columns) if found else ()

    def conditions(self, selector: nodes.Selector) -> Conditions:
        """What evaluates the conditions behind `selector`."""
        return Conditions(self.words, _binding_steps(selector), captures(selector), self._related)

    def _related(self, relation: nodes.Relation, layers: Sequence[int]) -> list[bool]:
        if relation.word == "inside":
            inside = self.matches(relation.selector).layers
            return [index in inside for index in layers]
        others = self.layers(relation.selector)
        within = nodes.settled(relation.within)
        if within == 1:
            neighbours = self._neighbours(relation)
            return [not others.isdisjoint(neighbours[index]) for index in layers]
        # From what is related back to all that reach it: one walk for all layers.
        back = self.words.producers if relation.word == "feeds" else self.words.consumers
        reach: set[int] = set().union(*islice(_walk(others, back), within))
        return list(map(reach.__contains__, layers))

    def _neighbours(self, relation: nodes.Relation) -> Sequence[Sequence[int]]:
        return self.words.consumers if relation.word == "feeds" else self.words.producers

    def distance(self, relation: nodes.Relation, index: int) -> tuple[int, int] | None:
        """The nearest layer that a layer should feed, or be fed by, and in how many steps; None where there is none."""
        others = self.layers(relation.selector)
        for steps, reached in enumerate(_walk({index}, self._neighbours(relation)), 1):
            if found := others & reached:
                return min(found), steps
        return None


def _walk(start: Collection[int], neighbours: Sequence[Iterable[int]]) -> Iterator[set[int]]:
    """The layers that are one step away from some of these and no nearer, then two, and so on to the last."""
    seen: set[int] = set()
    frontier = set(start)
    while frontier := {other for index in frontier for other in neighbours[index]} - seen:
        seen |= frontier
        yield frontier


def _is_named(op: str, name: str) -> bool:
    """Whether `nn.conv2d`, `nn.*` or `*` means this operator."""
    return op == name or name == "*" or (name.endswith(".*") and op.startswith(name[:-1]))


def _union(parts: Sequence[Matches]) -> Matches:
    """Of several matches that begin with one layer, the last counts."""
    rest: dict[int, Sequence[int]] = {}
    for part in parts:
        if rest:
            rest = {index: steps for index, steps in rest.items() if index not in set(part.first)}
        rest |= part.rest
    return Matches(sorted(set().union(*(part.first for part in parts))), rest)


def _bounds(ordinal: nodes.Ordinal, count: int) -> tuple[int, int]:
    """First and last place, both counted from the start."""
    first, last = (end if end >= 0 else end + count for end in ordinal.ends)
    return first, last


def _binding_steps(selector: nodes.Selector) -> dict[str, int]:
    """For each name that `#k` binds, the step whose ordinal it is."""
    match selector:
        case nodes.Reference(binding=binding):
            return {binding: 0} if binding else {}
        case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
            return {name: 0 for part in parts for name in _binding_steps(part)}
        case nodes.Filter(selector=inner) | nodes.Except(selector=inner) | nodes.Pick(selector=inner):
            return _binding_steps(inner)
        case nodes.Complement():
            return {}
        case nodes.Chain(steps=steps):
            return {name: number for number, step in enumerate(steps) for name in _binding_steps(step.selector)}
