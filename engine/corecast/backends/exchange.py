"""Records and MetaSchedule's JSON: a store in, its two files out, and those files in, candidates for a store out.

What comes from outside is never a record at once. It becomes trials: the next `tune` of an equal kernel begins with
them, compares them with TVM's own code, and records what is right and faster here.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import tvm
from pydantic import BaseModel, JsonValue, ValidationError
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace

from corecast.backends.host import driver
from corecast.backends.records import digest_of
from corecast.backends.schedules.stored import Traced, as_text, from_text
from corecast.backends.store import Key, Record, RecordsError, Store, StoredTrial
from corecast.model.targets import find_target, known_targets

WORKLOADS, RECORDS = "database_workload.json", "database_tuning_record.json"
# A line that is longer is no kernel and no schedule.
LONGEST = 1 << 26
_LENGTH = 8


class _Line(BaseModel):
    """A line of the file of records: which workload, and the trace, its times, its target and its arguments."""

    workload: int
    trace: tuple[list[tuple[str, list[JsonValue], list[JsonValue], list[str]]], list[tuple[int, JsonValue]]]
    seconds: list[float] | None
    target: dict[str, JsonValue]


def exported(store: Store, folder: Path) -> tuple[int, list[Record]]:
    """Write the records that MetaSchedule can have into a folder, and return how many, and those that it cannot have.

    Raises `RecordsError` where there are such files already.
    """
    if any((folder / name).exists() for name in (WORKLOADS, RECORDS)):
        raise RecordsError.of("output-exists", f"there are MetaSchedule's files in {folder} already", "name another")
    schedules = {record: from_text(record.schedule) for record in store.records()}
    traces = {record: each for record, each in schedules.items() if isinstance(each, Traced)}
    folder.mkdir(parents=True, exist_ok=True)
    database = ms.database.JSONDatabase(work_dir=str(folder))
    for record, schedule in traces.items():
        module = tvm.ir.load_json(record.kernel)
        fresh = Schedule(module)
        Trace.apply_json_to_schedule([list(map(list, schedule.steps)), list(map(list, schedule.decisions))], fresh)
        workload = database.commit_workload(module)
        chip = tvm.target.Target(_chip(record.target))
        database.commit_tuning_record(ms.database.TuningRecord(fresh.trace, workload, [record.seconds], chip))
    return len(traces), [record for record in schedules if record not in traces]


def imported(folder: Path, store: Store) -> tuple[int, list[str]]:
    """Take MetaSchedule's files in a folder as candidates, and return how many, and why others were left out.

    Raises `RecordsError` where a file cannot be read.
    """
    kernels = [_kernel(folder / WORKLOADS, number, line) for number, line in _lines(folder / WORKLOADS)]
    trials, refused = [], []
    for number, line in _lines(folder / RECORDS):
        place = f"{folder / RECORDS}, line {number}"
        try:
            index, (trace, seconds, target, *_) = line
            read = _Line(workload=index, trace=trace, seconds=seconds, target=target)
        except (TypeError, ValueError, ValidationError, RecursionError):
            raise _broken(place, "it is no record of MetaSchedule's") from None
        if not 0 <= read.workload < len(kernels):
            raise _broken(place, f"it is for workload {read.workload}, which the other file does not have")
        if isinstance(key := _key(kernels[read.workload], read.target), str):
            refused.append(f"line {number}: {key}")
        elif not read.seconds or not all(0 < each < 1e9 for each in read.seconds):
            refused.append(f"line {number}: it failed when it was measured")
        else:
            schedule = as_text(Traced(steps=read.trace[0], decisions=read.trace[1]))
            median = sorted(read.seconds)[len(read.seconds) // 2]
            trials.append(StoredTrial(**asdict(key), schedule=schedule, seconds=median, error=None))
    store.note(trials)
    return len(trials), refused


def _lines(path: Path) -> Iterator[tuple[int, Any]]:
    try:
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if len(line) > LONGEST:
                raise _broken(f"{path}, line {number}", "it is too long")
            yield number, json.loads(line)
    except FileNotFoundError:
        raise RecordsError.of("no-records", f"there is no {path}", "check the path") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise _broken(str(path), str(error).splitlines()[0]) from None


def _kernel(path: Path, number: int, line: Any) -> IRModule:
    place = f"{path}, line {number}"
    try:
        _, encoded = line
        written = base64.b64decode(encoded, validate=True)
        # MetaSchedule writes a string of C++: its length goes before it.
        if int.from_bytes(written[:_LENGTH], "little") != len(written) - _LENGTH:
            raise ValueError("it is cut off")
        module = tvm.ir.load_json(written[_LENGTH:].decode())
    except Exception as error:  # TVM raises several kinds, none of them its own
        raise _broken(place, (str(error).strip().splitlines() or ["it is no kernel"])[-1]) from None
    if not isinstance(module, IRModule) or "main" not in {var.name_hint for var in module.get_global_vars()}:
        raise _broken(place, "it is no module with a kernel `main`")
    return module


def _key(kernel: IRModule, target: dict[str, JsonValue]) -> Key | str:
    """What candidates of a kernel for a target are found by, or why that target is none of ours."""
    kind, arch = target.get("kind"), target.get("mcpu") or target.get("arch")
    name = f"{kind}:{arch}" if arch else str(kind)
    known = {each.name for each in known_targets()}
    if name not in known:
        return f"nothing is known of its target `{name}`"
    function = kernel["main"]
    dtype = str(function.params[0].ty.dtype) if function.params else ""
    return Key(digest_of(function), f"{kind}:{arch or 'generic'}", dtype, tvm.__version__, driver(find_target(name)))


def _chip(target: str) -> dict[str, str]:
    kind, arch = target.split(":", 1)
    return {"kind": kind} | ({} if arch == "generic" else {"mcpu" if kind == "llvm" else "arch": arch})


def _broken(place: str, error: str) -> RecordsError:
    return RecordsError.of("broken-records", f"cannot read {place}: {error}", "nothing was taken from it")


__all__ = ["exported", "imported"]
