"""Kernels and a target in, what a store knows of them out: the key of each kernel, its record, its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tvm
from tvm import tirx
from tvm_ffi import structural_hash

from corecast.backends.host import driver, machine, tvm_target
from corecast.backends.schedules import find_family
from corecast.backends.schedules.stored import Chosen, Stored, as_text, from_text, kernel_module
from corecast.backends.store import Key, Record, RecordsError, Store, StoredTrial, now
from corecast.backends.workloads import Workload
from corecast.lang.problems import CorecastError
from corecast.model import Target

__all__ = ["Known", "Records", "RecordsError", "Trial"]


@dataclass(frozen=True)
class Known:
    """A schedule on record, with its time and that of TVM's own code, in seconds."""

    schedule: Stored
    seconds: float
    untuned: float


@dataclass(frozen=True)
class Trial:
    """A candidate with its time in seconds, or with what went wrong."""

    schedule: Stored
    seconds: float | None
    error: str | None = None


class Records:
    """What a store knows for one target. Nothing that it holds for others can be had here."""

    def __init__(self, store: Store, target: Target) -> None:
        self.store = store
        self.target = target
        self._chip = chip_name(target)
        self._driver = driver(target)

    @classmethod
    def create(cls, path: str | Path, target: Target) -> Records:
        """Records in a file, which is made where there is none. Raises `RecordsError`."""
        return cls(Store.create(path), target)

    @classmethod
    def open(cls, path: str | Path, target: Target) -> Records:
        """Records in a file that is there, to be read. Raises `RecordsError`."""
        return cls(Store.open(path), target)

    @property
    def folder(self) -> Path:
        """Where the file stands, and beside it the log."""
        return self.store.path.parent

    def __len__(self) -> int:
        here = (self._chip, tvm.__version__, self._driver)
        return sum((record.target, record.tvm, record.driver) == here for record in self.store.records())

    def key(self, workload: Workload) -> Key:
        """What records of a kernel are found by: equal kernels have the same, whatever they are called."""
        dtype = workload.arguments[0].dtype if workload.arguments else ""
        return Key(digest_of(workload.function), self._chip, dtype, tvm.__version__, self._driver)

    def find(self, workload: Workload) -> Known | None:
        """The schedule on record for a kernel. Raises `ScheduleError` where what is on record is none."""
        record = self.store.record(self.key(workload))
        # A digest of 64 bits alone might be met by another kernel: what it computes has to be the same too.
        if record is None or record.computes != str(workload):
            return None
        return Known(from_text(record.schedule), record.seconds, record.untuned)

    def put(self, workload: Workload, schedule: Stored, seconds: float, untuned: float) -> None:
        """Write down the schedule of a kernel, in place of the one on record."""
        key = asdict(self.key(workload))
        self.store.put(
            Record(
                **key,
                schedule=as_text(schedule),
                seconds=seconds,
                untuned=untuned,
                computes=str(workload),
                kernel=tvm.ir.save_json(kernel_module(workload.function)),
                made=now(),
            )
        )

    def trials(self, workload: Workload) -> list[Trial]:
        """What was tried for a kernel before."""
        found = self.store.trials(self.key(workload))
        return [Trial(from_text(trial.schedule), trial.seconds, trial.error) for trial in found]

    def note(self, workload: Workload, trials: Sequence[Trial]) -> None:
        """Write down what was tried, so that a search that is broken off goes on from there."""
        key = asdict(self.key(workload))
        self.store.note(
            StoredTrial(**key, schedule=as_text(trial.schedule), seconds=trial.seconds, error=trial.error)
            for trial in trials
        )


def digest_of(kernel: tirx.PrimFunc) -> str:
    """The same for equal kernels, in every process."""
    return f"{structural_hash(kernel_module(kernel)) & (1 << 64) - 1:016x}"


def useless(record: Record) -> bool:
    """Whether a record cannot be used with what is installed: another TVM, or a family of another version or none."""
    try:
        schedule = from_text(record.schedule)
        family = find_family(schedule.family) if isinstance(schedule, Chosen) else None
    except CorecastError:
        return True
    outdated = family is not None and isinstance(schedule, Chosen) and family.version != schedule.version
    return outdated or record.tvm != tvm.__version__


def chip_name(target: Target) -> str:
    """What a target is in keys: `llvm:cascadelake`, also where the target was "this machine"."""
    arch = (tvm_target(target).attrs.get("mcpu") or machine()) if target.kind == "llvm" else target.arch
    return f"{target.kind}:{arch or 'generic'}"
