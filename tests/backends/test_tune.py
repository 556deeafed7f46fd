"""Tuning: what is searched, what is kept, and what is an error."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tvm
from tvm.ir import IRModule
from tvm.ir.utils import derived_object
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms

from corecast.backends import (
    Candidate,
    MetaSchedule,
    Records,
    Runner,
    Search,
    Task,
    TaskResult,
    TuneError,
    TuneProgress,
    build,
    tasks,
    tune,
    tvm_target,
)
from corecast.backends.records import scheduled, workload_of
from corecast.backends.tuners.metaschedule import local_builder
from corecast.model import Target, find_target
from corecast.recipe import Tune


@pytest.fixture(scope="module")
def two_tasks(four_convolutions: IRModule, cpu: Target) -> list[Task]:
    return tasks(four_convolutions, {layer: Tune(tuner="tensorcore", trials=2) for layer in ("n1", "n4", "n7")}, cpu)


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, two_tasks: list[Task], cpu: Target
) -> tuple[Records, list[TaskResult], list[TuneProgress]]:
    """A real tune of both tasks, two trials each."""
    progress: list[TuneProgress] = []
    records = Records.create(tmp_path_factory.mktemp("records"), cpu)
    return records, tune(two_tasks, records, progress=progress.append), progress


class Finds:
    """A tuner whose search has the given outcome."""

    default_trials = 1

    def __init__(self, search: Search) -> None:
        self.found = search

    def search(
        self, _task: Task, _trials: int, _chip: tvm.target.Target, _log: Path, measured: Callable[[float | None], None]
    ) -> Search:
        measured(None if self.found.failed else 1e-6)
        return self.found


@derived_object
class FailingBuilder(ms.builder.PyBuilder):
    """Compiles nothing, as on a machine where the compiler is broken."""

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        return [ms.builder.BuilderResult(None, "Traceback\nInternalError: no such instruction") for _ in build_inputs]


@derived_object
class FirstFailsBuilder(ms.builder.PyBuilder):
    """Compiles all candidates of a round but the first."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = local_builder(tvm_target(find_target("llvm")))

    def build(self, build_inputs: list[ms.builder.BuilderInput]) -> list[ms.builder.BuilderResult]:
        failed = ms.builder.BuilderResult(None, "killed")
        return [failed, *self.inner.build(list(build_inputs)[1:])]


def test_two_kernels_are_tuned_for_three_layers(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]],
):
    """Each result names its layers and its kernel, and has the times of before and after."""
    records, results, _ = tuned
    assert [(result.layers, result.workload) for result in results] == [
        (("n1", "n4"), "fused_conv2d_add_relu"),
        (("n7",), "fused_conv2d_add_add1_relu"),
    ]
    for result in results:
        assert (result.trials, result.failed) == (2, 0)
        assert 0 < result.after_us <= result.before_us
        assert (result.kept_default is None) == (result.after_us < result.before_us)
    assert len(records) == sum(result.kept_default is None for result in results) > 0


def test_progress_counts_trials_and_keeps_the_best(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]], two_tasks: list[Task]
):
    """One report for each trial, task by task."""
    progress = tuned[2]
    assert [(at.number, at.tasks, at.done, at.trials) for at in progress] == [
        (1, 2, 1, 2),
        (1, 2, 2, 2),
        (2, 2, 1, 2),
        (2, 2, 2, 2),
    ]
    assert [at.kernel for at in progress[::2]] == [task.name for task in two_tasks]
    assert progress[1].best_us is not None
    assert progress[0].best_us is not None
    assert progress[1].best_us <= progress[0].best_us


def test_a_tuned_module_computes_what_the_untuned_one_computes(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]],
    four_convolutions: IRModule,
    weights: dict[str, np.ndarray],
    cpu: Target,
):
    """The records go through their files, and the numbers stay."""
    executable = build(four_convolutions, cpu, Records.open(tuned[0].folder, cpu))
    assert set(executable.tuned) == {result.workload for result in tuned[1] if result.kept_default is None}
    assert Runner(executable, weights).tuned == executable.tuned
    x = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype(np.float32)
    (untuned,) = Runner(build(four_convolutions, cpu), weights)(x)
    (result,) = Runner(executable, weights)(x)
    np.testing.assert_allclose(result, untuned, rtol=1e-4, atol=1e-4 * np.abs(untuned).max())


