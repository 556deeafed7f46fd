"""Conditions in, out whether any layer could meet them: each is a choice of what its words may be.

What cannot be told apart from the text alone (a relation, the order of two words) is a coin that falls the same way
wherever the same text stands. So "no layer" is proved, and "some layer" is only what could not be refuted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import translate

from corecast.lang import nodes
from corecast.lang.spell import format_expression
from corecast.lint.kinds import returned
from corecast.lint.values import ALL, LISTS, NONE, NUMBERS, TEXTS, TRUTHS, Members, Values, between, compared, exactly
from corecast.recipe import Catalogue

_TRUE = exactly(True)
_TURNED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}

# A condition that branches into more cases than this is left alone.
_MOST_CASES = 256

# What a word that holds says about others.
_IMPLIED = {
    "depthwise": {"groups": between(1, math.inf, open_low=True) | NONE},
    "pointwise": {word: exactly(1) | NONE for word in ("kernel_height", "kernel_width")},
}


class TooManyCasesError(Exception):
    """A condition with more cases than are worth looking at."""


@dataclass(frozen=True)
class Case:
    """One way in which a condition could hold: what words may be, how coins fall, which patterns texts must match."""

    words: Mapping[str, Values] = field(default_factory=dict)
    coins: Mapping[str, bool] = field(default_factory=dict)
    patterns: tuple[tuple[str, str, bool], ...] = ()
    impossible: bool = False

    def __and__(self, other: Case) -> Case:
        words = dict(self.words)
        for word, values in other.words.items():
            words[word] = words[word] & values if word in words else values
        clash = any(self.coins.get(coin, falls) is not falls for coin, falls in other.coins.items())
        return Case(
            words,
            {**self.coins, **other.coins},
            self.patterns + other.patterns,
            self.impossible or other.impossible or clash,
        )


_ALWAYS, _NEVER = Case(), Case(impossible=True)


@dataclass(frozen=True)
class Logic:
    """What is known of the layers that stand before a `where`.

    Their operators, where these are known; the names that are `bound` to their places, and to those of the `later`
    steps of their chains.
    """

    catalogue: Catalogue
    operators: frozenset[str] | None = None
    bound: frozenset[str] = frozenset()
    later: frozenset[str] = frozenset()

    def may_hold(self, conditions: Iterable[tuple[nodes.Expression, bool]]) -> bool:
        """Whether a layer might meet all of the conditions with True, and none of those with False."""
        cases = [_ALWAYS]
        try:
            for expression, holds in conditions:
                cases = self._product(cases, self.cases(expression, holds))
        except TooManyCasesError:
            return True
        return any(map(self._is_possible, cases))

    def cases(self, expression: nodes.Expression, holds: bool) -> list[Case]:
        """The ways in which a condition holds, or fails to. Raises `TooManyCasesError`."""
        match expression:
            case nodes.Not(operand=inner):
                return self.cases(inner, not holds)
            case nodes.And(parts=parts) | nodes.Or(parts=parts):
                inner_cases = (self.cases(part, holds) for part in parts)
                return self._all(inner_cases) if isinstance(expression, nodes.And) is holds else self._some(inner_cases)
            case nodes.Compare(operands=parts, operators=operators):
                links = ([self._link(*link, holds)] for link in zip(parts, operators, parts[1:], strict=False))
                return self._all(links) if holds else self._some(links)
            case _:
                return [self._literal(expression, holds)]

    def _all(self, parts: Iterable[list[Case]]) -> list[Case]:
        cases = [_ALWAYS]
        for part in parts:
            cases = self._product(cases, part)
        return cases

    def _some(self, parts: Iterable[list[Case]]) -> list[Case]:
        return _few([case for part in parts for case in part])

    def _product(self, left: Sequence[Case], right: Sequence[Case]) -> list[Case]:
        return _few([case for one in left for other in right if not (case := one & other).impossible])

    # ── literals ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _literal(self, expression: nodes.Expression, holds: bool) -> Case:
        match expression:
            case nodes.Membership():
                return self._membership(expression, holds)
            case nodes.Like(operand=operand, pattern=str() as pattern, kind=kind):
                if is_given(expression):
                    return _coin(expression, holds)
                whole = translate(pattern) if kind == "like" else pattern
                return self._about(operand, ALL) & Case(patterns=((self._key(operand), whole, holds),))
            case nodes.Relation() | nodes.Like():
                return _coin(expression, holds)
            case nodes.Constant(value=value) if not is_given(expression):
                return _ALWAYS if (value is True) is holds else _NEVER
        return self._about(expression, _TRUE if holds else ~_TRUE)

    def _link(self, left: nodes.Expression, operator: str, right: nodes.Expression, holds: bool) -> Case:
        if _is_constant(left) and not _is_constant(right):
            left, operator, right = right, _TURNED[operator], left
        values = compared(operator, _constant(right)) if _is_constant(right) else None
        # What is computed may be no number at all (infinity less itself), and that differs from every number.
        if values is None or (operator == "!=" and isinstance(left, nodes.Arithmetic)):
            return Case(coins={f"{_text(left)} {operator} {_text(right)}": holds})
        if _is_constant(left):
            return _ALWAYS if bool(values & exactly(_constant(left))) is holds else _NEVER
        return self._about(left, values if holds else ~values)

    def _membership(self, membership: nodes.Membership, holds: bool) -> Case:
        operand, whole = membership.operand, self.known(membership.operand).whole
        values = Values()
        for item in membership.items.items:
            if is_given(item) or not _is_plain(item, whole, self._is_bound(operand)):
                return _coin(membership, holds)
            values |= _item(item)
        if membership.negated:
            values = ~values & ~NONE
        if membership.negated and isinstance(operand, nodes.Arithmetic):
            return _coin(membership, holds)
        return self._about(operand, values if holds else ~values)

    def _about(self, expression: nodes.Expression, values: Values) -> Case:
        return Case({self._key(expression): values & self.known(expression)})

    # ── words ────────────────────────────────────────────────────────────────────────────────────────────────────────

    def known(self, expression: nodes.Expression) -> Values:
        """What an expression can be on the layers in question, whatever the model."""
        match expression:
            case nodes.Name(name=name):
                return self._word(name)
            case nodes.Call(function=function) if function in self.catalogue.functions:
                return returned(self.catalogue.functions[function].value) | NONE
            case nodes.Arithmetic(operator="%", left=left, right=right) if _is_constant(right):
                divisor = _constant(right)
                if isinstance(divisor, int | float) and divisor > 0:
                    is_whole = self.known(left).whole and isinstance(divisor, int)
                    return between(0, divisor, open_high=is_whole) | NONE
                return NUMBERS | NONE
            case nodes.Arithmetic() | nodes.Negative():
                return NUMBERS | NONE
            case nodes.Compare() | nodes.And() | nodes.Or() | nodes.Not() | nodes.Membership() | nodes.Like():
                return TRUTHS
        return ALL

    def _word(self, name: str) -> Values:
        if name in self.bound | self.later:
            return returned(self.catalogue.predicates["ordinal"].value)
        capture, _, word = name.rpartition(".")
        predicate = self.catalogue.predicates.get(word)
        if predicate is None:
            return ALL
        if capture or self.operators is None:
            return returned(predicate.value)
        if predicate.operators is not None and not predicate.operators & self.operators:
            return NONE
        if word == "op":
            return Values(texts=Members(self.operators))
        return returned(predicate.value)

    def is_absent(self, name: nodes.Name) -> bool:
        """Whether the layers in question have no such thing."""
        return not self.known(name) & ~NONE

    def _is_bound(self, expression: nodes.Expression) -> bool:
        return isinstance(expression, nodes.Name) and expression.name in self.bound | self.later

    def _key(self, expression: nodes.Expression) -> str:
        if isinstance(expression, nodes.Name) and expression.name in self.later:
            return f"#{expression.name}"
        return "ordinal" if self._is_bound(expression) else _text(expression)

    def _is_possible(self, case: Case) -> bool:
        words = dict(case.words)
        for word, implied in _IMPLIED.items():
            if word in words and not words[word] & ~_TRUE:
                for other, values in implied.items():
                    words[other] = words.get(other, ALL) & values
        for word, pattern, holds in case.patterns:
            words[word] = _matching(words[word], pattern, holds)
        return not case.impossible and all(words.values())


def _matching(values: Values, pattern: str, holds: bool) -> Values:
    """What is left of a word's values where its text must match a pattern, or must not; lists may go either way."""
    texts = values.texts
    if not texts.all_but:
        matching = frozenset(text for text in texts.items if (re.fullmatch(pattern, text) is not None) is holds)
        texts = Members(matching)
    others = values & ~TEXTS if not holds else values & LISTS
    return others | Values(texts=texts)


