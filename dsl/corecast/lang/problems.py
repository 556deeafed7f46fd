"""Problems in, text out: what is wrong with a rules file, where, why, and what to do next."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import ClassVar, Literal

from corecast.lang.source import Span

Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class Problem:
    """One finding: a readable stable `slug`, a message, the place, and what the reader can do about it."""

    slug: str
    message: str
    span: Span | None = None
    help: str | None = None
    severity: Severity = "error"

    def __str__(self) -> str:
        """`file:line:col: error[slug]: message`, the source line with a caret below it, and the next step."""
        head = f"{self.severity}[{self.slug}]: {self.message}"
        lines = [f"{self.span}: {head}" if self.span else head]
        if self.span:
            lines += _excerpt(self.span)
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


class CorecastError(Exception):
    """What the user can put right: carries every problem that one stage found, in the order of their places.

    `exit_status` is the command line's: 2 where the input is wrong, 1 where a check failed.
    """

    exit_status: ClassVar[int] = 2

    def __init__(self, problems: Problem | Iterable[Problem]):
        found = [problems] if isinstance(problems, Problem) else list(problems)
        self.problems: tuple[Problem, ...] = tuple(sorted(found, key=_place))
        super().__init__("\n".join(str(problem) for problem in self.problems))


def _place(problem: Problem) -> tuple[str, int]:
    return (problem.span.source.name, problem.span.start) if problem.span else ("", -1)


class RulesError(CorecastError):
    """A rules file that cannot be read: syntax, unknown words, arguments of the wrong kind."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """A sentence that offers the known words closest to a mistyped one, or None where none is close."""
    close = get_close_matches(word, sorted(set(known)), n=3, cutoff=0.6)
    return f"did you mean {' or '.join(f'`{name}`' for name in close)}?" if close else None
