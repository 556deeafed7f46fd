"""A folder in, the best known schedule of each kernel out: tuning records, kept apart by target and TVM version.

The folder holds MetaSchedule's two JSON files and a header. MetaSchedule's own database ignores the target when it is
asked, so the header is what keeps the schedules of one chip from another. One process at a time may write.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import tvm
from pydantic import BaseModel, ConfigDict, ValidationError
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.schedule import Trace
from tvm_ffi import structural_equal

from corecast.backends.host import tvm_target
from corecast.lang.problems import CorecastError, Problem
from corecast.model import Target

_WORKLOADS = "database_workload.json"
_RECORDS = "database_tuning_record.json"
_HEADER = "records.json"
_SAVING = ".saving-"


class RecordsError(CorecastError):
    """Records that cannot be read, or that belong to another target or another TVM."""

    @classmethod
    def of(cls, slug: str, message: str, help: str) -> RecordsError:
        return cls(Problem(slug, message, help=help))


class Header(BaseModel):
    """Whom the records belong to: the target, the chip's name where the target is this machine, and TVM's version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    target: str
    arch: str | None
    tvm: str

    @classmethod
    def here(cls, target: Target) -> Header:
        """The header of records that are made now for `target`."""
        chip = tvm_target(target)
        arch = chip.attrs.get("mcpu") or target.arch
        return cls(target=target.name, arch=None if arch is None else str(arch), tvm=tvm.__version__)

    def __str__(self) -> str:
        return f"{self.target}{f' ({self.arch})' if self.arch else ''} and TVM {self.tvm}"


