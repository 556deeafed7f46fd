"""`--tuner first`: no search, but the first guess of the schedule family that takes a kernel."""

from __future__ import annotations

from typing import ClassVar

from corecast.backends.records import Trial
from corecast.backends.schedules import Family, emitted, family_for
from corecast.backends.schedules.stored import Chosen
from corecast.backends.tuners import Job, Tuner
from corecast.backends.workloads import Workload
from corecast.model import Target


class First(Tuner):
    name: ClassVar[str] = "first"
    default_trials: ClassVar[int] = 1

    def refuses(self, workload: Workload, target: Target) -> str | None:
        found = family_for(workload, target)
        return found if isinstance(found, str) else None

    def search(self, job: Job) -> None:
        family = family_for(job.workload, job.target)
        assert isinstance(family, Family)
        knobs = family.first_guess(job.workload, job.target)
        code = emitted(family, job.workload, job.target, knobs).module
        (found,) = job.bench.measure(job.workload, [code])
        schedule = Chosen(family=family.name, version=family.version, knobs=dict(knobs))
        job.tell([Trial(schedule, None, found) if isinstance(found, str) else Trial(schedule, found)])
