"""A kernel and code for it in, what the code is worth out: is its answer TVM's own, and how long do both take?

Both are run on the same seeded operands, in one go and in a process of their own: code that dies takes nothing with it.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import tvm
from numpy.typing import NDArray
from tvm.ir import IRModule
from tvm.s_tir import dlight
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.support.popen_pool import PopenWorker

from corecast.backends.calls import lowered_by
from corecast.backends.cuda import compiling, parsed_quickly
from corecast.backends.host import device_kind
from corecast.backends.remote import Tracker
from corecast.backends.said import reason
from corecast.backends.schedules.stored import kernel_module
from corecast.backends.workloads import Workload
from corecast.verify.tuned import differs, seeded_operand

Array = NDArray[np.generic]

SEED = 0
TIMEOUT = 600.0


@dataclass(frozen=True)
class Worth:
    """The times of TVM's own code and of a schedule's, in seconds, or what is wrong with the schedule's answer."""

    untuned: float
    seconds: float
    wrong: str | None


class Checker:
    """Compares codes of kernels; its process starts with the first one, and starts anew where one kills it."""

    def __init__(self, chip: tvm.target.Target, tracker: Tracker | None = None, timeout: float = TIMEOUT) -> None:
        """Compare on this machine, or on a worker of a tracker."""
        self._chip, self._tracker = str(chip), tracker
        self._timeout = timeout
        self._worker = PopenWorker()

    def worth(self, workload: Workload, code: IRModule) -> Worth | str:
        """What a code is worth, or what went wrong with it."""
        kernel = tvm.ir.save_json(kernel_module(workload.function))
        self._worker.send(compared, (kernel, tvm.ir.save_json(code), self._chip, self._tracker), timeout=self._timeout)
        try:
            return Worth(*self._worker.recv())
        except TimeoutError:
            return f"it did not end within {self._timeout:.0f} s"
        except ChildProcessError:
            return "it killed its process"
        except Exception as error:  # what the process met
            return reason(error)

    def close(self) -> None:
        self._worker.kill()


def compared(kernel: str, code: str, chip: str, tracker: Tracker | None) -> tuple[float, float, str | None]:
    """The times of a kernel as TVM makes it and of a code for it, and how their results differ."""
    target = tvm.target.Target(json.loads(chip))
    plain, tuned = tvm.ir.load_json(kernel), tvm.ir.load_json(code)
    operands = _operands(plain)
    with nullcontext() if tracker is None else tracker.session() as session:
        default = _Loaded(_scheduled_by_default(plain, target), target, operands, session)
        other = _Loaded(tuned, target, operands, session)
        found = (differs(mine, theirs) for mine, theirs in zip(other.values, default.values, strict=True))
        wrong = next((difference for difference in found if difference), None)
        return default.seconds(), other.seconds() if wrong is None else 0.0, wrong


class _Loaded:
    """A compiled kernel that ran once on its operands, here or by a session with another machine."""

    def __init__(
        self, module: IRModule, target: tvm.target.Target, operands: Sequence[Array], session: Any = None
    ) -> None:
        place = session or tvm
        self._device = place.device(device_kind(target), 0)
        with compiling(target):
            built = tvm.tirx.build(module, target=target, pipeline=lowered_by(module))
        self._code = built if session is None else _sent(built, target, session)
        self._operands = [tvm.runtime.tensor(operand, self._device) for operand in operands]
        self._code["main"](*self._operands)
        # Results are among the operands.
        self.values = [operand.numpy() for operand in self._operands]

    def seconds(self) -> float:
        """The median time of a run; a first one that does not count went before."""
        timer = self._code.time_evaluator("main", self._device, number=1, repeat=5, min_repeat_ms=20)
        return float(timer(*self._operands).median)


def _sent(built: tvm.runtime.Module, target: tvm.target.Target, session: Any) -> Any:
    """A compiled module, loaded at the other end of a session."""
    path = written(built, target)
    try:
        session.upload(path)
        return session.load_module(os.path.basename(path))
    finally:
        shutil.rmtree(os.path.dirname(path), ignore_errors=True)


def written(built: tvm.runtime.Module, target: tvm.target.Target) -> str:
    """A file with machine code, in a folder of its own.

    For a CPU that is an object file, which TVM loads by itself: what it would write else needs a C++ compiler to load.
    """
    folder = tempfile.mkdtemp(prefix="corecast-")
    # Named after its folder: of two files of one name, a worker that has loaded the first keeps that.
    stem = os.path.join(folder, os.path.basename(folder))
    if target.kind.name == "llvm":
        path = f"{stem}.o"
        built.write_to_file(path, "o")
    else:
        path = f"{stem}.so"
        built.export_library(path)
    return path


def _scheduled_by_default(module: IRModule, target: tvm.target.Target) -> IRModule:
    """Plain loops for a CPU, and for a GPU, where those cannot run, what TVM's own pipeline takes."""
    if target.kind.name == "llvm":
        return module
    rules = dlight.gpu.Matmul(), dlight.gpu.Reduction(), dlight.gpu.GeneralReduction(), dlight.gpu.Fallback()
    with parsed_quickly(), target:
        return dlight.ApplyDefaultSchedule(*rules)(module)


def _operands(kernel: IRModule) -> list[Array]:
    random = np.random.default_rng(SEED)
    infos = ArgInfo.from_prim_func(kernel["main"])
    return [seeded_operand(random, tuple(map(int, info.shape)), str(info.dtype)) for info in infos]
