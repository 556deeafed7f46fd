"""What a tuner is: one kernel and a number of trials in, the schedules that it measured out, the fastest first.

A tuner only searches. Whether a schedule is right, faster than what was there and worth a record is decided in
`corecast.backends.tuning`, in the same way for all of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import tvm
from tvm.s_tir.schedule import Trace

from corecast.backends.tasks import Task


@dataclass(frozen=True)
class Candidate:
    """A schedule and the time that the tuner measured for it."""

    trace: Trace
    seconds: float


@dataclass(frozen=True)
class Search:
    """What a search found, fastest first; how many candidates did not build or run, and what the first of them said."""

    candidates: tuple[Candidate, ...]
    failed: int
    first_error: str | None

    @property
    def trials(self) -> int:
        return len(self.candidates) + self.failed


class Tuner(Protocol):
    """`search` tries up to `trials` schedules and calls `measured` after each, with None for one that failed."""

    default_trials: int

    def search(
        self,
        task: Task,
        trials: int,
        chip: tvm.target.Target,
        log: Path,
        measured: Callable[[float | None], None],
    ) -> Search: ...


__all__ = ["Candidate", "Search", "Tuner"]