def _few(cases: list[Case]) -> list[Case]:
    if len(cases) > _MOST_CASES:
        raise TooManyCasesError
    return cases


def _coin(expression: nodes.Expression, holds: bool) -> Case:
    return Case(coins={_text(expression): holds})


def _text(expression: nodes.Expression) -> str:
    """What an expression is known by; one with a parameter in it is never taken for one that only looks like it."""
    return format_expression(expression) + (" $" if is_given(expression) else "")


# ── constants ────────────────────────────────────────────────────────────────────────────────────────────────────────


def is_given(node: nodes.Node) -> bool:
    """Whether the value of a parameter may stand in it, which may be another one tomorrow."""
    return "$" in node.span.text and not (isinstance(node, nodes.Like) and node.kind == "~")


def _is_constant(expression: nodes.Expression) -> bool:
    if is_given(expression):
        return False
    if isinstance(expression, nodes.Negative):
        return isinstance(expression.operand, nodes.Constant) and _is_number(expression.operand.value)
    return isinstance(expression, nodes.Constant | nodes.Listed)


def _constant(expression: nodes.Expression) -> nodes.Scalar | tuple[nodes.Scalar, ...]:
    match expression:
        case nodes.Constant(value=value):
            return value
        case nodes.Listed(items=items):
            return tuple(nodes.settled(item).value for item in items)
        case nodes.Negative(operand=nodes.Constant(value=int() | float() as value)):
            return -value
    raise TypeError(expression)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_plain(item: nodes.Constant | nodes.Parameter | nodes.Range, whole: bool, bound: bool) -> bool:
    """Whether an item of a set says the same of every layer: places from the end depend on how many there are."""
    match item:
        case nodes.Constant(value=value):
            return not (bound and _is_number(value) and value < 0)  # type: ignore[operator]  # a number
        case nodes.Range():
            return whole and not (bound and min(item.ends) < 0)
    return False


def _item(item: nodes.Constant | nodes.Parameter | nodes.Range) -> Values:
    """The values that are in a set for one item: there, true is 1 and false is 0."""
    if isinstance(item, nodes.Range):
        low, high = item.ends
        return between(low, high) | _truths(truth for truth in (False, True) if low <= truth <= high)
    value = nodes.settled(item).value
    if isinstance(value, bool):
        return exactly(value) | exactly(int(value))
    return exactly(value) | _truths(truth for truth in (False, True) if value == truth)


def _truths(truths: Iterator[bool]) -> Values:
    return Values(truths=frozenset(truths))
