"""A rules text in, its `RuleFile` out, or a `RulesError` that carries every problem of the text.

The text is cut into clauses (`clauses.py`), each clause is read on its own by `grammar.lark` and becomes a node
(`build.py`), and the clauses are put together into rules (`assemble.py`). A bad clause costs itself and no other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import cast

from lark import Lark, Token, Tree, UnexpectedInput
from lark.lark import PostLex

from corecast.lang import nodes
from corecast.lang.assemble import Clause, assemble, meant
from corecast.lang.build import Builder
from corecast.lang.clauses import DEEPEST, ClauseText, cut, too_deep
from corecast.lang.mistakes import syntax_problem
from corecast.lang.problems import Problem, RulesError
from corecast.lang.source import Source, Span


def parse(source: Source | str) -> nodes.RuleFile:
    """Read a rules text; a bare string is cited as `<string>`. Raises `RulesError` with all its problems."""
    file, problems = parse_readable(source)
    if problems:
        raise RulesError(problems)
    return file


def parse_readable(source: Source | str) -> tuple[nodes.RuleFile, list[Problem]]:
    """What can be read of a rules text, and its problems; a rule may lack the clauses that could not be read."""
    if isinstance(source, str):
        source = Source("<string>", source)
    pieces = cut(source)
    problems = list(pieces.problems)
    clauses = [_read(clause, problems) for clause in pieces.clauses]
    statements, more = assemble(clauses)
    problems += more
    whole = Span(source, 0, len(source.text))
    # Statements that do not stand at their place are among the problems, and are left out.
    placed = tuple(item for item in statements if isinstance(item, nodes.FileStatement))
    return nodes.RuleFile(span=whole, statements=placed, below=pieces.below), problems


# ── the grammar ──────────────────────────────────────────────────────────────────────────────────────────────────────


class _ReservedWords(PostLex):
    """Has the lexer know the continuation words everywhere, so that `match where x` is no operator named `where`."""

    always_accept = ("_WHERE", "_EXCEPT", "_UNLESS", "_AND", "_OR", "_ELSE")

    def process(self, stream: Iterator[Token]) -> Iterator[Token]:
        return stream


@cache
def grammar(*, strict: bool = False) -> Lark:
    """The parser of one clause. The strict one refuses conflicts instead of resolving them; it needs `interegular`."""
    return Lark.open(
        "grammar.lark",
        rel_to=__file__,
        start="clause",
        parser="lalr",
        lexer="contextual",
        postlex=_ReservedWords(),
        propagate_positions=True,
        strict=strict,
    )


# ── one clause ───────────────────────────────────────────────────────────────────────────────────────────────────────


def _read(clause: ClauseText, problems: list[Problem]) -> Clause:
    """Read one clause; where that fails, say why and go on without its node."""
    unread = Clause(clause.first_word, clause.span, None)
    if clause.damaged:
        return unread
    try:
        tree = grammar().parse(clause.code)
    except UnexpectedInput as error:
        problems.append(syntax_problem(grammar(), clause, error))
        return replace(unread, word=meant(clause.first_word) or clause.first_word)
    if _is_deep(tree):
        problems.append(too_deep(clause.span))
        return unread
    builder = Builder(clause.span)
    node = cast(nodes.Statement, builder.transform(tree))
    problems += builder.problems
    return replace(unread, node=replace(node, above=clause.above, beside=clause.beside))


def _is_deep(tree: Tree[Token]) -> bool:
    """Whether a tree is nested too deep; asked without recursion, which the answer is there to protect."""
    level: list[Tree[Token]] = [tree]
    for _ in range(DEEPEST):
        level = [child for parent in level for child in parent.children if isinstance(child, Tree)]
    return bool(level)
