"""Tuning: what is searched, what is kept, what is done after a failure of any kind, and how a tune goes on."""

from __future__ import annotations

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import tvm
from tvm import tirx
from tvm.ir import IRModule

from corecast.backends import (
    Bench,
    Budget,
    Job,
    Records,
    RecordsError,
    Runner,
    Task,
    TaskResult,
    Trial,
    TuneError,
    TuneProgress,
    Tuner,
    TunerError,
    Workload,
    build,
    find_tuner,
    tasks,
    tune,
    tuners,
)
from corecast.backends.checking import Checker
from corecast.backends.measuring import Builder, compiled
from corecast.backends.schedules.stored import Traced, kernel_module, traced
from corecast.backends.tuners import find
from corecast.backends.tuners.find import tuner_for
from corecast.model import Target, find_target
from corecast.recipe import ExtensionError, Tune

MESSAGE = "InternalError: no such instruction"


@pytest.fixture(scope="module")
def two_tasks(four_convolutions: IRModule, cpu: Target) -> list[Task]:
    return tasks(four_convolutions, {layer: Tune(tuner="tensorcore", trials=2) for layer in ("n1", "n4", "n7")}, cpu)


@pytest.fixture(scope="module")
def here(cpu: Target) -> Iterator[Bench]:
    """One bench for all tests, as its processes take seconds to start."""
    with closing(Bench(cpu)) as bench:
        yield bench


@pytest.fixture(scope="module")
def tuned(
    tmp_path_factory: pytest.TempPathFactory, two_tasks: list[Task], here: Bench, cpu: Target
) -> tuple[Records, list[TaskResult], list[TuneProgress]]:
    """A real tune of both tasks by MetaSchedule, two trials each."""
    progress: list[TuneProgress] = []
    records = Records.create(tmp_path_factory.mktemp("records") / "records.sqlite", cpu)
    return records, tune(two_tasks, records, bench=here, progress=progress.append), progress


@pytest.fixture
def records(tmp_path: Path, cpu: Target) -> Records:
    return Records.create(tmp_path / "records.sqlite", cpu)


@pytest.fixture
def bench(cpu: Target) -> Iterator[Callable[..., Bench]]:
    """A bench whose builder compiles by another function."""
    made: list[Bench] = []

    def with_builder(compile: Callable[[IRModule, str], str], timeout: float = 60.0) -> Bench:
        made.append(Bench(cpu, builder=Builder(1, timeout, compile)))
        return made[-1]

    yield with_builder
    for each in made:
        each.close()


def plain(task: Task) -> Traced:
    """A schedule that changes nothing."""
    return traced(tvm.s_tir.Schedule(kernel_module(task.function)).trace)


class Finds(Tuner):
    """A tuner whose search has the given outcome for each task, one after another."""

    name: ClassVar[str] = "finds"
    default_trials: ClassVar[int] = 1

    def __init__(self, *rounds: Sequence[Trial]) -> None:
        self.rounds = iter(rounds)
        self.jobs: list[Job] = []

    def refuses(self, _workload: Workload, _target: Target) -> str | None:
        return None

    def search(self, job: Job) -> None:
        self.jobs.append(job)
        job.tell(next(self.rounds))


# ── what is searched and kept ────────────────────────────────────────────────────────────────────────────────────────


def test_two_kernels_are_tuned_for_three_layers(tuned: tuple[Records, list[TaskResult], list[TuneProgress]]):
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


def test_a_kernel_that_no_family_takes_says_so(tuned: tuple[Records, list[TaskResult], list[TuneProgress]]):
    """MetaSchedule then searches, and the report has the reason."""
    for result in tuned[1]:
        assert "blocked_cpu: its channels do not lie innermost in NCHW" in result.remark


def test_progress_counts_trials_and_keeps_the_best(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]], two_tasks: list[Task]
):
    """One report for each round of each task."""
    progress = tuned[2]
    assert [(at.number, at.tasks, at.kernel, at.done, at.trials) for at in progress] == [
        (number, 2, task.name, 2, 2) for number, task in enumerate(two_tasks, 1)
    ]
    for at in progress:
        assert at.best_us is not None
        assert at.seconds_left == 0


