"""Tasks in, records and a result per task out: what a tuner found is checked, and kept where it is right and faster."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import ml_dtypes
import numpy as np
import tvm
from numpy.typing import NDArray
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.s_tir.schedule import Trace

from corecast.backends.host import tvm_target
from corecast.backends.records import Records, scheduled, workload_of
from corecast.backends.tasks import Task
from corecast.backends.tuners import Search, Tuner
from corecast.backends.tuners.metaschedule import MetaSchedule
from corecast.lang.problems import CorecastError, Problem
from corecast.report.activity import doing

Array = NDArray[np.generic]

SEED = 0
LOG = "tuning.log"


@dataclass(frozen=True)
class TuneProgress:
    """Where a tune stands: task `number` of `tasks`, its trials so far, and its fastest schedule so far."""

    number: int
    tasks: int
    task: Task
    done: int
    trials: int
    failed: int
    best_us: float | None


@dataclass(frozen=True)
class TaskResult:
    """One tuned kernel: the time of its default schedule, and of the one that a build takes now.

    Both are measured in one go on the same inputs. `kept_default` says why the default schedule stays, if it does.
    """

    layers: tuple[str, ...]
    workload: str
    trials: int
    failed: int
    before_us: float
    after_us: float
    kept_default: str | None = None


class TuneError(CorecastError):
    """Tasks for which no candidate could be compiled and run; `results` are those of the other tasks."""

    exit_status = 1

    def __init__(self, problems: Iterable[Problem], results: Sequence[TaskResult] = ()) -> None:
        super().__init__(problems)
        self.results = tuple(results)


def tune(
    tasks: Sequence[Task],
    records: Records,
    *,
    tuner: Tuner | None = None,
    progress: Callable[[TuneProgress], None] | None = None,
) -> list[TaskResult]:
    """Tune each task for the target of `records`, and write down there what is right and faster.

    Args:
        tasks: what `tasks` returned.
        records: where schedules go, task by task: what breaks later loses none.
        tuner: what searches; MetaSchedule if not given.
        progress: called after every measurement.

    Returns:
        A result for each task.

    Raises:
        TuneError: at the end, where every candidate of a task failed; with the first message of the compiler.
    """
    results, problems = [], []
    for number, task in enumerate(tasks, 1):
        counted = _Counter(number, len(tasks), task, progress)
        with doing(f"tuning {task.name} ({', '.join(task.layers)})"):
            outcome = _tune_one(task, records, tuner or MetaSchedule(), counted)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            results.append(outcome)
    if problems:
        raise TuneError(problems, results)
    return results


class _Counter:
    """Makes reports of progress from the measurements of one task."""

    def __init__(self, number: int, tasks: int, task: Task, report: Callable[[TuneProgress], None] | None) -> None:
        self._progress = partial(TuneProgress, number, tasks, task)
        self._report = report
        self._times: list[float | None] = []

    def measured(self, trials: int, seconds: float | None) -> None:
        self._times.append(seconds)
        if self._report is not None:
            times = [time for time in self._times if time is not None]
            best = min(times) * 1e6 if times else None
            self._report(self._progress(len(self._times), trials, len(self._times) - len(times), best))


def _tune_one(task: Task, records: Records, tuner: Tuner, counted: _Counter) -> TaskResult | Problem:
    chip = tvm_target(records.target)
    trials = task.trials or tuner.default_trials
    try:
        search = tuner.search(task, trials, chip, records.folder / LOG, partial(counted.measured, trials))
        if search.candidates:
            return _decide(task, search, records, chip)
    except Exception as error:  # TVM raises several kinds, none of them its own
        return _problem(task, "the search broke off", str(error))
    return _problem(task, f"all {search.failed} candidates failed", search.first_error or "none could be made")


def _problem(task: Task, what: str, error: str) -> Problem:
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    message = f"no schedule for {task.name} ({', '.join(task.layers)}): {what}: {lines[-1] if lines else 'no message'}"
    return Problem("tuning-failed", message, help=f"the whole message is in {LOG} beside the records")


def _decide(task: Task, search: Search, records: Records, chip: tvm.target.Target) -> TaskResult:
    """Compare the default schedule, the best one found and the one on record, on the same inputs and in one go."""
    default = _Kernel(workload_of(task.function), chip)
    before = default.seconds()
    kept, after, reason = None, before, "no schedule was faster"
    for trace in _contenders(task, search, records):
        kernel = _Kernel(scheduled(task.function, trace), chip)
        if wrong := kernel.differs_from(default):
            reason = f"the schedule that was found computes something else: {wrong}"
        elif (seconds := kernel.seconds()) < after:
            kept, after = trace, seconds
    if kept is not None:
        records.put(task.function, kept, after)
    return TaskResult(
        task.layers,
        task.name,
        search.trials,
        search.failed,
        before * 1e6,
        after * 1e6,
        None if kept is not None else reason,
    )


def _contenders(task: Task, search: Search, records: Records) -> list[Trace]:
    known = records.find(task.function)
    return [search.candidates[0].trace] + ([known] if known is not None else [])


class _Kernel:
    """A compiled kernel with seeded arguments, equal for all kernels of one task; results are among the arguments."""

    def __init__(self, workload: IRModule, chip: tvm.target.Target) -> None:
        self._code = tvm.tirx.build(workload, target=chip)
        self._arguments = [tvm.runtime.tensor(array) for array in _arguments(workload["main"])]
        self._code["main"](*self._arguments)
        self.values = [argument.numpy() for argument in self._arguments]

    def seconds(self) -> float:
        """The median time of a run; a first one that does not count goes before."""
        timer = self._code.time_evaluator("main", tvm.cpu(), number=1, repeat=5, min_repeat_ms=20)
        return float(timer(*self._arguments).median)

    def differs_from(self, other: _Kernel) -> str | None:
        """The largest difference, where it is more than another order of summation explains."""
        for mine, theirs in zip(self.values, other.values, strict=True):
            difference, allowed = _difference(mine, theirs)
            if not difference <= allowed:  # also where it is NaN
                return f"difference {difference:.3g} of the largest value, {allowed:.3g} allowed"
        return None


def _difference(mine: Array, theirs: Array) -> tuple[float, float]:
    """The largest difference relative to the largest value, and how large it may be: not at all for integers."""
    exact = mine.dtype.kind in "biu"
    scale = float(np.abs(theirs.astype(np.float64)).max(initial=0.0)) or 1.0
    largest = float(np.abs(mine.astype(np.float64) - theirs.astype(np.float64)).max(initial=0.0))
    return largest / scale, 0.0 if exact else float(np.sqrt(float(ml_dtypes.finfo(mine.dtype).eps)))


def _arguments(kernel: tirx.PrimFunc) -> list[Array]:
    """Standard normal floats, all of int8 and uint8, and zeros and ones in wider integers, which may be indices."""
    random = np.random.default_rng(SEED)
    return [_random(random, tuple(map(int, info.shape)), str(info.dtype)) for info in ArgInfo.from_prim_func(kernel)]


def _random(random: np.random.Generator, shape: tuple[int, ...], dtype: str) -> Array:
    kind: Any = np.dtype(getattr(ml_dtypes, dtype, dtype))
    if dtype in ("int8", "uint8"):
        limits = np.iinfo(kind)
        return random.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    if kind.kind in "biu":
        return random.integers(0, 2, shape).astype(kind)
    return random.standard_normal(shape).astype(kind)
