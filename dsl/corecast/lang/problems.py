"""Problems in, text out: what is wrong with a rules file, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import ClassVar, Literal, TypeVar

from corecast.lang.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One finding: a readable stable `slug`, a message, the place, and what the reader can do about it.

    A place in a text is a span. Elsewhere it is said in words, the file first: `model.onnx: node conv1`. `notes` are
    the other places that it takes to understand it, each with a remark.
    """

    slug: str
    message: str
    span: Span | None = None
    help: str | None = None
    severity: Severity = "error"
    place: str | None = None
    notes: tuple[tuple[str, Span], ...] = ()

    def __str__(self) -> str:
        """`file:line:col: error[slug]: message`, the source line with a caret below it, and the next step."""
        head = f"{self.severity}[{self.slug}]: {self.message}"
        where = str(self.span) if self.span else self.place
        lines = [f"{where}: {head}" if where else head]
        if self.span:
            lines += _excerpt(self.span)
        for remark, span in self.notes:
            lines += [f"  {span}: note: {remark}", *_excerpt(span)]
        if self.help:
            lines.append(f"  help: {self.help}")
        return "\n".join(lines)


_WIDEST = 240


def _excerpt(span: Span) -> list[str]:
    """The span's first line and carets under it; tabs are kept so that the carets stay in line."""
    column = span.column - 1
    first = max(0, column - _WIDEST // 2)  # of a very long line, the stretch around the span
    line = span.source.line(span.line)[first : first + _WIDEST]
    column -= first
    before = "".join(char if char == "\t" else " " for char in line[:column])
    width = max(1, min(span.end - span.start, len(line) - column))
    return [f"    {line}", f"    {before}{'^' * width}"]


_Error = TypeVar("_Error", bound="CorecastError")


class CorecastError(Exception):
    """What the user can put right: carries every problem that one stage found, in the order of their places.

    `exit_status` is the command line's: 2 where the input is wrong, 1 where a check failed.
    """

    exit_status: ClassVar[int] = 2

    def __init__(self, problems: Problem | Iterable[Problem]):
        found = [problems] if isinstance(problems, Problem) else list(problems)
        self.problems: tuple[Problem, ...] = tuple(sorted(found, key=_place))
        super().__init__(*self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))

    def within(self: _Error, place: str) -> _Error:
        """The same error, raised inside a file or a folder: what is no span gets it in front of its place."""
        self.problems = tuple(_within(problem, place) for problem in self.problems)
        return self


def _within(problem: Problem, place: str) -> Problem:
    if problem.span:
        return problem
    return replace(problem, place=f"{place}: {problem.place}" if problem.place else place)


def _place(problem: Problem) -> tuple[str, int]:
    return (problem.span.source.name, problem.span.start) if problem.span else ("", -1)


class RulesError(CorecastError):
    """A rules file that cannot be read: syntax, unknown words, arguments of the wrong kind."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A sentence that offers the known words closest to a mistyped one, or None where none is close."""
    close = get_close_matches(word, sorted(set(known)), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else None