def test_a_tuned_module_computes_what_the_untuned_one_computes(
    tuned: tuple[Records, list[TaskResult], list[TuneProgress]],
    four_convolutions: IRModule,
    weights: dict[str, np.ndarray],
    cpu: Target,
):
    """The records go through their file, and the numbers stay."""
    executable = build(four_convolutions, cpu, Records.open(tuned[0].store.path, cpu))
    assert set(executable.tuned) == {result.workload for result in tuned[1] if result.kept_default is None}
    assert Runner(executable, weights).tuned == executable.tuned
    x = np.random.default_rng(1).standard_normal((1, 8, 6, 6)).astype(np.float32)
    (untuned,) = Runner(build(four_convolutions, cpu), weights)(x)
    (result,) = Runner(executable, weights)(x)
    np.testing.assert_allclose(result, untuned, rtol=1e-4, atol=1e-4 * np.abs(untuned).max())


def test_metaschedule_talks_to_its_log_only(tuned: tuple[Records, list[TaskResult], list[TuneProgress]]):
    """The log lies beside the records, and TVM's logger is as it was."""
    assert "Trial #1" in (tuned[0].folder / "tuning.log").read_text()
    logger = logging.getLogger("tvm.s_tir.meta_schedule")
    assert not logger.handlers
    assert logger.propagate


def test_a_schedule_that_is_not_faster_is_not_kept(here: Bench, records: Records, two_tasks: list[Task]):
    """A schedule that changes nothing is as fast as none; the default stays unless the clock says otherwise."""
    task = two_tasks[0]
    slow = tvm.s_tir.Schedule(kernel_module(task.function))
    slow.unroll(slow.get_loops(slow.get_sblock("pad_temp"))[0])
    block = slow.get_sblock("conv2d_nchw")
    slow.reorder(*reversed(slow.get_loops(block)))
    tuner = Finds([Trial(traced(slow.trace), 1e-9)])
    (result,) = tune([task], records, tuner=tuner, bench=here)
    if result.kept_default is not None:
        assert (result.kept_default, result.after_us) == ("no schedule was faster", result.before_us)
        assert len(records) == 0


# ── budgets, and going on ────────────────────────────────────────────────────────────────────────────────────────────


def job(task: Task, cpu: Target, **options: object) -> Job:
    return Job(
        **{"workload": task.workload, "bench": Bench(cpu), "trials": 9, "known": (), "seed": 0, "log": Path()} | options
    )


def test_a_job_is_over_after_its_trials_its_time_or_too_long_without_a_better_one(two_tasks: list[Task], cpu: Target):
    """What was tried before counts as tried, and failures count as trials."""
    task, trial = two_tasks[0], Trial(plain(two_tasks[0]), 2.0)
    assert job(task, cpu).left == 9
    assert job(task, cpu, known=[trial] * 4).left == 5
    assert job(task, cpu, deadline=time.monotonic() - 1).left == 0
    stuck = job(task, cpu, early_stop=2)
    stuck.tell([trial, Trial(trial.schedule, 1.0), trial])
    assert stuck.left == 6
    stuck.tell([Trial(trial.schedule, None, "killed")])
    assert stuck.left == 0


def test_what_is_on_record_is_not_searched_again(
    here: Bench, tuned: tuple[Records, list[TaskResult], list[TuneProgress]], two_tasks: list[Task]
):
    """The result says so; `again` is how one insists."""
    records, before, _ = tuned
    number = next(at for at, result in enumerate(before) if result.kept_default is None)
    nothing = Finds()
    (result,) = tune([two_tasks[number]], records, tuner=nothing, bench=here)
    assert (result.on_record, result.trials, nothing.jobs) == (True, 0, [])
    assert (result.before_us, result.after_us) == (before[number].before_us, before[number].after_us)
    insisting = Finds([Trial(plain(two_tasks[number]), 1.0)])
    tune([two_tasks[number]], records, tuner=insisting, budget=Budget(again=True), bench=here)
    assert insisting.jobs[0].known == []


