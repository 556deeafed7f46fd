"""Clauses in, rules out: which clause belongs to which rule, and what is wrong with the file as a whole."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import cast

from corecast.lang import nodes
from corecast.lang.problems import Problem
from corecast.lang.source import Span

TOP_LEVEL = ("recipe", "requires", "use", "param", "let", "rule")
"""Words that end the rule before them."""

WORDS = (*TOP_LEVEL, "skip", "match", "expect", "optional")
"""Every word that begins a clause; a clause that begins with any other is a request."""


@dataclass(frozen=True, slots=True)
class Clause:
    """A clause that was read: its first word, its place, and its node, None where it could not be read."""

    word: str
    span: Span
    node: nodes.Statement | None

    @property
    def is_request(self) -> bool:
        return self.word not in WORDS

    @property
    def is_expectation(self) -> bool:
        """Whether it is an `expect` of the whole file, and not one of a rule."""
        return isinstance(self.node, nodes.Expectation)


@dataclass(slots=True)
class _Group:
    """A rule's clauses, its header or `match` first; or a clause of the file; or clauses that no rule owns.

    A rule also holds what is written in it and belongs to the file: the problem of that is told, and nothing else.
    """

    clauses: list[Clause]
    has_match: bool = False

    @property
    def first(self) -> Clause:
        return self.clauses[0]

    @property
    def is_rule(self) -> bool:
        return self.first.word in ("rule", "match")

    @property
    def is_stray(self) -> bool:
        return self.first.is_request or (self.first.word in ("expect", "optional") and not self.first.is_expectation)

    @property
    def was_read(self) -> bool:
        """Whether all clauses were read; what a group lacks may else be what could not be read."""
        return all(clause.node for clause in self.clauses)

    def owns(self, clause: Clause) -> bool:
        """Whether a clause goes on with this group; a second `match` begins a rule of its own."""
        if clause.word in TOP_LEVEL:
            return False
        if clause.word == "match":
            return self.is_rule and not self.has_match
        return self.is_rule or (self.is_stray and clause.word != "skip" and not clause.is_expectation)

    def add(self, clause: Clause) -> None:
        self.clauses.append(clause)
        self.has_match = self.has_match or clause.word == "match"


def assemble(clauses: Iterable[Clause]) -> tuple[tuple[nodes.Statement, ...], list[Problem]]:
    """The statements of a file, and its problems; the statements are whole only where there are none."""
    problems: list[Problem] = []
    groups = _grouped(clauses, problems)
    problems += _late(groups)
    problems += _repeated_headers(groups)
    problems += _repeated_expectations(groups)
    problems += _repeated_names(groups, "rule")
    problems += _repeated_names(groups, "let")
    problems += _repeated_names(groups, "param")
    for group in groups:
        problems += _rule_problems(group) if group.is_rule else _stray_problems(group)
    return tuple(_statements(groups)), problems


def meant(word: str) -> str | None:
    """The clause word that a mistyped one was meant to be."""
    close = get_close_matches(word.lower(), WORDS, n=1, cutoff=0.75)
    return close[0] if close else None


def mistyped(word: str, clause: Span, better: str) -> Problem:
    """The problem of a clause that begins with a misspelt word."""
    place = Span(clause.source, clause.start, clause.start + len(word))
    return Problem("unknown-word", f"no clause begins with `{word}` here", place, f"did you mean `{better}`?")


# ── which clause belongs to which rule ───────────────────────────────────────────────────────────────────────────────


def _grouped(clauses: Iterable[Clause], problems: list[Problem]) -> list[_Group]:
    groups: list[_Group] = []
    for clause in clauses:
        last = groups[-1] if groups else None
        word = meant(clause.word) if clause.is_request and not (last and last.has_match) else None
        if word:
            problems.append(mistyped(clause.word, clause.span, word))
            clause = Clause(word, clause.span, None)  # as if spelt right, lest all that follows is a problem too
        if not last or not last.owns(clause):
            groups.append(last := _Group([]))
        last.add(clause)
    return groups


def _statements(groups: Iterable[_Group]) -> Iterator[nodes.Statement]:
    for group in groups:
        read = [
            clause.node for clause in group.clauses if clause.node and not (group.is_rule and clause.is_expectation)
        ]
        if read:
            yield _rule(group, read) if group.is_rule else read[0]


def _rule(group: _Group, read: list[nodes.Statement]) -> nodes.Rule:
    span = Span(group.first.span.source, group.first.span.start, group.clauses[-1].span.end)
    head = read[0]
    if isinstance(head, nodes.Rule):
        return replace(head, span=span, clauses=cast(tuple[nodes.Clause, ...], tuple(read[1:])))
    return nodes.Rule(span=span, name=None, clauses=cast(tuple[nodes.Clause, ...], tuple(read)))


# ── what can be wrong with a file ────────────────────────────────────────────────────────────────────────────────────


def _stray_problems(group: _Group) -> Iterator[Problem]:
    """One problem for a run of clauses that no rule owns: they have one cause."""
    first = group.first
    if group.is_stray and group.was_read:
        help = "begin a rule before it: `match` and the layers that it is meant for"
        if "." in first.word:
            help = "a comma ends a clause: join operators with `or`, and begin a rule with `match`"
        yield Problem("outside-rule", f"`{first.word}` stands outside every rule", first.span, help)


def _rule_problems(group: _Group) -> Iterator[Problem]:
    yield from _repeated_clauses(group, "expect")
    yield from _repeated_clauses(group, "optional")
    if not group.was_read:
        return
    if not group.has_match:
        yield Problem(
            "empty-rule",
            "this rule has no `match`, so it says nothing about any layer",
            group.first.span,
            "add a line such as `match nn.conv2d`",
        )
    elif not any(clause.is_request for clause in group.clauses):
        yield Problem(
            "rule-without-request",
            "this rule matches layers and asks nothing of them",
            group.first.span,
            "add a request such as `set layout NHWC` or `keep`",
        )


def _repeated_clauses(group: _Group, word: str) -> Iterator[Problem]:
    found = [clause for clause in group.clauses if clause.word == word and clause.node and not clause.is_expectation]
    for other in found[1:]:
        yield repeated(f"a second `{word}` in one rule", other.span, found[0].span)


def _repeated_headers(groups: list[_Group]) -> Iterator[Problem]:
    headers = [group.first for group in groups if group.first.word == "recipe" and group.first.node]
    for header in headers[1:]:
        yield repeated("a second `recipe` header in one file", header.span, headers[0].span)


def repeated(what: str, span: Span, first: Span) -> Problem:
    """The problem of a clause or modifier that stands twice where one is meant."""
    return Problem("duplicate-clause", f"{what}; the first stands in line {first.line}", span, "keep one of the two")


def _repeated_names(groups: list[_Group], word: str) -> Iterator[Problem]:
    first: dict[str, Span] = {}
    for group in groups:
        node = group.first.node
        if group.first.word != word or not isinstance(node, nodes.Rule | nodes.Let | nodes.Param) or node.name is None:
            continue
        if node.name in first:
            yield Problem(
                "duplicate-name",
                f"a second `{word}` is named `{node.name}`; the first stands in line {first[node.name].line}",
                node.span,
                "give one of the two another name",
            )
        first.setdefault(node.name, node.span)


def _late(groups: list[_Group]) -> Iterator[Problem]:
    """What is said of the whole file and stands where it seems to be said of a rule."""
    after_a_rule = False
    for group in groups:
        if group.first.word == "skip" and after_a_rule:
            help = "move it up, or put it into the rule that it is meant for"
            yield _behind_a_rule("late-skip", "a `skip` for the whole file", group.first, help)
        after_a_rule = after_a_rule or group.is_rule
        for clause in group.clauses if after_a_rule else ():
            if clause.is_expectation:
                help = "move it up; what a rule itself expects is a number of layers, as in `expect >= 16`"
                yield _behind_a_rule("late-expectation", "an `expect` for the whole file", clause, help)


def _behind_a_rule(slug: str, what: str, clause: Clause, help: str) -> Problem:
    return Problem(slug, f"{what} stands before its first rule", clause.span, help)


def _repeated_expectations(groups: list[_Group]) -> Iterator[Problem]:
    first: dict[object, Span] = {}
    for clause in (clause for group in groups for clause in group.clauses):
        if isinstance(clause.node, nodes.Expectation):
            metric = clause.node.metric.value
            if metric in first:
                yield repeated(f"a second `expect {metric}` in one file", clause.span, first[metric])
            first.setdefault(metric, clause.span)
