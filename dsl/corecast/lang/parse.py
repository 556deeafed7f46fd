"""A rules text in, its `RuleFile` out, or a `RulesError` that carries every problem of the text.

The text is cut into clauses (`clauses.py`), each clause is read on its own (`grammar.py`) and becomes a node, and the
clauses are put together into rules (`assemble.py`). A bad clause costs itself and no other.
"""

from __future__ import annotations

from corecast.lang import nodes
from corecast.lang.assemble import assemble
from corecast.lang.clauses import cut
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
    from corecast.lang.grammar import read_clause  # and lark, which who carries out a plan that was made never needs

    if isinstance(source, str):
        source = Source("<string>", source)
    pieces = cut(source)
    problems = list(pieces.problems)
    clauses = [read_clause(clause, problems) for clause in pieces.clauses]
    statements, more = assemble(clauses)
    problems += more
    whole = Span(source, 0, len(source.text))
    # Statements that do not stand at their place are among the problems, and are left out.
    placed = tuple(item for item in statements if isinstance(item, nodes.FileStatement))
    return nodes.RuleFile(span=whole, statements=placed, below=pieces.below), problems
