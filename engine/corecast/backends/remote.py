"""A tracker's address and a key in, the machines behind it as a runner of candidates out.

TVM's own tracker and servers do the work (`tvm.rpc`): a tracker lends one session of a server at a time, so that each
device measures one candidate at a time. Candidates are compiled here, side by side. A server that dies while it has one
is nothing that the candidate did: it is measured again, by another.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tvm.ir.utils import derived_object
from tvm.s_tir import meta_schedule as ms
from tvm.support.popen_pool import PopenPoolExecutor

from corecast.lang.problems import CorecastError, Problem

# A cold device needs more than TVM's 10 s for the first kernel that it runs.
SESSION_TIMEOUT = 120
# How often a candidate is measured again whose server died; one that kills every server that has it counts as failed.
RETRIES = 2
# What TVM says when a server is gone; a candidate that fails by itself says something else.
_GONE = ("Connection", "connection", "socket", "Socket", "RPC session", "Broken pipe", "EOF", "Cannot request", "recv")


class RemoteError(CorecastError):
    """A tracker that does not answer, or that knows no worker of a key."""

    @classmethod
    def of(cls, slug: str, message: str, help: str) -> RemoteError:
        return cls(Problem(slug, message, help=help))


@dataclass(frozen=True)
class Tracker:
    """Where workers are lent from, and by which key: a label for those of one kind, and no secret."""

    host: str
    port: int
    key: str

    @classmethod
    def parse(cls, address: str, key: str) -> Tracker:
        """From `HOST:PORT`. Raises `RemoteError`."""
        host, colon, port = address.rpartition(":")
        if not (colon and host and port.isdigit() and int(port) < 1 << 16):
            message = f"`{address}` is no address of a tracker"
            raise RemoteError.of("bad-address", message, "write HOST:PORT, such as 127.0.0.1:9190")
        return cls(host, int(port), key)

    def __str__(self) -> str:
        return f"{self.host}:{self.port}"

    def workers(self) -> int:
        """How many workers of the key there are. Raises `RemoteError` where there are none."""
        from tvm import rpc  # which needs tornado

        try:
            # Asked first: TVM tries for minutes.
            socket.create_connection((self.host, self.port), timeout=5).close()
            servers = rpc.connect_tracker(self.host, self.port).summary()["server_info"]
        except (OSError, RuntimeError) as error:
            message = f"no tracker answers at {self}: {error}"
            ports = f"--port {self.port} --port-end {self.port + 1}"
            help = f"start one: `python -m tvm.exec.rpc_tracker --host {self.host} {ports}`"
            raise RemoteError.of("no-tracker", message, help) from error
        count = [server["key"] for server in servers].count(f"server:{self.key}")
        if not count:
            message = f"the tracker at {self} knows no worker of the key `{self.key}`"
            raise RemoteError.of(
                "no-worker", message, f"start one: `corecast worker --tracker {self} --key {self.key}`"
            )
        return count

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A session with one worker, which nobody else has meanwhile."""
        from tvm import rpc

        yield rpc.connect_tracker(self.host, self.port).request(self.key, session_timeout=SESSION_TIMEOUT)


@derived_object
class RemoteRunner(ms.runner.PyRunner):  # type: ignore[misc]
    """Runs candidates on the workers of a tracker, as many at a time as there are workers."""

    def __init__(self, tracker: Tracker, config: ms.runner.EvaluatorConfig) -> None:
        super().__init__()
        workers = tracker.workers()
        rpc = ms.runner.RPCConfig(tracker.host, tracker.port, tracker.key, session_timeout_sec=SESSION_TIMEOUT)
        self._inner = ms.runner.RPCRunner(rpc_config=rpc, evaluator_config=config, max_workers=workers)
        # Without a limit of its own a request that no worker is left for waits for ever.
        self._inner.pool = PopenPoolExecutor(max_workers=workers, timeout=SESSION_TIMEOUT * 2.0)

    def run(self, runner_inputs: list[ms.runner.RunnerInput]) -> list[ms.runner.RunnerFuture]:
        futures = self._inner.run(list(runner_inputs))
        return [_Retried(self._inner, *each) for each in zip(runner_inputs, futures, strict=True)]


@derived_object
class _Retried(ms.runner.PyRunnerFuture):  # type: ignore[misc]
    """The result of a candidate, asked for again where its worker was lost."""

    def __init__(self, runner: ms.runner.Runner, candidate: ms.runner.RunnerInput, future: Any) -> None:
        super().__init__()
        self._runner, self._candidate, self._future = runner, candidate, future

    def done(self) -> bool:
        done: bool = self._future.done()
        return done

    def result(self) -> ms.runner.RunnerResult:
        for _ in range(RETRIES):
            result = self._future.result()
            if result.error_msg is None or not any(sign in str(result.error_msg) for sign in _GONE):
                return result
            (self._future,) = self._runner.run([self._candidate])
        return self._future.result()
