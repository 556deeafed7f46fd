"""AutoTVM's tasks in, rows of its log and a result per task out: searched by its genetic tuner, checked, then kept.

AutoTVM's own loop ends a search in which everything failed as if nothing had happened, and leaves its messages in a
file of their own. So the loop is here; proposing, compiling and timing schedules is AutoTVM's.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import tvm
from tvm import autotvm
from tvm.autotvm.env import GLOBAL_SCOPE
from tvm.autotvm.measure.measure import create_measure_batch
from tvm.ir import IRModule

from corecast.adapters.relay.kernel import Convolution, Worker, convolution
from corecast.adapters.relay.records import Records
from corecast.adapters.relay.tasks import TemplateTask, without_network
from corecast.adapters.source import last_line
from corecast.lang.problems import Problem
from corecast.model import Target
from corecast.report.activity import doing
from corecast.verify.tuned import LOG, TaskResult, Trials, TuneError, TuneProgress, tuning_failed

DEFAULT_TRIALS = 64

# A generation; AutoTVM's own of 100 would make a search of the usual length a random one.
POPULATION = 16

# Schedules that are compared with numpy, the fastest first, before a task is given up.
MOST_CHECKED = 3

BUILD_TIMEOUT = 120
RUN_TIMEOUT = 60


def target_text(target: Target) -> str:
    """A target as TVM writes it: `cuda -arch=sm_80`."""
    option = {"cuda": "-arch", "llvm": "-mcpu"}[target.kind]
    return f"{target.kind} {option}={target.arch}" if target.arch else target.kind


def unmeasurable(target: Target) -> Problem | None:
    """Why nothing can be measured for a target on this machine; None where it can."""
    if target.kind != "cuda":
        return None
    device = tvm.cuda(0)
    if not device.exist:
        message = f"measuring for {target.name} needs a GPU, and TVM finds none here"
        return Problem("cannot-run-here", message, help="take the bundle to a machine with one; its tasks are the same")
    found = f"sm_{str(device.compute_version).replace('.', '')}"
    if found != target.arch:
        message = f"measuring for {target.name} needs such a GPU, and this one is {found}"
        return Problem("cannot-run-here", message, help=f"take the target cuda:{found}")
    return None


def tune(
    tasks: Sequence[TemplateTask],
    module: IRModule,
    target: Target,
    records: Records,
    *,
    trials: Callable[[TemplateTask], int | None] = lambda _: None,
    seed: int = 0,
    early_stop: int | None = None,
    progress: Callable[[TuneProgress], None] | None = None,
) -> list[TaskResult]:
    """Tune each task that has no record yet, and write down there what is right and faster.

    Args:
        tasks: what `extract` returned for the module and the target.
        module: where their layers stand.
        target: this machine's; `unmeasurable` says whether it is.
        records: where schedules go, task by task: what breaks later loses none.
        trials: how many candidates to try for a task; None for the usual number.
        seed: of the search.
        early_stop: end the search of a task after so many candidates without a better one.
        progress: called after every measurement.

    Returns:
        A result for each task that had no record.

    Raises:
        TuneError: at the end, where a task has no schedule that is right; with the first message of the compiler.
    """
    results: list[TaskResult] = []
    problems: list[Problem] = []
    chip = target_text(target)
    wanted = [task for task in tasks if task.task not in records]
    records.folder.mkdir(parents=True, exist_ok=True)
    log = records.folder / LOG
    with without_network(), Worker(log) as worker:
        for number, task in enumerate(wanted, 1):
            most = trials(task) or DEFAULT_TRIALS
            counted = Trials(number, len(wanted), task.template, most, progress)
            try:
                with doing(f"tuning {task.template} ({', '.join(task.layers)})"):
                    search = _search(task.task, most, seed, early_stop, log, counted)
                    computed = convolution(module, task.layers[0])
                    outcome = _decide(task, search, computed, chip, records, worker)
            except Exception as error:  # AutoTVM raises whatever its processes met
                outcome = tuning_failed(task.template, task.layers, "the search broke off", str(error))
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                results.append(outcome)
    if problems:
        raise TuneError(problems, results)
    return results


@dataclass(frozen=True)
class _Search:
    """The rows of candidates that ran, fastest first; how many failed, and what the first of them said."""

    rows: tuple[str, ...]
    failed: int
    first_error: str | None

    @property
    def trials(self) -> int:
        return len(self.rows) + self.failed


def _search(task: Any, trials: int, seed: int, early_stop: int | None, log: Path, counted: Trials) -> _Search:
    ran: list[tuple[float, str]] = []
    errors: list[str] = []
    with _seeded(seed), _tuning():
        measure = create_measure_batch(task, _measuring())
        tuner = autotvm.tuner.GATuner(task, pop_size=POPULATION)
        since_best = 0
        while (left := trials - len(ran) - len(errors)) > 0 and tuner.has_next():
            # Beyond its generation the tuner would begin to propose it again.
            size = min(measure.n_parallel, left, len(tuner.genes) - tuner.trial_pt)
            inputs = [autotvm.MeasureInput(task.target, task, config) for config in tuner.next_batch(size)]
            results = measure(inputs)
            tuner.update(inputs, results)
            for candidate, result in zip(inputs, results, strict=True):
                seconds = float(np.mean(result.costs)) if result.error_no == 0 else None
                since_best += 1
                if seconds is None:
                    errors.append(_message(result))
                else:
                    since_best = since_best if any(seconds >= best for best, _ in ran) else 0
                    ran.append((seconds, autotvm.record.encode(candidate, result)))
                counted.measured(seconds)
            if early_stop is not None and since_best >= early_stop:
                break
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"{task.name}: {error}\n" for error in errors)
    return _Search(tuple(row for _, row in sorted(ran)), len(errors), errors[0] if errors else None)


def _measuring() -> dict[str, Any]:
    """Candidates are compiled in worker processes and timed in a server's: a crash is a failed candidate."""
    builder = autotvm.LocalBuilder(timeout=BUILD_TIMEOUT)
    runner = autotvm.LocalRunner(timeout=RUN_TIMEOUT, number=1, repeat=3, min_repeat_ms=40)
    options: dict[str, Any] = autotvm.measure_option(builder, runner)
    return options


