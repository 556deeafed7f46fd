"""What a tuner is: a job in, trials told to the job until it is over."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from time import monotonic
from typing import ClassVar

from corecast.backends.measuring import Bench
from corecast.backends.records import Trial
from corecast.backends.workloads import Workload
from corecast.lang.problems import CorecastError
from corecast.model import Target


class TunerError(CorecastError):
    """A tuner that is not there, or that does not take a kernel."""


class SearchOver(Exception):  # noqa: N818 - it is no error
    """The budget of a job is used up: raised where a tuner can only be left by an exception."""


@dataclass
class Job:
    """One kernel to search schedules for, with what may be spent on it.

    Attributes:
        bench: measures candidates for its target.
        trials: how many candidates may be tried in all, those of `known` among them.
        known: what was tried before and need not be tried again.
        seed: of every choice that is made by chance; equal jobs try equal candidates.
        early_stop: over after so many trials without a better one, where given.
        deadline: over at this time of `time.monotonic`, where given.
        log: a file for what the tuner has to say.
        told: called with every new trials, before they count; what it raises ends the search.
    """

    workload: Workload
    bench: Bench
    trials: int
    known: Sequence[Trial]
    seed: int
    log: Path
    early_stop: int | None = None
    deadline: float | None = None
    told: Callable[[Sequence[Trial]], None] = lambda _: None
    made: list[Trial] = field(default_factory=list)

    @property
    def target(self) -> Target:
        return self.bench.target

    @property
    def all(self) -> list[Trial]:
        """Every trial of this kernel, then and now."""
        return [*self.known, *self.made]

    @property
    def left(self) -> int:
        """How many candidates may still be tried."""
        return 0 if self._is_stuck or self._is_late else max(0, self.trials - len(self.all))

    @property
    def _is_late(self) -> bool:
        return self.deadline is not None and monotonic() >= self.deadline

    @property
    def _is_stuck(self) -> bool:
        if self.early_stop is None or not self.made:
            return False
        times = [inf if trial.seconds is None else trial.seconds for trial in self.made]
        return len(times) - 1 - times.index(min(times)) >= self.early_stop

    def tell(self, trials: Sequence[Trial]) -> None:
        """Tell of candidates that were tried."""
        self.told(trials)
        self.made += trials


class Tuner(ABC):
    """A way to search schedules for one kernel at a time; it keeps nothing from one job to the next.

    Attributes:
        name: the name of its entry point, which `--tuner` and reports have.
        default_trials: how many candidates it tries for a kernel where nobody says.
    """

    name: ClassVar[str]
    default_trials: ClassVar[int]

    @abstractmethod
    def refuses(self, workload: Workload, target: Target) -> str | None:
        """Why it can do nothing for this kernel on this target, or None where it can."""

    @abstractmethod
    def search(self, job: Job) -> None:
        """Try candidates, and tell the job of each, until nothing is `left` or there is nothing more to try."""
