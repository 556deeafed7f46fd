"""Steps and text in, a terminal's display out: a spinner and colours for a person, plain lines for a pipe."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter

from rich.console import Console, RenderableType
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.text import Text

from corecast.report.activity import doing


class Reporter:
    """Writes results to standard output, and what is going on to standard error."""

    def __init__(self) -> None:
        # A pipe has no width: rows are never cut or wrapped there.
        width = None if sys.stdout.isatty() else 240
        self._out = Console(width=width, highlight=False, emoji=False, soft_wrap=not sys.stdout.isatty())
        self._err = Console(stderr=True, highlight=False, emoji=False, soft_wrap=True)

    def text(self, text: str) -> None:
        """Print text as it stands."""
        self._out.print(text.rstrip("\n"), markup=False)

    def json(self, text: str) -> None:
        """Print JSON as it stands, without colours or line breaks of our own."""
        sys.stdout.write(text.rstrip("\n") + "\n")

    def show(self, renderable: RenderableType) -> None:
        self._out.print(renderable)

    def error(self, text: str) -> None:
        self._err.print(text, markup=False)

    def note(self, text: str) -> None:
        """Say what the reader should know and what is no part of the result."""
        self._err.print(text, markup=False)

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[str, int, int, str], None]]:
        """A bar where somebody watches, a line a report elsewhere.

        Gives a function of what is worked on, how much of it is done, how much there is, and a remark.
        """
        if not self._err.is_terminal:
            yield lambda on, done, total, remark: self._err.print(
                f"{what}: {on}: {done}/{total}, {remark}", markup=False
            )
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[remark]}"),
        )
        with Progress(*columns, TimeElapsedColumn(), console=self._err) as bars:
            rows: dict[str, TaskID] = {}

            def update(on: str, done: int, total: int, remark: str) -> None:
                if on not in rows:
                    rows[on] = bars.add_task(on, remark=remark)
                bars.update(rows[on], completed=done, total=total, remark=remark)

            yield update

    @contextmanager
    def step(self, what: str) -> Iterator[None]:
        """Say what is being done and how long it took; a spinner where somebody watches."""
        start = perf_counter()
        with doing(what):
            if self._err.is_terminal:
                with self._err.status(Text(what)):
                    yield
            else:
                yield
        self._err.print(f"{what} ({perf_counter() - start:.1f} s)", markup=False, style="dim")
