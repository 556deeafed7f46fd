"""Records of kernels: found by what a kernel computes, for the target that they were made for, and used by a build."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule

from corecast.backends import BuildError, Records, RecordsError, Trial, Workload, build, records, tasks
from corecast.backends.schedules import ScheduleError
from corecast.backends.schedules.stored import Chosen, Traced, as_text, code_of, from_text, kernel_module, traced
from corecast.model import Target, find_target
from corecast.recipe import Tune


@pytest.fixture(scope="module")
def kernel(four_convolutions: IRModule, cpu: Target) -> Workload:
    (task,) = tasks(four_convolutions, {"n1": Tune(tuner="tensorcore")}, cpu)
    return task.workload


def unrolled(function: tirx.PrimFunc, depth: int) -> Traced:
    """A schedule that is right, and different for each depth."""
    schedule = Schedule(kernel_module(function))
    for loop in schedule.get_loops(schedule.get_sblock("conv2d_nchw"))[-depth:]:
        schedule.unroll(loop)
    return traced(schedule.trace)


def store(folder: Path) -> Path:
    return folder / "records.sqlite"


def test_a_schedule_on_record_is_found_by_an_equal_kernel(tmp_path: Path, kernel: Workload, cpu: Target):
    """Names are no part of it, and neither is the process that asks."""
    schedule = unrolled(kernel.function, 2)
    Records.create(store(tmp_path), cpu).put(kernel, schedule, 1e-3, 1e-1)
    found = Records.open(store(tmp_path), cpu).find(replace(kernel, name="other"))
    assert found is not None
    assert (found.schedule, found.seconds, found.untuned) == (schedule, 1e-3, 1e-1)
    assert len(Records.open(store(tmp_path), cpu)) == 1


def test_records_of_another_target_are_never_used(tmp_path: Path, four_convolutions: IRModule, kernel: Workload):
    """MetaSchedule's own database would hand out the schedules of any target. One file holds those of all."""
    other, cpu = find_target("llvm:x86-64-v3"), find_target("llvm")
    Records.create(store(tmp_path), other).put(kernel, unrolled(kernel.function, 2), 1e-3, 1e-1)
    here = Records.open(store(tmp_path), cpu)
    assert here.find(kernel) is None
    assert build(four_convolutions, cpu, here).tuned == ()
    with pytest.raises(BuildError, match="records for llvm:x86-64-v3 cannot be used for llvm"):
        build(four_convolutions, cpu, Records.open(store(tmp_path), other))


def test_this_machine_has_the_records_of_its_chip(tmp_path: Path, kernel: Workload, monkeypatch: pytest.MonkeyPatch):
    """`llvm` is a name for another chip on each machine, and records go by the chip."""
    monkeypatch.setattr(records, "chip_name", lambda _: "llvm:cascadelake")
    Records.create(store(tmp_path), find_target("llvm")).put(kernel, unrolled(kernel.function, 2), 1e-3, 1e-1)
    assert Records.open(store(tmp_path), find_target("llvm:cascadelake")).find(kernel) is not None
    monkeypatch.setattr(records, "chip_name", lambda _: "llvm:x86-64-v3")
    assert Records.open(store(tmp_path), find_target("llvm")).find(kernel) is None


def test_records_of_another_tvm_are_not_used(
    tmp_path: Path, kernel: Workload, cpu: Target, monkeypatch: pytest.MonkeyPatch
):
    """Traces are instructions to one version of TVM's scheduler."""
    Records.create(store(tmp_path), cpu).put(kernel, unrolled(kernel.function, 2), 1e-3, 1e-1)
    monkeypatch.setattr("tvm.__version__", "0.26.0")
    assert Records.open(store(tmp_path), cpu).find(kernel) is None


def test_a_digest_alone_is_not_believed(tmp_path: Path, kernel: Workload, cpu: Target):
    """A kernel that computes something else does not get the schedule, even if its digest were the same."""
    known = Records.create(store(tmp_path), cpu)
    known.put(kernel, unrolled(kernel.function, 2), 1e-3, 1e-1)
    assert known.find(replace(kernel, steps=kernel.steps[:1])) is None


