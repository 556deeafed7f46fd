"""Sets of the values that a word can have, closed under and, or and not: what a condition leaves of them.

A value is None, a truth value, a number, a text or a list. Numbers are told by intervals, the others by the members
that a set has, or those that it lacks.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, order=True)
class Bound:
    """An end of an interval: just before a number, or just behind it."""

    at: float
    behind: bool


_LEAST, _MOST = Bound(-math.inf, False), Bound(math.inf, True)
_Intervals = tuple[tuple[Bound, Bound], ...]


@dataclass(frozen=True)
class Members(Generic[Item]):
    """Some values of one kind: `items`, or all but those."""

    items: frozenset[Item] = frozenset()
    all_but: bool = False

    def __invert__(self) -> Members[Item]:
        return Members(self.items, not self.all_but)

    def __and__(self, other: Members[Item]) -> Members[Item]:
        if self.all_but and other.all_but:
            return Members(self.items | other.items, True)
        if self.all_but:
            return Members(other.items - self.items)
        return Members(self.items - other.items if other.all_but else self.items & other.items)

    def __bool__(self) -> bool:
        return self.all_but or bool(self.items)


@dataclass(frozen=True)
class Values:
    """A set of values of all kinds; `whole` says that its numbers are whole ones."""

    none: bool = False
    truths: frozenset[bool] = frozenset()
    numbers: _Intervals = ()
    texts: Members[str] = Members()
    lists: Members[tuple[object, ...]] = Members()
    whole: bool = False

    def __invert__(self) -> Values:
        """All values that are not in the set; of whole numbers the other whole ones."""
        return Values(
            not self.none,
            frozenset({True, False}) - self.truths,
            tuple(_gaps(self.numbers)),
            ~self.texts,
            ~self.lists,
            self.whole,
        )

    def __and__(self, other: Values) -> Values:
        pairs = ((max(a, c), min(b, d)) for a, b in self.numbers for c, d in other.numbers)
        return Values(
            self.none and other.none,
            self.truths & other.truths,
            tuple((low, high) for low, high in pairs if low < high),
            self.texts & other.texts,
            self.lists & other.lists,
            self.whole or other.whole,
        )

    def __or__(self, other: Values) -> Values:
        both = ~(~replace(self, whole=False) & ~replace(other, whole=False))
        return replace(both, whole=all(part.whole for part in (self, other) if part.numbers))

    def __bool__(self) -> bool:
        """Whether there is any value in it."""
        has_number = any(not self.whole or _has_whole(low, high) for low, high in self.numbers)
        return self.none or bool(self.truths) or has_number or bool(self.texts) or bool(self.lists)


def _gaps(intervals: _Intervals) -> Iterable[tuple[Bound, Bound]]:
    start = _LEAST
    for low, high in sorted(intervals):
        if start < low:
            yield start, low
        start = max(start, high)
    if start < _MOST:
        yield start, _MOST


def _has_whole(low: Bound, high: Bound) -> bool:
    if math.isinf(low.at) or math.isinf(high.at):
        return low.at != high.at
    first = math.floor(low.at) + 1 if low.behind else math.ceil(low.at)
    return first < high.at or (first == high.at and high.behind)


# ── sets by what is said of them ─────────────────────────────────────────────────────────────────────────────────────

NONE = Values(none=True)
NUMBERS = Values(numbers=((_LEAST, _MOST),))
TEXTS = Values(texts=Members(all_but=True))
TRUTHS = Values(truths=frozenset({True, False}))
LISTS = Values(lists=Members(all_but=True))
ALL = Values(True, frozenset({True, False}), ((_LEAST, _MOST),), Members(all_but=True), Members(all_but=True))


def between(low: float, high: float, *, open_low: bool = False, open_high: bool = False) -> Values:
    """The numbers from one to another, the ends included but where they are open."""
    ends = Bound(low, open_low), Bound(high, not open_high)
    return Values(numbers=(ends,) if ends[0] < ends[1] else ())


def exactly(value: object) -> Values:
    """One value alone; `1` and `1.0` are the same number, and `true` is none."""
    match value:
        case None:
            return NONE
        case bool():
            return Values(truths=frozenset({value}))
        case int() | float():
            return between(value, value)
        case str():
            return Values(texts=Members(frozenset({value})))
        case tuple():
            return Values(lists=Members(frozenset({value})))
    raise TypeError(f"{value!r} is no value of a condition")


def compared(operator: str, value: object) -> Values | None:
    """The values that stand in a relation to a constant: those of its kind. None where nothing is known of them."""
    if value is None:
        return Values()
    same = exactly(value)
    if operator == "==":
        return same
    if operator == "!=":
        kind = TRUTHS if isinstance(value, bool) else TEXTS if isinstance(value, str) else NUMBERS
        return ~same & (LISTS if isinstance(value, tuple) else kind)
    if isinstance(value, tuple):
        return Values()  # lists have no order
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    if operator in ("<", "<="):
        return between(-math.inf, value, open_high=operator == "<")
    return between(value, math.inf, open_low=operator == ">")
