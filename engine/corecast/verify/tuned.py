"""What a tuner found in, what it is worth out: is its answer right, and how much faster did a kernel become?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial

import ml_dtypes
import numpy as np
from numpy.typing import NDArray

from corecast.lang.problems import CorecastError, Problem

Array = NDArray[np.generic]

# The file beside the records in which the tuner's own messages stand.
LOG = "tuning.log"


@dataclass(frozen=True)
class TuneProgress:
    """Where a tune stands: task `number` of `tasks`, its trials so far, and its fastest schedule so far.

    `seconds_left` is what the rest of its trials will take at the pace so far, where that is known.
    """

    number: int
    tasks: int
    kernel: str
    done: int
    trials: int
    failed: int
    best_us: float | None
    layers: tuple[str, ...] = ()
    seconds_left: float | None = None


@dataclass(frozen=True)
class TaskResult:
    """One tuned kernel: the time of its default schedule, and of the one that a build takes now.

    Both are measured in one go on the same inputs. `kept_default` says why the default schedule stays, if it does;
    `schedule` which one was kept; `remark` why a better suited tuner did not take the kernel; `on_record` whether it
    was known and nothing was searched.
    A default schedule that does not build takes infinitely long.
    """

    layers: tuple[str, ...]
    workload: str
    trials: int
    failed: int
    before_us: float
    after_us: float
    kept_default: str | None = None
    schedule: str = ""
    remark: str = ""
    on_record: bool = False


class TuneError(CorecastError):
    """Tasks for which no candidate could be compiled and run; `results` are those of the other tasks."""

    exit_status = 1

    def __init__(self, problems: Iterable[Problem] | Problem, results: Sequence[TaskResult] = ()) -> None:
        super().__init__(problems)
        self.results = tuple(results)


class Trials:
    """Counts the measurements of one task, and reports each."""

    def __init__(
        self, number: int, tasks: int, kernel: str, trials: int, report: Callable[[TuneProgress], None] | None
    ) -> None:
        self._progress = partial(TuneProgress, number, tasks, kernel, trials=trials)
        self._report = report
        self._times: list[float | None] = []

    def measured(self, seconds: float | None) -> None:
        """Note a trial: its time, or None where it failed."""
        self._times.append(seconds)
        if self._report is not None:
            times = [time for time in self._times if time is not None]
            best = min(times) * 1e6 if times else None
            done = len(self._times)
            self._report(self._progress(done=done, failed=done - len(times), best_us=best))


def tuning_failed(kernel: str, layers: Sequence[str], what: str, error: str) -> Problem:
    """The problem of a task without a schedule, with the last line of a compiler's message."""
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    message = f"no schedule for {kernel} ({', '.join(layers)}): {what}: {lines[-1] if lines else 'no message'}"
    return Problem("tuning-failed", message, help=f"the whole message is in {LOG} beside the records")


def differs(mine: Array, theirs: Array) -> str | None:
    """The largest difference, where it is more than another order of summation explains; integers must be equal."""
    exact = mine.dtype.kind in "biu"
    scale = float(np.abs(theirs.astype(np.float64)).max(initial=0.0)) or 1.0
    largest = float(np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))
    difference = largest / scale
    allowed = 0.0 if exact else float(np.sqrt(float(ml_dtypes.finfo(mine.dtype).eps)))
    if difference <= allowed:
        return None  # asked this way round, NaN is a difference
    return f"difference {difference:.3g} of the largest value, {allowed:.3g} allowed"


def seeded_operand(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    """Standard normal floats, all of int8 and uint8, and zeros and ones in wider integers, which may be indices."""
    kind: np.dtype[np.generic] = np.dtype(getattr(ml_dtypes, dtype, dtype))
    if dtype in ("int8", "uint8"):
        limits = np.iinfo(dtype)
        return random.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)
    if kind.kind in "biu":
        return random.integers(0, 2, shape).astype(kind)
    return random.standard_normal(shape).astype(kind)
