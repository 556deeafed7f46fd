"""What a schedule family is: a kernel, a target and a few knobs in, code for the kernel out.

A family knows one kind of kernel on one kind of machine well: it says which kernels it takes and why not the others,
which values each of its knobs may have, and guesses good ones without measuring. What it emits either takes the place
of the kernel inside the module and is compiled with it, or is a function of its own with its own host code, which is
compiled apart and called as an external one. In both cases it takes the arguments of the kernel and then its result.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import ClassVar, Literal, NamedTuple

from tvm import tirx
from tvm.ir import IRModule

from corecast.backends.workloads import Workload
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Target

Knob = int | str | bool
Knobs = Mapping[str, Knob]
Calling = Literal["inside", "apart"]


class ScheduleError(CorecastError):
    """Knobs that a family does not have for a kernel, or a kernel that it does not take."""


class Emitted(NamedTuple):
    """The code of a kernel, the function `main` of a module, and how the module that it belongs to calls it."""

    module: IRModule
    calling: Calling


class Family(ABC):
    """Schedules of one kind. It has no state: equal arguments give equal code, in every process.

    Attributes:
        name: the name of its entry point, which records and reports have.
        version: raised when the same knobs come to mean other code; records of another version are not used.
        calling: `inside` for loops of TVM's schedulable kind, which are compiled with the module; `apart` for a whole
            function with host code of its own.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    calling: ClassVar[Calling] = "inside"

    @abstractmethod
    def refuses(self, workload: Workload, target: Target) -> str | None:
        """Why it does not take this kernel on this target, as a clause (`it is grouped`), or None where it does."""

    @abstractmethod
    def space(self, workload: Workload, target: Target) -> Mapping[str, Sequence[Knob]]:
        """The values that each knob may have for a kernel that it takes, neighbours side by side."""

    def objection(self, workload: Workload, target: Target, knobs: Knobs) -> str | None:  # noqa: ARG002
        """Why values that are allowed one by one do not go together, such as more shared memory than there is."""
        return None

    @abstractmethod
    def first_guess(self, workload: Workload, target: Target) -> Knobs:
        """Knobs that should be good without a single measurement."""

    @abstractmethod
    def emit(self, workload: Workload, target: Target, knobs: Knobs) -> tirx.PrimFunc:
        """The code for knobs of its space; it takes the arguments of the kernel and then its result."""


def checked(family: Family, workload: Workload, target: Target, knobs: Knobs) -> Knobs:
    """The same knobs, where the family has them for this kernel. Raises `ScheduleError` with every reason."""
    if reason := family.refuses(workload, target):
        message = f"the schedule family `{family.name}` does not take {workload.name} on {target.name}: {reason}"
        raise ScheduleError(Problem("wrong-schedule", message, help="tune the kernel anew"))
    space = family.space(workload, target)
    wrong = [f"it has no knob `{name}`" for name in knobs.keys() - space.keys()]
    wrong += [f"`{name}` is missing" for name in space.keys() - knobs.keys()]
    wrong += [
        f"`{name}` may be {', '.join(map(str, values))}, not {knobs[name]}"
        for name, values in space.items()
        if name in knobs and not any(type(knobs[name]) is type(value) and knobs[name] == value for value in values)
    ]
    if not wrong and (reason := family.objection(workload, target, knobs)):
        wrong = [reason]
    if wrong:
        message = f"knobs that the schedule family `{family.name}` does not have for {workload.name}: "
        raise ScheduleError(Problem("wrong-schedule", message + "; ".join(sorted(wrong)), help="tune the kernel anew"))
    return knobs


def emitted(family: Family, workload: Workload, target: Target, knobs: Knobs) -> Emitted:
    """The code that a family has for a kernel. Raises `ScheduleError` for knobs that are not in its space."""
    function = family.emit(workload, target, checked(family, workload, target, knobs))
    return Emitted(IRModule({"main": function.with_attr("global_symbol", "main")}), family.calling)


def points(family: Family, workload: Workload, target: Target) -> Iterator[Knobs]:
    """Every combination of knobs that the family has for a kernel, without those that it objects to."""
    space = family.space(workload, target)
    for values in product(*space.values()):
        knobs = dict(zip(space, values, strict=True))
        if family.objection(workload, target, knobs) is None:
            yield knobs
