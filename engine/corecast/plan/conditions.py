"""Conditions in, functions out: the part after `where` becomes a function from the layers of a match to a value.

A value that a layer does not have is None; every comparison with it is false, and so is every comparison of values that
have no order (a dynamic size with a number).
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import translate
from typing import Any

from corecast.lang import nodes
from corecast.lang.format import format_expression
from corecast.model import Layer
from corecast.recipe import Catalogue, Value
from corecast.recipe.scope import operands

Steps = tuple[Layer, ...]
Condition = Callable[[Steps], Value]

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


@dataclass(frozen=True)
class Conditions:
    """Compiles conditions.

    `bindings` and `captures` map names to steps, `counts` says how many calls of each operator the model has, `related`
    answers a relation for a layer.
    """

    catalogue: Catalogue
    counts: Mapping[str, int]
    bindings: Mapping[str, int]
    captures: Mapping[str, int]
    related: Callable[[nodes.Relation], Callable[[Layer], bool]]

    def holds(self, expression: nodes.Expression) -> Callable[[Steps], bool]:
        """Whether a condition holds for a match; equal layers are looked at once where that will do."""
        condition = self.compile(expression)
        if self._is_placed(expression):
            return lambda steps: condition(steps) is True
        known: dict[tuple[str, ...], bool] = {}

        def holds(steps: Steps) -> bool:
            key = tuple([layer.hash for layer in steps])
            if key not in known:
                known[key] = condition(steps) is True
            return known[key]

        return holds

    def _is_placed(self, expression: nodes.Expression) -> bool:
        """Whether a condition tells layers apart that are equal but for their place and their name."""
        if isinstance(expression, nodes.Relation):
            return True
        if isinstance(expression, nodes.Name):
            word = self.catalogue.predicates.get(expression.name.rpartition(".")[2])
            return expression.name in self.bindings or (word is not None and word.placed)
        return any(self._is_placed(part) for part in operands(expression))

    def compile(self, expression: nodes.Expression) -> Condition:
        """The function of an expression; resolving has checked every name in it."""
        match expression:
            case nodes.Constant(value=value):
                return lambda steps: value  # noqa: ARG005
            case nodes.Name(name=name):
                return self._name(name)
            case nodes.And(parts=parts):
                every = [self.compile(part) for part in parts]
                return lambda steps: all(part(steps) is True for part in every)
            case nodes.Or(parts=parts):
                some = [self.compile(part) for part in parts]
                return lambda steps: any(part(steps) is True for part in some)
            case nodes.Not(operand=operand):
                inner = self.compile(operand)
                return lambda steps: inner(steps) is not True
            case nodes.Compare():
                return self._compare(expression)
            case nodes.Arithmetic():
                return self._arithmetic(expression)
            case nodes.Negative(operand=operand):
                inner = self.compile(operand)
                return lambda steps: _negative(inner(steps))
            case nodes.Membership():
                return self._membership(expression)
            case nodes.Like():
                return self._like(expression)
            case nodes.Relation():
                related = self.related(expression)
                return lambda steps: related(steps[0])
            case nodes.Call() | nodes.Parameter():
                raise NotImplementedError(f"resolve let {format_expression(expression)} pass")

    def _name(self, name: str) -> Condition:
        if name in self.bindings:
            step = self.bindings[name]
            return lambda steps: steps[step].ordinal
        capture, _, attribute = name.rpartition(".")
        step = self.captures[capture] if capture else 0
        if attribute in self.catalogue.predicates:
            value = self.catalogue.predicates[attribute].value
            return lambda steps: value(steps[step])
        return lambda steps: steps[step].attributes.get(attribute)

    def _compare(self, expression: nodes.Compare) -> Condition:
        values = [self.compile(part) for part in expression.operands]
        tests = [_COMPARE[name] for name in expression.operators]

        def holds(steps: Steps) -> bool:
            left = values[0](steps)
            for test, value in zip(tests, values[1:], strict=True):
                right = value(steps)
                if not _comparable(left, right) or not test(left, right):
                    return False
                left = right
            return True

        return holds

    def _arithmetic(self, expression: nodes.Arithmetic) -> Condition:
        compute = _COMPUTE[expression.operator]
        left, right = self.compile(expression.left), self.compile(expression.right)

        def value(steps: Steps) -> Value:
            a, b = left(steps), right(steps)
            if not _is_number(a) or not _is_number(b) or (b == 0 and expression.operator in ("/", "//", "%")):
                return None
            result: float = compute(a, b)
            return result

        return value

    def _membership(self, expression: nodes.Membership) -> Condition:
        inner = self.compile(expression.operand)
        ranges = [item for item in expression.items.items if isinstance(item, nodes.Range)]
        single = {item.value for item in expression.items.items if isinstance(item, nodes.Constant)}
        negated = expression.negated
        # A bound ordinal counts from the end too, as it does in a selector: `k in {-1}`.
        from_end = expression.operand.name if isinstance(expression.operand, nodes.Name) else ""

        def holds(steps: Steps) -> bool:
            value = inner(steps)
            if value is None:
                return False
            count = self.counts[steps[self.bindings[from_end]].op] if from_end in self.bindings else 0
            found = value in single or (isinstance(value, int) and any(_within(value, item, count) for item in ranges))
            if count and isinstance(value, int):
                found = found or value - count in single
            return found is not negated

        return holds

    def _like(self, expression: nodes.Like) -> Condition:
        inner = self.compile(expression.operand)
        text = nodes.settled(expression.pattern)
        pattern = re.compile(translate(text) if expression.kind == "like" else text)

        def holds(steps: Steps) -> bool:
            value = inner(steps)
            return isinstance(value, str) and pattern.fullmatch(value) is not None

        return holds

    def objection(self, expression: nodes.Expression, steps: Steps) -> str | None:
        """Why a condition does not hold: the first part that is false, with the values it was false for."""
        if self.compile(expression)(steps) is True:
            return None
        if isinstance(expression, nodes.And):
            return next(filter(None, (self.objection(part, steps) for part in expression.parts)))
        if isinstance(expression, nodes.Name) and not isinstance(value := self.compile(expression)(steps), bool | None):
            return f"`{expression.name}` is {_show(value)}, which is no condition: compare it with something"
        names = dict.fromkeys(_names(expression))
        values = ", ".join(
            f"{name} is {_show(self._name(name)(steps))}"
            if self._name(name)(steps) is not None
            else f"it has no {name}"
            for name in names
        )
        return f"`{format_expression(expression)}` is false" + (f": {values}" if values else "")


def _names(expression: nodes.Expression) -> list[str]:
    own = [expression.name] if isinstance(expression, nodes.Name) else []
    return own + [name for part in operands(expression) for name in _names(part)]


def _show(value: Value) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)


def _within(value: int, item: nodes.Range, count: int) -> bool:
    """Whether a number lies in a range; where `count` is given, negative ends count from the end."""
    first, last = (end + count if end < 0 and count else end for end in item.ends)
    return first <= value <= last


def _negative(value: Value) -> Value:
    return -value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _comparable(left: Value, right: Value) -> bool:
    if left is None or right is None:
        return False
    return type(left) is type(right) or (_is_number(left) and _is_number(right))
