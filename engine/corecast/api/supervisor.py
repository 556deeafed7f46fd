"""A command in, its exit status out, also where native code takes the process with it.

TVM, LLVM and the code that they make run in the process that asked, and a fault in them ends it without a word. So the
command runs in a child, forked before any of them is loaded (a few milliseconds), and its parent only waits: it can
still say what died, and in what. Where that was many layers in one, a second child does it again layer by layer, to
name the one.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import warnings
from collections.abc import Callable
from types import FrameType

from corecast.lang import CorecastError, Problem
from corecast.report.activity import Activities, Page, supervised

# What a fault in native code ends a process with.
CRASHES = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGILL, signal.SIGFPE})

# What asks a command to end: it cleans up after itself.
REQUESTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_PR_SET_PDEATHSIG = 1

Command = Callable[[], int]


class CrashError(CorecastError):
    """A process that native code ended: a fault of the compiler's, or of ours, that called it so."""

    exit_status = 3


class KilledError(CorecastError):
    """A process that somebody else ended, the kernel for example."""

    exit_status = 128 + signal.SIGKILL


def supervise(command: Command) -> int:
    """Run a command in a child process and return its exit status.

    It returns in the child as well, which is to exit with what it returns. In the parent it raises `CrashError` and
    `KilledError`.
    """
    page = Page()
    child = _fork()
    if not child:
        supervised(page)
        # The layers of a large model are millions of objects that are there to stay: by Python's own measure it would
        # look through all of them so often that planning takes half as long again.
        gc.set_threshold(100_000, 20, 20)
        result = command()
        page.write(())  # who came here was in nothing any more
        return result
    status = _wait(child)
    if -status in CRASHES:
        raise CrashError(_crash(signal.Signals(-status), page.read(), command))
    if -status == signal.SIGKILL:
        message = f"the command was killed (SIGKILL){_in(page.read())}"
        raise KilledError(Problem("killed", message, help="where nobody did it, the machine may be out of memory"))
    if status >= 0 and (activities := page.read()):
        message = f"native code ended the command{_in(activities)}"
        help = "what it says stands above; where it could not write, make room"
        raise CrashError(Problem("ended", message, help=help))
    return status if status >= 0 else 128 - status


def _fork() -> int:
    """A child that ends when its parent does."""
    parent = os.getpid()
    with warnings.catch_warnings():
        # Python 3.12 warns of threads: numpy's linear algebra has some, and looks after them at a fork.
        warnings.simplefilter("ignore", DeprecationWarning)
        # A request to end that comes before `_wait` can pass it on has to wait for that.
        signal.pthread_sigmask(signal.SIG_BLOCK, REQUESTS)
        child = os.fork()
    if not child:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(KilledError.exit_status)
    return child


def _wait(child: int) -> int:
    """The exit status of a child, or minus the signal that ended it; requests to end are passed on to it."""

    def forward(number: int, _: FrameType | None) -> None:
        os.kill(child, number)  # a terminal has sent it to both: twice within a second counts once

    before = {number: signal.getsignal(number) for number in REQUESTS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as under `nohup`
            signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, REQUESTS)
    try:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _crash(number: signal.Signals, activities: Activities, command: Command) -> Problem:
    """What there is to say about a crash; where it may have been one layer of many, that layer is looked for."""
    message = f"native code died of {number.name}{_in(activities)}"
    help = "this is a fault of TVM, or of corecast in calling it: please report it with the model and these lines"
    if activities and activities[-1].divisible:
        print(f"native code died of {number.name}; trying layer by layer to see where", file=sys.stderr)
        if found := _one_by_one(activities, command):
            message += f", {found}"
            help += "; meanwhile, let the rules keep that layer as it is"
        else:
            message += "; layer by layer it did not happen again"
    return Problem("crashed", message, help=help)


def _one_by_one(suspect: Activities, command: Command) -> str:
    """What another process was in, inside of what killed the first, when it died of it too."""
    page = Page()
    child = _fork()
    if not child:
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        supervised(page, suspect)
        command()
        os._exit(0)
    died = -_wait(child) in CRASHES
    return _listed(page.read()[len(suspect) :]) if died else ""


def _in(activities: Activities) -> str:
    return f" in: {_listed(activities)}" if activities else ""


def _listed(activities: Activities) -> str:
    return ", ".join(activity.what for activity in activities)
