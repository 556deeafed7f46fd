"""MetaSchedule as a tuner for CPUs: one kernel in, the schedules of a small evolutionary search out, measured here.

Candidates are compiled and run in worker processes: a crash of the compiler or of a candidate is a failed trial.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import tvm
from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.logging import get_logging_func

from corecast.backends.records import workload_of
from corecast.backends.tasks import Task
from corecast.backends.tuners import Candidate, Search

# TVM's default of 30 s is reached on a loaded machine with two cores, and then every candidate has failed.
BUILD_TIMEOUT = 120.0
RUN_TIMEOUT = 60.0
# Two rounds for the usual number of trials: the second one starts from the best of the first.
ROUND = 8
SEED = 42
# MetaSchedule records 1e10 seconds for a trial that failed.
_FAILED = 1e9


class MetaSchedule:
    """Searches with MetaSchedule's rules for plain CPUs; `builder` compiles the candidates, in workers by default."""

    default_trials = 16

    def __init__(self, builder: ms.builder.Builder | None = None) -> None:
        self._builder = builder

    def search(
        self,
        task: Task,
        trials: int,
        chip: tvm.target.Target,
        log: Path,
        measured: Callable[[float | None], None],
    ) -> Search:
        """Search schedules for one kernel; TVM's own messages go to the file `log`."""
        # Making one starts processes to try them out: one builder for all tasks.
        self._builder = self._builder or local_builder(chip)
        database = ms.database.MemoryDatabase()
        outcome = _Outcome(measured)
        with _logging_to(log) as logger:
            ms.tune_tasks(
                tasks=[_Context(workload_of(task.function), task.name, chip, logger)],
                task_weights=[1.0],
                work_dir=str(log.parent),
                max_trials_global=trials,
                num_trials_per_iter=min(ROUND, trials),
                builder=_Builder(self._builder, outcome),
                runner=_Runner(_local_runner(), outcome),
                database=database,
                # The usual cost model needs xgboost; with so few trials a random order costs little.
                cost_model=ms.cost_model.RandomModel(),
                task_scheduler="round-robin",
            )
        return Search(tuple(_candidates(database)), outcome.failed, outcome.first_error)


def _candidates(database: ms.Database) -> list[Candidate]:
    """The records that hold a measurement; MetaSchedule also keeps those of failed trials."""
    found = [Candidate(record.trace, _median(record.run_secs)) for record in database.get_all_tuning_records()]
    return sorted((each for each in found if each.seconds < _FAILED), key=lambda candidate: candidate.seconds)


def _median(run_secs: Iterable[Any]) -> float:
    return median(float(seconds) for seconds in run_secs)


class _Context(ms.TuneContext):  # type: ignore[misc]
    """A `TuneContext` without the constructor of TVM's Python class.

    That one imports all of TVM's tensor intrinsics, those for GPUs too, which takes 17 to 40 s. On a CPU none of them
    would be used: VNNI's multiplies u8 by s8, and a cast layer is s8 by s8. The rules are therefore those for plain
    CPUs, which name no intrinsic.
    """

    def __init__(self, workload: IRModule, name: str, chip: tvm.target.Target, logger: logging.Logger) -> None:
        space = ms.space_generator.PostOrderApply(
            sch_rules=ms.ScheduleRule.create("llvm"),
            postprocs=ms.Postproc.create("llvm"),
            mutator_probs=ms.Mutator.create("llvm"),
        )
        self.__init_handle_by_constructor__(
            _ffi_api.TuneContext,
            workload,
            chip,
            space,
            _strategy(),
            name,
            _workers(chip),
            SEED,
            get_logging_func(logger),
        )
        _ffi_api.TuneContextInitialize(self)


def _strategy() -> ms.SearchStrategy:
    """An evolutionary search that is small enough for a handful of trials: TVM's own breeds 512 over 4 generations."""
    return ms.search_strategy.EvolutionarySearch(
        population_size=64,
        init_measured_ratio=0.2,
        init_min_unmeasured=16,
        genetic_num_iters=1,
        genetic_max_fail_count=10,
    )


def _workers(chip: tvm.target.Target) -> int:
    return int(chip.attrs["num-cores"])


def local_builder(chip: tvm.target.Target) -> ms.Builder:
    """TVM's own builder, with enough time, and without what a CPU and a machine without a compiler do not need."""
    return ms.builder.LocalBuilder(
        max_workers=_workers(chip), timeout_sec=BUILD_TIMEOUT, f_build=_compile, f_export=_export
    )


def _local_runner() -> ms.Runner:
    config = ms.runner.EvaluatorConfig(number=1, repeat=3, min_repeat_ms=20)
    return ms.runner.LocalRunner(timeout_sec=RUN_TIMEOUT, evaluator_config=config)


def _compile(module: IRModule, chip: tvm.target.Target, _parameters: None) -> tvm.runtime.Module:
    """Compile one candidate in a worker; TVM's own function for it imports the tensor intrinsics again."""
    return tvm.tirx.build(module, target=chip)


def _export(built: tvm.runtime.Module) -> str:
    """Write an object file, which TVM loads by itself; its own function needs a C++ compiler to load what it wrote."""
    path = os.path.join(tempfile.mkdtemp(), "kernel.o")
    built.write_to_file(path, "o")
    return path


class _Outcome:
    """What became of the trials: MetaSchedule itself goes on without a word when every one of them failed."""

    def __init__(self, measured: Callable[[float | None], None]) -> None:
        self._measured = measured
        self.failed = 0
        self.first_error: str | None = None

    def succeeded(self, run_secs: Iterable[Any]) -> None:
        self._measured(_median(run_secs))

    def broke(self, error: str) -> None:
        self.failed += 1
        self.first_error = self.first_error or error
        self._measured(None)


@derived_object
class _Builder(ms.builder.PyBuilder):  # type: ignore[misc]
    """Another builder, and a note of every candidate that it could not compile."""

    def __init__(self, builder: ms.Builder, outcome: _Outcome) -> None:
        super().__init__()
        self._inner = builder
        self._outcome = outcome

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        results: list[ms.builder.BuilderResult] = self._inner.build(build_inputs)
        for result in results:
            if result.error_msg is not None:
                self._outcome.broke(str(result.error_msg))
        return results


@derived_object
class _Runner(ms.runner.PyRunner):  # type: ignore[misc]
    """Another runner, asked for one candidate at a time, and a note of what it measured."""

    def __init__(self, runner: ms.Runner, outcome: _Outcome) -> None:
        super().__init__()
        self._inner = runner
        self._outcome = outcome

    def run(self, runner_inputs: list[ms.runner.RunnerInput]) -> list[ms.runner.RunnerFuture]:
        futures = []
        for candidate in runner_inputs:
            (future,) = self._inner.run([candidate])
            result = future.result()
            if result.error_msg is None:
                self._outcome.succeeded(result.run_secs)
            else:
                self._outcome.broke(str(result.error_msg))
            futures.append(future)
        return futures


class _Log(logging.FileHandler):
    """A log that ends where the disk is full; what is searched for is written elsewhere, and fails there."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - the name is logging's
        return


@contextmanager
def _logging_to(path: Path) -> Iterator[logging.Logger]:
    """MetaSchedule's logger, writing to a file and nowhere else; as it was afterwards."""
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    before = logger.handlers[:], logger.level, logger.propagate
    handler = _Log(path, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers, logger.propagate = [handler], False
    logger.setLevel(logging.INFO)
    try:
        yield logger
    finally:
        handler.close()
        logger.handlers, logger.propagate = before[0], before[2]
        logger.setLevel(before[1])