def test_what_another_store_knows_is_taken_from_there(
    here: Bench, tuned: tuple[Records, list[TaskResult], list[TuneProgress]], records: Records, two_tasks: list[Task]
):
    """Nothing is tuned twice, whichever bundle it is for; afterwards this one has it too."""
    cache, before, _ = tuned
    number = next(at for at, result in enumerate(before) if result.kept_default is None)
    (result,) = tune([two_tasks[number]], records, tuner=Finds(), cached=[cache], bench=here)
    assert result.on_record
    assert records.find(two_tasks[number].workload) == cache.find(two_tasks[number].workload)


def test_a_search_that_was_broken_off_goes_on(here: Bench, records: Records, two_tasks: list[Task], cpu: Target):
    """Its trials are written down as they are made, and count; what failed then is tried again."""
    task = two_tasks[0]
    good, bad = Trial(plain(task), 1.0), Trial(Traced(steps=[("A", [], [], [])], decisions=[]), None, "killed")

    class Broken(Finds):
        def search(self, job: Job) -> None:
            super().search(job)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune([task], records, tuner=Broken([good, bad]), bench=here)
    resumed = Finds([good])
    tune([task], Records.create(records.store.path, cpu), tuner=resumed, bench=here)
    assert resumed.jobs[0].known == [good]


def test_metaschedule_goes_on_from_what_was_tried(here: Bench, records: Records, two_tasks: list[Task]):
    """Its own database is filled from the records, and no candidate is tried twice."""
    task = two_tasks[0]
    tune([task], records, budget=Budget(trials=2), tuner=find_tuner("metaschedule"), bench=here)
    first = records.trials(task.workload)
    with records.store._transaction() as db:
        db.execute("DELETE FROM records")
    (result,) = tune([task], records, budget=Budget(trials=4), tuner=find_tuner("metaschedule"), bench=here)
    assert result.trials == 4
    assert len(first) == 2
    assert records.trials(task.workload)[:2] == first
    assert len({str(trial.schedule.model_dump()) for trial in records.trials(task.workload)}) == 4


def test_wall_time_is_shared_among_tasks(here: Bench, records: Records, two_tasks: list[Task]):
    """Each gets its part of what is left; one that is fast leaves more for the others."""
    tuner = Finds([Trial(plain(two_tasks[0]), 1.0)], [Trial(plain(two_tasks[1]), 1.0)])
    started = time.monotonic()
    tune(two_tasks, records, tuner=tuner, budget=Budget(seconds=100), bench=here)
    first, second = (each.deadline for each in tuner.jobs)
    assert first is not None
    assert second is not None
    assert first - started == pytest.approx(50, abs=5)
    assert second - started == pytest.approx(100, abs=5)


# ── failures ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def no_compiler(_code: str, _chip: str) -> str:
    raise RuntimeError(f"Traceback\n{MESSAGE}")


def segfault(_code: str, _chip: str) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return ""


def endless(_code: str, _chip: str) -> str:
    time.sleep(60)
    return ""


def every_other(code: str, chip: str) -> str:
    """Dies of every other candidate, by its digest."""
    if sum(code.encode()) % 2:
        os.kill(os.getpid(), signal.SIGSEGV)
    return compiled(code, chip)


@pytest.mark.parametrize(
    ("tuner", "compile", "message"),
    [
        ("metaschedule", no_compiler, MESSAGE),
        ("families", no_compiler, MESSAGE),
        ("families", segfault, "the compiler failed"),
        ("families", endless, "the compiler took more than 2 s"),
    ],
)
def test_a_tune_in_which_every_candidate_fails_is_an_error_with_the_compilers_message(
    records: Records,
    two_tasks: list[Task],
    nhwc_task: Task,
    bench: Callable[..., Bench],
    compile: Callable[[str, str], str],
    message: str,
    tuner: str,
):
    """MetaSchedule itself ends such a tune as if nothing had happened. The compiler may also crash, or never end."""
    task = nhwc_task if tuner == "families" else two_tasks[0]
    with pytest.raises(TuneError) as caught:
        tune([task], records, tuner=find_tuner(tuner), bench=bench(compile, 2.0), budget=Budget(trials=2))
    (problem,) = caught.value.problems
    assert problem.slug == "tuning-failed"
    assert f"no schedule for {task.name} ({', '.join(task.layers)}): all 2 candidates failed: " in problem.message
    assert message in (records.folder / "tuning.log").read_text()
    assert [trial.seconds for trial in records.trials(task.workload)] == [None, None]
    assert len(records) == 0


