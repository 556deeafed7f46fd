"""A tree and the values of its parameters in, the tree without parameters out; what does not fit is a problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from corecast.lang import nodes
from corecast.lang.nodes import Parameter, Scalar
from corecast.lang.problems import Problem
from corecast.lang.ranges import empty_range, is_empty
from corecast.lang.rewrite import AnyNode, rewrite
from corecast.lang.source import Span
from corecast.lang.spell import format_value, is_bare_word
from corecast.recipe.words import unknown

_KINDS: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_Kind = TypeVar("_Kind", str, int)


def kind_of(value: Scalar) -> str:
    """What values of this kind are called: `a whole number`."""
    return _KINDS[type(value)]


def fits(value: Scalar, default: Scalar) -> bool:
    """Whether a value is of its parameter's type, which is that of the default; a whole number is a number too."""
    return type(value) is type(default) or (type(default) is float and type(value) is int)


def read_value(text: str, default: Scalar) -> Scalar:
    """The value that a command line gives: read as its parameter's type. Raises `ValueError`."""
    if isinstance(default, bool):
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if isinstance(default, str):
        return text
    return int(text) if isinstance(default, int) else float(text)


def settle(node: AnyNode, values: Mapping[str, Scalar], problems: list[Problem]) -> AnyNode:
    """Put values in place of parameters, at the places of the parameters."""
    return rewrite(node, _Settler(values, problems).settled)


class _Settler:
    def __init__(self, values: Mapping[str, Scalar], problems: list[Problem]):
        self.values = values
        self.problems = problems

    def settled(self, node: nodes.Node) -> nodes.Node:
        match node:
            case Parameter():
                return nodes.Constant(span=node.span, value=self._value(node, 0))
            case nodes.Word(value=Parameter() as parameter):
                return _word(node, self._value(parameter, ""))
            case nodes.Ordinal(last=None):
                return replace(node, first=self._whole(node.first))
            case nodes.Ordinal(first=first, last=int() | Parameter() as last) | nodes.Range(first=first, last=last):
                return self._range(node, first, last)
            case nodes.Like(pattern=Parameter() as parameter):
                return replace(node, pattern=self._typed(parameter, "", "a pattern is a text"))
            case nodes.Pick(count=Parameter() as parameter):
                return replace(node, count=self._count(parameter))
            case nodes.Relation(within=Parameter() as parameter):
                return replace(node, within=self._count(parameter))
            case nodes.Expect(count=Parameter() as parameter):
                return replace(node, count=self._typed(parameter, 0, "layers are counted in whole numbers"))
            case nodes.Expectation(bound=Parameter() as parameter):
                return replace(node, bound=self._number(parameter))
        return node

    def _value(self, parameter: Parameter, otherwise: Scalar) -> Scalar:
        if parameter.name in self.values:
            return self.values[parameter.name]
        help = f"declare it: `param {parameter.name} = ...`, with its default"
        if self.values:
            help = unknown("parameters", parameter.name, sorted(self.values))
        message = f"this recipe has no parameter `{parameter.name}`"
        self.problems.append(Problem("unknown-param", message, parameter.span, help))
        return otherwise

    def _range(self, node: nodes.Node, first: int | Parameter, last: int | Parameter) -> nodes.Node:
        low, high = self._whole(first), self._whole(last)
        if is_empty(low, high):
            self.problems.append(empty_range(low, high, node.span))
        return replace(node, first=low, last=high)  # type: ignore[call-arg]  # an ordinal and a range have both

    def _whole(self, number: int | Parameter) -> int:
        if isinstance(number, int):
            return number
        return self._typed(number, 0, "a place among layers is a whole number")

    def _count(self, parameter: Parameter) -> int:
        """A count that begins with one."""
        count = self._typed(parameter, 1, "layers and steps are counted in whole numbers")
        if count >= 1:
            return count
        message = f"`${parameter.name}` is {count}, and counts begin with 1"
        self.problems.append(Problem("bad-param", message, parameter.span))
        return 1

    def _number(self, parameter: Parameter) -> int | float:
        value = self._value(parameter, 0)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return value
        message = f"`${parameter.name}` is {format_value(value)}, and a bound is a number"
        self.problems.append(Problem("bad-param", message, parameter.span))
        return 0

    def _typed(self, parameter: Parameter, otherwise: _Kind, why: str) -> _Kind:
        value = self._value(parameter, otherwise)
        if isinstance(value, type(otherwise)) and not isinstance(value, bool):
            return value
        message = f"`${parameter.name}` is {format_value(value)}, and {why}"
        self.problems.append(Problem("bad-param", message, parameter.span))
        return otherwise


def _word(word: nodes.Word, value: Scalar) -> nodes.Word:
    """A value as a word of a request: `true` and `HWNC` bare, a text that does not read as a word in quotes."""
    if isinstance(value, bool):
        return replace(word, value="true" if value else "false")
    return replace(word, value=value, quoted=isinstance(value, str) and not is_bare_word(value))


def misfit(name: str, value: Scalar, param: nodes.Param, span: Span | None) -> Problem:
    """The problem of a value that is not of its parameter's type."""
    default = param.default.value
    message = f"`{name}` is {kind_of(default)}, and {format_value(value)} is {kind_of(value)}"
    return Problem("bad-param", message, span, notes=(("declared here", param.span),))