def test_metaschedule_talks_to_its_log_only(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]],
):
    """The log lies beside the records, and TVM's logger is as it was."""
    assert "Trial #1" in (tuned[0].folder / "tuning.log").read_text()
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    assert not logger.handlers
    assert logger.propagate


def test_a_tune_in_which_every_candidate_fails_is_an_error_with_the_compilers_message(
    tmp_path: Path, two_tasks: list[Task], cpu: Target
):
    """MetaSchedule itself ends such a tune as if nothing had happened."""
    records = Records.create(tmp_path, cpu)
    with pytest.raises(TuneError) as caught:
        tune(two_tasks, records, tuner=MetaSchedule(FailingBuilder()))
    assert [problem.slug for problem in caught.value.problems] == ["tuning-failed", "tuning-failed"]
    assert (
        "no schedule for fused_conv2d_add_relu (n1, n4): all 2 candidates failed: InternalError: no such instruction"
        in str(caught.value)
    )
    assert "no such instruction" in (tmp_path / "tuning.log").read_text()
    assert len(records) == 0


def test_a_task_that_fails_stops_no_other(
    tmp_path: Path, two_tasks: list[Task], cpu: Target, monkeypatch: pytest.MonkeyPatch
):
    """The error carries the results of the others, and their records are written."""
    good = Search((Candidate(Schedule(workload_of(two_tasks[1].function)).trace, 1e-6),), 0, None)
    searches = iter([Search((), 1, "killed"), good])
    tuner = Finds(good)
    monkeypatch.setattr(tuner, "search", lambda *_: next(searches))
    with pytest.raises(TuneError, match="killed") as caught:
        tune(two_tasks, Records.create(tmp_path, cpu), tuner=tuner)
    assert [result.layers for result in caught.value.results] == [("n7",)]


def test_candidates_that_fail_are_counted(tmp_path: Path, two_tasks: list[Task], cpu: Target):
    """A search with one failure goes on with the others."""
    progress: list[TuneProgress] = []
    records = Records.create(tmp_path, cpu)
    (result,) = tune(two_tasks[:1], records, tuner=MetaSchedule(FirstFailsBuilder()), progress=progress.append)
    assert (result.trials, result.failed) == (2, 1)
    assert progress[-1].failed == 1


def test_a_schedule_that_computes_something_else_is_not_kept(
    tmp_path: Path, two_tasks: list[Task], cpu: Target, monkeypatch: pytest.MonkeyPatch
):
    """TVM has shipped schedules that were fast and wrong."""

    def without_relu(kernel: tvm.tirx.PrimFunc, trace: tvm.s_tir.schedule.Trace) -> IRModule:
        text = scheduled(kernel, trace).script()
        return tvm.script.from_source(text.replace("T.float32(0.0))", "T.float32(-1e30))"))

    monkeypatch.setattr("corecast.backends.tuning.scheduled", without_relu)
    tuner = Finds(Search((Candidate(Schedule(workload_of(two_tasks[0].function)).trace, 1e-9),), 0, None))
    records = Records.create(tmp_path, cpu)
    (result,) = tune(two_tasks[:1], records, tuner=tuner)
    assert str(result.kept_default).startswith("the schedule that was found computes something else: difference")
    assert result.after_us == result.before_us
    assert len(records) == 0


def test_a_schedule_that_is_not_faster_is_not_kept(
    tmp_path: Path, two_tasks: list[Task], cpu: Target, monkeypatch: pytest.MonkeyPatch
):
    """The default schedule stays, and the result says so."""
    times = iter([1e-3, 2e-3])
    monkeypatch.setattr("corecast.backends.tuning._Kernel.seconds", lambda _: next(times))
    tuner = Finds(Search((Candidate(Schedule(workload_of(two_tasks[0].function)).trace, 1e-9),), 0, None))
    records = Records.create(tmp_path, cpu)
    (result,) = tune(two_tasks[:1], records, tuner=tuner)
    assert (result.kept_default, result.before_us, result.after_us) == ("no schedule was faster", 1000.0, 1000.0)
    assert len(records) == 0
