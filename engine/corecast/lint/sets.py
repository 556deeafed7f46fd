"""Selectors in, out what holds of their layers in every model: none at all, all of another's, none of another's.

Whatever is answered with yes is proved; no means that it could not be.
"""

from __future__ import annotations

from collections.abc import Mapping

from corecast.lang import nodes
from corecast.lint.logic import Logic, is_given
from corecast.recipe import Catalogue
from corecast.recipe.scope import SKIPPED, bindings, captures, operands


class Sets:
    """Compares the sets of one recipe; `skipped` is the same set wherever it stands, so rules differ in it."""

    def __init__(self, catalogue: Catalogue, lets: Mapping[str, nodes.Let]):
        self.catalogue = catalogue
        self.lets = lets

    def logic(self, selector: nodes.Selector) -> Logic:
        """What is known of the layers that a condition behind this selector is asked of."""
        bound = _first_bindings(selector)
        return Logic(self.catalogue, self.operators(selector), frozenset(bound), frozenset(bindings(selector) - bound))

    def operators(self, selector: nodes.Selector) -> frozenset[str] | None:
        """The operators that a set can hold calls of; None where they are not known."""
        match selector:
            case nodes.Reference(name=name) if name in self.lets:
                return self.operators(self.lets[name].selector)
            case nodes.Reference(name=name):
                return None if name == SKIPPED or name == "*" or name.endswith(".*") else frozenset({name})
            case nodes.Union(parts=parts):
                found = [self.operators(part) for part in parts]
                known = [operators for operators in found if operators is not None]
                return frozenset().union(*known) if len(known) == len(found) else None
            case nodes.Intersection(parts=parts):
                known = [operators for part in parts if (operators := self.operators(part)) is not None]
                return frozenset.intersection(*known) if known else None
            case nodes.Filter(selector=inner) | nodes.Except(selector=inner) | nodes.Pick(selector=inner):
                return self.operators(inner)
            case nodes.Chain(steps=steps):
                return self.operators(steps[0].selector)
            case nodes.Complement():
                return None

    def is_empty(self, selector: nodes.Selector) -> bool:
        """Whether a set holds no layer of any model."""
        match selector:
            case nodes.Reference(name=name) if name in self.lets:
                return self.is_empty(self.lets[name].selector)
            case nodes.Reference():
                return False
            case nodes.Union(parts=parts):
                return all(map(self.is_empty, parts))
            case nodes.Intersection(parts=parts):
                apart = any(self.are_apart(one, other) for n, one in enumerate(parts) for other in parts[n + 1 :])
                return apart or any(map(self.is_empty, parts))
            case nodes.Filter(selector=inner, condition=condition):
                return self.is_empty(inner) or not self.logic(inner).may_hold([(condition, True)])
            case nodes.Except(selector=inner, removed=removed):
                return self.is_empty(inner) or self.is_within(inner, removed)
            case nodes.Chain(steps=steps):
                return any(self.is_empty(step.selector) for step in steps)
            case nodes.Pick(selector=inner):
                return self.is_empty(inner)
            case nodes.Complement(selector=inner):
                return self.is_everything(inner)

    def is_everything(self, selector: nodes.Selector) -> bool:
        """Whether a set holds every layer of every model."""
        return self.is_within(nodes.Reference(span=selector.span, name="*"), selector)

    def is_within(self, inner: nodes.Selector, outer: nodes.Selector) -> bool:
        """Whether one set holds every layer of another, in every model."""
        inner, outer = self._meant(inner), self._meant(outer)
        return _same(inner, outer) or self._holds_all_of(outer, inner) or self._is_narrowed(inner, outer)

    def _is_narrowed(self, inner: nodes.Selector, outer: nodes.Selector) -> bool:
        """Whether what a set is made from is within another one already."""
        match inner:
            case nodes.Union(parts=parts):
                return all(self.is_within(part, outer) for part in parts)
            case nodes.Intersection(parts=parts):
                return any(self.is_within(part, outer) for part in parts)
            case nodes.Filter(selector=wider) | nodes.Except(selector=wider) | nodes.Pick(selector=wider):
                return self.is_within(wider, outer)
            case nodes.Chain(steps=steps):
                return self.is_within(steps[0].selector, outer)
        return False

    def _holds_all_of(self, outer: nodes.Selector, inner: nodes.Selector) -> bool:
        match outer:
            case nodes.Reference(ordinal=None, name=name) if name != SKIPPED:
                operators = self.operators(inner)
                return name == "*" or (operators is not None and all(_is_named(op, name) for op in operators))
            case nodes.Reference(ordinal=nodes.Ordinal() as ordinal):
                return isinstance(inner, nodes.Reference) and inner.name == outer.name and _is_part(inner, ordinal)
            case nodes.Union(parts=parts):
                return any(self.is_within(inner, part) for part in parts)
            case nodes.Intersection(parts=parts):
                return all(self.is_within(inner, part) for part in parts)
            case nodes.Except(selector=wider, removed=removed):
                return self.is_within(inner, wider) and self.are_apart(inner, removed)
            case nodes.Filter(selector=wider):
                return self._meets(inner, outer) and self.is_within(inner, wider)
            case nodes.Complement(selector=others):
                return self.are_apart(inner, others)
        return False

    def _meets(self, inner: nodes.Selector, outer: nodes.Filter) -> bool:
        """Whether every layer of a set meets the condition of another one; chains have more than one layer to ask."""
        if captures(outer) or isinstance(self._meant(outer.selector), nodes.Chain):
            return False
        conditions, bound = [(outer.condition, False)], _first_bindings(outer)
        if isinstance(inner, nodes.Filter) and not captures(inner) and _speak_alike(inner, outer):
            conditions.insert(0, (inner.condition, True))
            bound |= _first_bindings(inner)
        logic = Logic(self.catalogue, self.operators(inner), frozenset(bound))
        return not logic.may_hold(conditions)

    def are_apart(self, one: nodes.Selector, other: nodes.Selector) -> bool:
        """Whether two sets share no layer of any model."""
        one, other = self._meant(one), self._meant(other)
        operators = self.operators(one), self.operators(other)
        if operators[0] is not None and operators[1] is not None and not operators[0] & operators[1]:
            return True
        return self.is_empty(one) or self.is_empty(other) or self._keeps_off(one, other) or self._keeps_off(other, one)

    def _keeps_off(self, one: nodes.Selector, other: nodes.Selector) -> bool:
        match one:
            case nodes.Reference(ordinal=nodes.Ordinal() as ordinal):
                return isinstance(other, nodes.Reference) and _is_beside(ordinal, other)
            case nodes.Union(parts=parts):
                return all(self.are_apart(part, other) for part in parts)
            case nodes.Intersection(parts=parts):
                return any(self.are_apart(part, other) for part in parts)
            case nodes.Except(selector=wider, removed=removed):
                return self.is_within(other, removed) or self.are_apart(wider, other)
            case nodes.Filter(selector=wider) | nodes.Pick(selector=wider):
                return self.are_apart(wider, other)
            case nodes.Complement(selector=others):
                return self.is_within(other, others)
            case nodes.Chain(steps=steps):
                return self.are_apart(steps[0].selector, other)
        return False

    def _meant(self, selector: nodes.Selector) -> nodes.Selector:
        """What a name stands for; a chain of one step is that step."""
        while True:
            match selector:
                case nodes.Reference(name=name) if name in self.lets:
                    selector = self.lets[name].selector
                case nodes.Chain(steps=[step]):
                    selector = step.selector
                case _:
                    return selector


