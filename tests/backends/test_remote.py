"""Past one machine: workers that a tracker lends measure, one that dies is replaced, and no candidate is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import tvm
from tvm import relax
from tvm.s_tir import meta_schedule as ms

from corecast.api.cli import main
from corecast.backends import Bench, Budget, Records, RemoteError, Task, Tracker, TuneProgress, tasks, tune
from corecast.backends.remote import RETRIES, _Retried
from corecast.backends.schedules.stored import kernel_module
from corecast.model import Target
from corecast.recipe import Tune

KEY = "test"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def started(*arguments: str) -> subprocess.Popen[str]:
    """A process in a session of its own, so that all that it starts can be ended with it."""
    command = [sys.executable, "-m", *arguments]
    return subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def servers(worker: subprocess.Popen[str]) -> list[psutil.Process]:
    """TVM's server below a worker."""
    below = psutil.Process(worker.pid).children(recursive=True)
    return [process for process in below if "tvm.exec.rpc_server" in process.cmdline()]


@pytest.fixture
def workers() -> Iterator[tuple[Tracker, list[subprocess.Popen[str]]]]:
    """A tracker with three workers on this machine."""
    tracker = Tracker("127.0.0.1", free_port(), KEY)
    end = str(tracker.port + 1)
    at = ["--host", tracker.host, "--port", str(tracker.port), "--port-end", end]
    processes = [started("tvm.exec.rpc_tracker", *at, "--silent")]
    try:
        wait_for(tracker, 0)
        processes += [started("corecast.api", "worker", "--tracker", str(tracker), "--key", KEY) for _ in range(3)]
        wait_for(tracker, 3)
        yield tracker, processes[1:]
    finally:
        for process in processes:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def wait_for(tracker: Tracker, count: int) -> None:
    """Wait until the tracker has so many workers."""
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            if tracker.workers() >= count:
                return
        except RemoteError as error:
            if error.problems[0].slug == "no-worker" and not count:
                return
        time.sleep(0.5)
    pytest.fail(f"the tracker has not {count} workers after 180 s")


@pytest.fixture(scope="module")
def task(cpu: Target) -> Task:
    x, w = (
        relax.Var(name, relax.TensorType(shape, "float32"))
        for name, shape in (("x", (1, 8, 12, 16)), ("w", (3, 3, 16, 32)))
    )
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w]):
        with builder.dataflow():
            layouts = {"data_layout": "NHWC", "kernel_layout": "HWIO"}
            out = builder.emit_output(builder.emit(relax.op.nn.conv2d(x, w, padding=1, **layouts), "n1"))
        builder.emit_func_output(out)
    (found,) = tasks(builder.get(), {"n1": Tune(tuner="tensorcore")}, cpu)
    return found


@pytest.mark.slow
def test_a_worker_that_dies_is_replaced_and_no_trial_is_lost(
    tmp_path: Path, task: Task, cpu: Target, workers: tuple[Tracker, list[subprocess.Popen[str]]]
):
    """Its server is killed after the first round; the tune goes on with the others, and later there are three again."""
    tracker, processes = workers
    killed: list[int] = []

    def kill_one(_: TuneProgress) -> None:
        if not killed:
            for server in servers(processes[0]):
                killed.append(server.pid)
                server.kill()

    records = Records.create(tmp_path / "records.sqlite", cpu)
    bench = Bench(cpu, tracker=tracker)
    try:
        (result,) = tune([task], records, bench=bench, budget=Budget(trials=10), progress=kill_one)
        assert killed
        assert (result.trials, result.failed) == (10, 0)
        assert result.kept_default is None
        # What is compared is compared there too: code of the same name must not be taken for TVM's own.
        wrong = kernel_module(task.function).script().replace("T.float32(0.0)", "T.float32(1.0)")
        worth = bench.worth(task.workload, tvm.script.from_source(wrong))
        assert not isinstance(worth, str)
        assert "difference" in str(worth.wrong)
        wait_for(tracker, 3)
        assert servers(processes[0])
        assert servers(processes[0])[0].pid not in killed
    finally:
        bench.close()


class Answers:
    """Stands for a runner and for its futures, with one answer after another."""

    def __init__(self, *errors: str | None) -> None:
        self.errors = iter(errors)
        self.asked = 0

    def run(self, _inputs: object) -> list[Answers]:
        return [self]

    def result(self) -> ms.runner.RunnerResult:
        self.asked += 1
        error = next(self.errors)
        return ms.runner.RunnerResult([1.0] if error is None else None, error)


@pytest.mark.parametrize(
    ("errors", "asked"),
    [
        ([None], 1),
        (["Connection reset by peer", None], 2),
        (["RPC session is closed"] * (RETRIES + 1), RETRIES + 1),
        (["the kernel reads beyond its buffer"], 1),
    ],
)
def test_only_what_was_lost_with_its_worker_is_measured_again(errors: list[str | None], asked: int):
    """A candidate that fails by itself would fail on the next one too; one that kills every worker is given up."""
    answers = Answers(*errors)
    result = _Retried(answers, None, answers).result()
    assert answers.asked == asked
    assert (None if result.error_msg is None else str(result.error_msg)) == errors[-1]


def test_a_tracker_that_does_not_answer_is_an_error():
    """At once, with the command that starts one."""
    tracker = Tracker("127.0.0.1", free_port(), KEY)
    with pytest.raises(RemoteError, match="no tracker answers at") as caught:
        tracker.workers()
    assert "python -m tvm.exec.rpc_tracker --host 127.0.0.1 --port" in str(caught.value)


@pytest.mark.parametrize("address", ["", "localhost", "localhost:", ":9190", "host:port", "host:99999"])
def test_an_address_is_a_host_and_a_port(address: str, capsys: pytest.CaptureFixture[str]):
    """For the worker too."""
    with pytest.raises(RemoteError, match="is no address of a tracker"):
        Tracker.parse(address, KEY)
    assert main(["worker", "--tracker", address, "--key", KEY]) == 2
    assert "error[bad-address]" in capsys.readouterr().err