@pytest.fixture(scope="module")
def nhwc_task(cpu: Target) -> Task:
    """A convolution that a family takes."""
    builder = tvm.relax.BlockBuilder()
    x, w = (
        tvm.relax.Var(name, tvm.relax.TensorType(shape, "float32"))
        for name, shape in (("x", (1, 6, 8, 16)), ("w", (3, 3, 16, 32)))
    )
    with builder.function("main", [x, w]):
        with builder.dataflow():
            layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
            out = builder.emit_output(builder.emit(tvm.relax.op.nn.conv2d(x, w, padding=1, **layouts), "n1"))
        builder.emit_func_output(out)
    (task,) = tasks(builder.get(), {"n1": Tune(tuner="tensorcore")}, cpu)
    return task


def test_candidates_that_crash_the_compiler_are_counted_and_the_rest_is_measured(
    records: Records, nhwc_task: Task, bench: Callable[..., Bench]
):
    """A search with failures goes on with the others."""
    (result,) = tune([nhwc_task], records, bench=bench(every_other), budget=Budget(trials=8))
    assert result.trials == 8
    assert 0 < result.failed < 8
    assert result.kept_default is None


def test_a_family_starts_from_its_first_guess_and_tries_nothing_twice(here: Bench, records: Records, nhwc_task: Task):
    """With one trial, the first guess is what is measured; with more, its neighbours."""
    (result,) = tune([nhwc_task], records, budget=Budget(trials=1), bench=here)
    (first,) = records.trials(nhwc_task.workload)
    assert result.schedule.startswith("blocked_cpu columns=")
    (more,) = tune([nhwc_task], records, budget=Budget(trials=6, again=True), bench=here)
    schedules = [str(trial.schedule) for trial in records.trials(nhwc_task.workload)]
    assert more.trials == len(set(schedules)) == 6
    assert str(first.schedule) in schedules


def test_a_task_that_fails_stops_no_other(here: Bench, records: Records, two_tasks: list[Task]):
    """The error carries the results of the others, and their records are written."""
    tuner = Finds([Trial(plain(two_tasks[0]), None, "killed")], [Trial(plain(two_tasks[1]), 1e-6)])
    with pytest.raises(TuneError, match="killed") as caught:
        tune(two_tasks, records, tuner=tuner, bench=here)
    assert [result.layers for result in caught.value.results] == [("n7",)]


def test_a_search_that_breaks_off_is_an_error_of_its_task(here: Bench, records: Records, two_tasks: list[Task]):
    """Whatever a tuner meets, the other tasks are tuned."""

    class Raises(Finds):
        def search(self, job: Job) -> None:
            if not self.jobs:
                self.jobs.append(job)
                raise ValueError("the search space is empty")
            super().search(job)

    with pytest.raises(TuneError, match="the search broke off: the search space is empty") as caught:
        tune(two_tasks, records, tuner=Raises([Trial(plain(two_tasks[1]), 1e-6)]), bench=here)
    assert len(caught.value.results) == 1


def wrong(task: Task) -> IRModule:
    """The kernel of a task without its relu."""
    text = kernel_module(task.function).script()
    return tvm.script.from_source(text.replace("T.float32(0.0))", "T.float32(-1e30))"))


def dead(task: Task) -> IRModule:
    """A kernel with the same arguments that kills its process."""
    function = task.function.with_attr("global_symbol", "main")
    call = tirx.Evaluate(tirx.call_extern("int32", "abort"))
    return IRModule({"main": tirx.PrimFunc(function.params, call, function.ret_type, function.attrs)})


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        (wrong, "the schedule that was found computes something else: difference"),
        (dead, "the schedule that was found failed when it was checked: it killed its process"),
    ],
)
def test_a_schedule_that_is_wrong_or_dies_is_not_kept(
    here: Bench,
    records: Records,
    two_tasks: list[Task],
    monkeypatch: pytest.MonkeyPatch,
    code: Callable[[Task], IRModule],
    reason: str,
):
    """TVM has shipped schedules that were fast and wrong."""
    worth = Checker.worth
    monkeypatch.setattr(Checker, "worth", lambda self, workload, _: worth(self, workload, code(two_tasks[0])))
    (result,) = tune(two_tasks[:1], records, tuner=Finds([Trial(plain(two_tasks[0]), 1e-9)]), bench=here)
    assert str(result.kept_default).startswith(reason)
    assert result.after_us == result.before_us
    assert len(records) == 0