def _same(one: nodes.Selector, other: nodes.Selector) -> bool:
    """Whether two selectors say the same. A parameter may be another one tomorrow, and a binding changes no set."""
    if isinstance(one, nodes.Reference) and isinstance(other, nodes.Reference):
        one, other = (nodes.Reference(span=item.span, name=item.name, ordinal=item.ordinal) for item in (one, other))
    return one == other and not is_given(one) and not is_given(other)


def _is_named(op: str, name: str) -> bool:
    return op == name or (name.endswith(".*") and op.startswith(name[:-1]))


def _is_part(inner: nodes.Reference, outer: nodes.Ordinal) -> bool:
    """Whether the places of one reference are among others that are counted from the same end."""
    if inner.ordinal is None or is_given(inner.ordinal) or is_given(outer):
        return False
    (first, last), (low, high) = inner.ordinal.ends, outer.ends
    same_end = len({end < 0 for end in (first, last, low, high)}) == 1
    return same_end and low <= first and last <= high


def _is_beside(ordinal: nodes.Ordinal, other: nodes.Reference) -> bool:
    """Whether two runs of places, counted from the same end, share none; those of two operators never do."""
    if other.ordinal is None or is_given(other.ordinal) or is_given(ordinal):
        return False
    (first, last), (low, high) = ordinal.ends, other.ordinal.ends
    return len({end < 0 for end in (first, last, low, high)}) == 1 and (last < low or high < first)


def _speak_alike(one: nodes.Filter, other: nodes.Filter) -> bool:
    """Whether what one of two conditions calls by a bound name is no other thing in the other."""
    ours, theirs = bindings(one), bindings(other)
    if ours != _first_bindings(one) or theirs != _first_bindings(other):
        return False
    return not (ours - theirs) & _names(other.condition) and not (theirs - ours) & _names(one.condition)


def _names(expression: nodes.Expression) -> set[str]:
    own = {expression.name} if isinstance(expression, nodes.Name) else set()
    return own.union(*map(_names, operands(expression)))


def _first_bindings(selector: nodes.Selector) -> set[str]:
    """The names that are bound to the place of the layer itself, and not to that of a later step of a chain."""
    match selector:
        case nodes.Chain(steps=steps):
            later = set().union(*(bindings(step.selector) for step in steps[1:]))
            return bindings(steps[0].selector) - later
        case nodes.Filter(selector=inner) | nodes.Except(selector=inner) | nodes.Pick(selector=inner):
            return _first_bindings(inner)
    return bindings(selector)
