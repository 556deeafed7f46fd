"""A schedule as text and back, and the code that it stands for: what records hold, and what a build takes from them.

A schedule is a family with its knobs, or the trace of a search: the list of TVM's scheduling steps as JSON. Both are
plain data. Nothing of them is carried out before their form was checked.
"""

from __future__ import annotations

import json
from typing import Any, Literal

import tvm
from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from corecast.backends.cuda import tensor_intrinsics
from corecast.backends.said import reason
from corecast.backends.schedules.family import Emitted, Knob, ScheduleError, emitted
from corecast.backends.schedules.find import find_family
from corecast.backends.workloads import Workload
from corecast.lang.problems import Problem
from corecast.model import Target

# No search makes a schedule this long; what is longer was not made by one.
LONGEST = 1 << 20


class _Stored(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Chosen(_Stored):
    """A schedule family with a value for each of its knobs."""

    kind: Literal["family"] = "family"
    family: str
    version: int
    knobs: dict[str, Knob]

    def __str__(self) -> str:
        return f"{self.family} {' '.join(f'{name}={value}' for name, value in sorted(self.knobs.items()))}"


class Traced(_Stored):
    """What a search did: TVM's scheduling steps, and the decisions that it made at some of them."""

    kind: Literal["trace"] = "trace"
    steps: list[tuple[str, list[JsonValue], list[JsonValue], list[str]]]
    decisions: list[tuple[int, JsonValue]]

    def __str__(self) -> str:
        return f"a trace of {len(self.steps)} steps"


Stored = Chosen | Traced
_ADAPTER: TypeAdapter[Stored] = TypeAdapter(Stored)


def traced(trace: Trace) -> Traced:
    """A trace of TVM's as plain data."""
    steps, decisions = json.loads(json.dumps(trace.as_json(), default=_plain))
    return Traced.model_validate_json(json.dumps({"steps": steps, "decisions": decisions}))


def as_text(schedule: Stored) -> str:
    """One line of JSON; equal schedules give equal text."""
    return json.dumps(schedule.model_dump(), sort_keys=True, separators=(",", ":"))


def from_text(text: str) -> Stored:
    """The schedule that a text stands for. Raises `ScheduleError` for what is none."""
    try:
        if len(text) > LONGEST:
            raise ValueError(f"it has {len(text)} characters")
        return _ADAPTER.validate_json(text)
    except (ValidationError, ValueError, RecursionError) as error:
        message = f"this is no schedule: {str(error).splitlines()[0]}"
        raise ScheduleError(Problem("wrong-schedule", message, help="tune the kernel anew")) from None


def code_of(schedule: Stored, workload: Workload, target: Target) -> Emitted:
    """The code of a kernel with a schedule. Raises `ScheduleError` where the schedule does not fit the kernel."""
    if isinstance(schedule, Traced):
        return Emitted(carried_out(schedule, workload).mod, "inside")
    family = find_family(schedule.family)
    if family.version != schedule.version:
        message = f"{workload.name} has a schedule of version {schedule.version} of the family `{family.name}`, and "
        message += f"version {family.version} is installed"
        raise ScheduleError(Problem("wrong-schedule", message, help="tune the kernel anew"))
    return emitted(family, workload, target, schedule.knobs)


def kernel_module(kernel: tirx.PrimFunc) -> IRModule:
    """A copy of a kernel, alone in a module as `main`, in the form in which MetaSchedule writes it down.

    A deep copy, because a `Schedule` may edit in place what others refer to: with `body = kernel.body` in scope, to
    unroll a loop in `Schedule(IRModule({"main": kernel.with_attr(...)}))` changes `kernel`.
    """
    if not (kernel.attrs and "global_symbol" in kernel.attrs):
        kernel = kernel.with_attr("global_symbol", "main")
    module = IRModule({"main": kernel.with_attr("tirx.noalias", True)})
    return tvm.ir.load_json(tvm.ir.save_json(module))


def carried_out(schedule: Traced, workload: Workload) -> Schedule:
    """A kernel with the steps of a trace taken. Raises `ScheduleError` where they do not fit it."""
    if any(kind == "Tensorize" for kind, *_ in schedule.steps):
        tensor_intrinsics()
    fresh = Schedule(kernel_module(workload.function))
    try:
        Trace.apply_json_to_schedule([list(map(list, schedule.steps)), list(map(list, schedule.decisions))], fresh)
    except Exception as error:  # TVM raises several kinds, none of them its own
        message = f"the schedule on record does not fit {workload.name}: {reason(error)}"
        raise ScheduleError(Problem("wrong-schedule", message, help="tune the kernel anew")) from error
    return fresh


def _plain(value: Any) -> float | int | str:
    """TVM's own numbers, which the JSON of a trace has in it."""
    number: float | int | str = value.value
    return number
