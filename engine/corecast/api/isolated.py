"""A measure of plans in, one that native code does not end out: a process of its own measures, another where it dies.

It is forked once, before anything has been run, and keeps what it knows (the original's outputs) from plan to plan.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from math import inf
from multiprocessing.connection import Connection
from types import TracebackType

from corecast.api.measuring import MeasureError, Measurer
from corecast.api.supervisor import CRASHES, KilledError
from corecast.lang import CorecastError, Problem
from corecast.plan import Plan
from corecast.report.activity import is_supervised
from corecast.verify import Measured

# What was measured and what was compared; or what is wrong with the original.
_Answer = tuple[Measured, str] | list[Problem]


def can_isolate() -> bool:
    """Whether a fork is safe: in a command's process, in which nothing has run yet that keeps threads."""
    return sys.platform == "linux" and is_supervised()


def isolated(measurer: Measurer) -> AbstractContextManager[Isolated | Measurer]:
    """A measurer in a process of its own where a fork is safe, else itself."""
    return Isolated(measurer) if can_isolate() else nullcontext(measurer)


class Isolated(AbstractContextManager["Isolated"]):
    """Measures as a measurer does, in another process; a plan that takes that process with it fails.

    Attributes:
        compared: what is compared, once something was.
    """

    def __init__(self, measurer: Measurer):
        self._measurer = measurer
        self._fork = multiprocessing.get_context("fork")
        self._worker: tuple[multiprocessing.process.BaseProcess, Connection] | None = None
        self.compared = measurer.compared

    def __call__(self, plan: Plan) -> Measured:
        """Measure a plan.

        Raises:
            MeasureError: where the original itself gives nothing to compare with.
            KilledError: where somebody else ended the process.
        """
        process, connection = self._worker = self._worker or self._begun()
        try:
            connection.send(plan)
            answer: _Answer = connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            process.join()
            self._worker = None
            return _died(process.exitcode or 0)
        if isinstance(answer, list):
            raise MeasureError(answer)
        measured, self.compared = answer
        return measured

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._worker:
            process, connection = self._worker
            connection.close()
            process.kill()  # it holds nothing that is not its own
            process.join()
            process.close()
            self._worker = None

    def _begun(self) -> tuple[multiprocessing.process.BaseProcess, Connection]:
        here, there = self._fork.Pipe()
        process = self._fork.Process(target=_work, args=(self._measurer, here, there), daemon=True)
        process.start()
        there.close()
        return process, here


def _work(measurer: Measurer, here: Connection, there: Connection) -> None:
    here.close()  # or the end of the command would not be seen
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is asked to end, and ends this process
    while True:
        try:
            plan: Plan = there.recv()
        except EOFError:
            return
        try:
            there.send((measurer(plan), measurer.compared))
        except CorecastError as error:
            there.send(list(error.problems))


def _died(status: int) -> Measured:
    """What a plan comes to that ended the process, where native code did it."""
    if -status in CRASHES:
        return Measured(error=inf, reason=f"native code died of {signal.Signals(-status).name}")
    if -status == signal.SIGKILL:
        help = "where nobody did it, the machine may be out of memory"
        raise KilledError(Problem("killed", "the process that measures was killed (SIGKILL)", help=help))
    raise RuntimeError(f"the process that measures ended with status {status}")
