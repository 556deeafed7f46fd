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
    """Climbs from the first guess of the family that takes a kernel; where no step is better, goes on at random."""

    name: ClassVar[str] = "families"
    default_trials: ClassVar[int] = 12

    def refuses(self, workload: Workload, target: Target) -> str | None:
        found = family_for(workload, target)
        return found if isinstance(found, str) else None

    def search(self, job: Job) -> None:
        family = family_for(job.workload, job.target)
        assert isinstance(family, Family)  # who was refused does not come here
        candidates = _candidates(family, job)
        while job.left:
            tried = [trial.schedule for trial in job.all]
            fresh = (Chosen(family=family.name, version=family.version, knobs=dict(knobs)) for knobs in candidates)
            round = _first(min(ROUND, job.left), (each for each in fresh if each not in tried))
            if not round:
                return
            job.tell([_trial(*each) for each in zip(round, _measured(family, job, round), strict=True)])


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


def _first(count: int, candidates: Iterator[Chosen]) -> list[Chosen]:
    found: list[Chosen] = []
    for each in candidates:
        if each not in found:
            found.append(each)
        if len(found) == count:
            break
    return found


def _candidates(family: Family, job: Job) -> Iterator[Knobs]:
    """Knobs worth trying, the best bet first; what is best is asked anew for each. May give one twice."""
    workload, target = job.workload, job.target
    yield family.first_guess(workload, target)
    space = family.space(workload, target)
    seen: list[Knobs] = []
    while (best := _best(job, family)) is not None and best not in seen:
        seen.append(best)
        yield from (each for each in _neighbours(space, best) if family.objection(workload, target, each) is None)
    rest = list(points(family, workload, target))
    Random(job.seed).shuffle(rest)
    yield from rest


def _best(job: Job, family: Family) -> Knobs | None:
    times = [
        (trial.seconds, trial.schedule.knobs)
        for trial in job.all
        if trial.seconds is not None and isinstance(trial.schedule, Chosen) and trial.schedule.family == family.name
    ]
    return min(times, key=lambda each: each[0])[1] if times else None


def _neighbours(space: Mapping[str, Sequence[Knob]], knobs: Knobs) -> Iterator[Knobs]:
    """The same knobs with one of them one step further up or down."""
    for name, values in space.items():
        at = list(values).index(knobs[name])
        for place in (at + 1, at - 1):
            if 0 <= place < len(values):
                yield {**knobs, name: values[place]}
