"""Selectors in, layers out: which layers of a table a selector names, and why it names none."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from corecast.lang import nodes
from corecast.lang.format import format_selector
from corecast.lang.problems import nearest
from corecast.model import Layer, LayerTable
from corecast.plan.conditions import Conditions, Steps
from corecast.recipe import Recipe
from corecast.recipe.scope import SKIPPED, captures

# A match is known by its first layer: each step of a chain is the only consumer of the one before.
Matches = dict[int, Steps]


class Selection:
    """Evaluates the selectors of one recipe on one table; `skipped` is the set that the word stands for."""

    def __init__(self, recipe: Recipe, table: LayerTable, skipped: frozenset[int] = frozenset()):
        self.recipe = recipe
        self.table = table
        self.skipped = skipped
        self.unused_excepts: list[nodes.Except] = []
        self._sets: dict[str, Matches] = {}
        self._by_op = {op: _single(layers) for op, layers in table.by_op.items()}
        self._counts = {op: len(layers) for op, layers in table.by_op.items()}
        self._returned = {operand.layer for operand in table.returns}

    def layers(self, selector: nodes.Selector) -> set[int]:
        """The indices of the layers that a selector names."""
        return set(self.matches(selector))

    def matches(self, selector: nodes.Selector) -> Matches:
        """The matches of a selector in binding order, each with the layers of its steps."""
        match selector:
            case nodes.Reference():
                return self._reference(selector)
            case nodes.Union(parts=parts):
                union: Matches = {}
                for part in parts:
                    union |= self.matches(part)
                return dict(sorted(union.items()))
            case nodes.Intersection(parts=parts):
                first, *others = (self.matches(part) for part in parts)
                return {index: steps for index, steps in first.items() if all(index in other for other in others)}
            case nodes.Filter(selector=inner, condition=condition):
                holds = self.conditions(inner).holds(condition)
                return {index: steps for index, steps in self.matches(inner).items() if holds(steps)}
            case nodes.Except(selector=inner, removed=removed):
                base, gone = self.matches(inner), self.matches(removed)
                if not gone.keys() & base.keys():
                    self.unused_excepts.append(selector)
                return {index: steps for index, steps in base.items() if index not in gone}
            case nodes.Chain(steps=steps):
                return self._chain([self.layers(step.selector) for step in steps])

    def _reference(self, reference: nodes.Reference) -> Matches:
        name = reference.name
        if name == SKIPPED:
            return _single(self.table.layers[index] for index in sorted(self.skipped))
        if name in self.recipe.lets:
            if name not in self._sets:
                self._sets[name] = self.matches(self.recipe.lets[name].selector)
            return self._sets[name]
        if name == "*":
            return _single(self.table.layers)
        if name.endswith(".*"):
            return _single(layer for layer in self.table.layers if layer.op.startswith(name[:-1]))
        if reference.ordinal is None:
            return self._by_op.get(name, {})
        layers = self.table.by_op.get(name, ())
        first, last = _bounds(reference.ordinal, len(layers))
        return _single(layers[max(first, 0) : max(last + 1, 0)])

    def _chain(self, steps: list[set[int]]) -> Matches:
        matches: Matches = {}
        for index in sorted(steps[0]):
            path = [self.table.layers[index]]
            for step in steps[1:]:
                follower = self._only_consumer(path[-1])
                if follower is None or follower.index not in step:
                    break
                path.append(follower)
            else:
                matches[index] = tuple(path)
        return matches

    def _only_consumer(self, layer: Layer) -> Layer | None:
        if len(layer.consumers) != 1 or layer.index in self._returned:
            return None
        return self.table.layers[layer.consumers[0]]

    def conditions(self, selector: nodes.Selector) -> Conditions:
        """What compiles the conditions behind `selector`."""
        return Conditions(
            self.recipe.catalogue, self._counts, _binding_steps(selector), captures(selector), self._related
        )

    def _related(self, relation: nodes.Relation) -> Callable[[Layer], bool]:
        if relation.word == "inside":
            inside = {layer.index for steps in self.matches(relation.selector).values() for layer in steps}
            return lambda layer: layer.index in inside
        others = self.layers(relation.selector)
        if relation.word == "feeds":
            return lambda layer: any(index in others for index in layer.consumers)
        return lambda layer: any(index in others for index in layer.producers)

    def why_not(self, selector: nodes.Selector, layer: Layer) -> str | None:
        """Why a selector does not name a layer: the first part that declined; None if it does name it."""
        if layer.index in self.matches(selector):
            return None
        match selector:
            case nodes.Reference(name=name) if name in self.recipe.lets:
                reason = self.why_not(self.recipe.lets[name].selector, layer)
                return f"it is not in `{name}`: {reason}"
            case nodes.Filter(selector=inner, condition=condition):
                steps = self.matches(inner).get(layer.index)
                if steps is None:
                    return self.why_not(inner, layer)
                return self.conditions(inner).objection(condition, steps)
            case nodes.Except(selector=inner, removed=removed):
                if layer.index in self.matches(removed):
                    return f"`except {format_selector(removed)}` removes it"
                return self.why_not(inner, layer)
            case nodes.Union(parts=parts):
                return "; ".join(filter(None, (self.why_not(part, layer) for part in parts)))
            case nodes.Intersection(parts=parts):
                return next(filter(None, (self.why_not(part, layer) for part in parts)))
            case nodes.Reference(name=name):
                found = layer.id if layer.op == name else _article(layer.op)
                return f"it is {found}, not `{format_selector(selector)}`"
            case nodes.Chain(steps=steps):
                reason = self.why_not(steps[0].selector, layer)
                return reason or f"the layers behind it are not `{format_selector(selector)}`, one by one"

    def why_empty(self, selector: nodes.Selector) -> str:
        """What a selector that names nothing could have named."""
        match selector:
            case nodes.Filter(selector=inner, condition=condition):
                candidates = self.matches(inner)
                if not candidates:
                    return self.why_empty(inner)
                steps = next(iter(candidates.values()))
                objection = self.conditions(inner).objection(condition, steps)
                return f"{len(candidates)} layers were looked at; for {steps[0].id}, {objection}"
            case nodes.Except(selector=inner, removed=removed):
                if not self.matches(inner):
                    return self.why_empty(inner)
                return f"`except {format_selector(removed)}` removes all {len(self.matches(inner))} layers"
            case nodes.Reference(name=name) if name in self.recipe.lets:
                return self.why_empty(self.recipe.lets[name].selector)
            case nodes.Reference(name=name, ordinal=ordinal):
                return self._why_no_reference(name, ordinal)
            case nodes.Union(parts=parts) | nodes.Intersection(parts=parts):
                return "; ".join(self.why_empty(part) for part in parts if not self.matches(part)) or (
                    f"no layer is in all of `{format_selector(selector)}`"
                )
            case nodes.Chain(steps=steps):
                for step in steps:
                    if not self.matches(step.selector):
                        return self.why_empty(step.selector)
                return "no layer of the first step feeds the others one by one, each as the only consumer"

    def _why_no_reference(self, name: str, ordinal: nodes.Ordinal | None) -> str:
        layers = self.table.by_op.get(name, ())
        if layers and ordinal:
            return f"the model has {len(layers)} {name}, #0..{len(layers) - 1}"
        counts = ", ".join(f"{op} ({len(items)})" for op, items in self._most_common())
        close = nearest(name, self.table.by_op)
        return f"the model has no {name}; " + (f"{close} It has {counts}" if close else f"it has {counts}")

    def _most_common(self) -> list[tuple[str, tuple[Layer, ...]]]:
        return sorted(self.table.by_op.items(), key=lambda item: -len(item[1]))[:8]


def _article(op: str) -> str:
    return f"{'an' if op[0] in 'aeiou' or op.startswith('nn.') else 'a'} {op}"


def _single(layers: Iterable[Layer]) -> Matches:
    return {layer.index: (layer,) for layer in layers}


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
        case nodes.Filter(selector=inner) | nodes.Except(selector=inner):
            return _binding_steps(inner)
        case nodes.Chain(steps=steps):
            return {name: number for number, step in enumerate(steps) for name in _binding_steps(step.selector)}
