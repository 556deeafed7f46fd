"""Schedule families as a tuner: the first guess, then its neighbours, then the neighbours of whatever was best."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar

from tvm.ir import IRModule

from corecast.backends.measuring import Measured
from corecast.backends.records import Trial
from corecast.backends.schedules import Family, Knob, Knobs, emitted, family_for, points
from corecast.backends.schedules.stored import Chosen
from corecast.backends.tuners.tuner import Job, Tuner
from corecast.backends.workloads import Workload
from corecast.model import Target

# Candidates that are compiled side by side.
ROUND = 4


class Families(Tuner):
    """Climbs from the first guess of the family that takes a kernel; where no step is left, goes on at random."""

    name: ClassVar[str] = "families"
    default_trials: ClassVar[int] = 12

    def refuses(self, workload: Workload, target: Target) -> str | None:
        found = family_for(workload, target)
        return found if isinstance(found, str) else None

    def search(self, job: Job) -> None:
        family = family_for(job.workload, job.target)
        assert isinstance(family, Family)  # who was refused does not come here
        while job.left and (schedules := _next(family, job, min(ROUND, job.left))):
            job.tell([_trial(*each) for each in zip(schedules, _measured(family, job, schedules), strict=True)])


def _next(family: Family, job: Job, count: int) -> list[Chosen]:
    """The best bets that were not tried yet."""
    tried = [trial.schedule for trial in job.all]
    found: list[Chosen] = []
    for knobs in _bets(family, job):
        schedule = Chosen(family=family.name, version=family.version, knobs=dict(knobs))
        if schedule not in tried and schedule not in found:
            found.append(schedule)
        if len(found) == count:
            break
    return found


def _measured(family: Family, job: Job, schedules: Sequence[Chosen]) -> list[Measured]:
    """The time of each schedule, or what went wrong with it."""
    codes = [_code(family, job, schedule) for schedule in schedules]
    times = iter(job.bench.measure(job.workload, [code for code in codes if not isinstance(code, str)]))
    return [code if isinstance(code, str) else next(times) for code in codes]


def _code(family: Family, job: Job, schedule: Chosen) -> IRModule | str:
    try:
        return emitted(family, job.workload, job.target, schedule.knobs).module
    except Exception as error:  # whatever TVM or the code of a family meets
        return f"{family.name} failed: {error}"


def _trial(schedule: Chosen, measured: Measured) -> Trial:
    return Trial(schedule, None, measured) if isinstance(measured, str) else Trial(schedule, measured)


def _bets(family: Family, job: Job) -> Iterator[Knobs]:
    """All knobs, those first that are most likely good: the first guess, then the neighbours of the fastest so far."""
    workload, target = job.workload, job.target
    guess, space = family.first_guess(workload, target), family.space(workload, target)
    yield guess
    for knobs in _fastest(family, job) or [guess]:
        yield from (each for each in _neighbours(space, knobs) if family.objection(workload, target, each) is None)
    rest = list(points(family, workload, target))
    Random(job.seed).shuffle(rest)
    yield from rest


def _fastest(family: Family, job: Job) -> list[Knobs]:
    times = [
        (trial.seconds, trial.schedule.knobs)
        for trial in job.all
        if trial.seconds is not None and isinstance(trial.schedule, Chosen) and trial.schedule.family == family.name
    ]
    return [knobs for _, knobs in sorted(times, key=lambda each: each[0])]


def _neighbours(space: Mapping[str, Sequence[Knob]], knobs: Knobs) -> Iterator[Knobs]:
    """The same knobs with one of them one step further up or down."""
    for name, values in space.items():
        at = list(values).index(knobs[name])
        for place in (at + 1, at - 1):
            if 0 <= place < len(values):
                yield {**knobs, name: values[place]}