def test_a_build_uses_the_schedule_on_record(
    tmp_path: Path, four_convolutions: IRModule, kernel: Workload, cpu: Target
):
    """The executable says which of its kernels it was used for."""
    known = Records.create(store(tmp_path), cpu)
    assert build(four_convolutions, cpu, known).tuned == ()
    known.put(kernel, unrolled(kernel.function, 2), 1e-3, 1e-1)
    assert build(four_convolutions, cpu, known).tuned == ("fused_conv2d_add_relu",)


def test_trials_are_kept_beside_records(tmp_path: Path, kernel: Workload, cpu: Target):
    """Those that failed too, with the reason."""
    known = Records.create(store(tmp_path), cpu)
    made = [Trial(unrolled(kernel.function, 1), 1e-3), Trial(unrolled(kernel.function, 2), None, "killed")]
    known.note(kernel, made)
    assert known.trials(kernel) == made
    assert known.find(kernel) is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[",
        "{}",
        '{"kind": "pickle", "data": ""}',
        '{"kind": "family", "family": "blocked_cpu", "version": "1", "knobs": {}}',
        '{"kind": "family", "family": "blocked_cpu", "version": 1, "knobs": {"columns": [1]}}',
        '{"kind": "trace", "steps": [["Unroll", 1, [], []]], "decisions": []}',
        "[" * 100_000,
        '{"kind": "trace", "steps": [], "decisions": []' + " " * (1 << 20) + "}",
    ],
)
def test_a_text_that_is_no_schedule_is_refused(text: str):
    """Its form is checked before anything of it is carried out."""
    with pytest.raises(ScheduleError, match="this is no schedule"):
        from_text(text)


@pytest.mark.parametrize(
    "step",
    [
        ["NoSuchStep", [], [], []],
        ["GetSBlock", [], ["no_such_block", "main"], ["b0"]],
        ["GetSBlock", [1, 2, 3], [], []],
        ["Unroll", ["never_made"], [], []],
        ["TransformLayout", ["b0"], [0, 0, '{"root_index": 7}', None, True], []],
        ["EnterPostproc", ["b0"], [], []],
    ],
)
def test_a_trace_that_does_not_fit_is_an_error(kernel: Workload, cpu: Target, step: list[object]):
    """TVM checks every step; what it says comes back as the error."""
    steps = [["GetSBlock", [], ["conv2d_nchw", "main"], ["b0"]], step]
    schedule = Traced.model_validate({"steps": [tuple(each) for each in steps], "decisions": []})
    with pytest.raises(ScheduleError, match="the schedule on record does not fit fused_conv2d_add_relu"):
        code_of(from_text(as_text(schedule)), kernel, cpu)


def test_a_family_of_another_version_is_refused(kernel: Workload, cpu: Target):
    """The same knobs may have come to mean other code."""
    with pytest.raises(ScheduleError, match="of version 99 of the family `blocked_cpu`, and version 1 is installed"):
        code_of(Chosen(family="blocked_cpu", version=99, knobs={}), kernel, cpu)


def test_a_build_with_a_hostile_record_is_an_error(
    tmp_path: Path, four_convolutions: IRModule, kernel: Workload, cpu: Target
):
    """It names the kernel and says what to do; nothing is compiled with half of a schedule."""
    known = Records.create(store(tmp_path), cpu)
    known.put(kernel, Traced(steps=[("NoSuchStep", [], [], [])], decisions=[]), 1e-9, 1e-1)
    with pytest.raises(ScheduleError, match="NoSuchStep"):
        build(four_convolutions, cpu, known)


def test_a_file_of_another_program_is_refused(tmp_path: Path, cpu: Target):
    store(tmp_path).write_bytes(b"\x00" * 100)
    with pytest.raises(RecordsError, match="cannot read"):
        Records.create(store(tmp_path), cpu)