def test_the_next_best_schedule_is_taken_where_the_best_is_wrong(
    here: Bench, records: Records, nhwc_task: Task, monkeypatch: pytest.MonkeyPatch
):
    """A search that found one wrong schedule has found others."""
    worth, seen = Checker.worth, []

    def wrong_once(self: Checker, workload: Workload, code: IRModule) -> object:
        seen.append(code)
        found = worth(self, workload, code)
        return "it killed its process" if len(seen) == 1 else found

    monkeypatch.setattr(Checker, "worth", wrong_once)
    (result,) = tune([nhwc_task], records, budget=Budget(trials=3), bench=here)
    assert result.kept_default is None
    assert len(seen) == 2


def test_a_full_disk_stops_the_tune_and_keeps_the_records(
    here: Bench, records: Records, two_tasks: list[Task], monkeypatch: pytest.MonkeyPatch
):
    """What was tuned before is in the error and on record."""
    tuner = Finds([Trial(plain(two_tasks[0]), 1e-6)], [Trial(plain(two_tasks[1]), 1e-6)])
    note = Records.note

    def full_at_the_second(self: Records, workload: Workload, trials: Sequence[Trial]) -> None:
        if workload.name == two_tasks[1].name:
            raise RecordsError.of("records-full", "there is no room to write it", "make room")
        note(self, workload, trials)

    monkeypatch.setattr(Records, "note", full_at_the_second)
    with pytest.raises(TuneError, match="there is no room to write it") as caught:
        tune(two_tasks, records, tuner=tuner, bench=here)
    assert [result.layers for result in caught.value.results] == [("n1", "n4")]
    assert len(records.trials(two_tasks[0].workload)) == 1


# ── the door ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_tuners_of_other_distributions_come_after_ours(monkeypatch: pytest.MonkeyPatch):
    """They are asked for what ours refuse, or by name; two owners of a name are an error."""

    class Other(Finds):
        name = "other"

    def also(name: str) -> None:
        point = find.EntryPoint(name, "acme:Other", find.GROUP)
        monkeypatch.setattr(find, "installed", lambda _: [("acme 1.0", point)])
        tuners.cache_clear()

    load = find.EntryPoint.load
    monkeypatch.setattr(find.EntryPoint, "load", lambda point: Other if point.value == "acme:Other" else load(point))
    try:
        also("other")
        assert [tuner.name for tuner in tuners()] == ["families", "metaschedule", "other"]
        also("families")
        with pytest.raises(ExtensionError, match="two distributions: corecast and acme"):
            tuners()
        also("another")
        with pytest.raises(ExtensionError, match="is no tuner called `another`"):
            tuners()
    finally:
        tuners.cache_clear()


def test_an_unknown_tuner_is_an_error_that_lists_known_ones():
    """A name that is close comes first."""
    with pytest.raises(TunerError, match="there is no tuner `metashedule`") as caught:
        find_tuner("metashedule")
    assert caught.value.problems[0].help == "did you mean `metaschedule`?"


def test_a_tuner_that_was_asked_for_and_does_not_take_a_kernel_is_an_error(
    here: Bench, records: Records, two_tasks: list[Task]
):
    """The default goes on to the next; who names one means it."""
    with pytest.raises(TuneError, match="no tuner takes fused_conv2d_add_relu on llvm: blocked_cpu: its channels"):
        tune(two_tasks[:1], records, tuner=find_tuner("families"), bench=here)


def test_a_target_that_no_tuner_takes_is_an_error_with_every_reason(two_tasks: list[Task]):
    """MetaSchedule has rules for CPUs and CUDA only, and a family is for one kind of chip."""
    other = find_target("cuda:sm_80").model_copy(update={"kind": "metal"})
    reasons = "blocked_cpu: it is for CPUs; hwnc_sm90: it is for cuda:sm_90a; metaschedule: it has no rules for metal"
    with pytest.raises(TunerError, match=reasons):
        tuner_for(two_tasks[0].workload, other)
