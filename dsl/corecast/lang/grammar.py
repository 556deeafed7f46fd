"""The text of one clause in, its node out: what `grammar.lark` says of its shape, and `build.py` makes of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import cast

from lark import Lark, Token, Tree, UnexpectedInput
from lark.lark import PostLex

from corecast.lang import nodes
from corecast.lang.assemble import Clause, meant
from corecast.lang.build import Builder
from corecast.lang.clauses import DEEPEST, ClauseText, too_deep
from corecast.lang.mistakes import syntax_problem
from corecast.lang.problems import Problem


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


def read_clause(clause: ClauseText, problems: list[Problem]) -> Clause:
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
