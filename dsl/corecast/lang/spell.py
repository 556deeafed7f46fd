"""A selector, a condition or a value in, its text out; what stands in parentheses there is what needs them.

A newline in a text that the functions called `spell_` give marks a place where its clause may be broken.
"""

from __future__ import annotations

import re
from decimal import Decimal

from corecast.lang import nodes
from corecast.lang.clauses import CONTINUATION


def format_selector(selector: nodes.Selector) -> str:
    """Print a selector on one line."""
    return on_one_line(spell_selector(selector))


def format_expression(expression: nodes.Expression) -> str:
    """Print a condition on one line."""
    return on_one_line(spell_expression(expression))


def format_value(value: nodes.Scalar) -> str:
    """Print the value of a parameter, or an item of a set: a text that reads as a word stands bare."""
    if not isinstance(value, str):
        return spell_number(value)
    return value if is_bare_word(value) else quoted(value)


def on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _in_parentheses(text: str) -> str:
    return f"({on_one_line(text)})"


def spell_parameter(parameter: nodes.Parameter) -> str:
    return f"${parameter.name}"


def spell_whole(number: int | nodes.Parameter) -> str:
    return spell_parameter(number) if isinstance(number, nodes.Parameter) else str(number)


def spell_bound(number: float | nodes.Parameter) -> str:
    return spell_parameter(number) if isinstance(number, nodes.Parameter) else spell_number(number)


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ── selectors ────────────────────────────────────────────────────────────────────────────────────────────────────────

_SELECTORS: tuple[type[nodes.Selector], ...] = (
    nodes.Except,
    nodes.Filter,
    nodes.Pick,
    nodes.Union,
    nodes.Intersection,
    nodes.Chain,
    nodes.Reference,
    nodes.Complement,
)
"""From loose to tight: a selector needs parentheses where a tighter one is wanted."""


def spell_selector(selector: nodes.Selector, wanted: type[nodes.Selector] = nodes.Except) -> str:
    text = _bare_selector(selector)
    return text if _SELECTORS.index(type(selector)) >= _SELECTORS.index(wanted) else _in_parentheses(text)


def _bare_selector(selector: nodes.Selector) -> str:
    match selector:
        case nodes.Reference():
            return _reference(selector)
        case nodes.Except(selector=kept, removed=removed):
            return f"{spell_selector(kept)}\nexcept {spell_selector(removed, nodes.Filter)}"
        case nodes.Filter(selector=whole, condition=condition):
            return f"{spell_selector(whole, nodes.Union)}\nwhere {spell_expression(condition)}"
        case nodes.Pick():
            return f"{format_pick(selector)} of {spell_selector(selector.selector, nodes.Filter)}"
        case nodes.Union(parts=parts):
            return "\nor ".join(spell_selector(part, nodes.Intersection) for part in parts)
        case nodes.Intersection(parts=parts):
            return "\nand ".join(spell_selector(part, nodes.Chain) for part in parts)
        case nodes.Chain(steps=steps):
            return " -> ".join(_step(step) for step in steps)
        case nodes.Complement(selector=inner):
            return f"not {spell_selector(inner, nodes.Reference)}"


def format_pick(pick: nodes.Pick) -> str:
    """Print how a selector picks, and not from what: `largest 5 by flops`."""
    count = "" if pick.count == 1 else f" {spell_whole(pick.count)}"
    key = "" if pick.key is None else f" by {on_one_line(spell_expression(pick.key, _SUM))}"
    return f"{pick.end}{count}{key}"


def _step(step: nodes.Step) -> str:
    capture = "" if step.capture is None else f"{step.capture}: "
    return capture + spell_selector(step.selector, nodes.Reference)


def _reference(reference: nodes.Reference) -> str:
    if reference.ordinal is not None:
        return f"{reference.name} {_ordinal(reference.ordinal)}"
    return reference.name if reference.binding is None else f"{reference.name} #{reference.binding}"


def _ordinal(ordinal: nodes.Ordinal) -> str:
    first = f"#{spell_whole(ordinal.first)}"
    return first if ordinal.last is None else f"{first}..{spell_whole(ordinal.last)}"


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _FACTOR, _VALUE = range(8)  # from loose to tight
_ARITHMETIC = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT}


def spell_expression(expression: nodes.Expression, wanted: int = _OR) -> str:
    text = _bare_expression(expression)
    return text if _tightness(expression) >= wanted else _in_parentheses(text)