def _message(result: Any) -> str:
    """What a failed candidate said: a traceback and an error, or a pair of these."""
    error = result.costs[-1]
    return str(error[-1] if isinstance(error, tuple) else error)


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """AutoTVM draws from the generators of the whole process; they go on as they were afterwards."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])


@contextmanager
def _tuning() -> Iterator[None]:
    """Templates leave out what is done ahead in a deployed module, such as packing weights, while this is set."""
    GLOBAL_SCOPE.in_tuning = True
    try:
        yield
    finally:
        GLOBAL_SCOPE.in_tuning = False


def _decide(
    task: TemplateTask, search: _Search, computed: Convolution, target: str, records: Records, worker: Worker
) -> TaskResult | Problem:
    """Compare the fastest candidates with numpy, and the first one that is right with what TVM builds untuned."""
    if not search.rows:
        what = f"all {search.failed} candidates failed"
        return tuning_failed(task.template, task.layers, what, search.first_error or "none could be made")
    before = _untuned(computed, target, worker)
    kept, after, reason = None, before, "no schedule was faster"
    for row in search.rows[:MOST_CHECKED]:
        try:
            outcome = worker.run(computed, target, row)
        except Exception as error:  # the process hands on whatever it met, or has ended
            reason = f"the schedule that was found does not build in a module: {last_line(error)}"
            continue
        if outcome.wrong:
            reason = f"the schedule that was found computes something else: {outcome.wrong}"
            continue
        if outcome.seconds < before:
            kept, after = row, outcome.seconds
        break
    if kept is not None:
        records.put(kept)
    elif before == inf:
        return tuning_failed(task.template, task.layers, "neither found nor default schedules are right", reason)
    return TaskResult(
        task.layers,
        task.template,
        search.trials,
        search.failed,
        before * 1e6,
        after * 1e6,
        None if kept is not None else reason,
    )


def _untuned(computed: Convolution, target: str, worker: Worker) -> float:
    """The time without a schedule; infinite where TVM builds none, or one that is wrong."""
    try:
        outcome = worker.run(computed, target, None)
    except Exception:  # as above
        return inf
    return inf if outcome.wrong else outcome.seconds
