"""A syntax tree in, its text in the house style out: reading the text again gives an equal tree."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby

from corecast.lang import nodes
from corecast.lang.clauses import CONTINUATION

WIDTH = 100
"""A clause that would be wider is broken before the words that can begin a continuation line."""


def format(file: nodes.RuleFile) -> str:
    """Print a whole file: blocks of like statements, rules indented, one blank line between, comments kept."""
    blocks = [list(_lines(statements)) for statements in _blocks(file.statements)]
    blocks.append([_comment(text) for text in file.below])
    return "\n".join("\n".join([*block, ""]) for block in blocks if block)


def format_selector(selector: nodes.Selector) -> str:
    """Print a selector on one line."""
    return _on_one_line(_selector(selector))


def format_expression(expression: nodes.Expression) -> str:
    """Print a condition on one line."""
    return _on_one_line(_expression(expression))


def format_request(request: nodes.Request) -> str:
    """Print a request on one line, without its comments."""
    return _on_one_line(_request(request))


def format_value(value: nodes.Scalar) -> str:
    """Print the value of a parameter, or an item of a set: a text that reads as a word stands bare."""
    if not isinstance(value, str):
        return _number(value)
    return value if is_bare_word(value) else _quoted(value)


# A newline in a text that these functions pass on marks a place where its clause may be broken.


def _on_one_line(text: str) -> str:
    return text.replace("\n", " ")


def _in_parentheses(text: str) -> str:
    return f"({_on_one_line(text)})"


# ── files and rules ──────────────────────────────────────────────────────────────────────────────────────────────────

_Line = nodes.Header | nodes.Requires | nodes.Use | nodes.Param | nodes.Let | nodes.Clause
"""What stands on a line of its own: everything but a whole rule."""


def _blocks(statements: Iterable[nodes.FileStatement]) -> Iterator[list[nodes.FileStatement]]:
    """Like statements together; header and requirements are alike, a rule is like no other."""

    def kind(numbered: tuple[int, nodes.FileStatement]) -> object:
        number, statement = numbered
        if isinstance(statement, nodes.Rule):
            return number
        return nodes.Header if isinstance(statement, nodes.Requires) else type(statement)

    for _, block in groupby(enumerate(statements), kind):
        yield [statement for _, statement in block]


def _lines(statements: Iterable[nodes.FileStatement]) -> Iterator[str]:
    for statement in statements:
        if isinstance(statement, nodes.Rule):
            yield from _rule(statement)
        else:
            yield from _statement(statement, "")


def _rule(rule: nodes.Rule) -> Iterator[str]:
    clauses = rule.clauses
    if rule.name is not None:
        yield from _commented(rule, [f"rule {rule.name}"], "")
    elif clauses:
        yield from _statement(clauses[0], "")
        clauses = clauses[1:]
    for clause in clauses:
        yield from _statement(clause, "  ")


def _statement(statement: _Line, indent: str) -> Iterator[str]:
    text = _text(statement)
    first, *others = [text] if len(indent) + len(_on_one_line(text)) <= WIDTH else text.split("\n")
    lines = [indent + _on_one_line(first), *(f"{indent}    {other}" for other in others)]
    return _commented(statement, lines, indent)


def _commented(statement: nodes.Statement, lines: list[str], indent: str) -> Iterator[str]:
    for text in statement.above:
        yield indent + _comment(text)
    yield from lines[:-1]
    yield lines[-1] if statement.beside is None else f"{lines[-1]}  {_comment(statement.beside)}"


def _comment(text: str) -> str:
    """A comment with a space after its `#`, save in banners (`##`) and the first line of a script (`#!`)."""
    return f"#{text}" if text[:1] in ("#", "!", "") else f"# {text}"


# ── clauses ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _text(statement: _Line) -> str:
    match statement:
        case nodes.Header():
            version = "" if statement.version is None else f" {_quoted(statement.version)}"
            return f"recipe {statement.name}{version}"
        case nodes.Requires():
            return " ".join(["requires", statement.package, *_bounds(statement.bounds)])
        case nodes.Use():
            return _use(statement)
        case nodes.Param():
            return f"param {statement.name} = {_item(statement.default)}"
        case nodes.Let():
            return f"let {statement.name} = {_selector(statement.selector)}"
        case nodes.Skip():
            return f"skip {_selector(statement.selector)}"
        case nodes.Match():
            return f"match {_selector(statement.selector)}"
        case nodes.Request():
            return _request(statement)
        case nodes.Expect(operator="=="):
            return f"expect {_whole(statement.count)}"
        case nodes.Expect():
            return f"expect {statement.operator} {_whole(statement.count)}"
        case nodes.Optional():
            return "optional"


def _bounds(bounds: Iterable[tuple[nodes.Comparator, str]]) -> Iterator[str]:
    return (f"{sign} {bound}" for sign, bound in bounds)


def _use(use: nodes.Use) -> str:
    words = ["use", _quoted(use.recipe) if use.is_file else use.recipe, *_bounds(use.bounds)]
    values = "\nand ".join(f"{given.name} = {_item(given.value)}" for given in use.values)
    return " ".join([*words, "with", values] if values else words)


def _request(request: nodes.Request) -> str:
    first, *others = map(_alternative, request.alternatives)
    pieces = [f"{_word(request.verb)} {first}" if first else _word(request.verb)]
    pieces += [f"\nelse {other}" for other in others]
    if request.unless is not None:
        pieces.append(f"\nunless {_selector(request.unless)}")
    if request.even_if_skipped:
        pieces.append(" even if skipped")
    if request.on is not None:
        pieces.append(f" on {_word(request.on)}")
    return "".join(pieces)


def _alternative(alternative: nodes.Alternative) -> str:
    arrow = ["->", *map(_word, alternative.arrow)] if alternative.arrow else []
    return " ".join([*map(_word, alternative.words), *arrow])


def _word(word: nodes.Word) -> str:
    if isinstance(word.value, nodes.Parameter):
        return _parameter(word.value)
    if isinstance(word.value, str):
        return _quoted(word.value) if word.quoted else word.value
    return _number(word.value)


def _parameter(parameter: nodes.Parameter) -> str:
    return f"${parameter.name}"


def _whole(number: int | nodes.Parameter) -> str:
    return _parameter(number) if isinstance(number, nodes.Parameter) else str(number)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# ── selectors ────────────────────────────────────────────────────────────────────────────────────────────────────────

_SELECTORS: tuple[type[nodes.Selector], ...] = (
    nodes.Except,
    nodes.Filter,
    nodes.Union,
    nodes.Intersection,
    nodes.Chain,
    nodes.Reference,
)
"""From loose to tight: a selector needs parentheses where a tighter one is wanted."""


def _selector(selector: nodes.Selector, wanted: type[nodes.Selector] = nodes.Except) -> str:
    text = _bare_selector(selector)
    return text if _SELECTORS.index(type(selector)) >= _SELECTORS.index(wanted) else _in_parentheses(text)


def _bare_selector(selector: nodes.Selector) -> str:
    match selector:
        case nodes.Reference():
            return _reference(selector)
        case nodes.Except(selector=kept, removed=removed):
            return f"{_selector(kept)}\nexcept {_selector(removed, nodes.Filter)}"
        case nodes.Filter(selector=whole, condition=condition):
            return f"{_selector(whole, nodes.Union)}\nwhere {_expression(condition)}"
        case nodes.Union(parts=parts):
            return "\nor ".join(_selector(part, nodes.Intersection) for part in parts)
        case nodes.Intersection(parts=parts):
            return "\nand ".join(_selector(part, nodes.Chain) for part in parts)
        case nodes.Chain(steps=steps):
            return " -> ".join(_step(step) for step in steps)


def _step(step: nodes.Step) -> str:
    capture = "" if step.capture is None else f"{step.capture}: "
    return capture + _selector(step.selector, nodes.Reference)


def _reference(reference: nodes.Reference) -> str:
    if reference.ordinal is not None:
        return f"{reference.name} {_ordinal(reference.ordinal)}"
    return reference.name if reference.binding is None else f"{reference.name} #{reference.binding}"


def _ordinal(ordinal: nodes.Ordinal) -> str:
    first = f"#{_whole(ordinal.first)}"
    return first if ordinal.last is None else f"{first}..{_whole(ordinal.last)}"


# ── expressions ──────────────────────────────────────────────────────────────────────────────────────────────────────

_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _FACTOR, _VALUE = range(8)  # from loose to tight
_ARITHMETIC = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "//": _PRODUCT, "%": _PRODUCT}


def _expression(expression: nodes.Expression, wanted: int = _OR) -> str:
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
        case nodes.Constant() | nodes.Parameter() | nodes.Name() | nodes.Call():
            return _VALUE


def _bare_expression(expression: nodes.Expression) -> str:
    match expression:
        case nodes.Or(parts=parts):
            return "\nor ".join(_expression(part, _AND) for part in parts)
        case nodes.And(parts=parts):
            return "\nand ".join(_expression(part, _NOT) for part in parts)
        case nodes.Not(operand=operand):
            return f"not {_expression(operand, _NOT)}"
        case nodes.Compare():
            return _compare(expression)
        case nodes.Membership(operand=operand, items=items, negated=negated):
            return f"{_expression(operand, _SUM)} {'not in' if negated else 'in'} {_braces(items)}"
        case nodes.Like(operand=operand, pattern=pattern, kind=kind):
            return f"{_expression(operand, _SUM)} {kind} {_pattern(pattern, kind)}"
        case nodes.Relation(word=word, selector=selector):
            return f"{word} {_selector(selector, nodes.Reference)}"
        case nodes.Arithmetic(operator=operator, left=left, right=right):
            own = _ARITHMETIC[operator]
            return f"{_expression(left, own)} {operator} {_expression(right, own + 1)}"
        case nodes.Negative(operand=operand):
            return f"-{_expression(operand, _FACTOR)}"
        case nodes.Constant(value=value):
            return _quoted(value) if isinstance(value, str) else _number(value)
        case nodes.Parameter():
            return _parameter(expression)
        case nodes.Name(name=name):
            return name
        case nodes.Call(function=function, arguments=arguments):
            return f"{function}({', '.join(map(_argument, arguments))})"


def _argument(expression: nodes.Expression) -> str:
    return _on_one_line(_expression(expression))


def _compare(compare: nodes.Compare) -> str:
    first, *others = [_expression(operand, _SUM) for operand in compare.operands]
    return " ".join([first, *(f"{sign} {operand}" for sign, operand in zip(compare.operators, others, strict=True))])


def _number(value: float | bool) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _float(value) if isinstance(value, float) else str(value)


def _float(value: float) -> str:
    """`0.5`, but `1e6` and `1e-7`: with an exponent where that is the shorter way to say the same."""
    short = f"{value:g}"
    text = short if "e" in short and float(short) == value else repr(value)
    digits, has_exponent, exponent = text.partition("e")
    return f"{digits}e{int(exponent)}" if has_exponent else digits


def _pattern(pattern: str | nodes.Parameter, kind: str) -> str:
    if isinstance(pattern, nodes.Parameter):
        return _parameter(pattern)
    return _regex(pattern) if kind == "~" else _quoted(pattern)


def _regex(pattern: str) -> str:
    """A slash would end the regular expression; whatever is escaped already stays so."""
    escaped = re.sub(r"\\.|/", lambda found: "\\/" if found[0] == "/" else found[0], pattern)
    return f"/{escaped}/"


_BARE_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:[.+-][A-Za-z0-9_]+)*")


def is_bare_word(text: str) -> bool:
    """Whether a text can stand without quotes where values stand, and reads as itself there."""
    return bool(_BARE_WORD.fullmatch(text)) and not CONTINUATION.fullmatch(text) and text not in ("true", "false")


def _braces(braces: nodes.Braces) -> str:
    return "{" + ", ".join(map(_item, braces.items)) + "}"


def _item(item: nodes.Constant | nodes.Parameter | nodes.Range) -> str:
    """An item of a set, or the value of a parameter; a text that reads as a word stands bare."""
    if isinstance(item, nodes.Range):
        return f"{_whole(item.first)}..{_whole(item.last)}"
    if isinstance(item, nodes.Parameter):
        return _parameter(item)
    return format_value(item.value)
