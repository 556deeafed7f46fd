"""The installed tuners by name, and the one for a kernel where nobody asks for one."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint

from corecast.backends.tuners.tuner import Tuner, TunerError
from corecast.backends.workloads import Workload
from corecast.lang.problems import Problem
from corecast.model import Target
from corecast.recipe import installed, made, named, unknown
from corecast.recipe.installed import OURS

GROUP = "corecast.tuners"

# In the order in which they are asked: a schedule that somebody wrote comes before a search among all of them.
_OWN = [
    EntryPoint("families", "corecast.backends.tuners.families:Families", GROUP),
    EntryPoint("metaschedule", "corecast.backends.tuners.metaschedule:MetaSchedule", GROUP),
]


@cache
def tuners() -> tuple[Tuner, ...]:
    """Ours first: one of another distribution is asked for what ours refuse, or by its name.

    Raises `ExtensionError` where a name has two owners, or where what is named is no tuner.
    """
    found = named("the tuner", [*((OURS, point) for point in _OWN), *installed(GROUP)])
    return tuple(made(owner, point, Tuner, "tuner") for owner, point in found.values())


def find_tuner(name: str) -> Tuner:
    """The tuner of a name. Raises `TunerError`."""
    known = {tuner.name: tuner for tuner in tuners()}
    if name not in known:
        message = f"there is no tuner `{name}`"
        raise TunerError(Problem("unknown-tuner", message, help=unknown("tuners", name, list(known))))
    return known[name]


def tuner_for(workload: Workload, target: Target, asked: Tuner | None = None) -> tuple[Tuner, str]:
    """The tuner for a kernel, and why those that would have come before it do not take it.

    Raises `TunerError` where the one that was asked for does not take it, or none does.
    """
    reasons: list[str] = []
    for tuner in [asked] if asked else tuners():
        reason = tuner.refuses(workload, target)
        if reason is None:
            return tuner, "; ".join(reasons)
        reasons.append(reason)
    message = f"no tuner takes {workload.name} on {target.name}: {'; '.join(reasons)}"
    raise TunerError(Problem("untunable", message, help="leave it out, or ask for another tuner by `--tuner`"))
