"""A Markdown file in, its cases out: each `## heading` with the fenced blocks below it; and their texts written back.

A fence names the kind of its block: what a case is given, and what it expects. One without a name is prose.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from corecast.lang import CorecastError, Problem, Source, Span

_FENCE = re.compile(r"(`{3,})[ \t]*(\w*)[^`\n]*$")


class CaseFileError(CorecastError):
    """A file of cases that cannot be read: two of one name, a block that is never closed or stands before any case."""


@dataclass(frozen=True)
class Block:
    """A fenced block: its text, and the zero-based lines of the file between its fences."""

    text: str
    first: int
    end: int


@dataclass
class Case:
    """A heading with the blocks below it; `line` is the heading's, from one, `end` the number of its last line."""

    name: str
    title: str
    line: int
    source: Source
    end: int = 0
    blocks: dict[str, Block] = field(default_factory=dict)

    def span(self, line: int) -> Span:
        """A line of the file, from one."""
        text = self.source.line(line)
        start = sum(len(self.source.line(number)) + 1 for number in range(1, line))
        return Span(self.source, start, start + max(1, len(text)))

    def place(self, kind: str) -> Span:
        """Where a block begins; the heading, where there is no such block."""
        return self.span(self.blocks[kind].first if kind in self.blocks else self.line)


def read_cases(source: Source) -> dict[str, Case]:
    """The cases of a file by name. A heading inside a fence is none. Raises `CaseFileError`."""
    cases: dict[str, Case] = {}
    case: Case | None = None
    lines = iter(enumerate(_lines(source.text)))
    for number, line in lines:
        if line.startswith("## "):
            case = Case(_slug(line), line[3:].strip(), number + 1, source)
            if case.name in cases:
                raise _error(case, number + 1, f"a second case is called `{case.name}`")
            cases[case.name] = case
        elif fence := _FENCE.match(line):
            block = _block(lines, fence[1], number + 1)
            here = case or Case("", "", 1, source)
            if block is None:
                raise _error(here, number + 1, "this block is never closed")
            if fence[2] and case is None:
                raise _error(here, number + 1, "a block stands before the first `## heading`")
            if fence[2] in here.blocks:
                raise _error(here, number + 1, f"a second `{fence[2]}` in one case")
            if fence[2]:
                here.blocks[fence[2]] = block
            number = block.end
        if case:
            case.end = number + 1 if line.strip() else case.end
    return cases


def _block(lines: Iterator[tuple[int, str]], fence: str, first: int) -> Block | None:
    texts: list[str] = []
    for _, line in lines:
        if line.rstrip() == fence:
            return Block("".join(texts), first, first + len(texts))
        texts.append(line)
    return None


def _lines(text: str) -> list[str]:
    """The lines of a text with their ends, counted as a `Source` counts them."""
    return re.findall(r".*\n|.+", text)


def _slug(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", heading.lower()).strip("-")


def _error(case: Case, line: int, message: str) -> CaseFileError:
    return CaseFileError(Problem("bad-case", message, case.span(line), "a case is a `## heading` with its blocks"))


def with_texts(text: str, name: str, texts: Mapping[str, str]) -> str:
    """A file of cases with other texts in the blocks of one case; a block that it lacks is put at its end."""
    lines = _lines(text)
    case = read_cases(Source("cases", text))[name]
    known = [kind for kind in texts if kind in case.blocks]
    for kind in sorted(known, key=lambda kind: -case.blocks[kind].first):  # from the end: lines above keep their places
        first, end = case.blocks[kind].first, case.blocks[kind].end
        lines[first - 1 : end + 1] = _lines(_fenced(kind, texts[kind], len(lines[end].rstrip())))
    new = [kind for kind in texts if kind not in case.blocks]
    if new:
        end = read_cases(Source("cases", "".join(lines)))[name].end
        lines[end - 1] = lines[end - 1].rstrip("\n") + "\n"
        lines[end:end] = [_fenced(kind, texts[kind]) for kind in new]
    return "".join(lines)


def _fenced(kind: str, text: str, least: int = 3) -> str:
    """A text between fences that are longer than any in it."""
    inner = max((len(fence) for fence in re.findall(r"^`{3,}", text, re.MULTILINE)), default=0)
    fence = "`" * max(least, inner + 1)
    return f"{fence}{kind}\n{text}{fence}\n"
