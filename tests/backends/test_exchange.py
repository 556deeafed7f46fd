"""MetaSchedule's JSON: what is written can be read by TVM, and what is read becomes candidates and nothing more."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tvm.ir import IRModule
from tvm.s_tir import Schedule
from tvm.s_tir import meta_schedule as ms
from tvm_ffi import structural_equal

from corecast.backends import Records, RecordsError, Store, Trial, Workload, exported, imported, tasks
from corecast.backends.exchange import RECORDS, WORKLOADS
from corecast.backends.schedules.stored import Chosen, Traced, kernel_module, traced
from corecast.model import Target
from corecast.recipe import Tune


@pytest.fixture(scope="module")
def kernel(four_convolutions: IRModule, cpu: Target) -> Workload:
    (task,) = tasks(four_convolutions, {"n1": Tune(tuner="tensorcore")}, cpu)
    return task.workload


def unrolled(kernel: Workload) -> Traced:
    schedule = Schedule(kernel_module(kernel.function))
    schedule.unroll(schedule.get_loops(schedule.get_sblock("conv2d_nchw"))[-1])
    return traced(schedule.trace)


@pytest.fixture
def folder(tmp_path: Path, kernel: Workload, cpu: Target) -> Path:
    """A store with a trace, exported."""
    records = Records.create(tmp_path / "records.sqlite", cpu)
    records.put(kernel, unrolled(kernel), 1e-3, 1e-1)
    assert exported(records.store, tmp_path / "json") == (1, [])
    return tmp_path / "json"


def test_what_is_exported_is_metaschedules(folder: Path, kernel: Workload):
    """Its own database finds the kernel and its schedule."""
    database = ms.database.JSONDatabase(work_dir=str(folder), allow_missing=False)
    (record,) = database.get_all_tuning_records()
    assert structural_equal(record.workload.mod, kernel_module(kernel.function))
    assert [float(each) for each in record.run_secs] == [1e-3]
    assert traced(record.trace) == unrolled(kernel)


def test_schedules_of_families_have_no_such_form(tmp_path: Path, kernel: Workload, cpu: Target):
    """They are named, and nothing stands in their place."""
    records = Records.create(tmp_path / "records.sqlite", cpu)
    records.put(kernel, Chosen(family="blocked_cpu", version=1, knobs={}), 1e-3, 1e-1)
    written, left = exported(records.store, tmp_path / "json")
    assert (written, left) == (0, records.store.records())


def test_nothing_is_exported_over_what_is_there(folder: Path):
    """MetaSchedule would append to it."""
    with pytest.raises(RecordsError, match="there are MetaSchedule's files in"):
        exported(Store.open(folder.parent / "records.sqlite"), folder)


def test_what_is_imported_is_a_candidate_and_no_record(tmp_path: Path, folder: Path, kernel: Workload, cpu: Target):
    """Whether it is right and faster here, the next tune finds out."""
    records = Records.create(tmp_path / "other.sqlite", cpu)
    assert imported(folder, records.store) == (1, [])
    assert records.find(kernel) is None
    assert records.trials(kernel) == [Trial(unrolled(kernel), 1e-3)]


def test_what_is_for_an_unknown_target_or_failed_is_left_out(tmp_path: Path, folder: Path):
    """Each line that is left out is named."""
    line = json.loads((folder / RECORDS).read_text())
    failed = [line[0], [line[1][0], [1e10], *line[1][2:]]]
    strange = [line[0], [*line[1][:2], {"kind": "hexagon"}, line[1][3]]]
    (folder / RECORDS).write_text("".join(json.dumps(each) + "\n" for each in (failed, strange, line)))
    taken, refused = imported(folder, Store.create(tmp_path / "other.sqlite"))
    assert taken == 1
    assert refused == [
        "line 1: it failed when it was measured",
        "line 2: nothing is known of its target `hexagon`",
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        (RECORDS, "[0, "),
        (RECORDS, '["no", "record"]'),
        (RECORDS, "[" * 100_000),
        (RECORDS, '[7, [[[], []], [1.0], {"kind": "llvm"}, []]]'),
        (RECORDS, '[0, [[[["Unroll", 7, [], []]], []], [1.0], {"kind": "llvm"}, []]]'),
        (WORKLOADS, '["1", "not base64!"]'),
        (WORKLOADS, json.dumps(["1", base64.b64encode(b'{"root_index": 9, "nodes": []}').decode()])),
        (
            WORKLOADS,
            json.dumps(["1", base64.b64encode(b"\x1e" + bytes(7) + b'{"root_index": 9, "nodes": []}').decode()]),
        ),
        (WORKLOADS, "\x00\xff"),
    ],
)
def test_a_damaged_or_hostile_file_is_refused_and_nothing_taken(tmp_path: Path, folder: Path, name: str, content: str):
    """The error names the file; a store is written only when all of it could be read."""
    (folder / name).write_text(content, encoding="latin-1")
    store = Store.create(tmp_path / "other.sqlite")
    with pytest.raises(RecordsError) as caught:
        imported(folder, store)
    assert caught.value.problems[0].slug == "broken-records"
    assert name in str(caught.value)
    with store._connected() as db:
        assert db.execute("SELECT count(*) FROM trials").fetchone() == (0,)
