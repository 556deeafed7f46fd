"""Tuning records on disk: kept apart by target and TVM version, one schedule for each kernel."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from tvm import tirx
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import Trace

from corecast.backends import BuildError, Records, RecordsError, build, tasks
from corecast.backends.records import workload_of
from corecast.model import Target, find_target
from corecast.recipe import Tune


@pytest.fixture(scope="module")
def kernel(four_convolutions: IRModule, cpu: Target) -> tirx.PrimFunc:
    (task,) = tasks(four_convolutions, {"n1": Tune(tuner="tensorcore")}, cpu)
    return task.function


def unrolled(kernel: tirx.PrimFunc, depth: int) -> Trace:
    """A schedule that is right, and different for each depth."""
    schedule = Schedule(workload_of(kernel))
    for loop in schedule.get_loops(schedule.get_sblock("conv2d_nchw"))[-depth:]:
        schedule.unroll(loop)
    return schedule.trace


def test_records_are_read_back_as_they_were_written(tmp_path: Path, kernel: tirx.PrimFunc, cpu: Target):
    """A schedule survives the way through TVM's JSON files."""
    Records.create(tmp_path, cpu).put(kernel, unrolled(kernel, 2), 1e-3)
    found = Records.open(tmp_path, cpu).find(kernel)
    assert str(found) == str(unrolled(kernel, 2))


def test_a_kernel_has_one_record(tmp_path: Path, kernel: tirx.PrimFunc, cpu: Target):
    """A new schedule takes the place of the old one, and the files do not grow."""
    records = Records.create(tmp_path, cpu)
    records.put(kernel, unrolled(kernel, 1), 1e-3)
    records.put(kernel, unrolled(kernel, 2), 2e-3)
    assert len(records) == len(Records.open(tmp_path, cpu)) == 1
    assert str(records.find(kernel)) == str(unrolled(kernel, 2))


@pytest.mark.parametrize(("seconds", "depth"), [(2e-3, 1), (0.5e-3, 2)])
def test_merging_keeps_the_faster_record(
    tmp_path: Path, kernel: tirx.PrimFunc, cpu: Target, seconds: float, depth: int
):
    """Records from two runs become one folder, whichever came first."""
    mine, other = Records.create(tmp_path / "mine", cpu), Records.create(tmp_path / "other", cpu)
    mine.put(kernel, unrolled(kernel, 1), 1e-3)
    other.put(kernel, unrolled(kernel, 2), seconds)
    mine.merge(other)
    assert len(mine) == 1
    assert str(Records.open(mine.folder, cpu).find(kernel)) == str(unrolled(kernel, depth))


@pytest.mark.parametrize("done", [0, 1, 2])
def test_who_is_killed_while_saving_leaves_records_that_fit(
    tmp_path: Path,
    four_convolutions: IRModule,
    kernel: tirx.PrimFunc,
    cpu: Target,
    done: int,
    monkeypatch: pytest.MonkeyPatch,
):
    """The files are put in place one by one, and a schedule must never meet the workload of another."""
    (task,) = tasks(four_convolutions, {"n7": Tune(tuner="tensorcore")}, cpu)
    second = task.function
    records = Records.create(tmp_path, cpu)
    records.put(kernel, unrolled(kernel, 2), 1e-3)
    records.put(second, unrolled(second, 2), 1e-3)
    replace, places = os.replace, []

    def replace_some(source: Path, place: Path) -> None:
        if len(places) == done:
            raise KeyboardInterrupt
        places.append(place)
        replace(source, place)

    monkeypatch.setattr(os, "replace", replace_some)
    with pytest.raises(KeyboardInterrupt):
        records.put(kernel, unrolled(kernel, 4), 1e-4)
    monkeypatch.undo()
    (tmp_path / ".saving-left-by-a-kill").mkdir()
    found = Records.open(tmp_path, cpu)
    assert str(found.find(kernel)) == str(unrolled(kernel, 4 if done == 2 else 2))
    assert str(found.find(second)) == str(unrolled(second, 2))
    found.put(kernel, unrolled(kernel, 8), 1e-5)
    assert not list(tmp_path.glob(".saving-*"))


def test_a_build_uses_the_schedule_on_record(
    tmp_path: Path, four_convolutions: IRModule, kernel: tirx.PrimFunc, cpu: Target
):
    """The executable says which of its kernels it was used for."""
    records = Records.create(tmp_path, cpu)
    assert build(four_convolutions, cpu, records).tuned == ()
    records.put(kernel, unrolled(kernel, 2), 1e-3)
    assert build(four_convolutions, cpu, records).tuned == ("fused_conv2d_add_relu",)


def test_records_of_another_target_are_not_used(tmp_path: Path, four_convolutions: IRModule, cpu: Target):
    """MetaSchedule's own database would hand out the schedules of any target."""
    other = find_target("llvm:x86-64-v3")
    records = Records.create(tmp_path, other)
    with pytest.raises(RecordsError, match=r"are for llvm:x86-64-v3 \(x86-64-v3\) and TVM .*, not for llvm"):
        Records.open(tmp_path, cpu)
    with pytest.raises(BuildError, match="records for llvm:x86-64-v3 cannot be used for llvm"):
        build(four_convolutions, cpu, records)
    with pytest.raises(RecordsError, match="do not go with"):
        Records.create(tmp_path / "mine", cpu).merge(records)


def test_records_of_another_tvm_are_not_used(tmp_path: Path, cpu: Target):
    """Traces are instructions to one version of TVM's scheduler."""
    Records.create(tmp_path, cpu)
    header = json.loads((tmp_path / "records.json").read_text())
    (tmp_path / "records.json").write_text(json.dumps(header | {"tvm": "0.26.0"}))
    with pytest.raises(RecordsError, match=r"TVM 0\.26\.0, not for"):
        Records.open(tmp_path, cpu)


@pytest.mark.parametrize("file", ["records.json", "database_workload.json", "database_tuning_record.json"])
@pytest.mark.parametrize("content", ["[0, ", '["no", "record"]\n', "\x00\xff"])
def test_a_broken_file_is_an_error_that_names_it(
    tmp_path: Path, kernel: tirx.PrimFunc, cpu: Target, file: str, content: str
):
    """Half a line, another JSON, or no text at all."""
    Records.create(tmp_path, cpu).put(kernel, unrolled(kernel, 2), 1e-3)
    (tmp_path / file).write_text(content, encoding="latin-1")
    with pytest.raises(RecordsError) as caught:
        Records.open(tmp_path, cpu)
    assert caught.value.problems[0].slug == "broken-records"
    assert str(tmp_path) in str(caught.value)


def test_a_folder_without_records_is_an_error(tmp_path: Path, cpu: Target):
    """A mistyped path is not taken for empty records."""
    with pytest.raises(RecordsError, match="no tuning records in"):
        Records.open(tmp_path, cpu)


def test_records_are_not_created_over_others(tmp_path: Path, cpu: Target):
    """An hour of tuning is not thrown away by a second `create`."""
    Records.create(tmp_path, cpu)
    with pytest.raises(RecordsError, match="there are records in"):
        Records.create(tmp_path, cpu)
