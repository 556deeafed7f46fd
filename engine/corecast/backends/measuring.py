"""Code for kernels in, the time that each took out, and whether it is right: compiled, run and compared in processes.

A crash of the compiler or of a candidate, and one that never ends, is a failed candidate and nothing more. The two
halves have MetaSchedule's own forms of a builder and a runner, so that it and schedule families are measured alike.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median

import tvm
from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule.arg_info import ArgInfo
from tvm.support.popen_pool import PopenPoolExecutor, StatusKind

from corecast.backends.calls import lowered_by
from corecast.backends.checking import Checker, Worth, written
from corecast.backends.cuda import compiling
from corecast.backends.host import cores, device_kind, tvm_target
from corecast.backends.remote import RemoteRunner, Tracker
from corecast.backends.workloads import Workload
from corecast.model import Target

# TVM's default of 30 s is reached on a loaded machine with two cores, and then every candidate has failed.
BUILD_TIMEOUT = 120.0
RUN_TIMEOUT = 60.0
# TVM's own builder starts its processes anew for every round, as they grow; ours start anew after so many candidates.
USES = 64

Compile = Callable[[IRModule, tvm.target.Target], tvm.runtime.Module]
Measured = float | str


class Bench:
    """What measures candidates for one target; its processes start with the first one, and end with `close`."""

    def __init__(
        self, target: Target, *, tracker: Tracker | None = None, builder: ms.builder.Builder | None = None
    ) -> None:
        """Measure on this machine, or on the workers of a tracker; candidates are compiled here, by `builder` if given.

        Raises `RemoteError` where the tracker does not answer, or has no worker.
        """
        self.target = target
        self.chip = tvm_target(target)
        self._builder = builder
        self._runner = RemoteRunner(tracker, evaluator()) if tracker else None
        self._checker = Checker(self.chip, tracker)

    @property
    def builder(self) -> ms.builder.Builder:
        self._builder = self._builder or Builder(cores())
        return self._builder

    @property
    def runner(self) -> ms.runner.Runner:
        self._runner = self._runner or ms.runner.LocalRunner(timeout_sec=RUN_TIMEOUT, evaluator_config=evaluator())
        return self._runner

    def measure(self, workload: Workload, codes: Sequence[IRModule]) -> list[Measured]:
        """For each code of a kernel its median time in seconds, or what went wrong."""
        built = self.builder.build([ms.builder.BuilderInput(code, self.chip) for code in codes])
        return self._run(workload, built)

    def worth(self, workload: Workload, code: IRModule) -> Worth | str:
        """What a code is worth beside TVM's own, on this machine; or what went wrong with it."""
        return self._checker.worth(workload, code)

    def _run(self, workload: Workload, built: Sequence[ms.builder.BuilderResult]) -> list[Measured]:
        arguments = ArgInfo.from_prim_func(workload.function)
        device = device_kind(self.chip)
        good = [str(each.artifact_path) for each in built if each.error_msg is None]
        try:
            inputs = [ms.runner.RunnerInput(artifact, device, arguments) for artifact in good]
            results = iter([_outcome(future.result()) for future in self.runner.run(inputs)])
        finally:
            for artifact in good:
                shutil.rmtree(Path(artifact).parent, ignore_errors=True)
        return [next(results) if each.error_msg is None else str(each.error_msg) for each in built]

    def close(self) -> None:
        """End the processes that compile and compare; those that run end with the runner."""
        self._checker.close()
        if isinstance(self._builder, Builder):
            self._builder.close()


def _outcome(result: ms.runner.RunnerResult) -> Measured:
    return str(result.error_msg) if result.error_msg is not None else median(map(float, result.run_secs))


def evaluator() -> ms.runner.EvaluatorConfig:
    """How often a candidate runs: at least three times, each at least 20 ms long."""
    return ms.runner.EvaluatorConfig(number=1, repeat=3, min_repeat_ms=20)


@derived_object
class Builder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Compiles candidates in processes that stay.

    TVM's own builder starts its processes anew for each round and imports all tensor intrinsics into each, those for
    GPUs too, which no candidate needs any more: its code has them inside.
    """

    def __init__(
        self, workers: int, timeout: float = BUILD_TIMEOUT, compile: Callable[[IRModule, str], str] | None = None
    ) -> None:
        super().__init__()
        self._pool = PopenPoolExecutor(max_workers=workers, timeout=timeout, maximum_process_uses=USES)
        self._timeout = timeout
        self._compile = compile or compiled

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        """The folder of each artifact is whoever's who asked for it, and to be removed by them."""
        jobs = [(self._compile, tvm.ir.save_json(each.mod), str(each.target)) for each in build_inputs]
        results = self._pool.map_with_error_catching(lambda job: job[0](*job[1:]), jobs)
        return [ms.builder.BuilderResult(*self._outcome(each)) for each in results]

    def _outcome(self, result: object) -> tuple[str | None, str | None]:
        status, value = result.status, result.value  # type: ignore[attr-defined]
        if status == StatusKind.COMPLETE:
            return value, None
        if status == StatusKind.TIMEOUT:
            return None, f"the compiler took more than {self._timeout:.0f} s"
        return None, f"the compiler failed\n{value}"

    def close(self) -> None:
        with suppress(Exception):  # processes that are gone already
            self._pool.shutdown(wait=False)


def compiled(code: str, chip: str) -> str:
    """Compile a module, which is given as JSON, and return the file with its machine code."""
    target = tvm.target.Target(json.loads(chip))
    module = tvm.ir.load_json(code)
    with compiling(target):
        built = tvm.tirx.build(module, target=target, pipeline=lowered_by(module))
    return written(built, target)
