"""The installed schedule families by name, and the one that takes a kernel."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint

from corecast.backends.schedules.family import Family, ScheduleError
from corecast.backends.workloads import Workload
from corecast.lang.problems import Problem
from corecast.model import Target
from corecast.recipe import installed, made, named, unknown
from corecast.recipe.installed import OURS

GROUP = "corecast.schedules"

_OWN = [
    EntryPoint("blocked_cpu", "corecast.backends.schedules.blocked_cpu:BlockedCpu", GROUP),
    EntryPoint("hwnc_sm90", "corecast.backends.schedules.hwnc_sm90:HwncSm90", GROUP),
]


@cache
def families() -> tuple[Family, ...]:
    """Those of other distributions first, so that they come before ours where both take a kernel.

    Raises `ExtensionError` where a name has two owners, or where what is named is no family.
    """
    found = named("the schedule family", [*installed(GROUP), *((OURS, point) for point in _OWN)])
    return tuple(made(owner, point, Family, "schedule family") for owner, point in found.values())


def find_family(name: str) -> Family:
    """The family of a name. Raises `ScheduleError`."""
    known = {family.name: family for family in families()}
    if name not in known:
        message = f"there is no schedule family `{name}`"
        raise ScheduleError(Problem("unknown-family", message, help=unknown("families", name, list(known))))
    return known[name]


def family_for(workload: Workload, target: Target) -> Family | str:
    """The first family that takes a kernel; or why none does, with the reason of each."""
    reasons = []
    for family in families():
        reason = family.refuses(workload, target)
        if reason is None:
            return family
        reasons.append(f"{family.name}: {reason}")
    return "; ".join(reasons)
