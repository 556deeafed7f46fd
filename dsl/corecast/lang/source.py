"""Text in, places out: a `Source` is a named text, a `Span` a stretch of it that every later product can point at."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """A rules text and the name under which problems cite it (a path as the user gave it, or `<string>`).

    `path` is where it was read; a text that was read nowhere has nothing beside it that it could use.
    """

    name: str
    text: str
    path: Path | None = field(default=None, compare=False)

    @classmethod
    def read(cls, path: str | Path, name: str | None = None) -> Source:
        """Read a UTF-8 file, cited by its path or `name`; line endings become `\\n`.

        Raises `OSError` and `UnicodeDecodeError`.
        """
        return cls(name or str(path), Path(path).read_text(encoding="utf-8-sig"), Path(path))

    @cached_property
    def _line_starts(self) -> list[int]:
        starts = [0]
        starts.extend(index + 1 for index, char in enumerate(self.text) if char == "\n")
        return starts

    def position(self, offset: int) -> tuple[int, int]:
        """The one-based line and column of a character offset."""
        line = bisect_right(self._line_starts, offset)
        return line, offset - self._line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """The text of a one-based line, without its line ending."""
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return self.text[start:] if end < 0 else self.text[start:end]


@dataclass(frozen=True, slots=True)
class Span:
    """Characters `start` to `end` (exclusive) of a source."""

    source: Source
    start: int
    end: int

    @property
    def line(self) -> int:
        return self.source.position(self.start)[0]

    @property
    def column(self) -> int:
        return self.source.position(self.start)[1]

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.end]

    def __str__(self) -> str:
        return f"{self.source.name}:{self.line}:{self.column}"

    def __repr__(self) -> str:
        return f"<{self}>"
