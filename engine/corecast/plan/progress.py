"""Long work in steps, told to whoever asks before each of them: for a bar to show, and for a way to stop.

A callback that raises ends the work there and then; its exception reaches the caller as it is. Nothing that was given
has been changed by then, and nothing has been written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Progress:
    """The step that begins now: the `number`-th of `total`, counted from 1."""

    step: str
    number: int
    total: int


OnProgress = Callable[[Progress], object]


class Steps:
    """So many steps, each begun by a call with its name."""

    def __init__(self, total: int, on_progress: OnProgress | None) -> None:
        self._total = total
        self._on_progress = on_progress
        self._number = 0

    def __call__(self, step: str) -> None:
        self._number += 1
        if self._on_progress:
            self._on_progress(Progress(step, self._number, self._total))