def _tightness(expression: nodes.Expression) -> int:
    match expression:
        case nodes.Or():
            return _OR
        case nodes.And():
            return _AND
        case nodes.Not():
            return _NOT
        case nodes.Compare() | nodes.Membership() | nodes.Like() | nodes.Relation():
            return _COMPARISON
        case nodes.Arithmetic():
            return _ARITHMETIC[expression.operator]
        case nodes.Negative():
            return _FACTOR
        case nodes.Constant() | nodes.Parameter() | nodes.Name() | nodes.Listed() | nodes.Call():
            return _VALUE


def _bare_expression(expression: nodes.Expression) -> str:
    match expression:
        case nodes.Or(parts=parts):
            return "\nor ".join(spell_expression(part, _AND) for part in parts)
        case nodes.And(parts=parts):
            return "\nand ".join(spell_expression(part, _NOT) for part in parts)
        case nodes.Not(operand=operand):
            return f"not {spell_expression(operand, _NOT)}"
        case nodes.Compare():
            return _compare(expression)
        case nodes.Membership(operand=operand, items=items, negated=negated):
            return f"{spell_expression(operand, _SUM)} {'not in' if negated else 'in'} {_braces(items)}"
        case nodes.Like(operand=operand, pattern=pattern, kind=kind):
            return f"{spell_expression(operand, _SUM)} {kind} {_pattern(pattern, kind)}"
        case nodes.Relation(word=word, selector=selector, within=within):
            distance = "" if within == 1 else f" within {spell_whole(within)}"
            return f"{word} {spell_selector(selector, nodes.Reference)}{distance}"
        case nodes.Arithmetic(operator=operator, left=left, right=right):
            own = _ARITHMETIC[operator]
            return f"{spell_expression(left, own)} {operator} {spell_expression(right, own + 1)}"
        case nodes.Negative(operand=operand):
            return f"-{spell_expression(operand, _FACTOR)}"
        case nodes.Listed(items=items):
            return f"[{', '.join(map(spell_item, items))}]"
        case nodes.Constant(value=value):
            return quoted(value) if isinstance(value, str) else spell_number(value)
        case nodes.Parameter():
            return spell_parameter(expression)
        case nodes.Name(name=name):
            return name
        case nodes.Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(_argument, arguments))})"


def _argument(expression: nodes.Expression) -> str:
    return on_one_line(spell_expression(expression))


def _compare(compare: nodes.Compare) -> str:
    first, *others = [spell_expression(operand, _SUM) for operand in compare.operands]
    return " ".join([first, *(f"{sign} {operand}" for sign, operand in zip(compare.operators, others, strict=True))])


def spell_number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float(value) if isinstance(value, float) else str(value)


def _float(value: float) -> str:
    """`0.5`, but `6e4` and `1e-7`: with an exponent where that is the shorter way to say the same."""
    short = str(Decimal(value).normalize()).lower() if value and value % 1000 == 0 else f"{value:g}"
    text = short if "e" in short and float(short) == value else repr(value)
    digits, has_exponent, exponent = text.partition("e")
    return f"{digits}e{int(exponent)}" if has_exponent else digits


def _pattern(pattern: str | nodes.Parameter, kind: str) -> str:
    if isinstance(pattern, nodes.Parameter):
        return spell_parameter(pattern)
    return _regex(pattern) if kind == "~" else quoted(pattern)


def _regex(pattern: str) -> str:
    """A slash would end the regular expression; whatever is escaped already stays so."""
    escaped = re.sub(r"\\.|/", lambda found: "\\/" if found[0] == "/" else found[0], pattern)
    return f"/{escaped}/"


_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.+-][A-Za-z0-9_]+)*")


def is_bare_word(text: str) -> bool:
    """Whether a text can stand without quotes where values stand, and reads as itself there."""
    return bool(_BARE_WORD.fullmatch(text)) and not CONTINUATION.fullmatch(text) and text not in ("true", "false")


def _braces(braces: nodes.Braces) -> str:
    return "{" + ", ".join(map(spell_item, braces.items)) + "}"


def spell_item(item: nodes.Constant | nodes.Parameter | nodes.Range) -> str:
    """An item of a set, or the value of a parameter; a text that reads as a word stands bare."""
    if isinstance(item, nodes.Range):
        return f"{spell_whole(item.first)}..{spell_whole(item.last)}"
    if isinstance(item, nodes.Parameter):
        return spell_parameter(item)
    return format_value(item.value)
