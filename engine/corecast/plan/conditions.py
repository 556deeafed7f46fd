"""Conditions in, the matches for which they hold out: the part after `where` is evaluated for all matches together.

A value that a layer does not have is None; every comparison with it is false, and so is every comparison of values that
have no order (a dynamic size with a number). Layers that equal each other are looked at once where that will do.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import translate
from functools import cache
from itertools import compress, repeat
from typing import Any

from corecast.lang import CorecastError, Problem, nodes
from corecast.lang.spell import format_expression, quoted, spell_number
from corecast.plan.words import UnknownWeightError, Words
from corecast.recipe import Value
from corecast.recipe.scope import operands

# Matches step by step: for each step of a chain the indices of its layers, a row for each match.
Columns = Sequence[Sequence[int]]

_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_COMPUTE: dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
}


class NoWeightDataError(CorecastError):
    """A condition asks for the values of a weight, and the layer table comes without them."""


@dataclass(frozen=True)
class Conditions:
    """Evaluates conditions.

    `bindings` and `captures` map names to steps, `related` tells of a column of layers to which a relation holds.
    """

    words: Words
    bindings: Mapping[str, int]
    captures: Mapping[str, int]
    related: Callable[[nodes.Relation, Sequence[int]], list[bool]]

    def kept(self, expression: nodes.Expression, columns: Columns) -> Columns:
        """The matches for which a condition holds."""
        parts = expression.parts if isinstance(expression, nodes.And) else (expression,)
        # What equal layers share comes first: it costs little, and leaves less to look at one by one.
        shared = [part for part in parts if not self._is_placed(part)]
        # And what has to look at weights comes last.
        own = [[part] for part in sorted(filter(self._is_placed, parts), key=_reads_weights)]
        for group in [shared, *own] if shared else own:
            holds = self._hold(group, columns)
            columns = [list(compress(column, holds)) for column in columns]
        return columns

    def _hold(self, parts: Sequence[nodes.Expression], columns: Columns) -> list[bool]:
        """For each match whether all of these conditions hold; equal layers are looked at once where that will do."""
        if any(map(self._is_placed, parts)):
            return self._all_true(parts, columns)
        # A kind is the index of its first layer, so that columns of kinds are columns of layers as well.
        kinds = [self.words.kinds(column) for column in columns]
        keys: Sequence[Any] = kinds[0] if len(kinds) == 1 else list(zip(*kinds, strict=True))
        first = list(dict.fromkeys(keys))
        holds = self._all_true(parts, [first] if len(kinds) == 1 else list(zip(*first, strict=True)))
        return list(map(dict(zip(first, holds, strict=True)).__getitem__, keys))

    def _all_true(self, parts: Sequence[nodes.Expression], columns: Columns) -> list[bool]:
        """A condition holds where its value is true, and not merely something."""
        return _all([[value is True for value in self._column(part, columns)] for part in parts])

    def _is_placed(self, expression: nodes.Expression) -> bool:
        if isinstance(expression, nodes.Relation | nodes.Call):
            return True
        if isinstance(expression, nodes.Name):
            return expression.name in self.bindings or self.words.is_placed(expression.name.rpartition(".")[2])
        return any(self._is_placed(part) for part in operands(expression))

    def values(self, expression: nodes.Expression, columns: Columns) -> Sequence[Value]:
        """The value of an expression for each match."""
        return self._column(expression, columns)

    def _column(self, expression: nodes.Expression, columns: Columns) -> Sequence[Value]:
        """The value of an expression for each match; resolving has checked every name in it."""
        match expression:
            case nodes.Constant(value=value):
                return [value] * len(columns[0])
            case nodes.Name(name=name):
                return self._name(name, columns)
            case nodes.Listed(items=items):
                return [tuple(nodes.settled(item).value for item in items)] * len(columns[0])
            case nodes.Call():
                return self._call(expression, columns)
            case nodes.And(parts=parts):
                return self._hold(parts, columns)
            case nodes.Or(parts=parts):
                return list(map(any, zip(*[self._hold([part], columns) for part in parts], strict=True)))
            case nodes.Not(operand=inner):
                return [not holds for holds in self._hold([inner], columns)]
            case nodes.Compare(operands=parts, operators=names):
                terms = [self._column(part, columns) for part in parts]
                return _all(list(map(_compared, names, terms, terms[1:])))
            case nodes.Arithmetic(operator=name, left=left, right=right):
                return _computed(name, self._column(left, columns), self._column(right, columns))
            case nodes.Negative(operand=inner):
                return [_negative(value) for value in self._column(inner, columns)]
            case nodes.Membership():
                return self._membership(expression, columns)
            case nodes.Like(operand=inner, pattern=pattern, kind=kind):
                text = nodes.settled(pattern)
                whole = re.compile(translate(text) if kind == "like" else text).fullmatch
                values = self._column(inner, columns)
                return [
                    whole(value) is not None if isinstance(value, str) else _any_text(value, whole) for value in values
                ]
            case nodes.Relation():
                return self.related(expression, columns[0])
            case nodes.Parameter():
                raise NotImplementedError(f"resolve let {format_expression(expression)} pass")

    def _name(self, name: str, columns: Columns) -> Sequence[Value]:
        if name in self.bindings:
            return self.words.ordinals(columns[self.bindings[name]])
        capture, _, word = name.rpartition(".")
        return self.words.column(word, columns[self.captures[capture] if capture else 0])

    def _call(self, call: nodes.Call, columns: Columns) -> Sequence[Value]:
        argument = call.arguments[0]
        assert isinstance(argument, nodes.Name), "resolving has checked it"
        capture = argument.name.rpartition(".")[0]
        try:
            return self.words.called(call.function, columns[self.captures[capture] if capture else 0])
        except UnknownWeightError as error:
            message = f"nothing is known here of the values of the weight {error}"
            help = "plan on the model itself, or save its table with them: `corecast layers MODEL --values --json`"
            raise NoWeightDataError(Problem("no-weight-data", message, call.span, help)) from None

    def _membership(self, expression: nodes.Membership, columns: Columns) -> list[bool]:
        items = expression.items.items
        single = {item.value for item in items if isinstance(item, nodes.Constant)}

        @cache
        def ranges(count: int) -> list[range]:
            return [_from_start(item, count) for item in items if isinstance(item, nodes.Range)]

        def holds(value: Value, count: int) -> bool:
            if value is None:
                return False
            found = value in single
            if isinstance(value, int) and not found:
                found = (count > 0 and value - count in single) or any(value in item for item in ranges(count))
            return found is not expression.negated

        return list(map(holds, self._column(expression.operand, columns), self._counts(expression.operand, columns)))

    def _counts(self, operand: nodes.Expression, columns: Columns) -> Iterable[int]:
        """How many calls of its operator the model has where a bound ordinal is asked for; else 0.

        It counts from the end too, as it does in a selector: `k in {-1}`.
        """
        if not isinstance(operand, nodes.Name) or operand.name not in self.bindings:
            return repeat(0)
        table = self.words.table
        return [len(table.by_op[table.layers[index].op]) for index in columns[self.bindings[operand.name]]]

    def objection(self, expression: nodes.Expression, steps: Sequence[int]) -> str | None:
        """Why a condition does not hold: the first part that is false, with the values it was false for."""
        columns = [[index] for index in steps]
        [value] = self._column(expression, columns)
        if value is True:
            return None
        if isinstance(expression, nodes.And):
            return next(filter(None, (self.objection(part, steps) for part in expression.parts)))
        if isinstance(expression, nodes.Name) and not isinstance(value, bool | None):
            return f"`{expression.name}` is {show(value)}, which is no condition: compare it with something"
        values = [(name, self._column(part, columns)[0]) for name, part in _named(expression).items()]
        told = [f"it has no {name}" if value is None else f"{name} is {show(value)}" for name, value in values]
        return f"`{format_expression(expression)}` is false" + (f": {', '.join(told)}" if told else "")


def _named(expression: nodes.Expression) -> dict[str, nodes.Expression]:
    """What an expression asks of a layer, by how it is written: names and calls."""
    if isinstance(expression, nodes.Name | nodes.Call):
        return {format_expression(expression): expression}
    return {name: part for inner in operands(expression) for name, part in _named(inner).items()}


def _reads_weights(expression: nodes.Expression) -> bool:
    return isinstance(expression, nodes.Call) or any(map(_reads_weights, operands(expression)))


def _any_text(value: Value, whole: Callable[[str], object]) -> bool:
    """Whether a pattern meets one of the texts in a list."""
    return isinstance(value, tuple) and any(isinstance(item, str) and whole(item) is not None for item in value)


def show(value: Value) -> str:
    """A value as it is written in a condition."""
    if isinstance(value, tuple):
        return f"[{', '.join(map(show, value))}]"
    return quoted(value) if isinstance(value, str) else str(value) if value is None else spell_number(value)


def _from_start(item: nodes.Range, count: int) -> range:
    """The numbers of a range; where `count` is given, negative ends count from the end."""
    first, last = (end + count if end < 0 and count else end for end in item.ends)
    return range(first, last + 1)


def _all(columns: Sequence[list[bool]]) -> list[bool]:
    return columns[0] if len(columns) == 1 else list(map(all, zip(*columns, strict=True)))


def _compared(name: str, left: Sequence[Value], right: Sequence[Value]) -> list[bool]:
    test = _COMPARE[name]
    # Mostly all values are alike, which is found out much faster than it is asked of each pair.
    types = {*map(type, left), *map(type, right)}
    if types <= _NUMBERS or (len(types) == 1 and not types & {type(None), tuple}):
        return list(map(test, left, right))
    ordered = name not in ("==", "!=")
    return [_comparable(a, b, ordered) and test(a, b) for a, b in zip(left, right, strict=True)]


def _computed(name: str, left: Sequence[Value], right: Sequence[Value]) -> list[Value]:
    compute, divides = _COMPUTE[name], name in ("/", "//", "%")
    if {*map(type, left), *map(type, right)} <= _NUMBERS and not (divides and 0 in right):
        return list(map(compute, left, right))
    return [
        compute(a, b) if is_number(a) and is_number(b) and not (divides and b == 0) else None
        for a, b in zip(left, right, strict=True)
    ]


def _negative(value: Value) -> Value:
    return -value if isinstance(value, int | float) and not isinstance(value, bool) else None


_NUMBERS = {int, float}


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _comparable(left: Value, right: Value, ordered: bool) -> bool:
    """Whether two values can be compared; lists are equal or not, and have no order."""
    if left is None or right is None or (ordered and isinstance(left, tuple)):
        return False
    return type(left) is type(right) or (is_number(left) and is_number(right))
