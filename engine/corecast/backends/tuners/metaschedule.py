"""MetaSchedule as a tuner: one kernel in, the candidates of a small evolutionary search out."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import ClassVar

from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.s_tir.meta_schedule import _ffi_api
from tvm.s_tir.meta_schedule.logging import get_logging_func

from corecast.backends.cuda import tensor_intrinsics
from corecast.backends.host import cores
from corecast.backends.records import Trial
from corecast.backends.schedules.stored import Traced, carried_out, kernel_module, traced
from corecast.backends.tuners.tuner import Job, SearchOver, Tuner
from corecast.backends.workloads import Workload
from corecast.model import Target

# Two rounds for the usual number of trials: the second one starts from the best of the first. On a machine with more
# cores a round has a candidate for each to compile.
ROUND = 8
TENSOR_CORES = "cuda-tensorcore"


class MetaSchedule(Tuner):
    """Searches with MetaSchedule's rules for plain CPUs and for GPUs, which take every kernel of static shape."""

    name: ClassVar[str] = "metaschedule"
    default_trials: ClassVar[int] = 16

    def refuses(self, workload: Workload, target: Target) -> str | None:  # noqa: ARG002
        return None if target.kind in ("llvm", "cuda") else f"metaschedule: it has no rules for {target.kind}"

    def search(self, job: Job) -> None:
        """Search schedules for one kernel; TVM's own messages go to the job's log."""
        module, rules = kernel_module(job.workload.function), _rules(job.workload, job.target)
        if rules == TENSOR_CORES:
            tensor_intrinsics()
        database = ms.database.MemoryDatabase()
        _remember(database, module, job)
        notes = _Notes(job)
        with _logging_to(job.log) as logger:
            try:
                ms.tune_tasks(
                    tasks=[_Context(module, job, rules, logger)],
                    task_weights=[1.0],
                    work_dir=str(job.log.parent),
                    max_trials_global=job.left,
                    num_trials_per_iter=min(max(ROUND, cores()), job.left),
                    builder=job.bench.builder,
                    runner=job.bench.runner,
                    database=database,
                    measure_callbacks=[
                        notes,
                        ms.measure_callback.AddToDatabase(),
                        ms.measure_callback.RemoveBuildArtifact(),
                    ],
                    # The usual cost model needs xgboost; with so few trials a random order costs little.
                    cost_model=ms.cost_model.RandomModel(),
                    task_scheduler="round-robin",
                )
            except Exception:
                if notes.stopped_by is None:
                    raise
        if notes.stopped_by is not None and not isinstance(notes.stopped_by, SearchOver):
            raise notes.stopped_by


@derived_object
class _Notes(ms.measure_callback.PyMeasureCallback):  # type: ignore[misc]
    """Tells the job of each round, and ends the search where nothing is left; TVM may wrap what is raised here."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self._job = job
        self.stopped_by: Exception | None = None

    def apply(
        self,
        _scheduler: ms.task_scheduler.TaskScheduler,
        _task: int,
        candidates: list[ms.MeasureCandidate],
        built: list[ms.builder.BuilderResult],
        ran: list[ms.runner.RunnerResult],
    ) -> None:
        try:
            self._job.tell([_trial(*each) for each in zip(candidates, built, ran, strict=True)])
            if not self._job.left and len(self._job.all) < self._job.trials:
                raise SearchOver
        except Exception as error:
            self.stopped_by = error
            raise


def _trial(candidate: ms.MeasureCandidate, built: ms.builder.BuilderResult, ran: ms.runner.RunnerResult) -> Trial:
    schedule = traced(candidate.sch.trace)
    error = built.error_msg if built.error_msg is not None else ran.error_msg
    return Trial(schedule, None, str(error)) if error is not None else Trial(schedule, median(map(float, ran.run_secs)))


def _remember(database: ms.Database, module: IRModule, job: Job) -> None:
    """Give a search what earlier ones measured: it begins with the best of them, and tries none again."""
    workload = database.commit_workload(module)
    for trial in job.known:
        if isinstance(trial.schedule, Traced) and trial.seconds is not None:
            trace = carried_out(trial.schedule, job.workload).trace
            record = ms.database.TuningRecord(trace, workload, [trial.seconds], job.bench.chip)
            database.commit_tuning_record(record)


class _Context(ms.TuneContext):  # type: ignore[misc]
    """A `TuneContext` without the constructor of TVM's Python class.

    That one imports all of TVM's tensor intrinsics, those for GPUs too, which takes 17 to 40 s, whatever the target.
    """

    def __init__(self, workload: IRModule, job: Job, rules: str, logger: logging.Logger) -> None:
        space = ms.space_generator.PostOrderApply(
            sch_rules=ms.ScheduleRule.create(rules),
            postprocs=ms.Postproc.create(rules),
            mutator_probs=ms.Mutator.create(rules),
        )
        self.__init_handle_by_constructor__(
            _ffi_api.TuneContext,
            workload,
            job.bench.chip,
            space,
            _strategy(),
            job.workload.name,
            cores(),
            # Another seed than before, or what was tried already would be bred again.
            job.seed + len(job.known),
            get_logging_func(logger),
        )
        _ffi_api.TuneContextInitialize(self)


def _rules(workload: Workload, target: Target) -> str:
    """TVM's name for the rules by which to search.

    On a CPU those name no intrinsic: VNNI's multiplies u8 by s8, and a cast layer is s8 by s8. On a GPU they put on
    tensor cores what an intrinsic takes.
    """
    if target.kind == "llvm":
        return "llvm"
    supports = (target.dtypes.get(argument.dtype) for argument in workload.arguments)
    reached = (tuned for support in supports if support is not None for tuned in support.tuned)
    on_tensor_cores = any(tuned.tuner == MetaSchedule.name and tuned.intrinsic is not None for tuned in reached)
    return TENSOR_CORES if on_tensor_cores else "cuda"


def _strategy() -> ms.SearchStrategy:
    """An evolutionary search that is small enough for a handful of trials: TVM's own breeds 512 over 4 generations."""
    return ms.search_strategy.EvolutionarySearch(
        population_size=64,
        init_measured_ratio=0.2,
        init_min_unmeasured=16,
        genetic_num_iters=1,
        genetic_max_fail_count=10,
    )


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
