"""Tasks in, records and a result per task out: what a tuner found is checked, and kept where it is right and faster."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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
from corecast.lang.problems import Problem
from corecast.report.activity import doing
from corecast.verify.tuned import (
    LOG,
    TaskResult,
    Trials,
    TuneError,
    TuneProgress,
    differs,
    seeded_operand,
    tuning_failed,
)

Array = NDArray[np.generic]

__all__ = ["TaskResult", "TuneError", "TuneProgress", "tune"]

SEED = 0


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
        searching = tuner or MetaSchedule()
        trials = task.trials or searching.default_trials
        counted = Trials(number, len(tasks), task.name, trials, progress)
        with doing(f"tuning {task.name} ({', '.join(task.layers)})"):
            outcome = _tune_one(task, trials, records, searching, counted)
        if isinstance(outcome, Problem):
            problems.append(outcome)
        else:
            results.append(outcome)
    if problems:
        raise TuneError(problems, results)
    return results


def _tune_one(task: Task, trials: int, records: Records, tuner: Tuner, counted: Trials) -> TaskResult | Problem:
    chip = tvm_target(records.target)
    try:
        search = tuner.search(task, trials, chip, records.folder / LOG, counted.measured)
        if search.candidates:
            return _decide(task, search, records, chip)
    except Exception as error:  # TVM raises several kinds, none of them its own
        return tuning_failed(task.name, task.layers, "the search broke off", str(error))
    what = f"all {search.failed} candidates failed"
    return tuning_failed(task.name, task.layers, what, search.first_error or "none could be made")


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
        """The first difference among the arguments that is more than another order of summation explains."""
        found = (differs(mine, theirs) for mine, theirs in zip(self.values, other.values, strict=True))
        return next((difference for difference in found if difference), None)


def _arguments(kernel: tirx.PrimFunc) -> list[Array]:
    random = np.random.default_rng(SEED)
    infos = ArgInfo.from_prim_func(kernel)
    return [seeded_operand(random, tuple(map(int, info.shape)), str(info.dtype)) for info in infos]
