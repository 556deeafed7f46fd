"""A syntax tree in, its text in the house style out: reading the text again gives an equal tree."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby
from typing import cast

from corecast.lang import nodes
from corecast.lang.spell import (
    on_one_line,
    quoted,
    spell_bound,
    spell_item,
    spell_number,
    spell_parameter,
    spell_selector,
    spell_whole,
)

WIDTH = 100
"""A clause that would be wider is broken before the words that can begin a continuation line."""


def format(file: nodes.RuleFile) -> str:
    """Print a whole file: blocks of like statements, rules indented, one blank line between, comments kept."""
    blocks = [list(_lines(statements)) for statements in _blocks(file.statements)]
    blocks.append([_comment(text) for text in file.below])
    return "\n".join("\n".join([*block, ""]) for block in blocks if block)


def format_request(request: nodes.Request) -> str:
    """Print a request on one line, without its comments."""
    return on_one_line(_request(request))


def format_clause(clause: nodes.Statement) -> str:
    """Print a clause without its comments, on several lines where it would be too wide for one."""
    assert not isinstance(clause, nodes.Rule), "a rule is several clauses"
    return "\n".join(_statement(cast(_Line, replace(clause, above=(), beside=None)), ""))


# ── files and rules ──────────────────────────────────────────────────────────────────────────────────────────────────

_Line = nodes.Header | nodes.Requires | nodes.Use | nodes.Param | nodes.Let | nodes.Expectation | nodes.Clause
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
    first, *others = [text] if len(indent) + len(on_one_line(text)) <= WIDTH else text.split("\n")
    lines = [indent + on_one_line(first), *(f"{indent}    {other}" for other in others)]
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
            version = "" if statement.version is None else f" {quoted(statement.version)}"
            return f"recipe {statement.name}{version}"
        case nodes.Requires():
            return " ".join(["requires", statement.package, *_bounds(statement.bounds)])
        case nodes.Use():
            return _use(statement)
        case nodes.Param():
            return f"param {statement.name} = {spell_item(statement.default)}"
        case nodes.Let():
            return f"let {statement.name} = {spell_selector(statement.selector)}"
        case nodes.Skip():
            return f"skip {spell_selector(statement.selector)}"
        case nodes.Match():
            return f"match {spell_selector(statement.selector)}"
        case nodes.Request():
            return _request(statement)
        case nodes.Expect(operator="=="):
            return f"expect {spell_whole(statement.count)}"
        case nodes.Expect():
            return f"expect {statement.operator} {spell_whole(statement.count)}"
        case nodes.Expectation():
            unit = {None: "", "%": "%"}.get(statement.unit, f" {statement.unit}")
            metric = _word(statement.metric)
            return f"expect {metric} {statement.operator} {spell_bound(statement.bound)}{unit}"
        case nodes.Optional():
            return "optional"


def _bounds(bounds: Iterable[tuple[nodes.Comparator, str]]) -> Iterator[str]:
    return (f"{sign} {bound}" for sign, bound in bounds)


def _use(use: nodes.Use) -> str:
    words = ["use", quoted(use.recipe) if use.is_file else use.recipe, *_bounds(use.bounds)]
    values = "\nand ".join(f"{given.name} = {spell_item(given.value)}" for given in use.values)
    return " ".join([*words, "with", values] if values else words)


def _request(request: nodes.Request) -> str:
    first, *others = map(_alternative, request.alternatives)
    pieces = [f"{_word(request.verb)} {first}" if first else _word(request.verb)]
    pieces += [f"\nelse {other}" for other in others]
    if request.unless is not None:
        pieces.append(f"\nunless {spell_selector(request.unless)}")
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
        return spell_parameter(word.value)
    if isinstance(word.value, str):
        return quoted(word.value) if word.quoted else word.value
    return spell_number(word.value)
