"""Tasks in, records and a result per task out: what a tuner found is checked, and kept where it is right and faster.

Every trial is written down when it is made, and every record when it is decided: who is killed loses a round of one
search at the most, and the next tune goes on from there. What is on record is not searched again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, nullcontext, suppress
from dataclasses import dataclass
from time import monotonic

from corecast.backends.measuring import Bench
from corecast.backends.records import Known, Records, RecordsError, Trial
from corecast.backends.said import reason
from corecast.backends.schedules.stored import Chosen, Stored, code_of
from corecast.backends.tasks import Task
from corecast.backends.tuners import Job, Tuner, tuner_for
from corecast.lang.problems import CorecastError, Problem
from corecast.report.activity import doing
from corecast.verify.tuned import LOG, TaskResult, TuneError, TuneProgress, tuning_failed

__all__ = ["Budget", "TaskResult", "TuneError", "TuneProgress", "tune"]

# How many candidates are compared with TVM's own code where the best ones turn out wrong or slow.
CONTENDERS = 3

Report = Callable[[TuneProgress], None]


@dataclass(frozen=True)
class Budget:
    """What a tune may spend, and by which seed it chooses.

    Attributes:
        trials: candidates for each kernel, instead of the number that its layers ask for or its tuner's own.
        seconds: wall time in all; each kernel gets its part of what is left.
        early_stop: a search ends after so many candidates without a better one.
        again: search kernels that are on record too, from the beginning.
    """

    trials: int | None = None
    seconds: float | None = None
    early_stop: int | None = None
    seed: int = 0
    again: bool = False


def tune(
    tasks: Sequence[Task],
    records: Records,
    *,
    budget: Budget | None = None,
    tuner: Tuner | None = None,
    bench: Bench | None = None,
    cached: Sequence[Records] = (),
    progress: Report | None = None,
) -> list[TaskResult]:
    """Tune each task for the target of `records`, and write down there what is right and faster.

    Args:
        tasks: what `tasks` returned.
        records: where schedules go, task by task: what breaks later loses none.
        budget: what may be spent.
        tuner: what searches; for each kernel the first one that takes it if not given.
        bench: what measures, and stays open; processes on this machine if not given.
        cached: other records that may have a kernel already, which is then taken from there.
        progress: called after every round of measurements.

    Returns:
        A result for each task.

    Raises:
        TuneError: at the end, where every candidate of a task failed, with the first message of the compiler; and at
            once where the records cannot be written, with what was done until then.
    """
    results: list[TaskResult] = []
    problems: list[Problem] = []
    with closing(Bench(records.target)) if bench is None else nullcontext(bench) as measures:
        loop = _Loop(records, budget or Budget(), tuner, measures, cached, progress)
        for number, task in enumerate(tasks):
            try:
                with doing(f"tuning {task.name} ({', '.join(task.layers)})"):
                    outcome = loop.one(task, number, len(tasks))
            except RecordsError as error:
                raise TuneError([*problems, *error.problems], results) from error
            if isinstance(outcome, Problem):
                problems.append(outcome)
            else:
                results.append(outcome)
    if problems:
        raise TuneError(problems, results)
    return results


class _Loop:
    """What all tasks of one tune share."""

    def __init__(
        self,
        records: Records,
        budget: Budget,
        tuner: Tuner | None,
        bench: Bench,
        cached: Sequence[Records],
        report: Report | None,
    ) -> None:
        self._records, self._budget, self._tuner, self._bench = records, budget, tuner, bench
        self._cached, self._report = cached, report
        self._end = None if budget.seconds is None else monotonic() + budget.seconds

    def one(self, task: Task, number: int, tasks: int) -> TaskResult | Problem:
        """Tune one task, or say why there is no schedule for it."""
        if not self._budget.again and (known := self._on_record(task)) is not None:
            return _result(task, known)
        try:
            job, remark = self._searched(task, number, tasks)
        except RecordsError:
            raise
        except CorecastError as error:
            return error.problems[0]
        except Exception as error:  # TVM raises several kinds, none of them its own
            return tuning_failed(task.name, task.layers, "the search broke off", reason(error))
        good = sorted((trial for trial in job.all if trial.seconds is not None), key=lambda trial: trial.seconds or 0)
        failed = [trial for trial in job.all if trial.seconds is None]
        if not good:
            what = f"all {len(failed)} candidates failed" if failed else "no candidate was tried"
            first = failed[0].error if failed else "there was no time, or there are no trials left"
            return tuning_failed(task.name, task.layers, what, reason(first or ""))
        return self._decided(task, job, [trial.schedule for trial in good[:CONTENDERS]], remark)

    def _on_record(self, task: Task) -> Known | None:
        """What is known of a kernel here, or elsewhere: then it is known here from now on."""
        if (known := self._records.find(task.workload)) is not None:
            return known
        for records in self._cached:
            if (known := records.find(task.workload)) is not None:
                self._records.put(task.workload, known.schedule, known.seconds, known.untuned)
                return known
        return None

    def _searched(self, task: Task, number: int, tasks: int) -> tuple[Job, str]:
        """A job whose search has ended, and why no tuner took it that would have come before."""
        tuner, remark = tuner_for(task.workload, self._records.target, self._tuner)
        # What failed then may have failed for want of time or memory, and is tried again.
        before = () if self._budget.again else self._records.trials(task.workload)
        known = [trial for trial in before if trial.seconds is not None]
        job = Job(
            workload=task.workload,
            bench=self._bench,
            trials=self._budget.trials or task.trials or tuner.default_trials,
            known=known,
            seed=self._budget.seed,
            log=self._records.folder / LOG,
            early_stop=self._budget.early_stop,
            deadline=self._deadline(tasks - number),
        )
        started = monotonic()

        def told(trials: Sequence[Trial]) -> None:
            self._records.note(task.workload, trials)
            self._log(task, trials)
            if self._report is not None:
                self._report(_progress(task, job, [*job.all, *trials], number, tasks, monotonic() - started))

        job.told = told
        if job.left:
            tuner.search(job)
        return job, remark

    def _log(self, task: Task, trials: Sequence[Trial]) -> None:
        """Append the whole message of each candidate that failed to the log; a full disk loses the log alone."""
        with suppress(OSError), (self._records.folder / LOG).open("a", encoding="utf-8") as log:
            for trial in trials:
                if trial.error is not None:
                    log.write(f"{task.name}, {trial.schedule}: {trial.error.rstrip()}\n")

    def _deadline(self, tasks_left: int) -> float | None:
        return None if self._end is None else monotonic() + max(0.0, self._end - monotonic()) / tasks_left

    def _decided(self, task: Task, job: Job, contenders: Sequence[Stored], remark: str) -> TaskResult:
        """Compare TVM's code with the best candidates, until one is right and faster, and record that."""
        reason, untuned = "no schedule was faster", 0.0
        for schedule in contenders:
            try:
                code = code_of(schedule, task.workload, self._records.target)
            except CorecastError as error:
                reason = error.problems[0].message
                continue
            worth = self._bench.worth(task.workload, code.module)
            if isinstance(worth, str):
                reason = f"the schedule that was found failed when it was checked: {worth}"
            elif worth.wrong:
                untuned, reason = worth.untuned, f"the schedule that was found computes something else: {worth.wrong}"
            elif worth.seconds < worth.untuned:
                self._records.put(task.workload, schedule, worth.seconds, worth.untuned)
                for records in self._cached:
                    records.put(task.workload, schedule, worth.seconds, worth.untuned)
                return _result(task, Known(schedule, worth.seconds, worth.untuned), job, remark)
            else:
                untuned = worth.untuned
        return _result(task, None, job, remark, reason, untuned)


def _result(
    task: Task,
    known: Known | None,
    job: Job | None = None,
    remark: str = "",
    kept_default: str | None = None,
    untuned: float = 0.0,
) -> TaskResult:
    trials = job.all if job else ()
    return TaskResult(
        task.layers,
        task.name,
        len(trials),
        sum(trial.seconds is None for trial in trials),
        (known.untuned if known else untuned) * 1e6,
        (known.seconds if known else untuned) * 1e6,
        kept_default,
        schedule=_described(known.schedule) if known else "",
        remark=remark,
        on_record=job is None,
    )


def _described(schedule: Stored) -> str:
    return str(schedule) if isinstance(schedule, Chosen) else "metaschedule"


def _progress(task: Task, job: Job, trials: Sequence[Trial], number: int, tasks: int, seconds: float) -> TuneProgress:
    times = [trial.seconds for trial in trials if trial.seconds is not None]
    new = len(trials) - len(job.known)
    return TuneProgress(
        number + 1,
        tasks,
        task.name,
        len(trials),
        job.trials,
        len(trials) - len(times),
        min(times) * 1e6 if times else None,
        layers=task.layers,
        seconds_left=seconds / new * max(0, job.trials - len(trials)) if new else None,
    )