class Records:
    """The records in one folder: at most one schedule for each kernel. Nothing is held in memory between calls."""

    def __init__(self, folder: Path, target: Target) -> None:
        """Records that are known to be there and for `target`; `create` and `open` make sure of it."""
        self.folder = folder
        self.target = target

    @staticmethod
    def are_in(folder: str | Path) -> bool:
        """Whether there are records in a folder; their header is what is written last."""
        return (Path(folder) / _HEADER).exists()

    @classmethod
    def create(cls, folder: str | Path, target: Target) -> Records:
        """Empty records in a new or an empty folder. Raises `RecordsError` where there are records already."""
        path = Path(folder)
        if cls.are_in(path):
            message = f"there are records in {path} already"
            raise RecordsError.of("records-exist", message, "open them, or take another folder")
        path.mkdir(parents=True, exist_ok=True)
        records = cls(path, target)
        records._write([])
        return records

    @classmethod
    def open(cls, folder: str | Path, target: Target) -> Records:
        """The records in a folder. Raises `RecordsError` where they are broken or not for this target and TVM."""
        path = Path(folder)
        header, wanted = _read_header(path), Header.here(target)
        if header != wanted:
            message = f"the records in {path} are for {header}, not for {wanted}"
            raise RecordsError.of("foreign-records", message, "tune again for this target, into another folder")
        records = cls(path, target)
        records._read()
        return records

    def __len__(self) -> int:
        return len(self._read())

    @property
    def database(self) -> ms.Database:
        """The records as TVM's passes take them."""
        return _database(self.folder)

    def find(self, kernel: tirx.PrimFunc) -> Trace | None:
        """The schedule on record for a kernel."""
        workload = workload_of(kernel)
        return next((record.trace for record in self._read() if _is_for(record, workload)), None)

    def put(self, kernel: tirx.PrimFunc, trace: Trace, seconds: float) -> None:
        """Write down the schedule of a kernel, in place of the one on record."""
        workload = workload_of(kernel)
        others = [record for record in self._read() if not _is_for(record, workload)]
        chip = tvm_target(self.target)
        new = ms.database.TuningRecord(trace, ms.database.Workload(workload), [seconds], chip)
        self._write([*others, new])

    def merge(self, other: Records) -> None:
        """Take from other records of the same target what is missing here or faster there."""
        if other.target != self.target:
            message = f"records for {other.target.name} do not go with records for {self.target.name}"
            raise RecordsError.of("foreign-records", message, "merge records of one target only")
        merged = self._read()
        for record in other._read():
            mine = [known for known in merged if _is_for(known, record.workload.mod)]
            if not any(_seconds(known) <= _seconds(record) for known in mine):
                merged = [known for known in merged if known not in mine] + [record]
        self._write(merged)

    def _read(self) -> list[Any]:
        return list(_database(self.folder).get_all_tuning_records())

    def _write(self, records: list[Any]) -> None:
        """Write all files anew and put them in place one by one: a reader never sees half a file.

        Records name workloads by their numbers, so workloads keep theirs and are put in place first: whoever is killed
        in between leaves old records that still fit.
        """
        for abandoned in self.folder.glob(f"{_SAVING}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        with TemporaryDirectory(dir=self.folder, prefix=_SAVING) as name:
            fresh = Path(name)
            for file in (_WORKLOADS, _RECORDS):
                (fresh / file).touch()
            if (self.folder / _WORKLOADS).exists():
                shutil.copyfile(self.folder / _WORKLOADS, fresh / _WORKLOADS)
            database = ms.database.JSONDatabase(work_dir=name)
            for record in records:
                _commit(database, record)
            (fresh / _HEADER).write_text(Header.here(self.target).model_dump_json(indent=2) + "\n", encoding="utf-8")
            for file in (_WORKLOADS, _RECORDS, _HEADER):
                os.replace(fresh / file, self.folder / file)


def workload_of(kernel: tirx.PrimFunc) -> IRModule:
    """A copy of a kernel in the form in which MetaSchedule, when it applies schedules, asks for it.

    A deep copy, because a `Schedule` may edit in place what others refer to: with `body = kernel.body` in scope, to
    unroll a loop in `Schedule(IRModule({"main": kernel.with_attr(...)}))` changes `kernel`.
    """
    if not (kernel.attrs and "global_symbol" in kernel.attrs):
        kernel = kernel.with_attr("global_symbol", "main")
    module = IRModule({"main": kernel.with_attr("tirx.noalias", True)})
    return tvm.ir.load_json(tvm.ir.save_json(module))


def scheduled(kernel: tirx.PrimFunc, trace: Trace) -> IRModule:
    """A kernel with a schedule from the records carried out on it."""
    schedule = Schedule(workload_of(kernel))
    trace.apply_to_schedule(schedule, remove_postproc=False)
    return schedule.mod


def _commit(database: ms.Database, record: Any) -> None:
    workload = database.commit_workload(record.workload.mod)
    database.commit_tuning_record(
        ms.database.TuningRecord(record.trace, workload, record.run_secs, record.target, record.args_info)
    )


def _is_for(record: Any, workload: IRModule) -> bool:
    return bool(structural_equal(record.workload.mod, workload))


def _seconds(record: Any) -> float:
    return float(record.run_secs[0])


def _read_header(folder: Path) -> Header:
    try:
        return Header.model_validate_json((folder / _HEADER).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecordsError.of(
            "no-records", f"there are no tuning records in {folder}", "check the path, or tune"
        ) from None
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise _broken(folder / _HEADER, error) from None


def _database(folder: Path) -> ms.Database:
    for file in (_WORKLOADS, _RECORDS):
        _check_json(folder / file)
    try:
        return ms.database.JSONDatabase(work_dir=str(folder), allow_missing=False)
    except Exception as error:  # TVM raises several kinds, none of them its own
        raise _broken(folder / _RECORDS, error) from error


def _check_json(path: Path) -> None:
    """Refuse what is no JSON before TVM's reader meets it."""
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            json.loads(line)
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise _broken(path, error) from None


def _broken(path: Path, error: Exception) -> RecordsError:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return RecordsError.of("broken-records", f"cannot read {path}: {lines[-1]}", "delete the folder and tune again")
